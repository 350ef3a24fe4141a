#include <cmath>
#include <cstring>

#include "cohort/core/ops/state.h"
#include "cohort/kernels/cpu/cpu_kernel.h"
#include "cohort/kernels/cpu/parallel.h"
#include "cohort/kernels/cpu/plain/elementwise_ops.h"
#include "cohort/kernels/cpu/plain/register.h"

namespace cohort::cpu::plain {
namespace {

class StepInfoKernel final : public CpuKernel {
 public:
  explicit StepInfoKernel(const KernelRequest& request)
      : CpuKernel(request),
        field_(static_cast<ops::StepField>(request.node.attrs().get<int64_t>("field"))) {}
  void run() override { *out(0).data<int64_t>() = read(); }

 private:
  int64_t read() const {
    switch (field_) {
      case ops::StepField::kStep:
        return step().step;
      case ops::StepField::kReplicaId:
        return step().replica_id;
      case ops::StepField::kNumReplicas:
        return step().num_replicas;
      case ops::StepField::kRows:
        return step().rows;
      case ops::StepField::kGlobalRows:
        return step().global_rows;
      case ops::StepField::kRowOffset:
        return step().row_offset;
    }
    return 0;
  }
  ops::StepField field_;
};

// A replica whose kernels failed does not come here: they throw.
class StepVoteKernel final : public CpuKernel {
 public:
  explicit StepVoteKernel(const KernelRequest& request) : CpuKernel(request) {}
  void run() override { *out(0).data<int32_t>() = 1; }
};
class StepVetoKernel final : public Kernel {
 public:
  explicit StepVetoKernel(const KernelRequest&) {}
  void run() override {}
};

struct Replace {
  template <class T>
  T operator()(T, T value) const {
    return value;
  }
};

// variable = Fn(variable, value)
template <class Fn, class T>
class AssignKernel final : public CpuKernel {
 public:
  explicit AssignKernel(const KernelRequest& request) : CpuKernel(request) {}
  void run() override {
    const T* value = in(0).template data<T>();
    T* variable = variables()[0].template data<T>();
    parallel_for(threads(), variables()[0].num_elements(), grain_for(1, 3 * sizeof(T)),
                 [=](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i)
                     variable[i] = static_cast<T>(Fn{}(static_cast<Compute<T>>(variable[i]),
                                                       static_cast<Compute<T>>(value[i])));
                 });
  }
};

template <class Fn>
std::unique_ptr<Kernel> make_assign(const KernelRequest& request) {
  return visit_dtype(request.inputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    using T = decltype(type);
    if constexpr (std::is_same_v<T, bool> && !std::is_same_v<Fn, Replace>)
      return nullptr;
    else
      return std::make_unique<AssignKernel<Fn, T>>(request);
  });
}

// A sum of x * 0 is 0 when all x are finite, else NaN.
class CheckFiniteKernel final : public CpuKernel {
 public:
  explicit CheckFiniteKernel(const KernelRequest& request) : CpuKernel(request) {}
  void run() override {
    bool finite = true;
    for (int i = 0; i < num_inputs(); ++i)
      visit_dtype(in(i).dtype, [&](auto type) {
        using T = decltype(type);
        if constexpr (kIsFloating<T>) {
          const T* x = in(i).template data<T>();
          Compute<T> sum = 0;
          for (int64_t k = 0; k < in(i).num_elements(); ++k)
            sum += static_cast<Compute<T>>(x[k]) * Compute<T>{0};
          finite = finite && sum == 0;
        }
      });
    *out(0).data<bool>() = finite;
  }
};

template <class K>
std::unique_ptr<Kernel> make_state(const KernelRequest& request) {
  return std::make_unique<K>(request);
}

}  // namespace

void register_state(KernelRegistry& registry) {
  registry.add("StepInfo", DeviceType::kCPU, kPlain, make_state<StepInfoKernel>);
  registry.add("StepVote", DeviceType::kCPU, kPlain, make_state<StepVoteKernel>);
  registry.add("StepVeto", DeviceType::kCPU, kPlain, make_state<StepVetoKernel>);
  registry.add("Assign", DeviceType::kCPU, kPlain, make_assign<Replace>);
  registry.add("AssignAdd", DeviceType::kCPU, kPlain, make_assign<Add>);
  registry.add("AssignSub", DeviceType::kCPU, kPlain, make_assign<Sub>);
  registry.add("CheckFinite", DeviceType::kCPU, kPlain, make_state<CheckFiniteKernel>);
}

}  // namespace cohort::cpu::plain
