#include "cohort/core/runtime/communicator.h"

#include "cohort/core/error.h"

namespace cohort {
namespace {

bool reduces(CollectiveKind kind) {
  return kind == CollectiveKind::kAllReduce || kind == CollectiveKind::kReduceScatter;
}

}  // namespace

std::string_view collective_name(CollectiveKind kind) {
  constexpr std::string_view kNames[] = {"all_reduce", "reduce_scatter", "all_gather", "broadcast"};
  const size_t index = static_cast<size_t>(kind) - 1;
  return index < kNumCollectiveKinds ? kNames[index] : "unknown collective";
}

Communicator::~Communicator() = default;

void Communicator::check(const CollectiveSpec& spec) const {
  const std::string_view name = collective_name(spec.kind);
  if (spec.axis != axis_)
    throw InvalidArgument("{}: got the axis \"{}\" in a group of the axis \"{}\"; want its own",
                          name, spec.axis, axis_);
  if (spec.count < 0)
    throw InvalidArgument("{}: got {} elements; want 0 or more", name, spec.count);
  if (!spec.buffer || (spec.kind == CollectiveKind::kAllGather && !spec.output))
    throw InvalidArgument("{}: got no slot for the {}; want one", name,
                          spec.buffer ? "result" : "buffer");
  if (reduces(spec.kind) && !is_floating(spec.dtype) && !is_integer(spec.dtype))
    throw InvalidArgument("{}: got dtype {}; want numbers", name, spec.dtype);
  if (spec.kind == CollectiveKind::kReduceScatter && spec.count % size() != 0)
    throw InvalidArgument(
        "reduce_scatter: got {} elements for {} ranks; want equally many for each (pad them)",
        spec.count, size());
  if (spec.kind == CollectiveKind::kBroadcast && (spec.root < 0 || spec.root >= size()))
    throw InvalidArgument("broadcast: got root {}; want a rank below {}", spec.root, size());
  if (!spec.wire_dtype) return;
  const bool half = *spec.wire_dtype == DType::kBF16 || *spec.wire_dtype == DType::kF16;
  if (!reduces(spec.kind) || spec.dtype != DType::kF32 || spec.op != ops::ReduceOp::kSum || !half)
    throw InvalidArgument(
        "{}: got {} that travel as {}; want sums of float32 as bfloat16 or float16", name,
        spec.dtype, *spec.wire_dtype);
}

std::unique_ptr<Communicator::Request> Communicator::prepare(const CollectiveSpec& spec) {
  check(spec);
  std::unique_ptr<Request> request = do_prepare(spec);
  request->stats_ = stats_;
  request->counted_ = &(*stats_)[spec.kind];
  request->timed_ = spec.timed;
  return request;
}

std::unique_ptr<Communicator> Communicator::split(std::string_view axis, int color) {
  std::unique_ptr<Communicator> part = do_split(axis, color);
  part->axis_ = axis;
  return part;
}

CommunicatorStats Communicator::stats() const {
  CommunicatorStats stats = *stats_;
  add_traffic(stats);
  return stats;
}

void Communicator::Request::wait_timed() {
  const auto begin = std::chrono::steady_clock::now();
  do_wait();
  const auto took = std::chrono::steady_clock::now() - begin;
  waited_ += took;
  stats_->waited += took;
}

}  // namespace cohort
