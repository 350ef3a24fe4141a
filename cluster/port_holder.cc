#include "cohort/cluster/port_holder.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <system_error>

namespace cohort::cluster {
namespace {

namespace fs = std::filesystem;

constexpr const char* kListening = "0A";

// How the descriptors of sockets that listen at the port read: "socket:[1234]".
std::set<std::string> listening_sockets(int port) {
  std::set<std::string> sockets;
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream lines(table);
    std::string line;
    std::getline(lines, line);  // the heading
    while (std::getline(lines, line)) {
      std::istringstream words(line);
      std::string skip, local, state, inode;
      words >> skip >> local >> skip >> state;
      for (int i = 0; i < 6; ++i) words >> inode;
      const size_t colon = local.find(':');
      if (state == kListening && colon != std::string::npos &&
          std::strtol(local.c_str() + colon + 1, nullptr, 16) == port)
        sockets.insert("socket:[" + inode + "]");
    }
  }
  return sockets;
}

bool holds_any(const fs::path& process, const std::set<std::string>& sockets) {
  std::error_code none;  // processes end, and those of other users show nothing
  fs::directory_iterator at(process / "fd", none);
  for (; !none && at != fs::directory_iterator(); at.increment(none)) {
    std::error_code unreadable;
    if (sockets.contains(fs::read_symlink(at->path(), unreadable).string())) return true;
  }
  return false;
}

}  // namespace

std::string port_holder(int port) {
  const std::set<std::string> sockets = listening_sockets(port);
  if (sockets.empty()) return "";
  std::error_code none;
  fs::directory_iterator at("/proc", none);
  for (; !none && at != fs::directory_iterator(); at.increment(none)) {
    const std::string pid = at->path().filename().string();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    if (!holds_any(at->path(), sockets)) continue;
    std::string name;
    std::getline(std::ifstream(at->path() / "comm"), name);
    return "process " + pid + " (" + name + ")";
  }
  return "";
}

}  // namespace cohort::cluster
