#include "cohort/cluster/publication.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <sstream>
#include <utility>

#include "cohort/core/process_identity.h"
#include "cohort/core/system.h"
#include "cohort/core/wire/hash.h"

namespace cohort::cluster {
namespace {

constexpr size_t kMaxIdLength = 100;  // of a file's name
constexpr const char* kLeaderFile = "/leader";
constexpr const char* kDraft = "draft-";  // and the process that writes it

struct Descriptor {
  explicit Descriptor(int number) : number(number) {}
  Descriptor(const Descriptor&) = delete;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
  int number;
};

struct Published {
  std::string address;
  int pid = 0;
  std::string started;

  bool alive() const { return pid > 0 && process_start(pid) == started; }
};

bool is_own_folder(const struct stat& status) {
  return S_ISDIR(status.st_mode) && status.st_uid == ::geteuid() && (status.st_mode & 077) == 0;
}

std::string base_directory() {
  // The usual one, for tasks that were started past the user's session.
  const std::string usual = fmt::format("/run/user/{}", ::geteuid());
  const char* named = std::getenv("XDG_RUNTIME_DIR");
  for (const std::string& folder : {std::string(named != nullptr ? named : ""), usual}) {
    struct stat status;
    if (folder.starts_with('/') && ::stat(folder.c_str(), &status) == 0 && is_own_folder(status))
      return folder;
  }
  return "/tmp";
}

std::string folder_prefix() { return fmt::format("cohort-{}-", ::geteuid()); }

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_';
}

// A job's name as part of a file's; names that differ stay different.
std::string file_name(const std::string& job_id) {
  if (job_id.empty()) throw InvalidArgument("publication: got an empty job id");
  if (job_id.size() <= kMaxIdLength && std::all_of(job_id.begin(), job_id.end(), is_plain))
    return job_id;
  std::string name = job_id.substr(0, kMaxIdLength - 17);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !is_plain(c); }, '_');
  return fmt::format("{}-{:016x}", name, wire::hash128(job_id).low);
}

std::string folder_of(const std::string& job_id) {
  return base_directory() + "/" + folder_prefix() + file_name(job_id);
}

Error failed(const char* what, const std::string& path) {
  return system_error(fmt::format("publication: {} {}", what, path), errno);
}

// Without it nobody can tell a living leader from a dead one.
void expect_proc() {
  if (process_start(::getpid()).empty())
    throw FailedPrecondition(
        "publication: /proc does not show this process; want it mounted, or addresses with ports, "
        "or "
        "COHORT_COORDINATOR=host:port on every task");
}

// False where there is no such folder.
bool check_folder(const std::string& folder) {
  struct stat status;
  if (::lstat(folder.c_str(), &status) != 0) {
    if (errno == ENOENT) return false;
    throw failed("cannot look at", folder);
  }
  if (!is_own_folder(status))
    throw Error(
        Code::kPermissionDenied,
        fmt::format("publication: {} is not a folder of user {} with mode 0700; remove it or "
                    "set XDG_RUNTIME_DIR to a folder of your own",
                    folder, ::geteuid()));
  return true;
}

std::optional<Published> read_published(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat status;
  if (file.number < 0 || ::fstat(file.number, &status) != 0 || !S_ISREG(status.st_mode) ||
      status.st_uid != ::geteuid())
    return std::nullopt;
  std::array<char, 1024> buffer;
  const ssize_t size = ::read(file.number, buffer.data(), buffer.size());
  if (size <= 0 || buffer[size - 1] != '\n') return std::nullopt;
  std::istringstream text(std::string(buffer.data(), size));
  Published published;
  if (!(text >> published.address >> published.pid >> published.started)) return std::nullopt;
  return published;
}

// Takes away the drafts of processes that have ended. True: the folder holds nothing else.
bool remove_drafts(const std::string& folder) {
  DIR* directory = ::opendir(folder.c_str());
  if (directory == nullptr) return false;
  bool empty = true;
  const std::string prefix = kDraft;
  while (const dirent* entry = ::readdir(directory)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    const int writer = name.starts_with(prefix) ? std::atoi(name.c_str() + prefix.size()) : 0;
    if (writer > 0 && process_start(writer).empty())
      ::unlink((folder + "/" + name).c_str());
    else
      empty = false;
  }
  ::closedir(directory);
  return empty;
}

// What leaders left behind that were killed, at whatever point. A leader whose empty folder goes
// makes it again.
void remove_dead(const std::string& base) {
  DIR* directory = ::opendir(base.c_str());
  if (directory == nullptr) return;
  const std::string prefix = folder_prefix();
  while (const dirent* entry = ::readdir(directory)) {
    const std::string name = entry->d_name;
    struct stat status;
    const std::string folder = base + "/" + name;
    if (!name.starts_with(prefix) || ::lstat(folder.c_str(), &status) != 0 ||
        !is_own_folder(status))
      continue;
    if (const auto published = read_published(folder + kLeaderFile);
        published && !published->alive())
      ::unlink((folder + kLeaderFile).c_str());
    if (remove_drafts(folder)) ::rmdir(folder.c_str());
  }
  ::closedir(directory);
}

// False when the folder went away meanwhile. What fails leaves no file.
bool write_file(const std::string& folder, const std::string& text) {
  const std::string draft = fmt::format("{}/{}{}", folder, kDraft, ::getpid());
  ::unlink(draft.c_str());
  if (const auto limit = resource_limit(RLIMIT_FSIZE); limit && *limit < text.size()) {
    errno = EFBIG;  // to try would be the end of the process
    throw failed("cannot write", draft);
  }
  const Descriptor file(
      ::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.number < 0) {
    if (errno == ENOENT) return false;
    throw failed("cannot create", draft);
  }
  const ssize_t written = ::write(file.number, text.data(), text.size());
  if (written >= 0) errno = ENOSPC;  // of a short write
  const bool whole = written == static_cast<ssize_t>(text.size());
  if (whole && ::rename(draft.c_str(), (folder + kLeaderFile).c_str()) == 0) return true;
  const Error error = failed(whole ? "cannot rename" : "cannot write", draft);
  ::unlink(draft.c_str());
  throw Error(error);
}

}  // namespace

Publication::Publication(Publication&& other) noexcept
    : path_(std::exchange(other.path_, {})), pid_(other.pid_) {}

Publication& Publication::operator=(Publication&& other) noexcept {
  if (this != &other) {
    remove();
    path_ = std::exchange(other.path_, {});
    pid_ = other.pid_;
  }
  return *this;
}

Publication::~Publication() { remove(); }

void Publication::remove() noexcept {
  if (path_.empty() || pid_ != ::getpid()) return;
  ::unlink(path_.c_str());
  ::rmdir(path_.substr(0, path_.rfind('/')).c_str());
  path_.clear();
}

Publication publish_address(const std::string& job_id, const std::string& address) {
  if (address.empty() || address.size() > 512 ||
      std::any_of(address.begin(), address.end(), [](char c) { return c <= ' '; }))
    throw InvalidArgument("publication: got address '{}'; want host:port", address);
  const std::string folder = folder_of(job_id);
  expect_proc();
  remove_dead(base_directory());
  const int pid = ::getpid();
  const std::string text = fmt::format("{} {} {}\n", address, pid, process_start(pid));
  for (int attempt = 0; attempt < 10; ++attempt) {
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
      throw failed("cannot create", folder);
    if (!check_folder(folder)) continue;  // another task took it away
    const std::string path = folder + kLeaderFile;
    if (const auto present = read_published(path);
        present && present->alive() && present->pid != pid)
      throw AlreadyExists("publication: process {} has published {} for job {} ({})", present->pid,
                          present->address, job_id, path);
    try {
      if (write_file(folder, text)) return Publication(path, pid);
    } catch (const Error&) {
      ::rmdir(folder.c_str());  // unless somebody else's file is in it
      throw;
    }
  }
  throw Unavailable("publication: {} vanishes again and again", folder);
}

std::optional<std::string> published_address(const std::string& job_id) {
  const std::string folder = folder_of(job_id);
  expect_proc();
  if (!check_folder(folder)) return std::nullopt;
  const auto published = read_published(folder + kLeaderFile);
  return published && published->alive() ? std::optional(published->address) : std::nullopt;
}

std::string publication_path(const std::string& job_id) { return folder_of(job_id) + kLeaderFile; }

}  // namespace cohort::cluster
