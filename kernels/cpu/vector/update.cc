#include "cohort/kernels/cpu/update_plan.h"
#include "cohort/kernels/cpu/vector/vector_kernel.h"

namespace cohort::cpu::vector {
namespace {

template <class T>
class AdamKernel final : public UpdateKernel {
 public:
  explicit AdamKernel(const KernelRequest& request)
      : UpdateKernel(request), constants_(request.node.attrs()) {}

  void run() override {
    if (!apply()) return;
    const double rate = learning_rate();
    AdamArgs<T> args;
    args.alpha = static_cast<T>(constants_.alpha(rate, step_number()));
    args.one_minus_beta_1 = static_cast<T>(1 - constants_.beta_1);
    args.one_minus_beta_2 = static_cast<T>(1 - constants_.beta_2);
    args.epsilon = static_cast<T>(constants_.epsilon);
    args.decays = decays();
    for (const Piece& piece : find_pieces()) {
      args.decay = static_cast<T>(decay(piece.first) * rate);
      const auto array = [&](size_t k) { return reinterpret_cast<T*>(begin_of(k, piece.first)); };
      parallel_for(threads(), piece.count, grain_for(12, 7 * sizeof(T)),
                   [&](int64_t begin, int64_t end) {
                     AdamArgs<T> part = args;
                     part.gradient = array(0) + begin;
                     part.parameter = array(1) + begin;
                     part.m = array(2) + begin;
                     part.v = array(3) + begin;
                     if (constants_.amsgrad) part.v_max = array(4) + begin;
                     part.count = end - begin;
                     simd().of<T>().adam(part);
                   });
    }
  }

 private:
  AdamConstants constants_;
};

template <class T>
class SgdKernel final : public UpdateKernel {
 public:
  explicit SgdKernel(const KernelRequest& request)
      : UpdateKernel(request), constants_(request.node.attrs()) {}

  void run() override {
    if (!apply()) return;
    const double rate = learning_rate();
    SgdArgs<T> args;
    args.learning_rate = static_cast<T>(rate);
    args.momentum = static_cast<T>(constants_.momentum);
    args.nesterov = constants_.nesterov;
    args.decays = decays();
    for (const Piece& piece : find_pieces()) {
      args.decay = static_cast<T>(decay(piece.first) * rate);
      const auto array = [&](size_t k) { return reinterpret_cast<T*>(begin_of(k, piece.first)); };
      parallel_for(threads(), piece.count, grain_for(6, 5 * sizeof(T)),
                   [&](int64_t begin, int64_t end) {
                     SgdArgs<T> part = args;
                     part.gradient = array(0) + begin;
                     part.parameter = array(1) + begin;
                     if (constants_.momentum != 0) part.velocity = array(2) + begin;
                     part.count = end - begin;
                     simd().of<T>().sgd(part);
                   });
    }
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
