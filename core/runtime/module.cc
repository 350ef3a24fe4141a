#include "cohort/core/runtime/module.h"

#include <dlfcn.h>

#include <cstdlib>

#include "cohort/core/error.h"

namespace cohort {
namespace {

// The folder of the library that holds this function.
std::string library_folder() {
  Dl_info info;
  if (dladdr(reinterpret_cast<const void*>(&load_module), &info) == 0 || !info.dli_fname) return "";
  const std::string path = info.dli_fname;
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

ModuleReport failure(std::string_view name, const char* reason) {
  return {.detail = std::string(name) + ": " + (reason ? reason : "unknown error")};
}

std::string wanted_device() {
  const char* value = std::getenv("COHORT_DEVICE");
  const std::string wanted = value ? value : "";
  if (wanted != "" && wanted != "cpu" && wanted != "gpu")
    throw InvalidArgument("COHORT_DEVICE: got \"{}\"; want cpu or gpu, or no such variable",
                          wanted);
  return wanted;
}

ModuleReport load_if_driver(Runtime& runtime) {
  void* driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (!driver) return failure("cuda: no driver", dlerror());
  dlclose(driver);
  return load_module(runtime, "cuda");
}

}  // namespace

void* module_symbol(std::string_view name, const char* symbol, std::string& problem) {
  const std::string path = library_folder() + "libcohort_" + std::string(name) + ".so";
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* found = library ? dlsym(library, symbol) : nullptr;
  if (!found) problem = failure(name, dlerror()).detail;
  return found;
}

ModuleReport load_module(Runtime& runtime, std::string_view name) {
  ModuleReport report;
  const auto entry =
      reinterpret_cast<ModuleEntry>(module_symbol(name, kModuleEntry, report.detail));
  if (!entry) return report;
  entry(runtime, report);
  report.loaded = true;
  return report;
}

ModuleReport load_gpu_module(Runtime& runtime) {
  const std::string wanted = wanted_device();
  if (wanted == "cpu") return failure("cuda", "left out: COHORT_DEVICE is cpu");
  const ModuleReport report = load_if_driver(runtime);
  if (wanted == "gpu" && report.num_devices == 0)
    throw FailedPrecondition("COHORT_DEVICE: got gpu, but {}", report.detail);
  return report;
}

}  // namespace cohort
