#include "cohort/cluster/job_secret.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "cohort/core/error.h"

namespace cohort::cluster {
namespace {

constexpr const char* kDescriptor = "COHORT_JOB_SECRET_FD";
constexpr const char* kFile = "COHORT_JOB_SECRET_FILE";
constexpr const char* kValue = "COHORT_JOB_SECRET";
constexpr int kFirstDescriptor = 100;

std::string checked(std::string secret, const std::string& from) {
  const size_t end = secret.find_last_not_of(" \t\r\n");
  secret.resize(end == std::string::npos ? 0 : end + 1);
  if (secret.size() < kMinSecretBytes || secret.size() > kMaxSecretBytes)
    throw InvalidArgument("job secret: got {} bytes from {}; want {} to {}, random ones",
                          secret.size(), from, kMinSecretBytes, kMaxSecretBytes);
  return secret;
}

// From the beginning, wherever others with the same open file have read to.
std::string read_all(int descriptor) {
  std::string bytes(kMaxSecretBytes + 2, '\0');
  size_t got = 0;
  while (got < bytes.size()) {
    const ssize_t some =
        ::pread(descriptor, bytes.data() + got, bytes.size() - got, static_cast<off_t>(got));
    if (some < 0 && errno == EINTR) continue;
    if (some <= 0) break;
    got += static_cast<size_t>(some);
  }
  bytes.resize(got);
  return bytes;
}

bool is_sealed(int descriptor) {
  constexpr int kSealed = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;
  const int seals = ::fcntl(descriptor, F_GET_SEALS);
  return seals >= 0 && (seals & kSealed) == kSealed;
}

// "NUMBER@PROCESS". Another file than the launcher's may have the number by now.
std::string read_descriptor(const std::string& value) {
  constexpr int kMax = std::numeric_limits<int>::max();
  const size_t at = std::min(value.find('@'), value.size());
  const auto number = parse_number(value.substr(0, at), kMax);
  const auto launcher = parse_number(value.substr(std::min(at + 1, value.size())), kMax);
  if (!number || !launcher)
    throw InvalidArgument("{}: got '{}'; want what cohort-launch sets", kDescriptor, value);
  const int descriptor =
      is_sealed(*number)
          ? *number
          : ::open(fmt::format("/proc/{}/fd/{}", *launcher, *number).c_str(), O_RDONLY | O_CLOEXEC);
  if (!is_sealed(descriptor)) {
    if (descriptor >= 0) ::close(descriptor);
    throw InvalidArgument(
        "{}: got {}, but neither this process nor the launcher has such a file; want "
        "COHORT_JOB_SECRET_FILE",
        kDescriptor, value);
  }
  std::string secret = checked(read_all(descriptor), kDescriptor);
  ::close(descriptor);
  return secret;
}

std::string read_file(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  struct stat status {};
  if (descriptor < 0 || ::fstat(descriptor, &status) != 0) {
    const int error = errno;
    if (descriptor >= 0) ::close(descriptor);
    throw NotFound("{}: cannot read {}: {}", kFile, path, std::strerror(error));
  }
  const std::string bytes = read_all(descriptor);
  ::close(descriptor);
  if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 077) != 0)
    throw Error(Code::kPermissionDenied,
                fmt::format("{}: got {}, of user {} with mode {:04o}; want a file of user {} that "
                            "nobody else may use: chmod 0600",
                            kFile, path, status.st_uid, status.st_mode & 07777, ::geteuid()));
  return checked(bytes, path);
}

// Also where the kernel shows what the process was started with.
void erase(const char* name) {
  if (char* value = std::getenv(name)) ::explicit_bzero(value, std::strlen(value));
  ::unsetenv(name);
}

std::string take_from_process() {
  std::string secret = read_job_secret(Environment::of_process());
  for (const char* name : {kDescriptor, kValue}) erase(name);
  return secret;
}

}  // namespace

std::string read_job_secret(const Environment& environment) {
  if (const auto path = environment.get(kFile)) return read_file(*path);
  if (const auto value = environment.get(kValue)) return checked(*value, kValue);
  if (const auto descriptor = environment.get(kDescriptor)) return read_descriptor(*descriptor);
  return "";
}

const std::string& job_secret_of_process() {
  static const std::string secret = take_from_process();
  return secret;
}

int secret_descriptor(const std::string& secret) {
  const auto fail = [](int descriptor) {
    const int error = errno;
    if (descriptor >= 0) ::close(descriptor);
    throw ResourceExhausted("job secret: no memory file: {}", std::strerror(error));
  };
  const int file = ::memfd_create("cohort-job-secret", MFD_ALLOW_SEALING | MFD_CLOEXEC);
  if (file < 0 ||
      ::write(file, secret.data(), secret.size()) != static_cast<ssize_t>(secret.size()) ||
      ::fcntl(file, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
    fail(file);
  // Above the numbers that shells and launchers give to what they redirect.
  const int kept = ::fcntl(file, F_DUPFD, kFirstDescriptor);
  if (kept < 0) fail(file);
  ::close(file);
  return kept;
}

std::string random_secret() {
  std::array<unsigned char, 32> bytes;
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw Unavailable("job secret: no random bytes: {}", std::strerror(errno));
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

}  // namespace cohort::cluster
