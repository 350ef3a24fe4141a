#include <cstring>
#include <optional>

#include "cohort/core/graph/op.h"
#include "cohort/core/graph/serialize.h"
#include "cohort/core/wire/protobuf.h"

namespace cohort {
namespace {

using wire::Reader;

constexpr std::string_view kWhere = "graph";
constexpr int kMaxRank = 64;

DType read_dtype(Reader& in) {
  const uint64_t number = in.read_uint();
  if (number > static_cast<uint64_t>(DType::kBool)) in.fail("an unknown dtype", "0 to 8");
  return static_cast<DType>(number);
}

Dim read_dim(Reader in) {
  Dim dim(0);
  while (in.next()) {
    if (in.field() == 1) {
      const uint64_t number = in.read_uint();
      if (number > INT64_MAX) in.fail("a dimension past 2^63", "less");
      dim = Dim(static_cast<int64_t>(number));
    } else if (in.field() == 2) {
      dim = Dim(std::string(in.read_bytes()));
    } else {
      in.skip();
    }
  }
  return dim;
}

Shape read_shape(Reader in) {
  Shape shape;
  while (in.next()) {
    if (in.field() == 1 && shape.rank() == kMaxRank)
      in.fail("a shape of more dimensions", fmt::format("at most {}", kMaxRank));
    if (in.field() == 1)
      shape.push_back(read_dim(in.read_message()));
    else
      in.skip();
  }
  return shape;
}

/// Bytes of a tensor; none when the product does not fit.
std::optional<uint64_t> tensor_bytes(DType dtype, const Shape& shape) {
  uint64_t bytes = size_of(dtype);
  for (const Dim& dim : shape.dims())
    if (dim.is_symbol() ||
        __builtin_mul_overflow(bytes, static_cast<uint64_t>(dim.number()), &bytes))
      return std::nullopt;
  return bytes;
}

Tensor read_tensor(Reader in) {
  DType dtype = DType::kF32;
  Shape shape;
  std::string_view data;
  while (in.next()) {
    switch (in.field()) {
      case 1:
        dtype = read_dtype(in);
        break;
      case 2:
        shape = read_shape(in.read_message());
        break;
      case 3:
        data = in.read_bytes();
        break;
      default:
        in.skip();
    }
  }
  if (tensor_bytes(dtype, shape) != data.size())
    in.fail(fmt::format("{} bytes for a tensor of {} {}", data.size(), dtype_name(dtype),
                        shape.to_string()),
            "as many as its elements take");
  Tensor tensor(dtype, shape);
  if (!data.empty()) std::memcpy(tensor.raw(), data.data(), data.size());
  return tensor;
}

struct VariableHeader {
  DType dtype = DType::kF32;
  Shape shape;
  VariableOptions options;
};

template <class Enum>
Enum read_enum(Reader& in, Enum last) {
  const uint64_t number = in.read_uint();
  if (number > static_cast<uint64_t>(last)) in.fail("an unknown option", "a known one");
  return static_cast<Enum>(number);
}

VariableHeader read_variable(Reader in) {
  VariableHeader v;
  while (in.next()) {
    switch (in.field()) {
      case 1:
        v.options.name = std::string(in.read_bytes());
        break;
      case 2:
        v.dtype = read_dtype(in);
        break;
      case 3:
        v.shape = read_shape(in.read_message());
        break;
      case 4:
        v.options.trainable = in.read_bool();
        break;
      case 5:
        v.options.synchronization = read_enum(in, VariableSynchronization::kOnRead);
        break;
      case 6:
        v.options.aggregation = read_enum(in, VariableAggregation::kOnlyFirstReplica);
        break;
      default:
        in.skip();
    }
  }
  if (!tensor_bytes(v.dtype, v.shape)) in.fail("a variable of unknown size", "numbers");
  return v;
}

class GraphReader {
 public:
  GraphReader(const OpRegistry& ops, const VariableSource& variables)
      : ops_(ops), variables_(variables), graph_(std::make_unique<Graph>(ops)) {}

  std::unique_ptr<Graph> read(Reader in) {
    while (in.next()) {
      if (in.field() == 1)
        add_variable(read_variable(in.read_message()));
      else if (in.field() == 2)
        add_node(in.read_message());
      else
        in.skip();
    }
    return std::move(graph_);
  }

 private:
  struct NodeHeader {
    std::string name, op, device;
    std::vector<uint64_t> inputs, control_inputs;
    Attrs attrs;
    Stage stage = Stage::kForward;
  };

  void add_variable(VariableHeader v) {
    std::shared_ptr<VariableState> state;
    if (variables_) {
      state = variables_(v.dtype, v.shape, v.options);
      if (!state || state->dtype() != v.dtype || state->shape() != v.shape)
        throw InvalidArgument("graph: got another variable for {}; want {} {}", v.options.name,
                              v.dtype, v.shape);
    } else {
      const auto zeros = [dtype = v.dtype, shape = v.shape] { return Tensor(dtype, shape); };
      state = std::make_shared<VariableState>(v.dtype, v.shape, zeros, v.options);
    }
    const size_t number = graph_->variables().size();
    if (graph_->variable_id(state) != static_cast<int64_t>(number))
      throw InvalidArgument("graph: got one variable for {} and for another name; want different",
                            v.options.name);
  }

  void read_attr(Reader in, Attrs& attrs) {
    std::string name;
    std::optional<Attr> value;
    while (in.next()) {
      switch (in.field()) {
        case 1:
          name = std::string(in.read_bytes());
          break;
        case 2:
          value = in.read_bool();
          break;
        case 3:
          value = in.read_sint();
          break;
        case 4:
          value = in.read_double();
          break;
        case 5:
          value = std::string(in.read_bytes());
          break;
        case 6:
          value = read_dtype(in);
          break;
        case 7:
          value = read_shape(in.read_message());
          break;
        case 8:
          value = read_list<int64_t>(in.read_message(), &Reader::read_sints);
          break;
        case 9:
          value = read_list<double>(in.read_message(), &Reader::read_doubles);
          break;
        case 10:
          value = read_strings(in.read_message());
          break;
        case 11:
          value = read_tensor(in.read_message());
          break;
        case 12:
          value = read_graph(in.read_message());
          break;
        default:
          in.skip();
      }
    }
    if (!value) in.fail("an attribute without a value", "one of the fields 2 to 12");
    attrs.set(std::move(name), std::move(*value));
  }

  template <class T>
  static std::vector<T> read_list(Reader in, void (Reader::*read)(std::vector<T>&)) {
    std::vector<T> values;
    while (in.next()) {
      if (in.field() == 1)
        (in.*read)(values);
      else
        in.skip();
    }
    return values;
  }

  static std::vector<std::string> read_strings(Reader in) {
    std::vector<std::string> values;
    while (in.next()) {
      if (in.field() == 1)
        values.emplace_back(in.read_bytes());
      else
        in.skip();
    }
    return values;
  }

  std::shared_ptr<const Graph> read_graph(Reader in) {
    return GraphReader(ops_, variables_).read(in);
  }

  void add_node(Reader in) {
    NodeHeader node;
    while (in.next()) {
      switch (in.field()) {
        case 1:
          node.name = std::string(in.read_bytes());
          break;
        case 2:
          node.op = std::string(in.read_bytes());
          break;
        case 3:
          in.read_uints(node.inputs);
          break;
        case 4:
          in.read_uints(node.control_inputs);
          break;
        case 5:
          read_attr(in.read_message(), node.attrs);
          break;
        case 6:
          node.device = std::string(in.read_bytes());
          break;
        case 7:
          node.stage = read_enum(in, Stage::kCommit);
          break;
        default:
          in.skip();
      }
    }
    ops_.get(node.op);  // NotFound as it is
    try {
      append(node);
    } catch (const Error& error) {
      throw DataLoss("graph: got node {} ({}) that does not hold: {}", node.name, node.op,
                     error.what());
    }
  }

  Node* earlier(uint64_t position) const {
    if (position >= graph_->nodes().size())
      throw DataLoss("input from node {}; want one of the {} before", position,
                     graph_->nodes().size());
    return graph_->nodes()[position].get();
  }

  void append(NodeHeader& header) {
    if (header.inputs.size() % 2 != 0) throw DataLoss("inputs in other than pairs");
    std::vector<Value> inputs;
    for (size_t i = 0; i < header.inputs.size(); i += 2) {
      Node* node = earlier(header.inputs[i]);
      if (header.inputs[i + 1] >= static_cast<uint64_t>(node->num_outputs()))
        throw DataLoss("output {} of {}; want one of {}", header.inputs[i + 1], node->name(),
                       node->num_outputs());
      inputs.emplace_back(node, static_cast<int>(header.inputs[i + 1]));
    }
    std::vector<Node*> control_inputs;
    for (uint64_t position : header.control_inputs) control_inputs.push_back(earlier(position));
    check_variables(header);
    Node* node = graph_->restore(header.op, std::move(inputs), std::move(header.attrs), header.name,
                                 DeviceName::parse(header.device), header.stage);
    for (Node* before : control_inputs) node->add_control_input(before);
  }

  void check_variables(const NodeHeader& header) const {
    if (!header.attrs.has("variables")) return;
    const auto& ids = header.attrs.get<std::vector<int64_t>>("variables");
    const auto known = static_cast<int64_t>(graph_->variables().size());
    for (int64_t id : ids)
      if (id < 0 || id >= known) throw DataLoss("variable {}; want one of {}", id, known);
    if (ops_.get(header.op).source != Source::kVariable) return;
    if (ids.size() != 1) throw DataLoss("a read of {} variables; want 1", ids.size());
    const VariableState& variable = *graph_->variables()[static_cast<size_t>(ids[0])];
    if (header.attrs.get<DType>("dtype") != variable.dtype() ||
        header.attrs.get<Shape>("shape") != variable.shape())
      throw DataLoss("a read of another type than that of variable {}", variable.name());
  }

  const OpRegistry& ops_;
  const VariableSource& variables_;
  std::unique_ptr<Graph> graph_;
};

}  // namespace

std::vector<Tensor> deserialize_tensors(std::string_view bytes, std::string_view where) {
  std::vector<Tensor> tensors;
  Reader in(bytes, where);
  while (in.next()) {
    if (in.field() != 1) in.fail("an unknown field", "tensors");
    tensors.push_back(read_tensor(in.read_message()));
  }
  return tensors;
}

std::unique_ptr<Graph> deserialize(std::string_view bytes, const OpRegistry& ops,
                                   const VariableSource& variables) {
  return GraphReader(ops, variables).read(Reader(bytes, kWhere));
}

}  // namespace cohort
