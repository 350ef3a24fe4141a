#include "cohort/cluster/http.h"

#include "cohort/core/error.h"
#include "cohort/core/runtime/module.h"

namespace cohort::cluster {

HttpModule http_module() {
  std::string problem;
  void* entry = module_symbol("http", kHttpEntry, problem);
  if (!entry)
    throw FailedPrecondition(
        "metrics: serving them needs cpp-httplib, which this build of Cohort is without ({}); "
        "configure with COHORT_HTTP=ON",
        problem);
  HttpModule module;
  reinterpret_cast<HttpEntry>(entry)(module);
  return module;
}

}  // namespace cohort::cluster
