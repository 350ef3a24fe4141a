#include "cohort/cluster/shared_secret.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "cohort/core/error.h"

namespace cohort::cluster {
namespace {

// Addresses are the same in several network namespaces that share a folder.
std::string key_of(const std::string& address) {
  struct stat network {};
  ::stat("/proc/self/ns/net", &network);
  return fmt::format("secret-{}-{}", network.st_ino, address);
}

}  // namespace

Publication share_secret(const std::string& address, const std::string& secret) {
  try {
    return publish_address(key_of(address), secret);
  } catch (const Error& error) {
    if (error.code() != Code::kAlreadyExists) throw;
    // That message holds what the other process shares.
    throw AlreadyExists("job secret: another process leads a job at {}", address);
  }
}

std::optional<std::string> shared_secret(const std::string& address) {
  return published_address(key_of(address));
}

}  // namespace cohort::cluster
