#include "cohort/checkpoint/function_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <unordered_map>

#include "cohort/checkpoint/checked_message.h"
#include "cohort/checkpoint/safetensors.h"
#include "cohort/core/graph/op.h"
#include "cohort/core/runtime/splice.h"
#include "cohort/core/version.h"

namespace cohort::checkpoint {
namespace {

constexpr MessageKind kFunctions{.magic = 0x4e4654524f484f43,
                                 .what = "an exported function's file"};  // "COHORTFN"

std::string text_of(const Dim& dim) {
  return dim.is_symbol() ? dim.symbol() : std::to_string(dim.number());
}

wire::Writer write(const NamedType& value) {
  wire::Writer out;
  out.write_bytes(1, value.name);
  out.write_bytes(2, safetensors_dtype(value.type.dtype));
  for (const Dim& dim : value.type.shape.dims()) out.write_bytes(3, text_of(dim));
  return out;
}

wire::Writer write(const StoredFunction& function) {
  std::unordered_map<const Node*, uint64_t> positions;
  for (const Node* node : topological_order(*function.graph))
    positions.emplace(node, positions.size());
  std::vector<uint64_t> results;
  for (const Value& result : function.results) {
    results.push_back(positions.at(result.node()));
    results.push_back(static_cast<uint64_t>(result.index()));
  }
  wire::Writer out;
  out.write_bytes(1, function.description.name);
  for (const NamedType& input : function.description.inputs) out.write_message(2, write(input));
  for (const NamedType& output : function.description.outputs) out.write_message(3, write(output));
  out.write_packed_uint(4, results);
  out.write_bytes(5, serialize(*function.graph));
  return out;
}

Dim read_dim(wire::Reader& in) {
  const std::string_view text = in.read_bytes();
  if (text.empty()) in.fail("an empty dimension", "a number or a symbol");
  if (text.front() < '0' || text.front() > '9') return Dim(std::string(text));
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), number);
  if (error == std::errc() && end == text.end()) return Dim(number);
  if (error != std::errc() || *end != '*')  // "2*N" is a symbol
    in.fail(fmt::format("dimension \"{}\"", text.substr(0, 40)), "a number or a symbol");
  return Dim(std::string(text));
}

NamedType read_named_type(wire::Reader in) {
  NamedType value;
  while (in.next()) switch (in.field()) {
      case 1:
        value.name = in.read_bytes();
        break;
      case 2: {
        const std::string_view name = in.read_bytes();
        const auto dtype = parse_safetensors_dtype(name);
        if (!dtype) in.fail(fmt::format("dtype \"{}\"", name.substr(0, 40)), "a known one");
        value.type.dtype = *dtype;
        break;
      }
      case 3:
        value.type.shape.push_back(read_dim(in));
        break;
      default:
        in.skip();
    }
  return value;
}

/// A function's fields, before its graph is looked at.
struct Fields {
  LoadedFunction::Description description;
  std::vector<uint64_t> results;
  std::string_view graph;
};

Fields read_fields(wire::Reader in) {
  Fields fields;
  while (in.next()) switch (in.field()) {
      case 1:
        fields.description.name = in.read_bytes();
        break;
      case 2:
        fields.description.inputs.push_back(read_named_type(in.read_message()));
        break;
      case 3:
        fields.description.outputs.push_back(read_named_type(in.read_message()));
        break;
      case 4:
        in.read_uints(fields.results);
        break;
      case 5:
        fields.graph = in.read_bytes();
        break;
      default:
        in.skip();
    }
  return fields;
}

void check_types(const std::vector<NamedType>& said, const std::vector<Value>& values,
                 std::string_view what) {
  if (said.size() != values.size())
    throw DataLoss("got {} {}s for {} in the graph; want as many", said.size(), what,
                   values.size());
  std::set<std::string_view> names;
  for (size_t i = 0; i < said.size(); ++i) {
    const auto& [name, type] = said[i];
    if (name.empty() || !names.insert(name).second)
      throw DataLoss("got {} {} called \"{}\"; want a name of its own", what, i, name);
    if (type != values[i].type())
      throw DataLoss("{} \"{}\": got {} {} for a value of the graph of {} {}; want the same", what,
                     name, type.dtype, type.shape, values[i].dtype(), values[i].shape());
  }
}

void check(const StoredFunction& function) {
  check_is_function(*function.graph);
  std::vector<Value> inputs;
  for (Node* placeholder : function.graph->placeholders()) inputs.push_back(placeholder->output());
  check_types(function.description.inputs, inputs, "input");
  check_types(function.description.outputs, function.results, "output");
}

StoredFunction read_function(Fields fields, const OpRegistry& ops,
                             const VariableSource& variables) {
  StoredFunction function{
      std::move(fields.description), deserialize(fields.graph, ops, variables), {}};
  // Of what was read, nodes are in their topological order.
  const auto& nodes = function.graph->nodes();
  if (fields.results.size() % 2 != 0) throw DataLoss("got results in other than pairs");
  for (size_t i = 0; i < fields.results.size(); i += 2) {
    const uint64_t node = fields.results[i], output = fields.results[i + 1];
    if (node >= nodes.size() || output >= static_cast<uint64_t>(nodes[node]->num_outputs()))
      throw DataLoss("got output {} of node {} as a result; want one of the graph's {} nodes",
                     output, node, nodes.size());
    function.results.emplace_back(nodes[node].get(), static_cast<int>(output));
  }
  check(function);
  return function;
}

}  // namespace

std::string serialize_functions(std::vector<StoredFunction> functions) {
  const auto name = [](const StoredFunction& function) -> const std::string& {
    return function.description.name;
  };
  std::sort(functions.begin(), functions.end(),
            [&](const auto& a, const auto& b) { return name(a) < name(b); });
  wire::Writer out;
  begin_message(out, kFunctions);
  out.write_bytes(3, version());
  for (size_t i = 0; i < functions.size(); ++i) {
    if (name(functions[i]).empty() || (i > 0 && name(functions[i]) == name(functions[i - 1])))
      throw InvalidArgument(
          "export: got a function called \"{}\" twice, or without a name; want "
          "different names",
          name(functions[i]));
    try {
      check(functions[i]);
    } catch (const Error& error) {
      throw InvalidArgument("export: {}: {}", name(functions[i]), error.what());
    }
    out.write_message(4, write(functions[i]));
  }
  return end_message(std::move(out));
}

std::vector<StoredFunction> parse_functions(std::string_view bytes, std::string_view where,
                                            const OpRegistry& ops,
                                            const VariableSource& variables) {
  std::vector<StoredFunction> functions;
  wire::Reader in(message_body(bytes, kFunctions, where), where);
  while (in.next()) {
    if (in.field() != 4) {
      in.skip();
      continue;
    }
    Fields fields = read_fields(in.read_message());
    const std::string name = fields.description.name;
    if (name.empty() || (!functions.empty() && name <= functions.back().description.name))
      in.fail(fmt::format("a function called \"{}\"", name.substr(0, 200)), "ascending names");
    try {
      functions.push_back(read_function(std::move(fields), ops, variables));
    } catch (const Error& error) {
      const bool is_known = error.code() == Code::kNotFound || error.code() == Code::kDataLoss;
      throw Error(is_known ? error.code() : Code::kDataLoss, error.what())
          .within(fmt::format("{}: {}", where, name));
    }
  }
  return functions;
}

}  // namespace cohort::checkpoint
