#pragma once

#include <optional>
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
  /// Unpublishes; nothing is left to be done by the destructor.
  void remove() noexcept;

 private:
  friend Publication publish_address(const std::string& job_id, const std::string& address);
  Publication(std::string path, int pid) : path_(std::move(path)), pid_(pid) {}

  std::string path_;  // empty: moved from
  int pid_ = 0;
};

/// Publishes `address` for the tasks of `job_id` on this host. Takes away what dead leaders of this
/// user left behind. Throws InvalidArgument for an empty id or an address with blanks;
/// AlreadyExists when a living process has published for this job; PermissionDenied when another
/// user holds the folder's name; Unavailable or ResourceExhausted naming the file that could not be
/// written, of which nothing is left behind; FailedPrecondition without /proc, which tells whether
/// a publisher lives.
Publication publish_address(const std::string& job_id, const std::string& address);

/// What a living leader has published; nothing while there is none. Throws PermissionDenied and
/// FailedPrecondition as above.
std::optional<std::string> published_address(const std::string& job_id);
/// The file in which it stands.
std::string publication_path(const std::string& job_id);

}  // namespace cohort::cluster
