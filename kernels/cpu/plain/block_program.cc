// A block goes through all ops of a body before the next is begun, so that what lies between stays
// in the first-level cache. The same kernels as without it, hence the same bits.
#include "cohort/kernels/cpu/plain/block_program.h"

#include <algorithm>
#include <cstring>

#include "cohort/core/graph/op.h"

namespace cohort::cpu::plain {

BlockProgram::BlockProgram(const KernelRequest& request, const Graph& body, BodyPlaces places,
                           const Shape& block, Device& device)
    : places_(std::move(places)),
      slots_(body.nodes().size(), nullptr),
      result_slots_(places_.results.size(), nullptr) {
  places_.overwritten.resize(places_.results.size(), nullptr);
  for (const auto& node : body.nodes())
    if (!places_.operands[static_cast<size_t>(node->id())].slot) {
      position_[node.get()] = made_.size();
      made_.push_back(node.get());
    }
  for (const Node* node : made_) add_op(request, *node, block, device);
  find_last_uses();
  place_results(block);
  choose_buffers();
}

void BlockProgram::add_op(const KernelRequest& request, const Node& node, const Shape& block,
                          Device& device) {
  const auto id = static_cast<size_t>(node.id());
  places_.operands[id] = {node.output_types()[0].dtype, block, &slots_[id], nullptr};
  std::vector<Operand> inputs;
  for (const Value& input : node.inputs())
    inputs.push_back(places_.operands[static_cast<size_t>(input.node()->id())]);
  kernels_.push_back(request.kernels->make({.node = node,
                                            .inputs = inputs,
                                            .outputs = std::span(&places_.operands[id], 1),
                                            .variables = {},
                                            .workspace = &workspace_,
                                            .step = request.step,
                                            .device = device}));
}

// By position; what is wanted in the end, or copied there then, is used behind the last op.
void BlockProgram::find_last_uses() {
  for (size_t at = 0; at < made_.size(); ++at)
    for (const Value& input : made_[at]->inputs()) last_use_[input.node()] = at;
  for (size_t i = 0; i < places_.results.size(); ++i) {
    const Node* node = places_.results[i].node();
    if (!is_made(*node) && node != places_.overwritten[i]) last_use_[node] = made_.size();
  }
}

/// Whether nobody needs the memory of the result any more when its op runs.
bool BlockProgram::is_direct(size_t result) const {
  const Node* node = places_.results[result].node();
  const Node* old = places_.overwritten[result];
  if (!is_made(*node) || written_as_.contains(node)) return false;
  if (!old || !last_use_.contains(old)) return true;
  const size_t at = position_.at(node);
  if (last_use_.at(old) != at) return last_use_.at(old) < at;
  for (size_t i = 0; i < node->inputs().size(); ++i)
    if (node->inputs()[i].node() == old &&
        (node->output_types()[0].dtype != old->output_types()[0].dtype ||
         !kernels_[at]->can_share(0, static_cast<int>(i))))
      return false;
  return true;
}

void BlockProgram::place_results(const Shape& block) {
  std::vector<Copy> of_made;
  for (size_t i = 0; i < places_.results.size(); ++i) {
    const Node& node = *places_.results[i].node();
    if (&node == places_.overwritten[i]) continue;
    if (is_direct(i)) {
      written_as_[&node] = i;
      direct_.push_back({&slots_[static_cast<size_t>(node.id())], i});
      continue;
    }
    const auto bytes =
        static_cast<size_t>(block.num_elements()) * size_of(node.output_types()[0].dtype);
    Copy copy{places_.operands[static_cast<size_t>(node.id())].slot, i, bytes};
    if (is_made(node)) {
      last_use_[&node] = made_.size();
      of_made.push_back(copy);
      continue;
    }
    const auto old = std::find(places_.overwritten.begin(), places_.overwritten.end(), &node);
    if (old != places_.overwritten.end() &&
        !is_made(*places_.results[static_cast<size_t>(old - places_.overwritten.begin())].node()))
      throw Unimplemented("{}: got placeholders that change places ({}); want results of ops",
                          node.graph().nodes().back()->name(), node.name());
    copies_.push_back(copy);  // before anything else overwrites it
  }
  copies_.insert(copies_.end(), of_made.begin(), of_made.end());
}

// In order of the ops: a result takes the buffer of an input that dies there, if its kernel may
// work in place, or one that is free.
void BlockProgram::choose_buffers() {
  std::map<const Node*, int> buffer_of;
  std::vector<int> free;
  for (size_t at = 0; at < made_.size(); ++at) {
    const Node& node = *made_[at];
    std::map<const Node*, int> dying;
    for (const Value& input : node.inputs())
      if (buffer_of.contains(input.node()) && last_use_.at(input.node()) == at)
        dying[input.node()] = buffer_of.at(input.node());
    if (!written_as_.contains(&node)) {
      const Node* shared = shared_input(node, dying);
      if (!shared && free.empty()) free.push_back(num_buffers_++);
      buffer_of[&node] = shared ? dying.at(shared) : free.back();
      if (!shared) free.pop_back();
      if (shared) dying.erase(shared);
      buffers_.push_back({&slots_[static_cast<size_t>(node.id())], buffer_of[&node]});
    }
    for (const auto& [dead, buffer] : dying) free.push_back(buffer);
  }
}

const Node* BlockProgram::shared_input(const Node& node,
                                       const std::map<const Node*, int>& dying) const {
  const Kernel& kernel = *kernels_[position_.at(&node)];
  for (const auto& [dead, buffer] : dying) {
    bool allowed = size_of(dead->output_types()[0].dtype) == size_of(node.output_types()[0].dtype);
    for (size_t i = 0; i < node.inputs().size(); ++i)
      if (node.inputs()[i].node() == dead)
        allowed = allowed && kernel.can_share(0, static_cast<int>(i));
    if (allowed) return dead;
  }
  return nullptr;
}

size_t BlockProgram::workspace_bytes() const {
  size_t bytes = 0;
  for (const auto& kernel : kernels_) bytes = std::max(bytes, kernel->workspace_bytes());
  return bytes;
}

void BlockProgram::use(std::byte* buffers, size_t buffer_bytes, void* workspace) {
  for (const auto& [slot, buffer] : buffers_)
    *slot = buffers + static_cast<size_t>(buffer) * buffer_bytes;
  workspace_ = workspace;
}

void BlockProgram::run() {
  for (const auto& [slot, result] : direct_) *slot = result_slots_[result];
  for (const auto& kernel : kernels_) kernel->run();
  for (const Copy& copy : copies_) std::memcpy(result_slots_[copy.result], *copy.from, copy.bytes);
}

bool BlockProgram::can_share(const Graph& body, int input) const {
  const Node& last = *made_.back();
  const Node* placeholder = body.placeholders()[static_cast<size_t>(input)];
  for (size_t i = 0; i < last.inputs().size(); ++i)
    if (last.inputs()[i].node() == placeholder &&
        !kernels_.back()->can_share(0, static_cast<int>(i)))
      return false;
  return true;
}

int64_t widest_element(const Graph& body) {
  size_t bytes = 1;
  for (const auto& node : body.nodes())
    for (const TensorType& type : node->output_types())
      bytes = std::max(bytes, size_of(type.dtype));
  return static_cast<int64_t>(bytes);
}

}  // namespace cohort::cpu::plain
