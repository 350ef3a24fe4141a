#include "cohort/nn/saving/background_save.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string_view>

namespace cohort::nn::internal {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kFirstPause(5), kLongestPause(200);  // between two looks
constexpr std::chrono::minutes kLongest(30);  ///< for one worker's file, after the chief's
constexpr std::chrono::seconds kAfterLeaving(5);
constexpr uint64_t kMostBytes = uint64_t{1} << 30;

std::string said(const SaveJob& job, std::string_view what, int worker) {
  return checkpoint::join_path(job.saving, fmt::format("{}-{:05}", what, worker + 1));
}

/// A file that is whole when it has its name.
void put(const SaveJob& job, const std::string& path, std::string_view bytes) {
  const std::string beside = path + ".new";
  checkpoint::write_file(*job.storage, beside, bytes);
  job.storage->rename(beside, path);
}

std::string take(const SaveJob& job, const std::string& path) {
  std::string bytes = checkpoint::read_file(*job.storage, path, kMostBytes);
  job.storage->remove_file(path);
  return bytes;
}

}  // namespace

BackgroundSave::BackgroundSave(SaveJob job) : job_(std::move(job)), thread_([this] { run(); }) {}

BackgroundSave::~BackgroundSave() {
  is_left_ = true;
  if (thread_.joinable()) thread_.join();
}

void BackgroundSave::join() {
  if (thread_.joinable()) thread_.join();
  if (error_) throw Error(*error_);
}

void BackgroundSave::run() {
  std::string mine;
  try {
    job_.copy_values();
    mine = job_.write_mine();
    for (SavedValue& value : job_.values) value.value = {};  // its memory
    if (job_.index != 0) return put(job_, said(job_, "done", job_.index), mine);
    std::vector<std::string> files{std::move(mine)};
    for (int worker = 1; worker < job_.count; ++worker) files.push_back(file_of(worker));
    job_.commit(files);
  } catch (...) {
    error_ = current_error();
    if (job_.index == 0)
      job_.abandon();
    else
      say_failed(error_->what());
  }
}

/// As far as it goes: where nothing can be written, the chief waits for as long as it does.
void BackgroundSave::say_failed(const std::string& error) {
  try {
    put(job_, said(job_, "failed", job_.index), error);
  } catch (const Error&) {
    // The chief finds nothing.
  }
}

/// What a worker says of its file. A shared file system tells nobody of a new file, so it is looked
/// for, more and more seldom.
std::string BackgroundSave::file_of(int worker) {
  const Clock::time_point begin = Clock::now();
  std::optional<Clock::time_point> left;
  for (auto pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
    if (const std::string done = said(job_, "done", worker); job_.storage->exists(done))
      return take(job_, done);
    if (const std::string failed = said(job_, "failed", worker); job_.storage->exists(failed))
      throw DataLoss("save: worker {}: {}", worker, take(job_, failed));
    const Clock::time_point now = Clock::now();
    if (is_left_ && !left) left = now;
    if (is_given_up_ || now - begin > kLongest || (left && now - *left > kAfterLeaving))
      throw DeadlineExceeded("save: {}: got no file of worker {} after {} s; want all of them",
                             job_.saving, worker,
                             std::chrono::duration_cast<std::chrono::seconds>(now - begin).count());
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace cohort::nn::internal
