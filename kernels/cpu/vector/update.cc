#include "cohort/kernels/cpu/update_plan.h"
#include "cohort/kernels/cpu/vector/vector_kernel.h"

namespace cohort::cpu::vector {
namespace {

// Variables that lie side by side in memory, with their gradients and slots side by side as well,
// are updated as one array: the compiler lays out buckets so. Where they lie may change between
// runs.
template <class T>
class RunsKernel : public UpdateKernel {
 protected:
  using UpdateKernel::UpdateKernel;

  struct Run {
    const T* gradient;
    T* parameter;
    T* slots[3];
    int64_t count;
    double decay;
  };

  /// Calls fn(run) for each longest run, in order.
  template <class Fn>
  void for_each_run(int num_slots, Fn&& fn) const {
    Run run = piece(0, num_slots);
    for (int i = 1; i < count(); ++i) {
      const Run next = piece(i, num_slots);
      if (follows(run, next, num_slots)) {
        run.count += next.count;
      } else {
        fn(run);
        run = next;
      }
    }
    fn(run);
  }

 private:
  Run piece(int i, int num_slots) const {
    Run run{gradient(i).template data<T>(),
            parameter(i).template data<T>(),
            {},
            parameter(i).num_elements(),
            decay(i)};
    for (int s = 0; s < num_slots; ++s) run.slots[s] = slot(s, i).template data<T>();
    return run;
  }
  static bool follows(const Run& run, const Run& next, int num_slots) {
    bool adjacent = next.gradient == run.gradient + run.count &&
                    next.parameter == run.parameter + run.count && next.decay == run.decay;
    for (int s = 0; s < num_slots; ++s)
      adjacent = adjacent && next.slots[s] == run.slots[s] + run.count;
    return adjacent;
  }
};

template <class T>
class AdamKernel final : public RunsKernel<T> {
 public:
  explicit AdamKernel(const KernelRequest& request)
      : RunsKernel<T>(request), constants_(request.node.attrs()) {}

  void run() override {
    if (!this->apply()) return;
    const double rate = this->learning_rate();
    AdamArgs<T> args;
    args.alpha = static_cast<T>(constants_.alpha(rate, this->step_number()));
    args.one_minus_beta_1 = static_cast<T>(1 - constants_.beta_1);
    args.one_minus_beta_2 = static_cast<T>(1 - constants_.beta_2);
    args.epsilon = static_cast<T>(constants_.epsilon);
    const int num_slots = constants_.amsgrad ? 3 : 2;
    this->for_each_run(num_slots, [&, this](const auto& run) {
      args.decays = this->decays();
      args.decay = static_cast<T>(run.decay * rate);
      parallel_for(this->threads(), run.count, grain_for(12, 7 * sizeof(T)),
                   [&](int64_t begin, int64_t end) {
                     AdamArgs<T> part = args;
                     part.parameter = run.parameter + begin;
                     part.m = run.slots[0] + begin;
                     part.v = run.slots[1] + begin;
                     if (run.slots[2]) part.v_max = run.slots[2] + begin;
                     part.gradient = run.gradient + begin;
                     part.count = end - begin;
                     simd().of<T>().adam(part);
                   });
    });
  }

 private:
  AdamConstants constants_;
};

template <class T>
class SgdKernel final : public RunsKernel<T> {
 public:
  explicit SgdKernel(const KernelRequest& request)
      : RunsKernel<T>(request), constants_(request.node.attrs()) {}

  void run() override {
    if (!this->apply()) return;
    const double rate = this->learning_rate();
    SgdArgs<T> args;
    args.learning_rate = static_cast<T>(rate);
    args.momentum = static_cast<T>(constants_.momentum);
    args.nesterov = constants_.nesterov;
    this->for_each_run(constants_.momentum != 0 ? 1 : 0, [&, this](const auto& run) {
      args.decays = this->decays();
      args.decay = static_cast<T>(run.decay * rate);
      parallel_for(this->threads(), run.count, grain_for(6, 5 * sizeof(T)),
                   [&](int64_t begin, int64_t end) {
                     SgdArgs<T> part = args;
                     part.parameter = run.parameter + begin;
                     if (run.slots[0]) part.velocity = run.slots[0] + begin;
                     part.gradient = run.gradient + begin;
                     part.count = end - begin;
                     simd().of<T>().sgd(part);
                   });
    });
  }

 private:
  SgdConstants constants_;
};

}  // namespace

void register_update(KernelRegistry& registry) {
  registry.add("AdamUpdate", DeviceType::kCPU, kVector, make_by_variable<AdamKernel>);
  registry.add("SgdUpdate", DeviceType::kCPU, kVector, make_by_variable<SgdKernel>);
}

}  // namespace cohort::cpu::vector
