#pragma once

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cohort/cluster/rpc.h"
#include "cohort/core/error.h"
#include "tests/cluster/task_process.h"

namespace cohort::cluster {

// A cluster of processes whose leader listens, and a test that is not of it.
class HostileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    try {
      rpc_ = rpc_module();
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
    start();
  }
  // Begins the cluster of plan_, again if there is one.
  void start() {
    plan_.coordinator = "localhost:0";
    leader_ = std::make_unique<TaskProcess>(plan_);
    plan_.coordinator = leader_->wait_for("bound");
    target_.host = "localhost";
    target_.address = resolve(parse_address(plan_.coordinator)).front();
  }

  // A connection to the leader, with these bytes sent. -1 when it was refused.
  int connect_and_send(std::string_view bytes) {
    const bool v6 = target_.address.host.find(':') != std::string::npos;
    const int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in6 six{.sin6_family = AF_INET6,
                     .sin6_port = htons(static_cast<uint16_t>(target_.address.port))};
    sockaddr_in four{.sin_family = AF_INET,
                     .sin_port = htons(static_cast<uint16_t>(target_.address.port))};
    inet_pton(AF_INET6, target_.address.host.c_str(), &six.sin6_addr);
    inet_pton(AF_INET, target_.address.host.c_str(), &four.sin_addr);
    const auto* address =
        v6 ? reinterpret_cast<const sockaddr*>(&six) : reinterpret_cast<const sockaddr*>(&four);
    const socklen_t size = v6 ? sizeof(six) : sizeof(four);
    if (connect(fd, address, size) != 0) {
      ADD_FAILURE() << "the leader does not accept connections any more";
      close(fd);
      return -1;
    }
    // It may well close while this is under way.
    while (!bytes.empty()) {
      const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) break;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return fd;
  }

  // The other tasks come, and all end well.
  void expect_that_the_cluster_works() {
    std::vector<std::unique_ptr<TaskProcess>> others;
    for (plan_.self = 1; plan_.self < plan_.num_tasks; ++plan_.self)
      others.push_back(std::make_unique<TaskProcess>(plan_));
    std::vector<TaskProcess*> all = {leader_.get()};
    for (const auto& other : others) all.push_back(other.get());
    for (TaskProcess* process : all) {
      process->wait_for("started");
      process->wait_for("done");
      EXPECT_EQ(process->wait_for_exit(), 0);
    }
  }

  RpcModule rpc_;
  RpcTarget target_;
  TaskPlan plan_{.num_tasks = 2};
  std::unique_ptr<TaskProcess> leader_;
};

// Enough for a thousand connections here, and the usual number there.
class DescriptorLimits {
 public:
  explicit DescriptorLimits(pid_t leader) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit own{std::min<rlim_t>(before_.rlim_max, 4096), before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &own);
    const rlimit usual{std::min<rlim_t>(before_.rlim_max, 1024), before_.rlim_max};
    prlimit(leader, RLIMIT_NOFILE, &usual, nullptr);
  }
  ~DescriptorLimits() { setrlimit(RLIMIT_NOFILE, &before_); }
  DescriptorLimits(const DescriptorLimits&) = delete;
  DescriptorLimits& operator=(const DescriptorLimits&) = delete;

 private:
  rlimit before_{};
};

}  // namespace cohort::cluster
