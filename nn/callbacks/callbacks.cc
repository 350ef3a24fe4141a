#include "cohort/nn/callbacks/callbacks.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <memory>

#include "cohort/core/terminal.h"
#include "cohort/nn/model.h"

namespace cohort::nn {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

class CSVLoggerImpl : public CallbackImpl {
 public:
  explicit CSVLoggerImpl(CSVLogger options) : options_(std::move(options)) {
    if (options_.filename.empty()) throw InvalidArgument("CSVLogger: got no filename; want one");
  }

  bool same_on_all_workers() const override { return true; }

  void on_train_begin() override {
    if (!params().is_chief) return;
    const bool keeps = options_.append || params().resumes;
    file_.reset(std::fopen(options_.filename.c_str(), keeps ? "a" : "w"));
    if (!file_)
      throw NotFound("CSVLogger: got file {}; want one that can be written", options_.filename);
    std::fseek(file_.get(), 0, SEEK_END);
    header_ = std::ftell(file_.get()) == 0;
    keys_.clear();
  }

  void save_state(NamedTensors& state) const override {
    state.set("bytes", static_cast<int64_t>(file_ ? std::ftell(file_.get()) : 0));
    state.set("header", int64_t{header_});
    state.set("keys", keys_);
  }

  /// Lines that were written after the state was saved go: they will be written again.
  void load_state(const NamedTensors& state) override {
    if (!file_) return;
    const int64_t wanted = state.integer("bytes"), got = std::ftell(file_.get());
    if (got < wanted)
      throw DataLoss("CSVLogger: {}: got {} bytes; want the {} that it had when it was saved",
                     options_.filename, got, wanted);
    if (ftruncate(fileno(file_.get()), wanted) != 0)
      throw DataLoss("CSVLogger: got an error while shortening {}", options_.filename);
    std::fseek(file_.get(), 0, SEEK_END);
    header_ = state.integer("header") != 0;
    keys_ = state.texts("keys");
  }

  void on_epoch_end(int64_t epoch, const Logs& logs) override {
    if (!params().is_chief) return;
    if (keys_.empty()) choose_keys(logs);
    std::string line;
    if (header_) {
      line = "epoch";
      for (const std::string& key : keys_) line += options_.separator + key;
      line += "\n";
      header_ = false;
    }
    line += std::to_string(epoch);
    for (const std::string& key : keys_) {
      const double* value = logs.find(key);
      line += options_.separator + (value ? fmt::format("{}", *value) : "NA");
    }
    line += "\n";
    if (std::fputs(line.c_str(), file_.get()) < 0 || std::fflush(file_.get()) != 0)
      throw DataLoss("CSVLogger: got an error while writing {}", options_.filename);
  }

  void on_train_end(const Logs&) override { file_.reset(); }

 private:
  /// Validation may come in a later epoch only: its columns are there from the first line.
  void choose_keys(const Logs& logs) {
    bool validated = false;
    for (const auto& [name, value] : logs) {
      keys_.push_back(name);
      validated |= name.starts_with("val_");
    }
    for (size_t i = 0, count = keys_.size(); !validated && i < count; ++i)
      keys_.push_back("val_" + keys_[i]);
  }

  CSVLogger options_;
  std::unique_ptr<std::FILE, CloseFile> file_;
  bool header_ = true;
  std::vector<std::string> keys_;
};

class TerminateOnNaNImpl : public CallbackImpl {
 public:
  explicit TerminateOnNaNImpl(TerminateOnNaN options) : options_(options) {}

  bool same_on_all_workers() const override { return true; }

  void on_train_batch_end(int64_t batch, const Logs& logs) override {
    const double* loss = logs.find("loss");
    if (!loss || std::isfinite(*loss)) return;
    if (options_.raise_error)
      throw InvalidArgument("TerminateOnNaN: got loss {} at batch {}; want a finite one", *loss,
                            batch);
    if (params().is_chief)
      say(stderr, fmt::format("Batch {}: Invalid loss, terminating training\n", batch));
    model().set_stop_training(true);
  }

 private:
  TerminateOnNaN options_;
};

class LambdaCallbackImpl : public CallbackImpl {
 public:
  explicit LambdaCallbackImpl(LambdaCallback options) : on_(std::move(options)) {}

  void on_epoch_begin(int64_t epoch) override { call(on_.on_epoch_begin, epoch); }
  void on_epoch_end(int64_t epoch, const Logs& logs) override {
    call(on_.on_epoch_end, epoch, logs);
  }
  void on_train_begin() override { call(on_.on_train_begin); }
  void on_train_end(const Logs& logs) override { call(on_.on_train_end, logs); }
  void on_train_batch_begin(int64_t batch) override { call(on_.on_train_batch_begin, batch); }
  void on_train_batch_end(int64_t batch, const Logs& logs) override {
    call(on_.on_train_batch_end, batch, logs);
  }

 private:
  template <class F, class... Args>
  static void call(const F& function, const Args&... args) {
    if (function) function(args...);
  }

  LambdaCallback on_;
};

}  // namespace

CSVLogger::operator Callback() const { return make<CSVLoggerImpl>(*this); }
TerminateOnNaN::operator Callback() const { return make<TerminateOnNaNImpl>(*this); }
LambdaCallback::operator Callback() const { return make<LambdaCallbackImpl>(*this); }

}  // namespace cohort::nn
