#pragma once

#include <nccl.h>

#include <optional>

#include "cohort/core/dtype.h"
#include "cohort/core/error.h"
#include "cohort/core/ops/collective.h"

namespace cohort::cuda {

Code code_of(ncclResult_t status);
/// Throws unless `status` is success, or work that a communicator without blocking goes on with.
void check(ncclResult_t status, const char* where);

/// Nothing for a dtype that NCCL does not reduce.
std::optional<ncclDataType_t> data_type(DType dtype);
/// Not of a mean, which NCCL divides by ranks.
ncclRedOp_t library_op(ops::ReduceOp op);

/// NCCL's calls of this thread become one operation. An exception in between leaves no open group,
/// which would swallow the thread's later calls.
class CallGroup {
 public:
  CallGroup() { check(ncclGroupStart(), "ncclGroupStart"); }
  ~CallGroup() {
    if (open_) (void)ncclGroupEnd();
  }
  CallGroup(const CallGroup&) = delete;
  CallGroup& operator=(const CallGroup&) = delete;

  /// Submits them. Throws what NCCL says.
  void end() {
    open_ = false;
    check(ncclGroupEnd(), "ncclGroupEnd");
  }

 private:
  bool open_ = true;
};

}  // namespace cohort::cuda
