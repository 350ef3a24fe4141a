// Ops in the order of the body. Each leaves its value in the vector registers; the next one goes on
// with it where it is one of its operands, and what is wanted later is stored. A product that one
// sum or quotient alone wants is made there, so that it need not be stored.
#include "cohort/kernels/cpu/vector/element_code.h"

#include <algorithm>
#include <map>

#include "cohort/core/graph/op.h"
#include "cohort/kernels/cpu/body_update.h"

namespace cohort::cpu::vector {
namespace {

struct UnaryName {
  std::string_view name;
  ElementOp op;
};
constexpr UnaryName kUnary[] = {{"Neg", ElementOp::kNeg},
                                {"Abs", ElementOp::kAbs},
                                {"Sign", ElementOp::kSign},
                                {"Square", ElementOp::kSquare},
                                {"Sqrt", ElementOp::kSqrt},
                                {"Rsqrt", ElementOp::kRsqrt},
                                {"Reciprocal", ElementOp::kReciprocal}};

struct BinaryName {
  std::string_view name;
  ElementOp of_first, of_second;  ///< where the first, or the second operand is in registers
};
constexpr BinaryName kBinary[] = {
    {"Add", ElementOp::kAdd, ElementOp::kAdd},
    {"Sub", ElementOp::kSub, ElementOp::kSubFrom},
    {"Mul", ElementOp::kMul, ElementOp::kMul},
    {"Div", ElementOp::kDiv, ElementOp::kDivInto},
    {"Maximum", ElementOp::kMaximum, ElementOp::kMaximumOf},
    {"Minimum", ElementOp::kMinimum, ElementOp::kMinimumOf},
    {"SquaredDifference", ElementOp::kSquaredDifference, ElementOp::kSquaredDifference}};

template <class Names>
auto find(const Names& names, std::string_view name) {
  const auto found = std::find_if(std::begin(names), std::end(names),
                                  [&](const auto& entry) { return entry.name == name; });
  return found == std::end(names) ? nullptr : found;
}

/// What takes the product of two operands for its first or second one; none: kEnd.
struct ProductName {
  std::string_view name;
  ElementOp first, second;
};
constexpr ProductName kOfProduct[] = {{"Add", ElementOp::kPlusProduct, ElementOp::kPlusProduct},
                                      {"Sub", ElementOp::kProductMinus, ElementOp::kMinusProduct},
                                      {"Div", ElementOp::kProductOver, ElementOp::kEnd}};

class Compiler {
 public:
  Compiler(const Graph& body, size_t num_arrays)
      : body_(body), num_arrays_(num_arrays), of_elements_(made_of_elements(body, num_arrays)) {}

  std::optional<ElementCode> compile() {
    if (!find_ops() || !find_results()) return {};
    take_products();
    find_last_uses();
    for (at_ = 0; at_ < ops_.size(); ++at_)
      if (!add(ops_[at_])) return {};
    for (const auto& [array, node] : late_) {
      emit(ElementOp::kLoad, *node);
      emit_store({Kind::kArray, array});
    }
    steps_.push_back({ElementOp::kEnd, {}, {}});
    return finished();
  }

 private:
  enum class Kind { kArray, kTemporary, kNumber };
  struct Place {
    Kind kind = Kind::kArray;
    size_t index = 0;
  };
  struct Step {
    ElementOp op;
    Place b, c;
  };
  /// An op of the body. With `of_product`, the first of its inputs and the product of the others.
  struct Op {
    const Node* node;
    std::vector<const Node*> inputs;
    std::optional<ElementOp> of_product = {};
  };
  static constexpr size_t kEnd = SIZE_MAX;

  bool is_element(const Node& node) const { return of_elements_[static_cast<size_t>(node.id())]; }
  const Node& results() const { return *body_.nodes().back(); }

  bool find_ops() {
    const DType dtype = body_.placeholders()[0]->output_types()[0].dtype;
    for (size_t i = 0; i < num_arrays_; ++i) {
      place_[body_.placeholders()[i]] = {Kind::kArray, i};
      last_use_[body_.placeholders()[i]] = 0;
    }
    for (const auto& node : body_.nodes()) {
      if (node.get() == &results() || !is_element(*node)) continue;
      if (node->output_types()[0].dtype != dtype) return false;
      for (const Value& input : node->inputs())
        if (input.dtype() != dtype && (is_element(*input.node()) || input.dtype() != DType::kBool))
          return false;
      if (place_.contains(node.get())) continue;
      ops_.push_back({node.get(), {}});
      for (const Value& input : node->inputs()) ops_.back().inputs.push_back(input.node());
    }
    return true;
  }

  bool find_results() {
    for (size_t i = 0; i < results().inputs().size(); ++i) {
      const Node* node = results().inputs()[i].node();
      const Node* old = body_.placeholders()[i + 1];
      if (node == old) continue;
      if (place_.contains(node)) return false;  // placeholders change places
      wanted_[node].push_back(i + 1);
    }
    return true;
  }

  /// Ops that want the value; one twice, if it does so twice.
  std::vector<size_t> users(const Node* node) const {
    std::vector<size_t> users;
    for (size_t at = 0; at < ops_.size(); ++at)
      for (const Node* input : ops_[at].inputs)
        if (input == node) users.push_back(at);
    return users;
  }

  void take_products() {
    for (size_t at = 0; at < ops_.size(); ++at) {
      const Op product = ops_[at];
      if (product.of_product || product.node->op_name() != "Mul" || wanted_.contains(product.node))
        continue;
      const std::vector<size_t> of = users(product.node);
      if (of.size() != 1 || ops_[of[0]].of_product) continue;
      Op& user = ops_[of[0]];
      const auto* taker = find(kOfProduct, user.node->op_name());
      if (!taker) continue;
      const bool first = user.inputs[0] == product.node;
      const ElementOp op = first ? taker->first : taker->second;
      const Node* other = user.inputs[first ? 1 : 0];
      // What is in registers is best used from there.
      const bool goes_on =
          at > 0 && of[0] == at + 1 &&
          std::count(product.inputs.begin(), product.inputs.end(), ops_[at - 1].node) > 0;
      if (op == ElementOp::kEnd || goes_on || !is_element(*other)) continue;
      user.inputs = {other, product.inputs[0], product.inputs[1]};
      user.of_product = op;
      ops_.erase(ops_.begin() + static_cast<std::ptrdiff_t>(at--));
    }
  }

  void find_last_uses() {
    for (size_t at = 0; at < ops_.size(); ++at)
      for (const Node* input : ops_[at].inputs) last_use_[input] = at;
  }

  bool add(const Op& op) {
    const Node& node = *op.node;
    const std::vector<const Node*>& in = op.inputs;
    if (op.of_product) {
      load(*in[0]);
      emit(*op.of_product, *in[1], *in[2]);
    } else if (const auto* unary = find(kUnary, node.op_name())) {
      load(*in[0]);
      emit(unary->op);
    } else if (const auto* binary = find(kBinary, node.op_name())) {
      if (in[0] == in[1] && binary->of_first == ElementOp::kMul) {
        load(*in[0]);
        emit(ElementOp::kSquare);
      } else if (held_ == in[1]) {
        emit(binary->of_second, *in[0]);
      } else {
        load(*in[0]);
        emit(binary->of_first, *in[1]);
      }
    } else if (node.op_name() == "Fma") {
      add_fma(in);
    } else if (node.op_name() == "Select" && !is_element(*in[0])) {
      if (held_ == in[2]) {
        emit(ElementOp::kChooseOther, *in[0], *in[1]);
      } else {
        load(*in[1]);
        emit(ElementOp::kChoose, *in[0], *in[2]);
      }
    } else {
      return false;
    }
    held_ = &node;
    keep(node);
    return true;
  }

  void add_fma(const std::vector<const Node*>& in) {
    if (held_ == in[2] && held_ != in[0] && held_ != in[1])
      return emit(ElementOp::kFmaOf, *in[0], *in[1]);
    if (held_ == in[1] && held_ != in[0]) return emit(ElementOp::kFma, *in[0], *in[2]);
    load(*in[0]);
    emit(ElementOp::kFma, *in[1], *in[2]);
  }

  void load(const Node& node) {
    if (held_ != &node) emit(ElementOp::kLoad, node);
  }
  void emit(ElementOp op) { steps_.push_back({op, {}, {}}); }
  void emit(ElementOp op, const Node& b) { steps_.push_back({op, place_of(b), {}}); }
  void emit(ElementOp op, const Node& b, const Node& c) {
    steps_.push_back({op, place_of(b), place_of(c)});
  }
  void emit_store(Place to) { steps_.push_back({ElementOp::kStore, to, {}}); }

  Place place_of(const Node& node) {
    if (const auto found = place_.find(&node); found != place_.end()) return found->second;
    numbers_.push_back(&node);
    return place_[&node] = {Kind::kNumber, numbers_.size() - 1};
  }

  /// Whether only the next op wants the value, and finds it in the registers.
  bool passes_on(const Node& node) const {
    if (wanted_.contains(&node)) return false;
    if (!last_use_.contains(&node)) return true;  // nobody
    if (last_use_.at(&node) != at_ + 1) return false;
    const Op& next = ops_[at_ + 1];
    const auto uses = std::count(next.inputs.begin(), next.inputs.end(), &node);
    if (next.of_product) return uses == 1 && next.inputs[0] == &node;
    return uses == 1 || (uses == 2 && next.node->op_name() == "Mul");
  }

  /// Stores what was made, where others than the next op want it.
  void keep(const Node& node) {
    for (const Node* input : ops_[at_].inputs)
      if (const auto found = place_.find(input); found != place_.end() &&
                                                 found->second.kind == Kind::kTemporary &&
                                                 last_use_.at(input) == at_) {
        free_.push_back(found->second.index);
        place_.erase(found);
      }
    if (passes_on(node)) return;
    std::vector<size_t> later;
    for (const size_t array : wanted_.contains(&node) ? wanted_.at(&node) : std::vector<size_t>{}) {
      if (last_use_.at(body_.placeholders()[array]) > at_) {
        later.push_back(array);
        continue;
      }
      emit_store({Kind::kArray, array});
      place_[&node] = {Kind::kArray, array};
    }
    if (place_.contains(&node) && later.empty()) return;
    if (!place_.contains(&node)) {
      if (free_.empty()) free_.push_back(num_temporaries_++);
      place_[&node] = {Kind::kTemporary, free_.back()};
      free_.pop_back();
      emit_store(place_[&node]);
    }
    if (!later.empty()) last_use_[&node] = kEnd;
    for (const size_t array : later) late_.push_back({array, &node});
  }

  ElementCode finished() const {
    const auto operand = [&](Place place) -> ElementCode::Operand {
      const size_t begin = place.kind == Kind::kArray       ? 0
                           : place.kind == Kind::kTemporary ? num_arrays_
                                                            : num_arrays_ + num_temporaries_;
      return {begin + place.index, place.kind == Kind::kNumber};
    };
    ElementCode code{{}, num_temporaries_, numbers_};
    for (const Step& step : steps_)
      code.steps.push_back({step.op, operand(step.b), operand(step.c)});
    return code;
  }

  const Graph& body_;
  size_t num_arrays_;
  std::vector<bool> of_elements_;
  std::vector<Op> ops_;
  std::map<const Node*, size_t> last_use_;             ///< by position among ops_
  std::map<const Node*, std::vector<size_t>> wanted_;  ///< arrays that values become
  std::vector<std::pair<size_t, const Node*>> late_;   ///< of these, behind all ops
  size_t at_ = 0;
  const Node* held_ = nullptr;  ///< in registers
  std::map<const Node*, Place> place_;
  std::vector<const Node*> numbers_;
  std::vector<size_t> free_;
  size_t num_temporaries_ = 0;
  std::vector<Step> steps_;
};

}  // namespace

std::optional<ElementCode> element_code_of(const Graph& body, size_t num_arrays) {
  return Compiler(body, num_arrays).compile();
}

}  // namespace cohort::cpu::vector
