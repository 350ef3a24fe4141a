#pragma once

#include <random>
#include <string>

namespace cohort::testing {

/// Some bytes changed, inserted, taken out or cut off.
inline std::string damaged(std::string bytes, std::mt19937& random) {
  const int num_changes = 1 + static_cast<int>(random() % 4);
  for (int i = 0; i < num_changes && !bytes.empty(); ++i) {
    const size_t at = random() % bytes.size();
    switch (random() % 5) {
      case 0:
        bytes[at] = static_cast<char>(random());
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << (random() % 8)));
        break;
      case 2:
        bytes.insert(at, 1 + random() % 9, static_cast<char>(random()));
        break;
      case 3:
        bytes.erase(at, 1 + random() % 9);
        break;
      default:
        bytes.resize(at);
    }
  }
  return bytes;
}

}  // namespace cohort::testing
