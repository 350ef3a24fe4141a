#include "cohort/kernels/cpu/update_plan.h"

#include "cohort/kernels/cpu/parallel.h"
#include "cohort/kernels/cpu/plain/register.h"
#include "cohort/kernels/cpu/plain/types.h"
#include "cohort/kernels/cpu/simd_dispatch.h"

namespace cohort::cpu::plain {
namespace {

/// a b + c as the vectors of the processor at hand make it, and the body of an update with them.
template <class C>
C multiply_add(C a, C b, C c) {
  return simd().isa == Isa::kBaseline ? a * b + c : std::fma(a, b, c);
}

// m += (g - m)(1 - beta_1);  v += (g^2 - v)(1 - beta_2);  p -= alpha m / (sqrt(v) + epsilon), where
// with amsgrad the largest v so far takes v's place.
template <class T>
class AdamKernel final : public UpdateKernel {
 public:
  explicit AdamKernel(const KernelRequest& request)
      : UpdateKernel(request), constants_(request.node.attrs()) {}

  void run() override {
    if (!apply()) return;
    const auto alpha = static_cast<C>(constants_.alpha(learning_rate(), step_number()));
    for (int i = 0; i < count(); ++i) {
      const C decay = static_cast<C>(this->decay(i) * learning_rate());
      parallel_for(threads(), parameter(i).num_elements(), grain_for(12, 7 * sizeof(T)),
                   [=, this](int64_t begin, int64_t end) { update(i, alpha, decay, begin, end); });
    }
  }

 private:
  using C = Compute<T>;

  void update(int i, C alpha, C decay, int64_t begin, int64_t end) const {
    const T* g = gradient(i).template data<T>();
    T* p = parameter(i).template data<T>();
    T* m = slot(0, i).template data<T>();
    T* v = slot(1, i).template data<T>();
    T* largest = constants_.amsgrad ? slot(2, i).template data<T>() : nullptr;
    const C rate_1 = static_cast<C>(1 - constants_.beta_1);
    const C rate_2 = static_cast<C>(1 - constants_.beta_2);
    const C epsilon = static_cast<C>(constants_.epsilon);
    for (int64_t k = begin; k < end; ++k) {
      const C gk = static_cast<C>(g[k]);
      C pk = static_cast<C>(p[k]);
      if (decays()) pk = pk - pk * decay;
      const C m0 = static_cast<C>(m[k]), v0 = static_cast<C>(v[k]);
      const C mk = multiply_add(gk - m0, rate_1, m0);
      const C vk = multiply_add(gk * gk - v0, rate_2, v0);
      C divisor = vk;
      if (largest) {
        const C old = static_cast<C>(largest[k]);
        divisor = old != old || old >= vk ? old : vk;
        largest[k] = static_cast<T>(divisor);
      }
      m[k] = static_cast<T>(mk);
      v[k] = static_cast<T>(vk);
      p[k] = static_cast<T>(pk - alpha * mk / (std::sqrt(divisor) + epsilon));
    }
  }

  AdamConstants constants_;
};

// Without momentum p -= lr g. Otherwise m = momentum m - lr g;  p += m, or with Nesterov
// p += momentum m - lr g.
template <class T>
class SgdKernel final : public UpdateKernel {
 public:
  explicit SgdKernel(const KernelRequest& request)
      : UpdateKernel(request), constants_(request.node.attrs()) {}

  void run() override {
    if (!apply()) return;
    for (int i = 0; i < count(); ++i)
      parallel_for(threads(), parameter(i).num_elements(), grain_for(6, 5 * sizeof(T)),
                   [=, this](int64_t begin, int64_t end) { update(i, begin, end); });
  }

 private:
  using C = Compute<T>;

  void update(int i, int64_t begin, int64_t end) const {
    const T* g = gradient(i).template data<T>();
    T* p = parameter(i).template data<T>();
    T* m = constants_.momentum != 0 ? slot(0, i).template data<T>() : nullptr;
    const C rate = static_cast<C>(learning_rate());
    const C decay = static_cast<C>(this->decay(i) * learning_rate());
    const C momentum = static_cast<C>(constants_.momentum);
    for (int64_t k = begin; k < end; ++k) {
      const C change = rate * static_cast<C>(g[k]);
      C pk = static_cast<C>(p[k]);
      if (decays()) pk = pk - pk * decay;
      if (!m) {
        p[k] = static_cast<T>(pk - change);
        continue;
      }
      const C mk = momentum * static_cast<C>(m[k]) - change;
      m[k] = static_cast<T>(mk);
      p[k] = static_cast<T>(pk + (constants_.nesterov ? momentum * mk - change : mk));
    }
  }

  SgdConstants constants_;
};

template <template <class> class K>
std::unique_ptr<Kernel> make_update(const KernelRequest& request) {
  return for_floating(request.variables[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<K<decltype(type)>>(request);
  });
}

}  // namespace

void register_update(KernelRegistry& registry) {
  registry.add("AdamUpdate", DeviceType::kCPU, kPlain, make_update<AdamKernel>);
  registry.add("SgdUpdate", DeviceType::kCPU, kPlain, make_update<SgdKernel>);
}

}  // namespace cohort::cpu::plain
