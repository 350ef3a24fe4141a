#include "cohort/core/process_identity.h"

#include <fstream>
#include <sstream>

namespace cohort {

std::string process_start(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string stat;
  std::getline(file, stat, '\0');
  // The name, in parentheses, may hold anything; field 22 is the 20th after it.
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return "";
  std::istringstream fields(stat.substr(name_end + 1));
  std::string state;
  fields >> state;
  if (state == "Z" || state == "X") return "";  // it has ended
  std::string field;
  for (int i = 0; i < 19 && fields >> field; ++i) continue;
  return fields ? field : "";
}

}  // namespace cohort
