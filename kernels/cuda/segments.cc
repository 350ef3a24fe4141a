#include "cohort/kernels/cuda/segments.h"

#include <algorithm>

#include "cohort/core/ops/segments.h"
#include "cohort/kernels/cuda/cuda_kernel.h"
#include "cohort/kernels/cuda/register.h"

namespace cohort::cuda {
namespace {

static_assert(kLineElements == ops::kSumLine);

using Ints = std::vector<int64_t>;

int64_t lines_of(int64_t elements) { return (elements + kLineElements - 1) / kLineElements; }

struct Segment {
  int64_t begin, end;
  Operand scalar;
};
/// Calls use(table) for as many tables as the segments need.
template <class Use>
void for_each_table(std::span<const Segment> segments, Use&& use) {
  SegmentScalars table = {};
  const auto flush = [&] {
    if (table.count > 0) use(table);
    table.count = 0;
  };
  for (const Segment& segment : segments) {
    table.begin[table.count] = segment.begin;
    table.end[table.count] = segment.end;
    table.scalar[table.count] = *segment.scalar.slot;
    if (++table.count == SegmentScalars::kMax) flush();
  }
  flush();
}

std::unique_ptr<Kernel> make_segment_sums(const KernelRequest& request) {
  const Operand x = request.inputs[0];
  if (!is_floating(x.dtype)) return nullptr;
  const auto& offsets = request.node.attrs().get<Ints>("offsets");
  const auto& elements = request.node.attrs().get<Ints>("elements");
  const auto first = request.node.attrs().get<int64_t>("first");
  std::vector<SumLine> lines;
  for (size_t i = 0; i < offsets.size(); ++i)
    for (int64_t at = 0; at < elements[i]; at += kLineElements) {
      const SumLine line{offsets[i] + at - first, std::min(kLineElements, elements[i] - at)};
      const bool is_here = line.begin >= 0 && line.begin + line.count <= x.num_elements();
      lines.push_back(is_here ? line : SumLine{0, 0});
    }
  const std::shared_ptr<void> table = request.device.allocate(lines.size() * sizeof(SumLine));
  request.device.copy_from_host(table.get(), lines.data(), lines.size() * sizeof(SumLine));
  return make_kernel([=, num_lines = static_cast<int64_t>(lines.size()), sums = request.outputs[0],
                      stream = stream_of(request)] {
    sum_lines(x.dtype, *x.slot, static_cast<const SumLine*>(table.get()), num_lines, 0,
              sums.data<double>(), stream);
  });
}

std::unique_ptr<Kernel> make_segment_totals(const KernelRequest& request) {
  const DType dtype = request.outputs[0].dtype;
  if (!is_floating(dtype)) return nullptr;
  std::vector<Segment> segments;
  int64_t line = 0;
  const auto& elements = request.node.attrs().get<Ints>("elements");
  for (size_t i = 0; i < elements.size(); ++i) {
    segments.push_back({line, line + lines_of(elements[i]), request.outputs[i]});
    line = segments.back().end;
  }
  return make_kernel(
      [=, segments = std::move(segments), sums = request.inputs[0], stream = stream_of(request)] {
        for_each_table(segments, [&](const SegmentScalars& table) {
          total_lines(dtype, sums.data<double>(), table, stream);
        });
      });
}

std::unique_ptr<Kernel> make_spread_segments(const KernelRequest& request) {
  const Operand y = request.outputs[0];
  if (!is_floating(y.dtype)) return nullptr;
  const auto& offsets = request.node.attrs().get<Ints>("offsets");
  const auto& elements = request.node.attrs().get<Ints>("elements");
  const auto first = request.node.attrs().get<int64_t>("first");
  const int64_t count = y.num_elements();
  std::vector<Segment> segments;
  for (size_t i = 0; i < offsets.size(); ++i) {
    const int64_t begin = std::clamp<int64_t>(offsets[i] - first, 0, count);
    const int64_t end = std::clamp<int64_t>(offsets[i] + elements[i] - first, 0, count);
    if (begin < end) segments.push_back({begin, end, request.inputs[i]});
  }
  return make_kernel([=, segments = std::move(segments), stream = stream_of(request)] {
    zero_bytes(*y.slot, static_cast<size_t>(count) * size_of(y.dtype), stream);
    for_each_table(segments,
                   [&](const SegmentScalars& table) { spread(y.dtype, table, *y.slot, stream); });
  });
}

}  // namespace

void register_segments(KernelRegistry& kernels) {
  kernels.add("SegmentSums", DeviceType::kGPU, "cuda", make_segment_sums);
  kernels.add("SegmentTotals", DeviceType::kGPU, "cuda", make_segment_totals);
  kernels.add("SpreadSegments", DeviceType::kGPU, "cuda", make_spread_segments);
}

}  // namespace cohort::cuda
