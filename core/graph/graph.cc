#include "cohort/core/graph/graph.h"

#include <unordered_map>

#include "cohort/core/graph/op.h"
#include "cohort/core/graph/scope.h"
#include "cohort/core/graph/variable.h"

namespace cohort {

namespace {

Stage stage_of(const OpDef& op, Stage recorded) {
  return op.kind == OpKind::kUpdate ? Stage::kCommit : recorded;
}

}  // namespace

Graph& Value::graph() const {
  if (!node_) throw FailedPrecondition("value: got an empty handle; want a value of a graph");
  return node_->graph();
}

const TensorType& Value::type() const {
  if (!node_) throw FailedPrecondition("value: got an empty handle; want a value of a graph");
  return node_->output_types()[static_cast<size_t>(index_)];
}

double Value::item() const {
  throw FailedPrecondition(
      "{}: a symbolic value has no number while a function is traced; return it from the function "
      "and read the result",
      node_ ? node_->name() : "value");
}

Value::operator bool() const {
  throw FailedPrecondition(
      "{}: a symbolic value cannot steer C++ control flow; use ops::where, or decide on C++ values",
      node_ ? node_->name() : "value");
}

const std::string& Node::op_name() const { return op_->name; }

void Node::add_control_input(Node* node) { control_inputs_.push_back(node); }
void Node::set_device(DeviceName device) { device_ = std::move(device); }

struct Graph::Index {
  std::unordered_map<const VariableState*, int64_t> variable_ids;
  std::unordered_map<int64_t, Node*> reads;  // by number of the variable
  std::unordered_map<std::string, Node*> by_name;
  std::unordered_map<std::string, int> name_counts;
};

Graph::Graph(const OpRegistry& ops) : ops_(&ops), index_(std::make_unique<Index>()) {}
Graph::~Graph() = default;

Node* Graph::add(std::string_view op_name, std::vector<Value> inputs, Attrs attrs,
                 NodeOptions options) {
  const OpDef& op = ops_->get(op_name);
  const std::string& scope = current_name_scope();
  const std::string where = options.name.empty() ? scope : options.name;
  std::vector<TensorType> types;
  for (const Value& input : inputs) {
    if (!input.defined()) throw InvalidArgument("{}: {}: got an empty value", where, op.name);
    if (&input.graph() != this)
      throw InvalidArgument("{}: {}: got value {} of another graph; want values of this graph",
                            where, op.name, input.node()->name());
    types.push_back(input.type());
  }
  if (op.num_inputs >= 0 && static_cast<int>(inputs.size()) != op.num_inputs)
    throw InvalidArgument("{}: {}: got {} inputs; want {}", where, op.name, inputs.size(),
                          op.num_inputs);
  auto node = std::make_unique<Node>();
  try {
    node->output_types_ = op.infer(InferContext(types, attrs));
  } catch (const Error& error) {
    if (where.empty()) throw;
    throw error.within(where);
  }
  std::string name = options.name.empty() ? op.name : options.name;
  node->op_ = &op;
  node->attrs_ = std::move(attrs);
  node->inputs_ = std::move(inputs);
  node->control_inputs_ = std::move(options.control_inputs);
  node->device_ = current_device_scope();
  node->stage_ = stage_of(op, current_stage_scope());
  return append(std::move(node), scope.empty() ? name : scope + "/" + name);
}

Node* Graph::append(std::unique_ptr<Node> node, std::string name) {
  node->name_ = unique_name(name);
  node->id_ = static_cast<int>(nodes_.size());
  node->graph_ = this;
  index_->by_name[node->name_] = node.get();
  nodes_.push_back(std::move(node));
  return nodes_.back().get();
}

Node* Graph::append_as_is(const OpDef& op, std::vector<Value> inputs, Attrs attrs, std::string name,
                          DeviceName device, Stage stage) {
  std::vector<TensorType> types;
  for (const Value& input : inputs) types.push_back(input.type());
  auto node = std::make_unique<Node>();
  try {
    node->output_types_ = op.infer(InferContext(types, attrs));
  } catch (const Error& error) {
    throw error.within(name);
  }
  node->op_ = &op;
  node->attrs_ = std::move(attrs);
  node->inputs_ = std::move(inputs);
  node->device_ = std::move(device);
  node->stage_ = stage_of(op, stage);
  Node* appended = append(std::move(node), std::move(name));
  if (op.source == Source::kInput) placeholders_.push_back(appended);
  if (op.source == Source::kVariable)
    index_->reads[appended->attrs_.get<std::vector<int64_t>>("variables").front()] = appended;
  return appended;
}

Node* Graph::copy_node(const Node& source, std::vector<Value> inputs, Attrs attrs) {
  return append_as_is(source.op(), std::move(inputs), std::move(attrs), source.name(),
                      source.device(), source.stage());
}

Node* Graph::add_like(const Node& source, std::string_view op, std::vector<Value> inputs,
                      Attrs attrs) {
  return append_as_is(ops_->get(op), std::move(inputs), std::move(attrs), source.name(),
                      source.device(), source.stage());
}

Node* Graph::restore(std::string_view op_name, std::vector<Value> inputs, Attrs attrs,
                     std::string name, DeviceName device, Stage stage) {
  const OpDef& op = ops_->get(op_name);
  if (op.num_inputs >= 0 && static_cast<int>(inputs.size()) != op.num_inputs)
    throw InvalidArgument("{}: {}: got {} inputs; want {}", name, op.name, inputs.size(),
                          op.num_inputs);
  if (find(name)) throw AlreadyExists("graph: got two nodes named {}; want different names", name);
  if (stage == Stage::kCommit && op.kind != OpKind::kUpdate)
    throw InvalidArgument("{}: got the commit stage for op {}; want an op that updates variables",
                          name, op.name);
  return append_as_is(op, std::move(inputs), std::move(attrs), std::move(name), std::move(device),
                      stage);
}

void Graph::share_variables(const Graph& other) {
  COHORT_CHECK(nodes_.empty() && variables_.empty());
  variables_ = other.variables_;
  index_->variable_ids = other.index_->variable_ids;
}

Value Graph::placeholder(std::string name, TensorType type) {
  Node* node = add("Placeholder", {}, {{"dtype", type.dtype}, {"shape", type.shape}},
                   {.name = std::move(name)});
  placeholders_.push_back(node);
  return node->output();
}

int64_t Graph::variable_id(const std::shared_ptr<VariableState>& variable) {
  COHORT_CHECK(variable != nullptr);
  const auto [it, inserted] =
      index_->variable_ids.emplace(variable.get(), static_cast<int64_t>(variables_.size()));
  if (inserted) variables_.push_back(variable);
  return it->second;
}

Value Graph::read(const std::shared_ptr<VariableState>& variable) {
  const int64_t id = variable_id(variable);
  Node*& node = index_->reads[id];
  if (!node)
    node = add("ReadVariable", {},
               {{"variables", std::vector<int64_t>{id}},
                {"dtype", variable->dtype()},
                {"shape", variable->shape()}},
               {.name = "read/" + variable->name()});
  return node->output();
}

Node* Graph::find(std::string_view name) const {
  const auto it = index_->by_name.find(std::string(name));
  return it == index_->by_name.end() ? nullptr : it->second;
}

std::vector<Node*> Graph::commit_nodes() const {
  std::vector<Node*> commits;
  for (const auto& node : nodes_)
    if (node->stage() == Stage::kCommit) commits.push_back(node.get());
  return commits;
}

std::string Graph::unique_name(const std::string& name) {
  int& count = index_->name_counts[name];
  std::string unique = count == 0 ? name : name + "_" + std::to_string(count);
  while (index_->by_name.count(unique)) unique = name + "_" + std::to_string(++count);
  ++count;
  return unique;
}

}  // namespace cohort
