#pragma once

#include <map>
#include <memory>
#include <span>
#include <vector>

#include "cohort/core/graph/graph.h"
#include "cohort/core/runtime/kernel.h"

namespace cohort::cpu::plain {

inline constexpr int64_t kBlockBytes = 4
                                       << 10;  // of one value: several share the first-level cache

/// What a value of a body is to a block of it.
struct BodyPlaces {
  /// By node id: those that lie somewhere, as a block (or one number) sees them. The others, whose
  /// slot is null, are made by the ops.
  std::vector<Operand> operands;
  /// The values wanted, and for each the placeholder in whose memory it is to lie in the end, if
  /// any.
  std::vector<Value> results;
  std::vector<const Node*> overwritten = {};
};

/// The ops of a body of elementwise ops, bound to blocks of one size. One thread runs it at a time.
class BlockProgram {
 public:
  /// Throws Unimplemented where two placeholders are to change places.
  BlockProgram(const KernelRequest& request, const Graph& body, BodyPlaces places,
               const Shape& block, Device& device);

  int num_buffers() const { return num_buffers_; }
  size_t workspace_bytes() const;
  /// Where what lies between the ops goes from now on.
  void use(std::byte* buffers, size_t buffer_bytes, void* workspace);
  /// Where result `i` of the next run goes.
  void set_result(size_t i, void* address) { result_slots_[i] = address; }
  /// Inputs are what the slots of their operands say.
  void run();

  /// Whether result 0 may lie on the memory of this placeholder, whose elements are where the
  /// result's are: whoever reads it runs before the last op, or is the last op and allows it.
  bool can_share(const Graph& body, int input) const;

 private:
  struct Copy {
    void* const* from;
    size_t result;
    size_t bytes;
  };

  bool is_made(const Node& node) const { return position_.contains(&node); }
  void add_op(const KernelRequest& request, const Node& node, const Shape& block, Device& device);
  void find_last_uses();
  bool is_direct(size_t result) const;
  void place_results(const Shape& block);
  void choose_buffers();
  const Node* shared_input(const Node& node, const std::map<const Node*, int>& dying) const;

  BodyPlaces places_;
  std::vector<void*> slots_;  ///< by node id of the body: of what lies between
  std::vector<std::unique_ptr<Kernel>> kernels_;
  std::vector<const Node*> made_;  ///< by them
  std::map<const Node*, size_t> position_, last_use_;
  std::vector<void*> result_slots_;
  std::map<const Node*, size_t> written_as_;       ///< results that their ops write at once
  std::vector<std::pair<void**, size_t>> direct_;  ///< their slots
  std::vector<Copy> copies_;                       ///< the other results, in order
  std::vector<std::pair<void**, int>> buffers_;  ///< slots of what lies between, and their buffers
  int num_buffers_ = 0;
  void* workspace_ = nullptr;
};

/// The bytes of the widest element of a body.
int64_t widest_element(const Graph& body);

}  // namespace cohort::cpu::plain
