#include "cohort/cluster/grpc/module.h"

extern "C" __attribute__((visibility("default"))) void cohort_rpc_module(
    cohort::cluster::RpcModule& module) {
  module.serve = cohort::cluster::serve_rpc;
  module.connect = cohort::cluster::connect_rpc;
  module.call = cohort::cluster::call_rpc;
  module.hmac_sha256 = cohort::cluster::hmac_sha256;
}
