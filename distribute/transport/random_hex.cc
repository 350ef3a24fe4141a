#include "cohort/distribute/transport/random_hex.h"

#include <fmt/format.h>
#include <sys/random.h>

#include "cohort/core/error.h"

namespace cohort::distribute {

std::string random_hex(size_t bytes) {
  std::string random(bytes, '\0');
  if (getrandom(random.data(), bytes, 0) != static_cast<ssize_t>(bytes))
    throw Unavailable("network: got no random bytes from the system");
  std::string hex;
  for (const char c : random) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return hex;
}

}  // namespace cohort::distribute
