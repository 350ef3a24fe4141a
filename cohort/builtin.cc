#include <memory>

#include "cohort/cluster/metrics_server.h"
#include "cohort/core/ops/register.h"
#include "cohort/core/runtime/cpu_device.h"
#include "cohort/core/runtime/module.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/core/system.h"
#include "cohort/kernels/cpu/register.h"

namespace cohort {
namespace {

std::unique_ptr<Runtime> make_runtime() {
  prepare_process();
  auto runtime = std::make_unique<Runtime>();
  ops::register_ops(runtime->ops());
  cpu::register_cpu_kernels(runtime->kernels());
  runtime->add_device(make_cpu_device(0, num_cpu_cores()));
  load_gpu_module(*runtime);
  if (auto server = cluster::serve_metrics(runtime->metrics(), cluster::Environment::of_process()))
    runtime->keep(std::move(server));
  return runtime;
}

}  // namespace

Runtime& default_runtime() {
  // Never destroyed: exit() may be called while other threads use it.
  static Runtime& runtime = *make_runtime().release();
  return runtime;
}

}  // namespace cohort
