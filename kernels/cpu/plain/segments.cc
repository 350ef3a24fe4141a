#include "cohort/core/ops/segments.h"

#include <algorithm>

#include "cohort/kernels/cpu/cpu_kernel.h"
#include "cohort/kernels/cpu/plain/register.h"
#include "cohort/kernels/cpu/plain/types.h"

namespace cohort::cpu::plain {
namespace {

// Each segment's lines are added in order, as a ReduceSum does that gives one number.
template <class T>
class SegmentTotalsKernel final : public CpuKernel {
 public:
  explicit SegmentTotalsKernel(const KernelRequest& request) : CpuKernel(request) {
    for (const int64_t elements : request.node.attrs().get<std::vector<int64_t>>("elements"))
      lines_.push_back((elements + ops::kSumLine - 1) / ops::kSumLine);
  }

  void run() override {
    const double* line = in(0).data<double>();
    for (size_t i = 0; i < lines_.size(); ++i) {
      double sum = 0;
      for (int64_t k = 0; k < lines_[i]; ++k) sum += *line++;
      *out(static_cast<int>(i)).template data<T>() = from_double<T>(sum);
    }
  }

 private:
  std::vector<int64_t> lines_;
};

template <class T>
class SpreadSegmentsKernel final : public CpuKernel {
 public:
  explicit SpreadSegmentsKernel(const KernelRequest& request)
      : CpuKernel(request),
        first_(request.node.attrs().get<int64_t>("first")),
        offsets_(request.node.attrs().get<std::vector<int64_t>>("offsets")),
        elements_(request.node.attrs().get<std::vector<int64_t>>("elements")) {}

  void run() override {
    T* y = out(0).template data<T>();
    const int64_t count = out(0).num_elements();
    std::fill_n(y, count, from_double<T>(0));
    for (size_t i = 0; i < offsets_.size(); ++i) {
      const int64_t begin = std::clamp<int64_t>(offsets_[i] - first_, 0, count);
      const int64_t end = std::clamp<int64_t>(offsets_[i] + elements_[i] - first_, 0, count);
      std::fill(y + begin, y + end, *in(static_cast<int>(i)).template data<T>());
    }
  }

 private:
  int64_t first_;
  std::vector<int64_t> offsets_, elements_;
};

template <template <class> class K>
std::unique_ptr<Kernel> make_by_output(const KernelRequest& request) {
  return for_floating(request.outputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<K<decltype(type)>>(request);
  });
}

}  // namespace

void register_segments(KernelRegistry& registry) {
  registry.add("SegmentTotals", DeviceType::kCPU, kPlain, make_by_output<SegmentTotalsKernel>);
  registry.add("SpreadSegments", DeviceType::kCPU, kPlain, make_by_output<SpreadSegmentsKernel>);
}

}  // namespace cohort::cpu::plain
