#include "cohort/distribute/transport/mpi_world.h"

#include <algorithm>
#include <map>

#include "cohort/cluster/peer_wait.h"
#include "cohort/core/error.h"
#include "cohort/core/runtime/module.h"

namespace cohort::distribute {

std::shared_ptr<MpiWorld> start_mpi(const cluster::Environment& environment,
                                    std::chrono::milliseconds timeout,
                                    std::function<void()> check) {
  std::string problem;
  void* entry = module_symbol("mpi", kMpiEntry, problem);
  if (!entry)
    throw FailedPrecondition(
        "mpi: this build of Cohort is without MPI ({}); configure with COHORT_MPI=ON", problem);
  MpiModule module;
  reinterpret_cast<MpiEntry>(entry)(module);
  const auto launchers = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE"};
  return module.start(
      {.launched = std::any_of(launchers.begin(), launchers.end(),
                               [&](const char* name) { return environment.has(name); }),
       .timeout = timeout,
       .check = std::move(check)});
}

std::vector<std::unique_ptr<Connection>> connect_by_mpi(const MpiMeshOptions& options) {
  const auto key = [&](size_t node) { return options.key + "/" + std::to_string(node); };
  const auto self = static_cast<size_t>(options.node);
  cluster::PeerWait wait({.store = options.store,
                          .where = "mpi group: " + options.names[self],
                          .timeout = options.timeout});
  // Each says its rank and the first tag that it has free; the greatest is free everywhere.
  int tag = options.world->next_tag;
  std::vector<int> ranks(options.names.size(), options.world->rank());
  options.store->insert(key(self), std::to_string(ranks[self]) + " " + std::to_string(tag));
  std::map<int, size_t> node_of{{ranks[self], self}};
  for (size_t node = 0; node < ranks.size(); ++node) {
    if (node == self) continue;
    const std::string said = wait.get(key(node), [&] { return options.names[node]; });
    ranks[node] = std::stoi(said);
    tag = std::max(tag, std::stoi(said.substr(said.find(' ') + 1)));
    const auto [other, inserted] = node_of.try_emplace(ranks[node], node);
    if (!inserted || ranks[node] >= options.world->size())
      throw InvalidArgument(
          "mpi group: {} and {} have ranks {} and {} of {} processes; want all workers in one "
          "mpirun",
          options.names[other->second], options.names[node], ranks[other->second], ranks[node],
          options.world->size());
  }
  options.world->next_tag = tag + 1;
  std::vector<std::unique_ptr<Connection>> links(ranks.size());
  for (size_t node = 0; node < ranks.size(); ++node)
    if (node != self) links[node] = options.world->connect(ranks[node], tag);
  return links;
}

}  // namespace cohort::distribute
