#include "cohort/kernels/cuda/element_program_of.h"

#include <map>
#include <set>

#include "cohort/core/error.h"
#include "cohort/core/graph/op.h"
#include "cohort/kernels/cuda/elementwise_names.h"

namespace cohort::cuda {
namespace {

using Kind = ElementStep::Kind;

/// What an op is to the kernel, if it has it; of a Cast only what rounds.
std::optional<ElementStep> step_of(const Node& node) {
  const std::string_view name = node.op_name();
  ElementStep step = {};
  const auto of = [&](Kind kind, auto op) {
    step.kind = kind;
    step.op = static_cast<uint8_t>(op);
    return step;
  };
  if (const auto unary = find_op(unary_ops(), name)) return of(Kind::kUnary, *unary);
  if (const auto binary = find_op(binary_ops(), name)) return of(Kind::kBinary, *binary);
  if (const auto compare = find_op(compare_ops(), name)) return of(Kind::kCompare, *compare);
  if (name == "LogicalNot") return of(Kind::kNot, 0);
  if (name == "IsFinite") return of(Kind::kIsFinite, 0);
  if (name == "Select") return of(Kind::kSelect, 0);
  if (name == "Fma") return of(Kind::kFma, 0);
  if (name == "Cast") return of(Kind::kRound, node.output_types()[0].dtype);
  return {};
}

class Compiler {
 public:
  Compiler(const Node& update, size_t num_arrays)
      : name_(update.attrs().get_or<std::string>("update", update.name())),
        body_(*update.attrs().get<std::shared_ptr<const Graph>>("body")) {
    if (num_arrays > UpdateSegment::kMaxArrays)
      refuse(fmt::format("{} slots", num_arrays - 2),
             fmt::format("at most {}", UpdateSegment::kMaxArrays - 2));
    const DType dtype = body_.placeholders()[0]->output_types()[0].dtype;
    computed_in_ = size_of(dtype) == 2 ? DType::kF32 : dtype;
    program_.num_arrays = static_cast<int>(num_arrays);
    program_.decays = !update.attrs().get<std::vector<double>>("weight_decay").empty();
    place_inputs();
    find_constants();
    find_last_uses();
    for (const auto& node : body_.nodes())
      if (!place_.contains(node.get()) && node.get() != &results()) add(*node);
    place_results();
  }

  const ElementProgram& program() const { return program_; }

 private:
  [[noreturn]] void refuse(const std::string& got, const std::string& want) const {
    throw Unimplemented("{}: got {} in the body of an update on a GPU; want {}", name_, got, want);
  }
  void want_at_most(int count, int limit, std::string_view what) const {
    if (count > limit) refuse(fmt::format("{} {}", count, what), fmt::format("at most {}", limit));
  }

  const Node& results() const { return *body_.nodes().back(); }

  void place_inputs() {
    const auto& placeholders = body_.placeholders();
    const auto arrays = static_cast<size_t>(program_.num_arrays);
    for (size_t i = 0; i < arrays; ++i) {
      place_[placeholders[i]] = new_register();
      of_elements_.insert(placeholders[i]);
    }
    size_t next = arrays;
    const Node* decay = program_.decays ? placeholders[next++] : nullptr;
    program_.num_given = static_cast<int>(placeholders.size() - next);
    for (; next < placeholders.size(); ++next) place_[placeholders[next]] = new_number();
    if (decay) place_[decay] = new_number();
  }

  void find_constants() {
    for (const auto& node : body_.nodes()) {
      if (!node->inputs().empty() || !node->op().uniform_value) continue;
      const std::optional<double> value = node->op().uniform_value(*node);
      if (!value) continue;  // an op that is refused
      want_at_most(program_.num_constants + 1, ElementProgram::kMaxConstants, "constants");
      program_.constants[program_.num_constants++] = *value;
      place_[node.get()] = new_number();
    }
  }

  /// Where the value of a Cast that loses nothing comes from.
  const Node* origin(const Node* node) const {
    while (node->op_name() == "Cast" && !rounds(*node)) node = node->inputs()[0].node();
    return node;
  }
  bool rounds(const Node& cast) const {
    const DType from = cast.inputs()[0].node()->output_types()[0].dtype;
    const DType to = cast.output_types()[0].dtype;
    const bool known =
        (is_floating(from) || from == DType::kBool) && (is_floating(to) || to == DType::kBool);
    if (!known) refuse(fmt::format("a cast of {} to {}", from, to), "floating numbers and bool");
    if (from == DType::kBool || from == to) return false;
    return to == DType::kBool || size_of(to) <= size_of(from);
  }

  void find_last_uses() {
    for (const auto& node : body_.nodes())
      for (const Value& input : node->inputs()) last_use_[origin(input.node())] = node.get();
  }

  void add(const Node& node) {
    const Node* from = origin(&node);
    if (from != &node) {
      place_[&node] = place_.at(from);
      return;
    }
    std::optional<ElementStep> step = step_of(node);
    if (!step) refuse(fmt::format("{} ({})", node.op_name(), node.name()), "another op");
    bool element = false;
    for (size_t i = 0; i < node.inputs().size(); ++i) {
      const Node* input = origin(node.inputs()[i].node());
      element = element || of_elements_.contains(input);
      step->from[i] = place_.at(input);
    }
    check_dtypes(node, element);
    element ? add_element(node, *step) : add_number(node, *step);
  }

  /// Numbers are computed in f32 or f64 as they are; elements in one of them.
  void check_dtypes(const Node& node, bool element) const {
    const auto check = [&](DType dtype) {
      const bool right = dtype == DType::kBool || dtype == computed_in_ ||
                         (!element && (dtype == DType::kF32 || dtype == DType::kF64));
      if (!right)
        refuse(fmt::format("{} of {} ({})", node.op_name(), dtype, node.name()),
               fmt::format("{} or bool", computed_in_));
    };
    if (node.op_name() == "Cast") {
      if (element && size_of(node.output_types()[0].dtype) > size_of(computed_in_))
        check(node.output_types()[0].dtype);
      return;
    }
    check(node.output_types()[0].dtype);
    for (const Value& input : node.inputs()) check(input.dtype());
  }

  void add_number(const Node& node, ElementStep step) {
    const DType dtype = node.inputs()[0].dtype();
    step.single = node.op_name() != "Cast" && dtype == DType::kF32;
    step.to = place_[&node] = new_number();
    want_at_most(program_.num_number_steps + 1, ElementProgram::kMaxNumberSteps,
                 "ops on numbers alone");
    program_.number_steps[program_.num_number_steps++] = step;
  }

  void add_element(const Node& node, ElementStep step) {
    std::set<const Node*> inputs;
    for (const Value& input : node.inputs()) inputs.insert(origin(input.node()));
    for (const Node* input : inputs)
      if (of_elements_.contains(input) && last_use_.at(input) == &node)
        free_.insert(place_.at(input));
    of_elements_.insert(&node);
    step.to = place_[&node] = new_register();
    want_at_most(program_.num_steps + 1, ElementProgram::kMaxSteps, "ops");
    program_.steps[program_.num_steps++] = step;
  }

  void place_results() {
    const auto& inputs = results().inputs();
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Node* node = origin(inputs[i].node());
      program_.results[i + 1] = node == body_.placeholders()[i + 1] ? kUnchanged : place_.at(node);
    }
  }

  ElementPlace new_register() {
    if (!free_.empty()) return free_.extract(free_.begin()).value();
    want_at_most(program_.num_registers + 1, ElementProgram::kMaxRegisters, "values at a time");
    return static_cast<ElementPlace>(program_.num_registers++);
  }
  ElementPlace new_number() {
    want_at_most(num_numbers_ + 1, ElementProgram::kMaxNumbers, "numbers");
    return static_cast<ElementPlace>(kNumber + num_numbers_++);
  }

  std::string name_;
  const Graph& body_;
  DType computed_in_;
  ElementProgram program_ = {};
  std::map<const Node*, ElementPlace> place_;
  std::map<const Node*, const Node*> last_use_;
  std::set<const Node*> of_elements_;
  std::set<ElementPlace> free_;
  int num_numbers_ = 0;
};

}  // namespace

ElementProgram element_program_of(const Node& update, size_t num_arrays) {
  return Compiler(update, num_arrays).program();
}

}  // namespace cohort::cuda
