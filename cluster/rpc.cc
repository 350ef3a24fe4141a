#include "cohort/cluster/rpc.h"

#include "cohort/core/error.h"
#include "cohort/core/runtime/module.h"

namespace cohort::cluster {

RpcModule rpc_module() {
  std::string problem;
  void* entry = module_symbol("grpc", kRpcEntry, problem);
  if (!entry)
    throw FailedPrecondition(
        "cluster: several processes need gRPC, which this build of Cohort is without ({}); "
        "configure with COHORT_GRPC=ON",
        problem);
  RpcModule module;
  reinterpret_cast<RpcEntry>(entry)(module);
  return module;
}

}  // namespace cohort::cluster
