#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "cohort/cluster/key_value_store.h"
#include "cohort/core/chrono.h"
#include "cohort/distribute/transport/connection.h"

namespace cohort::distribute {

/// What it costs to send between two nodes: seconds for the first byte, and bytes per second for
/// those that follow.
struct LinkCost {
  double latency = 0;
  double bandwidth = 0;
};

struct LinkCostOptions {
  cluster::KeyValueStore* store = nullptr;
  std::string key;                 ///< under which node 0 says what it has measured
  int node = 0;                    ///< this one
  std::vector<std::string> names;  ///< of all nodes, for messages
  std::chrono::milliseconds timeout{};
};

/// The slowest of some links of node 0, by messages there and back, before anything else travels
/// on them; the same on every node. Takes some round trips and 200 KB on each link. Collective.
/// Throws DeadlineExceeded or Unavailable naming a node that does not answer, and what the store
/// throws.
LinkCost measure_links(const std::vector<std::unique_ptr<Connection>>& links,
                       const LinkCostOptions& options);

/// Up to how many bytes an all-reduce among `num_nodes` nodes takes one hop, in which each sends
/// all to each: less latency than the two hops by way of an owner of each part, for more bytes.
/// Between 4 KiB and 64 KiB: a link is shared, and its measure a guess.
size_t one_hop_bytes(const LinkCost& cost, int num_nodes);

}  // namespace cohort::distribute
