#include "tests/worker_program/values.h"

#include "cohort/cohort.h"
#include "tests/worker_program/say.h"

namespace cohort {

void reduce_values(const distribute::Strategy& strategy) {
  const auto by_replica = [&](const std::function<Tensor(int)>& make) {
    return strategy.distribute_values_from_function(make);
  };
  using distribute::ReduceOp;
  const auto ids = by_replica([](int r) { return Tensor::scalar(static_cast<float>(r)); });
  say("sum of ids", strategy.reduce(ReduceOp::kSum, ids));
  say("mean of ids", strategy.reduce(ReduceOp::kMean, ids));
  const auto rows = by_replica([](int r) { return Tensor::full(DType::kF32, Shape{r + 1}, r); });
  say("mean of rows", strategy.reduce(ReduceOp::kMean, rows, 0));
  say("gathered", strategy.gather(rows, 0));
  say("host tensor", strategy.reduce(ReduceOp::kSum, Tensor::scalar(1.0f)));
  try {
    strategy.gather(by_replica([](int r) { return Tensor(DType::kF32, Shape{1, r + 1}); }), 0);
  } catch (const Error& error) {
    say("mismatch", error.what());
  }
  say("replicas", std::to_string(strategy.num_replicas_in_sync()));
}

void read_copies(const distribute::Strategy& strategy) {
  using Aggregation = VariableAggregation;
  const std::pair<Aggregation, std::string> kinds[] = {{Aggregation::kSum, "sum"},
                                                       {Aggregation::kMean, "mean"},
                                                       {Aggregation::kOnlyFirstReplica, "first"}};
  for (const auto& [aggregation, kind] : kinds) {
    const nn::Variable v = strategy.scope([&, kind = aggregation] {
      return nn::Variable(Tensor::scalar(1.0f),
                          {.name = "v",
                           .trainable = false,
                           .synchronization = VariableSynchronization::kOnRead,
                           .aggregation = kind});
    });
    say((kind + " at the start").c_str(), v.value().reshape({1}));
    const Function add_ids = function([v](std::vector<Value>) {
      const Value id = distribute::get_replica_context().replica_id_in_sync_group();
      ops::assign_add(v.shared(), ops::cast(id, DType::kF32));
      return std::vector<Value>{v};
    });
    strategy.run(add_ids, {});
    say((kind + " of ids").c_str(), v.value().reshape({1}));
    v.assign(Tensor::scalar(4.0f));
    say((kind + " assigned").c_str(), v.value().reshape({1}));
    const auto copies = strategy.run(add_ids, {});
    say((kind + " copies").c_str(), strategy.gather(distribute::PerReplica([&] {
                                                      std::vector<Tensor> rows;
                                                      for (const Tensor& copy : copies[0].values())
                                                        rows.push_back(copy.reshape({1}));
                                                      return rows;
                                                    }()),
                                                    0));
  }
}

}  // namespace cohort
