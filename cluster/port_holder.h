#pragma once

#include <string>

namespace cohort::cluster {

/// The process of this machine and network namespace that listens at TCP port `port`, for messages:
/// "process 4711 (python3)". Empty when there is none, or it is not ours to see.
std::string port_holder(int port);

}  // namespace cohort::cluster
