#include "tests/worker_program/fatal_saves.h"

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "tests/worker_program/checkpoints.h"
#include "tests/worker_program/say.h"

namespace nn = cohort::nn;
namespace checkpoint = cohort::checkpoint;

namespace {

/// Counts what is done, and kills the process instead of one of them. That something is looked for
/// does not count: who waits for a file does so as often as it likes.
class Fate {
 public:
  explicit Fate(int fatal) : fatal_(fatal) {}
  void operate() {
    if (++count_ == fatal_) raise(SIGKILL);
  }
  int count() const { return count_; }

 private:
  const int fatal_;
  std::atomic<int> count_{0};
};

class FatalOutput final : public checkpoint::OutputFile {
 public:
  FatalOutput(std::unique_ptr<checkpoint::OutputFile> file, std::shared_ptr<Fate> fate)
      : file_(std::move(file)), fate_(std::move(fate)) {}
  void append(std::string_view bytes) override {
    (appends_++ < 2 ? before() : *file_).append(bytes);  // the header, and in the middle
  }
  void sync() override { before().sync(); }
  void close() override { before().close(); }

 private:
  checkpoint::OutputFile& before() {
    fate_->operate();
    return *file_;
  }
  std::unique_ptr<checkpoint::OutputFile> file_;
  std::shared_ptr<Fate> fate_;
  int appends_ = 0;
};

class FatalInput final : public checkpoint::InputFile {
 public:
  FatalInput(std::unique_ptr<checkpoint::InputFile> file, std::shared_ptr<Fate> fate)
      : file_(std::move(file)), fate_(std::move(fate)) {}
  uint64_t size() const override { return file_->size(); }
  void read(uint64_t offset, void* to, size_t size) const override {
    fate_->operate();
    file_->read(offset, to, size);
  }
  std::shared_ptr<char> map() const override {
    fate_->operate();
    return file_->map();
  }

 private:
  std::unique_ptr<checkpoint::InputFile> file_;
  std::shared_ptr<Fate> fate_;
};

/// The files of this machine.
class FatalStorage final : public checkpoint::Storage {
 public:
  explicit FatalStorage(std::shared_ptr<Fate> fate) : fate_(std::move(fate)) {}

  std::unique_ptr<checkpoint::OutputFile> create(const std::string& path) override {
    return std::make_unique<FatalOutput>(before().create(path), fate_);
  }
  std::unique_ptr<checkpoint::InputFile> open(const std::string& path) override {
    return std::make_unique<FatalInput>(before().open(path), fate_);
  }
  void make_directory(const std::string& path) override { before().make_directory(path); }
  std::vector<std::string> list(const std::string& path) override { return before().list(path); }
  bool exists(const std::string& path) override { return files_->exists(path); }
  void rename(const std::string& from, const std::string& to) override {
    before().rename(from, to);
  }
  void remove_file(const std::string& path) override { before().remove_file(path); }
  void remove_directory(const std::string& path) override { before().remove_directory(path); }
  void sync_directory(const std::string& path) override { before().sync_directory(path); }

 private:
  checkpoint::Storage& before() {
    fate_->operate();
    return *files_;
  }
  const std::shared_ptr<checkpoint::Storage> files_ = checkpoint::posix_storage();
  const std::shared_ptr<Fate> fate_;
};

/// As FATAL_OPERATION says.
std::shared_ptr<Fate> fate_of(const cohort::distribute::Strategy& strategy) {
  int worker = -1, operation = -1;
  if (const char* text = std::getenv("FATAL_OPERATION"))
    std::sscanf(text, "%d %d", &worker, &operation);
  return std::make_shared<Fate>(strategy.workers().index() == worker ? operation : -1);
}

}  // namespace

void fatal_fits(const cohort::distribute::Strategy& strategy) {
  const auto fate = fate_of(strategy);
  const nn::Model model = strategy.scope(make_saved_model);
  fit_saved_model(model, 2,
                  {nn::BackupAndRestore({.backup_dir = std::getenv("CHECKPOINT_PATH"),
                                         .save_freq = 2,
                                         .delete_checkpoint = false,
                                         .job = "the same",
                                         .asynchronous = std::getenv("ASYNCHRONOUS") != nullptr,
                                         .storage = std::make_shared<FatalStorage>(fate)}),
                   nn::LambdaCallback({.on_train_batch_end = [&](int64_t, const nn::Logs&) {
                     say("operations", std::to_string(fate->count()));
                   }})});
  say("weights", model.fingerprint());
}

void fatal_saves(const cohort::distribute::Strategy& strategy) {
  const auto fate = fate_of(strategy);
  const nn::Model model = strategy.scope(make_saved_model);
  nn::CheckpointManager manager(
      nn::Checkpoint({{"model", model}}, std::make_shared<FatalStorage>(fate)),
      {.directory = std::getenv("CHECKPOINT_PATH"),
       .max_to_keep = std::atoi(std::getenv("KEPT")),
       .job = "the same",
       .asynchronous = std::getenv("ASYNCHRONOUS") != nullptr});
  uint64_t step = 0;
  if (const auto restored = manager.restore_or_initialize()) step = restored->step();
  say("operations", std::to_string(fate->count()));
  const auto last = static_cast<uint64_t>(std::atoi(std::getenv("LAST_STEP")));
  for (; step < last; ++step) {
    train_saved_model(model, static_cast<int64_t>(step));
    manager.save({.step = step + 1});
    say(fmt::format("operations {}", step + 1).c_str(), std::to_string(fate->count()));
  }
  manager.wait();
  say("weights", model.fingerprint());
}
