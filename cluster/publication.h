#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>

namespace cohort::cluster {

// How the tasks of one host find their leader where nobody gave it a port: the leader listens on
// any port and publishes its address in a file
//   DIRECTORY/cohort-UID-JOB/leader      "ADDRESS PID STARTED\n"
// DIRECTORY is $XDG_RUNTIME_DIR, else /run/user/UID, where it is this user's own, else /tmp. The
// folder has mode 0700. A file or folder of another user, and a file whose publisher has ended,
// count as absent.

/// The leader's published address; unpublished when destroyed (not by a child that was forked).
class Publication {
 public:
  Publication(Publication&& other) noexcept;
  Publication& operator=(Publication&& other) noexcept;
  ~Publication();

  const std::string& path() const { return path_; }

 private:
  friend Publication publish_address(const std::string& job_id, const std::string& address);
  Publication(std::string path, int pid) : path_(std::move(path)), pid_(pid) {}
  void remove() noexcept;

  std::string path_;  // empty: moved from
  int pid_ = 0;
};

/// Publishes `address` for the tasks of `job_id` on this host. Takes away what dead leaders of this
/// user left behind. Throws InvalidArgument for an empty id or an address with blanks;
/// AlreadyExists when a living process has published for this job; PermissionDenied when another
/// user holds the folder's name; Unavailable naming the file that could not be written.
Publication publish_address(const std::string& job_id, const std::string& address);

/// What a living leader has published; nothing while there is none. Throws PermissionDenied as
/// above.
std::optional<std::string> published_address(const std::string& job_id);

/// Waits for it. Throws DeadlineExceeded naming the file, PermissionDenied as above, and Cancelled
/// soon after a stop is requested.
std::string await_address(const std::string& job_id, std::chrono::steady_clock::time_point deadline,
                          std::stop_token stop = {});

}  // namespace cohort::cluster
