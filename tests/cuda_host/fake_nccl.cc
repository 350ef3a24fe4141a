#include "tests/cuda_host/fake_nccl.h"

#include <nccl.h>

#include <cstdlib>
#include <memory>

namespace cohort::testing {
namespace {

std::unique_ptr<FakeNccl>& nccl_instance() {
  static std::unique_ptr<FakeNccl> fake = std::make_unique<FakeNccl>();
  return fake;
}

}  // namespace

FakeNccl& fake_nccl() { return *nccl_instance(); }
void reset_fake_nccl() { nccl_instance() = std::make_unique<FakeNccl>(); }

}  // namespace cohort::testing

using cohort::testing::fake_nccl;

namespace {

ncclComm_t new_comm() {
  ++fake_nccl().live;
  return static_cast<ncclComm_t>(std::malloc(8));
}

ncclResult_t end_comm(ncclComm_t comm) {
  --fake_nccl().live;
  std::free(comm);
  return ncclSuccess;
}

}  // namespace

extern "C" {

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  *id = {};
  return ncclSuccess;
}
ncclResult_t ncclCommInitAll(ncclComm_t* comms, int count, const int*) {
  if (fake_nccl().init_fails) return ncclUnhandledCudaError;
  ++fake_nccl().inits;
  for (int i = 0; i < count; ++i) comms[i] = new_comm();
  return ncclSuccess;
}
ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int, ncclUniqueId, int, ncclConfig_t*) {
  ++fake_nccl().inits;
  *comm = new_comm();
  return ncclSuccess;
}
ncclResult_t ncclCommAbort(ncclComm_t comm) {
  ++fake_nccl().aborts;
  if (fake_nccl().during_abort) fake_nccl().during_abort();
  return end_comm(comm);
}
ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  ++fake_nccl().destroys;
  return end_comm(comm);
}
ncclResult_t ncclCommFinalize(ncclComm_t) { return ncclSuccess; }
ncclResult_t ncclCommGetAsyncError(ncclComm_t, ncclResult_t* state) {
  *state = ncclSuccess;
  return ncclSuccess;
}
const char* ncclGetErrorString(ncclResult_t) { return "a fake result"; }
const char* ncclGetLastError(ncclComm_t) { return ""; }
ncclResult_t ncclGroupStart() {
  ++fake_nccl().open_groups;
  return ncclSuccess;
}
ncclResult_t ncclGroupEnd() {
  --fake_nccl().open_groups;
  return ncclSuccess;
}
ncclResult_t ncclAllReduce(const void*, void*, size_t, ncclDataType_t, ncclRedOp_t, ncclComm_t,
                           cudaStream_t) {
  return ncclSuccess;
}
ncclResult_t ncclSend(const void*, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t) {
  return ncclSuccess;
}
ncclResult_t ncclRecv(void*, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t) {
  return ncclSuccess;
}

}  // extern "C"
