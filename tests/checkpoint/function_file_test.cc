#include "cohort/checkpoint/function_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <random>
#include <sstream>

#include "cohort/checkpoint/checked_message.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/array.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/matmul.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/wire/crc32c.h"
#include "tests/checkpoint/support.h"
#include "tests/ops/op_test.h"
#include "tests/support/damaged.h"

/// Files of functions from anywhere: read as they were written, or a typed error that says where.
namespace cohort::checkpoint {
namespace {

using testing::expect_error;
using ::testing::HasSubstr;
using ::testing::Not;

class FunctionFileTest : public testing::OpTest {
 protected:
  /// y = relu(x W) and the rows' means, of x [N, 3].
  StoredFunction small(const std::string& name = "serve") {
    StoredFunction function;
    function.graph = std::make_shared<Graph>(registry_);
    const GraphScope scope(*function.graph);
    const Value x = function.graph->placeholder("x", {DType::kF32, {batch_dim(), 3}});
    const auto weight = std::make_shared<VariableState>(Tensor(DType::kF32, Shape{3, 2}),
                                                        VariableOptions{.name = "w"});
    const Value y = ops::relu(ops::matmul(x, function.graph->read(weight)));
    function.results = {y, ops::reduce_mean(ops::transpose(y, {1, 0}), {.axis = {0}})};
    function.description = {
        .name = name,
        .inputs = {{"x", x.type()}},
        .outputs = {{"y", function.results[0].type()}, {"mean", function.results[1].type()}}};
    return function;
  }

  std::vector<StoredFunction> parse(std::string_view bytes) {
    return parse_functions(bytes, "f", registry_, {});
  }

  void refused(const std::string& bytes, std::initializer_list<std::string_view> says) {
    expect_error(Code::kDataLoss, says, [&] { parse(bytes); });
  }
};

/// With a checksum that fits what is before.
std::string sealed(std::string body) {
  wire::Writer last;
  last.write_fixed32(15, wire::crc32c(body.data(), body.size()));
  return body + last.data();
}

std::string body_of(std::string bytes) {
  bytes.resize(bytes.size() - 5);
  return bytes;
}

TEST_F(FunctionFileTest, GivesBackWhatItWasGiven) {
  const std::string bytes = serialize_functions({small("b"), small("a")});
  const std::vector<StoredFunction> functions = parse(bytes);
  ASSERT_EQ(functions.size(), 2u);
  EXPECT_EQ(functions[0].description.name, "a");
  EXPECT_EQ(functions[1].description.inputs, small().description.inputs);
  EXPECT_EQ(functions[1].description.outputs, small().description.outputs);
  EXPECT_EQ(functions[1].graph->variables()[0]->name(), "w");
  EXPECT_EQ(serialize_functions(functions), bytes);
}

TEST_F(FunctionFileTest, ProtocDecodesOne) {
  if (std::system("protoc --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "no protoc here";
  const TemporaryDirectory folder;
  std::ofstream(folder.path("functions"), std::ios::binary) << serialize_functions({small()});
  const std::string command =
      "protoc --proto_path=" + std::string(COHORT_SOURCE_DIR) +
      "/checkpoint --decode=cohort.checkpoint.Functions functions.proto < " +
      folder.path("functions") + " > " + folder.path("text");
  ASSERT_EQ(std::system(command.c_str()), 0);
  std::ostringstream text;
  text << std::ifstream(folder.path("text")).rdbuf();
  EXPECT_THAT(text.str(), HasSubstr("name: \"serve\"\n  inputs {\n    name: \"x\"\n"));
  EXPECT_THAT(text.str(), HasSubstr("    shape: \"N\"\n    shape: \"3\"\n"));
  EXPECT_THAT(text.str(), Not(HasSubstr("\n1")));  // a field that the schema lacks
}

TEST_F(FunctionFileTest, CutOffForeignAndChangedBytesAreNamed) {
  const std::string bytes = serialize_functions({small()});
  for (size_t size = 0; size < bytes.size(); ++size) refused(bytes.substr(0, size), {"f: got"});
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ 4);
    refused(flipped, {"f: got"});
  }
  std::string later = body_of(bytes);
  later[10] = 2;  // tag and eight bytes of field 1, tag of field 2
  expect_error(Code::kUnimplemented, {"f: got version 2; want 1"}, [&] { parse(sealed(later)); });
}

TEST_F(FunctionFileTest, WhatDoesNotHoldIsNamed) {
  const auto with = [&](const std::function<void(StoredFunction&)>& change) {
    StoredFunction function = small();
    change(function);
    return [function = std::move(function)] { serialize_functions({function}); };
  };
  const auto cannot_be_written = [&](std::string_view says,
                                     const std::function<void(StoredFunction&)>& change) {
    expect_error(Code::kInvalidArgument, {"export: serve", says}, with(change));
  };
  cannot_be_written("got 0 inputs for 1 in the graph",
                    [](StoredFunction& f) { f.description.inputs.clear(); });
  cannot_be_written("output \"y\": got float32 [N, 9] for a value of the graph of float32 [N, 2]",
                    [](StoredFunction& f) { f.description.outputs[0].type.shape[1] = Dim(9); });
  cannot_be_written("called \"y\"", [](StoredFunction& f) { f.description.outputs[1].name = "y"; });
  cannot_be_written("Assign", [](StoredFunction& f) {
    GraphScope scope(*f.graph);
    ops::assign(f.graph->variables()[0], f.graph->read(f.graph->variables()[0]));
  });
  cannot_be_written("holds a graph", [](StoredFunction& f) {
    f.graph->nodes().back()->mutable_attrs().set(
        "g", std::shared_ptr<const Graph>(std::make_shared<Graph>(f.graph->ops())));
  });
}

TEST_F(FunctionFileTest, AttributesOfAnotherTypeAreNamed) {
  for (const auto& [op, attr, value] :
       {std::tuple<const char*, const char*, Attr>{"Transpose", "permutation", std::string("x")},
        {"Transpose", "permutation", std::vector<int64_t>{0, 7}},
        {"MatMul", "transpose_a", 1.5},
        {"Placeholder", "shape", int64_t{1}},
        {"ReadVariable", "dtype", std::string("float32")},
        {"ReadVariable", "variables", std::vector<int64_t>{4}}}) {
    StoredFunction function = small();
    for (const auto& node : function.graph->nodes())
      if (node->op_name() == op) node->mutable_attrs().set(attr, value);
    refused(serialize_functions({function}), {"f: serve", op});
  }
}

TEST_F(FunctionFileTest, UnknownOpsAreNamed) {
  std::string body = body_of(serialize_functions({small()}));
  for (size_t at; (at = body.find("Transpose")) != body.npos;) body.replace(at, 9, "Transport");
  expect_error(Code::kNotFound, {"f: serve", "Transport"}, [&] { parse(sealed(body)); });
}

/// A file with one function "serve" of these nodes: messages of graph.proto.
std::string file_of(const std::vector<wire::Writer>& nodes) {
  wire::Writer graph, function, file;
  for (const wire::Writer& node : nodes) graph.write_message(2, node);
  function.write_bytes(1, "serve"), function.write_message(5, graph);
  file.write_message(4, function);
  return sealed(body_of(serialize_functions({})) + file.data());
}

wire::Writer attr(std::string_view name, int field, const wire::Writer& message) {
  wire::Writer out;
  out.write_bytes(1, name), out.write_message(field, message);
  return out;
}

/// Nodes refer to earlier ones alone, so there is no cycle; a long chain costs no stack.
TEST_F(FunctionFileTest, LongChainsAreReadAndCyclesAreNot) {
  StoredFunction function;
  function.graph = std::make_shared<Graph>(registry_);
  Value x = function.graph->placeholder("x", {DType::kF32, {batch_dim()}});
  function.description.name = "serve";
  function.description.inputs = {{"x", x.type()}};
  for (int i = 0; i < 20000; ++i) x = ops::neg(x);
  function.results = {x};
  function.description.outputs = {{"y", x.type()}};
  const std::string bytes = serialize_functions({function});
  EXPECT_EQ(serialize_functions(parse(bytes)), bytes);

  wire::Writer node;
  node.write_bytes(1, "y"), node.write_bytes(2, "Neg");
  node.write_packed_uint(3, std::vector<uint64_t>{0, 0});
  refused(file_of({node}), {"f: serve", "input from node 0; want one of the 0 before"});
}

/// Products of such sums have more terms than there is memory.
TEST_F(FunctionFileTest, DimensionsWithoutBoundsAreRefused) {
  std::string sum = "A0";
  for (int i = 1; i < 100; ++i) sum += fmt::format("+A{}", i);
  const auto reshaped = [](const std::string& symbol, int rank) {
    wire::Writer dim, shape, dtype, source, node;
    dim.write_bytes(2, symbol);
    for (int i = 0; i < rank; ++i) shape.write_message(1, dim);
    dtype.write_bytes(1, "dtype"), dtype.write_uint(6, 0);
    source.write_bytes(1, "x"), source.write_bytes(2, "Placeholder");
    source.write_message(5, dtype), source.write_message(5, attr("shape", 7, shape));
    node.write_bytes(1, "y"), node.write_bytes(2, "Reshape");
    node.write_packed_uint(3, std::vector<uint64_t>{0, 0});
    node.write_message(5, attr("shape", 7, wire::Writer()));
    return file_of({source, node});
  };
  refused(reshaped(sum, 20), {"f: serve", "node y (Reshape)", "more than 1000 terms"});
  refused(reshaped("N", 65), {"f: serve", "more dimensions; want at most 64"});
  refused(reshaped("N", 64), {"f: serve", "node y (Reshape)", "want as many elements"});
}

TEST_F(FunctionFileTest, DamagedOnesWithAChecksumThatFitsAreReadOrRefused) {
  const std::string body = body_of(serialize_functions({small("a"), small("b")}));
  std::mt19937 random(5);
  int refusals = 0;
  for (int round = 0; round < 20000; ++round) try {
      parse(sealed(testing::damaged(body, random)));
    } catch (const Error& error) {
      ++refusals;
      EXPECT_TRUE(error.code() == Code::kDataLoss || error.code() == Code::kNotFound ||
                  error.code() == Code::kUnimplemented)
          << error.what();
    }
  EXPECT_GT(refusals, 10000);
  EXPECT_LT(refusals, 20000);
}

}  // namespace
}  // namespace cohort::checkpoint
