#include "cohort/distribute/process_group.h"

#include <algorithm>

#include "cohort/distribute/process_nodes.h"
#include "cohort/distribute/process_splitter.h"
#include "cohort/distribute/transport/link_cost.h"
#include "cohort/distribute/transport/mpi_world.h"
#include "cohort/distribute/transport/network.h"
#include "cohort/distribute/transport/shared_memory.h"
#include "cohort/distribute/transport/tcp_mesh.h"
#include "cohort/distribute/transport/tls_connection.h"

namespace cohort::distribute {
namespace {

void check(const ProcessGroupOptions& options) {
  const size_t size = options.block_sizes.size();
  const auto num_processes = static_cast<int>(options.host_of.size());
  if (size == 0 || options.process_of.size() != size)
    throw InvalidArgument(
        "process group: got {} block sizes and processes of {} ranks; want one of "
        "each for every rank",
        size, options.process_of.size());
  std::vector<bool> has_rank(static_cast<size_t>(num_processes));
  for (size_t rank = 0; rank < size; ++rank) {
    if (options.block_sizes[rank] < 1)
      throw InvalidArgument("process group: got {} replicas on rank {}; want at least 1",
                            options.block_sizes[rank], rank);
    if (options.process_of[rank] < 0 || options.process_of[rank] >= num_processes)
      throw InvalidArgument("process group: got process {} for rank {}; want one of {} processes",
                            options.process_of[rank], rank, num_processes);
    has_rank[static_cast<size_t>(options.process_of[rank])] = true;
  }
  const auto idle = std::find(has_rank.begin(), has_rank.end(), false);
  if (idle != has_rank.end())
    throw InvalidArgument("process group: got no rank of process {}; want at least one",
                          idle - has_rank.begin());
  if (options.process < 0 || options.process >= num_processes)
    throw InvalidArgument("process group: got process {}; want one of {}", options.process,
                          num_processes);
  if (!options.process_names.empty() && options.process_names.size() != options.host_of.size())
    throw InvalidArgument("process group: got {} names; want one for each of {} processes",
                          options.process_names.size(), num_processes);
  if (!options.store || options.name.empty())
    throw InvalidArgument("process group: got no store or no name; want both");
  if (options.transport != Transport::kAuto &&
      (options.transport == Transport::kMpi) != (options.mpi != nullptr))
    throw InvalidArgument("process group: got {}; want both or neither",
                          options.mpi ? "MPI for the transport TCP" : "the transport MPI alone");
  if (options.mpi && !options.tls.certificate.empty())
    throw FailedPrecondition(
        "process group: got TLS keys and MPI, which does not encrypt; want one of them");
}

/// The part of the group on this process's host.
HostGroupOptions host_part(const ProcessGroupOptions& options, const ProcessNodes& nodes) {
  const int node = nodes.node_of[static_cast<size_t>(options.process)];
  const std::vector<int>& processes = nodes.processes_of[static_cast<size_t>(node)];
  const auto place = [&](int process) {
    return static_cast<int>(std::find(processes.begin(), processes.end(), process) -
                            processes.begin());
  };
  HostGroupOptions part{.group_size = static_cast<int>(options.block_sizes.size()),
                        .process = place(options.process),
                        .store = options.store,
                        .key = options.name + "/host/" + std::to_string(node),
                        .group_name = options.name,
                        .node = node,
                        .wait_board = options.wait_board,
                        .startup_timeout = options.startup_timeout,
                        .timeout = options.timeout,
                        .warn_after = options.warn_after};
  for (const int process : processes) part.process_names.push_back(process_name(options, process));
  for (size_t rank = 0; rank < options.process_of.size(); ++rank)
    part.rank_names.push_back(rank_name(options, rank));
  for (size_t rank = 0; rank < options.process_of.size(); ++rank) {
    const int process = options.process_of[rank];
    if (nodes.node_of[static_cast<size_t>(process)] != node) continue;
    part.ranks.push_back(static_cast<int>(rank));
    part.process_of.push_back(place(process));
  }
  if (nodes.processes_of.size() > 1) {  // the progress thread speaks first: it knows who is late
    part.timeout += std::chrono::seconds(15);
    part.warn_after += std::chrono::seconds(15);
  }
  return part;
}

/// "rank 2 (worker 1), rank 3 (worker 1)", with three ranks at most.
std::string ranks_text(const NetworkLayout& layout, const std::vector<int>& ranks) {
  std::string text;
  for (size_t i = 0; i < ranks.size() && i < 3; ++i)
    text += (i > 0 ? ", " : "") + layout.rank_names[static_cast<size_t>(ranks[i])];
  return ranks.size() > 3 ? text + ", …" : text;
}

std::vector<std::unique_ptr<Connection>> connect_nodes(const ProcessGroupOptions& options, int node,
                                                       const std::vector<std::string>& names) {
  if (options.mpi)
    return connect_by_mpi({.store = options.store,
                           .key = options.name + "/mpi",
                           .node = node,
                           .names = names,
                           .world = options.mpi.get(),
                           .timeout = options.startup_timeout});
  return connect_mesh({.store = options.store,
                       .key = options.name + "/tcp",
                       .node = node,
                       .names = names,
                       .address = options.address,
                       .ports = options.ports,
                       .timeout = options.startup_timeout,
                       .connections = options.tls.certificate.empty()
                                          ? make_plain_connections()
                                          : make_tls_connections(options.tls)});
}

std::shared_ptr<NetworkNode> make_node(const ProcessGroupOptions& options,
                                       const ProcessNodes& nodes, std::shared_ptr<HostGroup> host) {
  NetworkLayout layout = network_layout(options, nodes);
  if (!host->is_first_process()) return std::make_shared<NetworkNode>(host, std::move(layout));
  const int number = nodes.node_of[static_cast<size_t>(options.process)];
  std::vector<std::string> names;
  for (const std::vector<int>& ranks : layout.ranks_of) names.push_back(ranks_text(layout, ranks));
  auto links = connect_nodes(options, number, names);
  if (layout.num_nodes() > 2) {
    // The others may still connect to each other, and know better why somebody does not come.
    layout.one_hop_bytes =
        one_hop_bytes(measure_links(links, {.store = options.store,
                                            .key = options.name + "/links",
                                            .node = number,
                                            .names = names,
                                            .timeout = 2 * options.startup_timeout}),
                      layout.num_nodes());
  }
  const auto node = std::make_shared<NetworkNode>(host, std::move(layout));
  node->start({.node = number,
               .names = std::move(names),
               .links = std::move(links),
               .host = std::move(host),
               .store = options.store,
               .key = options.name + "/records/",
               .timeout = options.timeout,
               .warn_after = options.warn_after});
  return node;
}

}  // namespace

ProcessRanks make_process_ranks(const ProcessGroupOptions& options) {
  check(options);
  const ProcessNodes nodes(options);
  const auto host = std::make_shared<HostGroup>(host_part(options, nodes));
  std::shared_ptr<NetworkNode> node;
  if (nodes.processes_of.size() > 1) node = make_node(options, nodes, host);
  const auto splitter = std::make_shared<ProcessSplitter>(options);
  ProcessRanks mine;
  for (int at = 0; at < host->size(); ++at) {
    if (host->options().process_of[static_cast<size_t>(at)] != host->options().process) continue;
    mine.communicators.push_back(
        node ? make_network_communicator(node, at, splitter)
             : make_shared_memory_communicator(host, at, options.block_sizes, splitter));
  }
  mine.abort = [host = std::weak_ptr(host),
                splitter = std::weak_ptr(splitter)](const Error& error) {
    if (const auto living = host.lock()) {
      living->fail(error);
      living->ring();
    }
    if (const auto living = splitter.lock()) living->abort(error);
  };
  return mine;
}

std::vector<std::unique_ptr<Communicator>> make_process_communicators(
    const ProcessGroupOptions& options) {
  return make_process_ranks(options).communicators;
}

}  // namespace cohort::distribute
