#pragma once

#include <span>
#include <string>
#include <vector>

#include "cohort/cluster/key_value_store.h"
#include "cohort/core/chrono.h"
#include "cohort/distribute/transport/shared_file.h"

namespace cohort::distribute {

/// What the processes of one host give each other to work in shared memory.
struct HostExchange {
  SharedFile control;  ///< one for all, made by the first process
  struct Peer {
    SharedFile heap;
    FileDescriptor alive;  ///< pidfd: readable when the process has ended
    FileDescriptor bell;   ///< eventfd: wakes the process's progress thread
    int pid = 0;
  };
  std::vector<Peer> peers;  ///< in host order, this process included
  int num_cores = 0;        ///< that the processes may use together
};

struct HostExchangeOptions {
  cluster::KeyValueStore* store;
  std::string key;                 ///< under which the first process says where it listens
  int process = 0;                 ///< position among the processes of the host
  std::vector<std::string> names;  ///< of the processes of the host, for messages
  std::chrono::milliseconds timeout;
};

/// Collective among the processes of a host. The first listens at an abstract address with a random
/// name, gathers everybody's descriptors and sends all to each; nothing of it has a name in the
/// file system. Connections of other users, or without the secret in the store, are dropped. Throws
/// as soon as the job fails, with its failure; DeadlineExceeded naming the processes that did not
/// come, Unavailable naming one that has gone or when the system has no pidfd, ResourceExhausted
/// naming the limit of descriptors.
HostExchange exchange_on_host(const HostExchangeOptions& options, const SharedFile& heap);

}  // namespace cohort::distribute
