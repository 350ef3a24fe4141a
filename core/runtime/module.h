#pragma once

#include <string>
#include <string_view>

namespace cohort {

class Runtime;

/// What came of loading a module.
struct ModuleReport {
  /// Its register function ran. It may still have found nothing to register.
  bool loaded = false;
  int num_devices = 0;  ///< that it added
  /// One line for people: what was added, or why nothing was ("cuda: no device: …").
  std::string detail;
};

/// What a loadable module exports, `extern "C"`, under the name kModuleEntry: adds devices and
/// kernels to the runtime and says what it did. It must not throw, and adds nothing when something
/// it needs is missing.
using ModuleEntry = void (*)(Runtime& runtime, ModuleReport& report);
inline constexpr const char* kModuleEntry = "cohort_register_module";

/// The address of `symbol` in libcohort_<name>.so, which is loaded from the folder of libcohort and
/// stays loaded until the process ends; null, with the reason in `problem`, when there is none.
void* module_symbol(std::string_view name, const char* symbol, std::string& problem);

/// Loads libcohort_<name>.so from the folder of libcohort and calls its entry. A module stays
/// loaded until the process ends. Never throws for what the machine lacks (the module, a library it
/// needs, a driver, a device): the report says it, and the program goes on without.
ModuleReport load_module(Runtime& runtime, std::string_view name);

/// The GPUs of this machine: load_module("cuda"), unless the environment variable COHORT_DEVICE is
/// "cpu" or there is no driver, which is looked for first because loading the module takes 0.3 s.
/// Throws FailedPrecondition with the reason when COHORT_DEVICE is "gpu" and no GPU was added, and
/// InvalidArgument when it is neither.
ModuleReport load_gpu_module(Runtime& runtime);

}  // namespace cohort
