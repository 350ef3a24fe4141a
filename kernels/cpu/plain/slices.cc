#include <algorithm>
#include <array>
#include <bit>

#include "cohort/core/ops/slices.h"
#include "cohort/kernels/cpu/cpu_kernel.h"
#include "cohort/kernels/cpu/labels.h"
#include "cohort/kernels/cpu/parallel.h"
#include "cohort/kernels/cpu/plain/register.h"
#include "cohort/kernels/cpu/plain/types.h"

namespace cohort::cpu::plain {
namespace {

int64_t width_of(const Operand& values) {
  return values.shape.num_elements(1, values.shape.rank());
}

template <class T>
class PadSlicesKernel final : public CpuKernel {
 public:
  explicit PadSlicesKernel(const KernelRequest& request)
      : CpuKernel(request), width_(width_of(request.outputs[1])) {}

  void run() override {
    const int64_t count = in(0).num_elements(), rows = out(0).num_elements();
    auto* indices = out(0).data<int32_t>();
    for (int64_t i = 0; i < count; ++i) indices[i] = static_cast<int32_t>(integer_at(in(0), i));
    std::fill(indices + count, indices + rows, ops::kNoRow);
    const T* values = in(1).template data<T>();
    T* y = out(1).template data<T>();
    parallel_for(threads(), rows, grain_for(0, 2 * width_ * static_cast<int64_t>(sizeof(T))),
                 [=, this](int64_t begin, int64_t end) {
                   const int64_t given = std::clamp(count, begin, end);
                   std::copy(values + begin * width_, values + given * width_, y + begin * width_);
                   std::fill(y + given * width_, y + end * width_, T{});
                 });
  }

 private:
  int64_t width_;
};

struct Entry {
  uint32_t row;  ///< index + 1, so that rows that are not there come first
  uint32_t position;
};

/// Sorts by row, equal rows by position; `entries` come in order of position. The result is one of
/// the two arrays.
Entry* sort_by_row(Entry* entries, Entry* other, int64_t count, int64_t table_rows) {
  constexpr int kBits = 11;
  for (int shift = 0; table_rows >> shift > 0; shift += kBits) {
    std::array<uint32_t, (1 << kBits) + 1> begins{};
    const auto digit = [=](const Entry& e) { return e.row >> shift & ((1 << kBits) - 1); };
    for (int64_t i = 0; i < count; ++i) ++begins[digit(entries[i]) + 1];
    for (size_t d = 1; d < begins.size(); ++d) begins[d] += begins[d - 1];
    for (int64_t i = 0; i < count; ++i) other[begins[digit(entries[i])]++] = entries[i];
    std::swap(entries, other);
  }
  return entries;
}

/// Which sums of parts are to be added next. Parts come in ascending order; two neighbours meet in
/// the binary tree at the highest bit in which their numbers differ.
class TreeOrder {
 public:
  /// Adds sum `at` of `part`; calls add(to, from) for what is complete before it.
  template <class Add>
  void push(uint32_t part, int64_t at, Add&& add) {
    while (depth_ > 1 && joint(depth_ - 2, sums_[depth_ - 1].part) < joint(depth_ - 1, part))
      join(add);
    sums_[depth_++] = {part, at};
  }
  template <class Add>
  void finish(Add&& add) {
    while (depth_ > 1) join(add);
    depth_ = 0;
  }

 private:
  struct Sum {
    uint32_t part;
    int64_t at;
  };
  int joint(size_t below, uint32_t part) const {
    return static_cast<int>(std::bit_width(sums_[below].part ^ part));
  }
  template <class Add>
  void join(Add&& add) {
    --depth_;
    add(sums_[depth_ - 1].at, sums_[depth_].at);
  }
  std::array<Sum, 34> sums_;
  size_t depth_ = 0;
};

// The rows are sorted. A run of equal ones is added where it stands: the sum goes to its first
// place, and the others become kNoRow. The columns are split over the team.
template <class T>
class CombineSlicesKernel final : public CpuKernel {
 public:
  explicit CombineSlicesKernel(const KernelRequest& request)
      : CpuKernel(request),
        count_(request.inputs[0].num_elements()),
        width_(width_of(request.inputs[1])),
        table_rows_(request.node.attrs().get<Shape>("shape").size(0)) {
    const int64_t part_rows = request.node.attrs().get<int64_t>("part_rows");
    part_rows_ = static_cast<uint32_t>(part_rows > 0 ? part_rows : std::max<int64_t>(1, count_));
  }

  size_t workspace_bytes() const override {
    return 2 * static_cast<size_t>(count_) * sizeof(Entry);
  }

  void run() override {
    const auto* given = in(0).data<int32_t>();
    Entry* entries = workspace<Entry>();
    for (int64_t i = 0; i < count_; ++i)
      entries[i] = {static_cast<uint32_t>(given[i] + 1), static_cast<uint32_t>(i)};
    const Entry* sorted = sort_by_row(entries, entries + count_, count_, table_rows_);
    auto* indices = out(0).data<int32_t>();
    for (int64_t i = 0; i < count_; ++i) {
      const bool first = i == 0 || sorted[i].row != sorted[i - 1].row;
      indices[i] = first ? static_cast<int32_t>(sorted[i].row) - 1 : ops::kNoRow;
    }
    parallel_for(threads(), width_, grain_for(count_, 2 * count_ * static_cast<int64_t>(sizeof(T))),
                 [=, this](int64_t begin, int64_t end) { add_columns(sorted, begin, end); });
  }

 private:
  void add_columns(const Entry* sorted, int64_t begin, int64_t end) {
    T* y = out(1).template data<T>();
    int64_t run = 0;
    for (; run < count_ && sorted[run].row == 0; ++run)
      std::fill(y + run * width_ + begin, y + run * width_ + end, T{});
    while (run < count_) {
      int64_t run_end = run + 1;
      while (run_end < count_ && sorted[run_end].row == sorted[run].row) ++run_end;
      add_run(sorted, run, run_end, begin, end);
      for (int64_t i = run + 1; i < run_end; ++i)
        std::fill(y + i * width_ + begin, y + i * width_ + end, T{});
      run = run_end;
    }
  }

  void add_run(const Entry* sorted, int64_t run, int64_t run_end, int64_t begin, int64_t end) {
    const T* values = in(1).template data<T>();
    T* y = out(1).template data<T>();
    const auto add = [&](int64_t to, int64_t from) {
      add_row(y + to * width_, y + from * width_, begin, end);
    };
    TreeOrder order;
    while (run < run_end) {
      const int64_t at = run;
      const uint32_t part = sorted[run].position / part_rows_;
      std::fill(y + at * width_ + begin, y + at * width_ + end, T{});
      for (; run < run_end && sorted[run].position / part_rows_ == part; ++run)
        add_row(y + at * width_, values + sorted[run].position * width_, begin, end);
      order.push(part, at, add);
    }
    order.finish(add);
  }

  static void add_row(T* to, const T* from, int64_t begin, int64_t end) {
    using C = Compute<T>;
    for (int64_t c = begin; c < end; ++c)
      to[c] = static_cast<T>(static_cast<C>(to[c]) + static_cast<C>(from[c]));
  }

  const int64_t count_;
  const int64_t width_;
  const int64_t table_rows_;
  uint32_t part_rows_ = 1;
};

template <template <class> class K>
std::unique_ptr<Kernel> make_slices(const KernelRequest& request) {
  return for_floating(request.inputs[1].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<K<decltype(type)>>(request);
  });
}

}  // namespace

void register_slices(KernelRegistry& registry) {
  registry.add("PadSlices", DeviceType::kCPU, kPlain, make_slices<PadSlicesKernel>);
  registry.add("CombineSlices", DeviceType::kCPU, kPlain, make_slices<CombineSlicesKernel>);
}

}  // namespace cohort::cpu::plain
