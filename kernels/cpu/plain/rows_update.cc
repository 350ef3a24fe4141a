#include <cstring>

#include "cohort/core/runtime/rows_update.h"
#include "cohort/kernels/cpu/cpu_kernel.h"
#include "cohort/kernels/cpu/parallel.h"
#include "cohort/kernels/cpu/plain/register.h"

namespace cohort::cpu::plain {
namespace {

// A commit op cannot fail, so an index outside changes nothing; the gather that made the gradient
// has refused it.
class RowsUpdateKernel final : public CpuKernel {
 public:
  explicit RowsUpdateKernel(const KernelRequest& request) : CpuKernel(request), update_(request) {}

  size_t workspace_bytes() const override { return update_.workspace_bytes(); }

  void run() override {
    if (!*update_.apply().data<bool>()) return;
    update_.use(workspace());
    for_rows([](std::byte* row, std::byte* copy, size_t bytes) {
      if (row)
        std::memcpy(copy, row, bytes);
      else
        std::memset(copy, 0, bytes);
    });
    update_.run();
    for_rows([](std::byte* row, const std::byte* copy, size_t bytes) {
      if (row) std::memcpy(row, copy, bytes);
    });
  }

 private:
  /// Calls fn(row, its copy, bytes) for every row of every table; row is null where there is none.
  template <class Fn>
  void for_rows(Fn fn) {
    const size_t bytes = update_.row_bytes();
    const auto* indices = update_.indices().data<int32_t>();
    const auto num_tables = static_cast<int64_t>(update_.tables().size());
    parallel_for(
        threads(), update_.num_rows(), grain_for(0, 2 * num_tables * static_cast<int64_t>(bytes)),
        [&, this](int64_t begin, int64_t end) {
          for (size_t k = 0; k < update_.tables().size(); ++k)
            for (int64_t i = begin; i < end; ++i)
              fn(row_of(k, indices[i]), update_.rows(k) + static_cast<size_t>(i) * bytes, bytes);
        });
  }

  std::byte* row_of(size_t table, int64_t index) const {
    if (index < 0 || index >= update_.table_rows()) return nullptr;
    return update_.tables()[table].data<std::byte>() +
           static_cast<size_t>(index) * update_.row_bytes();
  }

  RowsUpdate update_;
};

}  // namespace

void register_rows_update(KernelRegistry& registry) {
  registry.add("RowsUpdate", DeviceType::kCPU, kPlain,
               [](const KernelRequest& request) -> std::unique_ptr<Kernel> {
                 return std::make_unique<RowsUpdateKernel>(request);
               });
}

}  // namespace cohort::cpu::plain
