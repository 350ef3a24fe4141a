#include "cohort/kernels/cpu/onednn/call.h"

#include <omp.h>

#include "cohort/core/error.h"
#include "cohort/kernels/cpu/simd_dispatch.h"

namespace cohort::cpu::onednn {
namespace {

void check(dnnl_status_t status, const char* where) {
  if (status != dnnl_success)
    throw Internal("{}: got status {}; want 0 (dnnl_success)", where, static_cast<int>(status));
}

/// Only where it is not the best here: oneDNN may use more of that than the other kernels know.
bool limit_instruction_set_once() {
  static const bool is_limited = [] {
    const Isa isa = simd().isa;
    if (isa == best_isa()) return false;
    dnnl::set_max_cpu_isa(isa == Isa::kAvx2 ? dnnl::cpu_isa::avx2 : dnnl::cpu_isa::sse41);
    return true;
  }();
  return is_limited;
}

}  // namespace

Context::Context()
    : engine((limit_instruction_set_once(), dnnl::engine::kind::cpu), 0), stream(engine) {}

Call::Call(const Context& context, dnnl::primitive primitive,
           const std::vector<std::pair<int, Desc>>& arguments)
    : primitive_(std::move(primitive)) {
  for (const auto& [kind, desc] : arguments) {
    memories_.emplace_back(desc, context.engine, nullptr);  // DNNL_MEMORY_NONE
    arguments_.push_back({kind, memories_.back().get()});
  }
}

void Call::set(size_t i, const void* data) {
  check(dnnl_memory_set_data_handle(arguments_[i].memory, const_cast<void*>(data)),
        "oneDNN: set memory");
}

void Call::execute(const Context& context) {
  check(dnnl_primitive_execute(primitive_.get(), context.stream.get(),
                               static_cast<int>(arguments_.size()), arguments_.data()),
        "oneDNN: execute");
}

TeamSize::TeamSize(int num_threads) : previous_(omp_get_max_threads()) {
  omp_set_num_threads(num_threads);
}

TeamSize::~TeamSize() { omp_set_num_threads(previous_); }

}  // namespace cohort::cpu::onednn
