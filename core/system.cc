#include "cohort/core/system.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <system_error>
#include <vector>

#include "cohort/core/preempted.h"
#include "cohort/core/terminal.h"

namespace cohort {
namespace {

std::string limit_text(const char* name, int resource) {
  const std::optional<uint64_t> limit = resource_limit(resource);
  return limit ? fmt::format("{} is {}", name, *limit) : fmt::format("{} is unlimited", name);
}

/// Behind the system's words for a lack of memory; empty without a limit.
std::string memory_limits() {
  std::string text;
  for (const auto& [name, resource] :
       {std::pair{"RLIMIT_AS", RLIMIT_AS}, {"RLIMIT_DATA", RLIMIT_DATA}})
    if (const auto limit = resource_limit(resource))
      text += fmt::format("{}{} is {} bytes", text.empty() ? "" : ", ", name, *limit);
  return text;
}

std::string thread_limits() {
  const std::string memory = memory_limits();
  return limit_text("RLIMIT_NPROC", RLIMIT_NPROC) + (memory.empty() ? "" : ", " + memory);
}

/// The limit that an errno may come from, and what is wanted of it; empty where there is none.
std::string limit_behind(int error, size_t num_tasks) {
  switch (error) {
    case EMFILE:
    case ETOOMANYREFS:
      return fmt::format("{}; want about {}", limit_text("RLIMIT_NOFILE", RLIMIT_NOFILE),
                         descriptors_wanted(num_tasks));
    case ENFILE:
      return "of the whole system: fs.file-max";
    case EFBIG:
      return limit_text("RLIMIT_FSIZE", RLIMIT_FSIZE) + " bytes";
    case ENOMEM:
      return memory_limits();
    default:
      return "";
  }
}

bool is_shortage(int error) {
  switch (error) {
    case EMFILE:
    case ENFILE:
    case ETOOMANYREFS:
    case EFBIG:
    case ENOMEM:
    case ENOBUFS:
    case ENOSPC:
    case EDQUOT:
      return true;
    default:
      return false;
  }
}

}  // namespace

void prepare_process() {
  for (int fd = open("/dev/null", O_RDWR); fd >= 0; fd = dup(fd)) {
    if (fd <= STDERR_FILENO) continue;  // it was closed
    close(fd);
    break;
  }
  if (resource_limit(RLIMIT_AS)) mallopt(M_ARENA_MAX, 1);  // each reserves 128 MB of addresses
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int run_program(const char* name, const std::function<int()>& body) {
  prepare_process();
  try {
    return body();
  } catch (const Preempted& preempted) {
    say(stderr, std::string(name) + ": " + preempted.what() + "\n");
    return Preempted::kExitCode;
  } catch (const std::exception& error) {
    say(stderr, std::string(name) + ": " + describe(error) + "\n");
  } catch (...) {
    say(stderr, std::string(name) + ": something was thrown that is no std::exception\n");
  }
  return 1;
}

std::string describe(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error)) {
    const std::string limits = memory_limits();
    return fmt::format("out of memory ({}{}{})", error.what(), limits.empty() ? "" : "; ", limits);
  }
  const auto* system = dynamic_cast<const std::system_error*>(&error);
  if (!system || (system->code().category() != std::generic_category() &&
                  system->code().category() != std::system_category()))
    return error.what();
  const int code = system->code().value();
  const std::string limit = code == EAGAIN ? thread_limits() : limit_behind(code, 1);
  return limit.empty() ? error.what() : fmt::format("{} ({})", error.what(), limit);
}

std::optional<uint64_t> resource_limit(int resource) {
  rlimit limit{};
  if (getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0 ||
      limit.rlim_cur == RLIM_INFINITY)
    return {};
  return limit.rlim_cur;
}

void expect_room(std::string_view where, size_t descriptors, size_t address_bytes,
                 size_t num_tasks) {
  std::vector<int> opened;
  int error = 0;
  while (opened.size() < descriptors && error == 0) {
    const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
      opened.push_back(fd);
    else
      error = errno;
  }
  for (const int fd : opened) close(fd);
  if (error == EMFILE || error == ENFILE) throw system_error(where, error, num_tasks);
  void* addresses =
      mmap(nullptr, address_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (addresses == MAP_FAILED)
    throw ResourceExhausted("{}: got no {} bytes of addresses: {}", where, address_bytes,
                            system_reason(errno));
  munmap(addresses, address_bytes);
}

// The control plane holds some twenty and one for each task; each group of ranks three for each
// process of the host, one for each other host and a few; a job of fit and evaluate has four.
size_t descriptors_wanted(size_t num_tasks) { return 64 + 16 * num_tasks; }

std::string system_reason(int error, size_t num_tasks) {
  const std::string limit = limit_behind(error, num_tasks);
  const char* words = std::strerror(error);
  return limit.empty() ? words : fmt::format("{} ({})", words, limit);
}

Error system_error(std::string_view where, int error, size_t num_tasks) {
  return Error(is_shortage(error) ? Code::kResourceExhausted : Code::kUnavailable,
               fmt::format("{}: {}", where, system_reason(error, num_tasks)));
}

}  // namespace cohort
