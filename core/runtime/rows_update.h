#pragma once

#include <memory>
#include <vector>

#include "cohort/core/runtime/kernel.h"

namespace cohort {

/// What the kernels of "RowsUpdate" (core/ops/update_body.h) are made of on any device: the rows of
/// parameter and slots are copied side by side into the workspace, updated there as whole variables
/// by the kernel of "ElementwiseUpdate", with its bits, and copied back. Copying is the device's.
class RowsUpdate {
 public:
  explicit RowsUpdate(const KernelRequest& request);
  RowsUpdate(const RowsUpdate&) = delete;
  RowsUpdate& operator=(const RowsUpdate&) = delete;

  int64_t num_rows() const { return indices_.num_elements(); }  ///< M, those that are not there too
  int64_t table_rows() const { return tables_[0].shape.size(0); }
  size_t row_bytes() const { return row_bytes_; }
  const Operand& indices() const { return indices_; }  ///< i32 [M]
  const Operand& apply() const { return apply_; }
  /// Parameter and slots.
  const std::vector<Operand>& tables() const { return tables_; }

  size_t workspace_bytes() const;
  /// From now on the rows are there.
  void use(void* workspace);
  /// [M, row], of tables()[k].
  std::byte* rows(size_t k) const { return static_cast<std::byte*>(places_[k]); }
  /// Updates the rows, all M of them, unless apply is false.
  void run() { update_->run(); }

 private:
  size_t table_bytes() const;

  Operand indices_, apply_;
  std::vector<Operand> tables_;
  size_t row_bytes_;
  std::vector<void*> places_;
  void* workspace_of_update_ = nullptr;
  Graph graph_;  ///< of the update alone
  std::unique_ptr<Kernel> update_;
};

}  // namespace cohort
