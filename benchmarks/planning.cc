// What one rank of a large job computes before its first step, and what the leader does, without
// network: planning [RANKS [RANKS_OF_EACH_HOST [ROUNDS]]]. Everything that grows with the ranks is
// there: reading the launcher's description, taking seats, the table of hosts, which rank is where,
// the tree of additions for every bucket, and the batch's rows.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "cohort/cluster/coordinator.h"
#include "cohort/cluster/job.h"
#include "cohort/cohort.h"
#include "cohort/core/runtime/collective_plan.h"
#include "cohort/data/batch_sizes.h"
#include "cohort/distribute/host_table.h"
#include "cohort/distribute/process_nodes.h"
#include "cohort/distribute/replica_tree.h"
#include "cohort/distribute/transport/tree_split.h"

namespace {

using namespace cohort;
using Clock = std::chrono::steady_clock;

constexpr double kBarMs = 1000;
constexpr size_t kBucketBytes = size_t{4} << 20;

struct Scale {
  int ranks, each;  ///< of a host
  std::string host(int rank) const { return "node" + std::to_string(rank / each); }
};

cluster::Environment tf_config(const Scale& scale, int rank) {
  std::string workers;
  for (int r = 0; r < scale.ranks; ++r)
    workers += fmt::format("{}\"{}:{}\"", r ? "," : "", scale.host(r), 2222 + r % scale.each);
  return cluster::Environment(std::map<std::string, std::string>{
      {"TF_CONFIG",
       fmt::format(R"({{"cluster":{{"worker":[{}]}},"task":{{"type":"worker","index":{}}}}})",
                   workers, rank)}});
}

/// All tasks take their seats, say where they are, read the table of it, meet, and leave.
void lead(const cluster::Job& job, const Scale& scale) {
  cluster::Coordinator coordinator({.tasks = job.tasks,
                                    .addresses = job.addresses,
                                    .job_id = job.job_id,
                                    .version = "1",
                                    .warn = {}});
  size_t started = 0, met = 0, left = 0;
  for (size_t t = 0; t < job.tasks.size(); ++t)
    coordinator.register_task({.task = job.tasks[t],
                               .incarnation = t + 1,
                               .job_id = job.job_id,
                               .version = "1",
                               .place = "host, process"},
                              {.started = [&] { ++started; }, .failed = [](const Error&) {}});
  std::vector<std::string> told;
  for (size_t t = 0; t < job.tasks.size(); ++t) {
    told.push_back(scale.host(static_cast<int>(t)) + "\n0,1,2,3,4,5,6,7,");
    coordinator.insert("hosts/" + std::to_string(t), told.back());
    coordinator.heartbeat(job.tasks[t], t + 1);
  }
  coordinator.insert("hosts/table", distribute::HostTable::of(told).to_string());
  for (const cluster::Task& task : job.tasks) {
    coordinator.try_get("hosts/table");
    coordinator.barrier(task, "start", {}, std::chrono::minutes(1), [&](const auto&...) { ++met; });
  }
  coordinator.tick();
  for (const cluster::Task& task : job.tasks)
    coordinator.leave(task, std::chrono::minutes(1), [&](const auto&...) { ++left; });
  for (const size_t count : {started, met, left})
    if (count != job.tasks.size()) std::abort();
}

/// The training step of `layers` Dense layers: twice as many variables, and Adam's.
Trace make_trace(int layers) {
  std::vector<nn::Layer> all{nn::Input({.shape = {256}})};
  for (int i = 0; i < layers; ++i) all.push_back(nn::Dense{.units = 256, .activation = "relu"});
  const nn::Model stack = nn::Sequential(all);
  const nn::Optimizer optimizer = nn::Adam();
  return function(
             [&](Value x) {
               const Value loss =
                   nn::compute_average_loss(ops::reduce_sum(stack(x), {.axis = {1}}));
               const auto weights = stack.trainable_weights();
               optimizer.apply_gradients(nn::zip(nn::gradients(loss, weights), weights));
               return loss;
             },
             "step")
      .record({TensorType{DType::kF32, Shape{batch_dim(), 256}}});
}

/// One rank's plan, from the table of hosts to the order of additions of every bucket.
void plan(const cluster::Job& job, const Scale& scale, const std::string& table, int buckets) {
  distribute::ProcessGroupOptions options;
  const auto hosts = distribute::HostTable::parse(table, scale.ranks);
  for (const int host : hosts.host_of) options.host_of.push_back(std::to_string(host));
  for (int rank = 0; rank < scale.ranks; ++rank) options.process_of.push_back(rank);
  for (const cluster::Task& task : job.tasks) options.process_names.push_back(task.to_string());
  options.block_sizes = distribute::split_into_blocks(scale.ranks, scale.ranks);
  const distribute::ProcessNodes nodes(options);
  const auto layout = distribute::network_layout(options, nodes);
  for (int bucket = 0; bucket < buckets; ++bucket)
    if (distribute::TreeSplit(layout.block_sizes, layout.node_of, layout.num_nodes()).local.empty())
      std::abort();
  int64_t rows = 0;
  for (int64_t rank = 0; rank < scale.ranks; ++rank) {
    const data::RowSpan span =
        data::rows_of_replicas(32 * scale.ranks, 32 * scale.ranks,
                               {.num_replicas = scale.ranks, .first = rank, .count = 1});
    rows += span.end - span.begin;
  }
  if (rows != 32 * scale.ranks) std::abort();
}

double milliseconds(const std::function<void()>& work, int rounds) {
  std::vector<double> times;
  for (int round = 0; round < rounds; ++round) {
    const auto begin = Clock::now();
    work();
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

}  // namespace

int main(int argc, char** argv) try {
  const Scale scale{argc > 1 ? std::atoi(argv[1]) : 4096, argc > 2 ? std::atoi(argv[2]) : 8};
  const int rounds = argc > 3 ? std::atoi(argv[3]) : 7;
  const cluster::Environment environment = tf_config(scale, scale.ranks / 2);
  const cluster::Job job = cluster::resolve_job(environment);
  std::vector<std::string> told;
  for (int rank = 0; rank < scale.ranks; ++rank) told.push_back(scale.host(rank) + "\n0,1,");
  const std::string table = distribute::HostTable::of(told).to_string();
  const Trace trace = make_trace(50);
  CollectivePlan buckets;
  plan_collectives(*trace.graph, trace.outputs, kBucketBytes, buckets);
  const auto num_buckets = static_cast<int>(buckets.buckets.size());

  const double resolve = milliseconds([&] { cluster::resolve_job(environment); }, rounds);
  const double leader = milliseconds([&] { lead(job, scale); }, rounds);
  const double rank = milliseconds([&] { plan(job, scale, table, num_buckets); }, rounds);
  const double model = milliseconds(
      [&] {
        CollectivePlan made;
        plan_collectives(*trace.graph, trace.outputs, kBucketBytes, made);
      },
      rounds);
  const double total = resolve + leader + rank + model;
  fmt::print(
      "planning of {} ranks on {} hosts, ms (medians of {}): {:.1f}, bar {:.0f} {}; TF_CONFIG of "
      "{} "
      "bytes {:.1f}, leader's seats, keys and barrier {:.1f}, layout and trees of {} buckets "
      "{:.1f}, "
      "buckets of {} variables {:.1f}\n",
      scale.ranks, (scale.ranks + scale.each - 1) / scale.each, rounds, total, kBarMs,
      total <= kBarMs ? "met" : "MISSED", environment.get("TF_CONFIG")->size(), resolve, leader,
      num_buckets, rank, trace.graph->variables().size(), model);
} catch (const cohort::Error& error) {
  fmt::print(stderr, "planning: {}\n", error.what());
  return 1;
}
