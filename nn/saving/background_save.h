#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <thread>

#include "cohort/core/current_error.h"
#include "cohort/nn/saving/save_job.h"

namespace cohort::nn::internal {

/// A save that goes on beside training: each worker writes its file on a thread of its own and then
/// says so in the step's directory; the chief's thread waits for all of them and gives the step its
/// name. The values are copied first, beside what the program does next.
class BackgroundSave {
 public:
  explicit BackgroundSave(SaveJob job);
  /// Waits for this worker's own part, and as the chief a few seconds for the others', after which
  /// the save is given up.
  ~BackgroundSave();
  BackgroundSave(const BackgroundSave&) = delete;
  BackgroundSave& operator=(const BackgroundSave&) = delete;

  /// Waits, and throws this worker's error; the chief's is that of the whole save.
  void join();
  /// The chief waits for no other worker any more.
  void give_up() { is_given_up_ = true; }

 private:
  void run();
  void say_failed(const std::string& error);
  std::string file_of(int worker);

  SaveJob job_;
  std::optional<Error> error_;
  std::atomic<bool> is_left_{false}, is_given_up_{false};
  std::thread thread_;
};

}  // namespace cohort::nn::internal
