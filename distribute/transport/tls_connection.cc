#include "cohort/distribute/transport/tls_connection.h"

#include "cohort/core/error.h"
#include "cohort/core/runtime/module.h"

namespace cohort::distribute {

std::shared_ptr<const ConnectionMaker> make_tls_connections(const cluster::TlsKeys& keys,
                                                            uint64_t rekey_bytes) {
  std::string problem;
  void* entry = module_symbol("tls", kTlsEntry, problem);
  if (!entry)
    throw FailedPrecondition(
        "tls: tensors between hosts need OpenSSL, which this build of Cohort is without ({}); "
        "configure with COHORT_TLS=ON",
        problem);
  TlsModule module;
  reinterpret_cast<TlsEntry>(entry)(module);
  return module.make(keys, rekey_bytes);
}

}  // namespace cohort::distribute
