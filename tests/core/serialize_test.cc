#include "cohort/core/graph/serialize.h"

#include <random>

#include "cohort/core/graph/dump.h"
#include "cohort/core/ops/array.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/conv.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/matmul.h"
#include "cohort/core/ops/pool.h"
#include "cohort/core/ops/random.h"
#include "cohort/core/ops/softmax.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/ops/update.h"
#include "cohort/core/wire/protobuf.h"
#include "tests/ops/op_test.h"

namespace cohort {
namespace {

using ::testing::ContainsRegex;
using testing::expect_error;
using ::testing::HasSubstr;

std::shared_ptr<VariableState> variable(const std::string& name, Shape shape) {
  return std::make_shared<VariableState>(Tensor(DType::kF32, std::move(shape)),
                                         VariableOptions{.name = name});
}

/// A graph with every kind of attribute: a training step and a nested graph.
void build(Graph& graph, double rate = 0.5) {
  GraphScope scope(graph);
  const Value x = graph.placeholder("x", {DType::kF32, {batch_dim(), 6, 6, 2}});
  const Value labels = graph.placeholder("labels", {DType::kI32, {batch_dim()}});
  const auto kernel = variable("conv/kernel", {3, 3, 2, 4}), dense = variable("dense", {16, 3});
  Value y;
  {
    NameScope name("model");
    DeviceScope device("/gpu:1");
    y = ops::max_pool2d(ops::relu(ops::conv2d(x, graph.read(kernel))));
    y = ops::dropout(ops::flatten(y, 1, 4), rate, 7);
    y = ops::matmul(y, graph.read(dense));
  }
  const Value loss = ops::sparse_softmax_cross_entropy(y, labels);
  const std::vector<Value> xs{graph.read(kernel), graph.read(dense)};
  std::vector<Value> dxs;
  for (const Gradient& g : gradients(loss, xs)) dxs.push_back(g.dense());
  Node* update = ops::sgd_update({kernel, dense}, {}, dxs, ops::scalar(0.1, DType::kF32),
                                 ops::step_info(ops::StepField::kStep), ops::all_finite(dxs),
                                 {.weight_decay = {0, 0.25}});
  update->add_control_input(x.node());
  auto nested = std::make_shared<Graph>(graph.ops());
  const Value a = nested->placeholder("a", {DType::kF64, {}});
  a + 1.5;
  ops::identity(labels).node()->mutable_attrs().set("body", std::shared_ptr<const Graph>(nested));
  labels.node()->mutable_attrs().set("tags", std::vector<std::string>{"u", "v"});
}

class SerializeTest : public testing::OpTest {};

TEST_F(SerializeTest, RoundTripGivesTheSameBytes) {
  build(graph_);
  const std::string bytes = serialize(graph_);
  const auto copy = deserialize(bytes, registry_);
  EXPECT_EQ(serialize(*copy), bytes);
  EXPECT_EQ(graph_hash(*copy), graph_hash(graph_));
  EXPECT_EQ(dump_text(*copy), dump_text(graph_));
  EXPECT_EQ(copy->placeholders().size(), 2u);
  EXPECT_EQ(copy->commit_nodes().size(), 1u);
  EXPECT_EQ(copy->variables()[0]->name(), "conv/kernel");
}

TEST_F(SerializeTest, EveryNodeKeepsItsStage) {
  build(graph_);
  const auto copy = deserialize(serialize(graph_), registry_);
  std::map<Stage, int> nodes;
  for (size_t i = 0; i < graph_.nodes().size(); ++i) {
    EXPECT_EQ(copy->find(graph_.nodes()[i]->name())->stage(), graph_.nodes()[i]->stage());
    ++nodes[graph_.nodes()[i]->stage()];
  }
  EXPECT_GT(nodes[Stage::kForward], 5);
  EXPECT_GT(nodes[Stage::kBackward], 5);
  EXPECT_EQ(nodes[Stage::kCommit], 1);
}

/// A graph of one node of op "Neg" or "StepVeto" and its input, with these bytes behind the node's.
std::string with_node(std::string_view op, std::string_view behind) {
  wire::Writer dtype, shape, source, node, graph;
  dtype.write_bytes(1, "dtype"), dtype.write_uint(6, static_cast<uint64_t>(DType::kI32));
  shape.write_bytes(1, "shape"), shape.write_bytes(7, "");
  source.write_bytes(1, "x"), source.write_bytes(2, "Placeholder");
  source.write_message(5, dtype), source.write_message(5, shape);
  node.write_bytes(1, "y"), node.write_bytes(2, op);
  node.write_packed_uint(3, std::vector<uint64_t>{0, 0});
  graph.write_message(2, source);
  graph.write_bytes(2, node.take() + std::string(behind));
  return graph.take();
}

TEST_F(SerializeTest, WithoutAStageANodeIsOfTheForwardPassOrCommits) {
  const auto plain = deserialize(with_node("Neg", ""), registry_);
  EXPECT_EQ(plain->find("y")->stage(), Stage::kForward);
  const auto update = deserialize(with_node("StepVeto", ""), registry_);
  EXPECT_EQ(update->find("y")->stage(), Stage::kCommit);
}

TEST_F(SerializeTest, AStageThatCannotBeIsDataLoss) {
  EXPECT_EQ(deserialize(with_node("Neg", "\x38\x01"), registry_)->find("y")->stage(),
            Stage::kBackward);
  expect_error(Code::kDataLoss, {"got node y (Neg)", "commit stage"},
               [&] { deserialize(with_node("Neg", "\x38\x02"), registry_); });
  expect_error(Code::kDataLoss, {"unknown option"},
               [&] { deserialize(with_node("Neg", "\x38\x03"), registry_); });
}

TEST_F(SerializeTest, ScopesOfTheReaderDoNotCount) {
  build(graph_);
  const std::string bytes = serialize(graph_);
  NameScope name("elsewhere");
  DeviceScope device("/cpu:3");
  EXPECT_EQ(serialize(*deserialize(bytes, registry_)), bytes);
}

TEST_F(SerializeTest, EqualConstructionsAreEqualAndOthersDiffer) {
  Graph same(registry_), other(registry_);
  build(graph_), build(same), build(other, 0.25);
  EXPECT_EQ(serialize(graph_), serialize(same));
  EXPECT_NE(graph_hash(graph_), graph_hash(other));
}

TEST_F(SerializeTest, OrderOfAttributesAndControlEdgesIsCanonical) {
  const Value x = input({2});
  Node* first = ops::neg(x).node();
  Node* second = ops::exp(x).node();
  first->add_control_input(second);  // against the order of creation
  const auto order = topological_order(graph_);
  EXPECT_EQ(order.back(), first);
  const auto copy = deserialize(serialize(graph_), registry_);
  EXPECT_EQ(copy->find("Neg")->control_inputs(), std::vector<Node*>{copy->find("Exp")});
  second->add_control_input(first);
  expect_error(Code::kInternal, {"cycle"}, [&] { serialize(graph_); });
}

TEST_F(SerializeTest, VariablesComeFromTheirSource) {
  build(graph_);
  std::vector<std::string> asked;
  const auto copy = deserialize(serialize(graph_), registry_,
                                [&](DType, const Shape&, const VariableOptions& options) {
                                  asked.push_back(options.name);
                                  return graph_.variables()[asked.size() - 1];
                                });
  EXPECT_EQ(copy->variables(), graph_.variables());
  EXPECT_EQ(asked, (std::vector<std::string>{"conv/kernel", "dense"}));
  expect_error(Code::kInvalidArgument, {"got another variable for conv/kernel"}, [&] {
    deserialize(serialize(graph_), registry_,
                [](DType, const Shape&, const VariableOptions&) { return variable("v", {1}); });
  });
}

TEST_F(SerializeTest, UnknownOpsAreNamed) {
  build(graph_);
  const OpRegistry empty;
  expect_error(Code::kNotFound, {"\"Placeholder\""},
               [&] { deserialize(serialize(graph_), empty); });
}

/// Reads bytes that may be anything: success or a typed error that is nobody's bug.
void read_anything(const std::string& bytes, const OpRegistry& ops) {
  try {
    deserialize(bytes, ops);
  } catch (const Error& error) {
    EXPECT_TRUE(error.code() == Code::kDataLoss || error.code() == Code::kNotFound) << error.what();
  }
}

TEST_F(SerializeTest, TruncationsAreDataLossOrWholeGraphs) {
  build(graph_);
  const std::string bytes = serialize(graph_);
  for (size_t size = 0; size < bytes.size(); ++size)
    read_anything(bytes.substr(0, size), registry_);
}

TEST_F(SerializeTest, CorruptedBytesAreTypedErrors) {
  build(graph_);
  const std::string bytes = serialize(graph_);
  std::mt19937 random(3);
  for (int round = 0; round < 5000; ++round) {
    std::string broken = bytes;
    for (int changes = 1 + static_cast<int>(random() % 3); changes > 0; --changes)
      broken[random() % broken.size()] = static_cast<char>(random());
    read_anything(broken, registry_);
  }
}

class DumpTest : public testing::OpTest {};

TEST_F(DumpTest, TextHasOneLineForEachNode) {
  build(graph_);
  const std::string text = dump_text(graph_);
  EXPECT_THAT(text, HasSubstr("variable conv/kernel: float32 [3, 3, 2, 4]\n"));
  EXPECT_THAT(text, HasSubstr("x: float32 [N, 6, 6, 2] = Placeholder()"));
  EXPECT_THAT(text, HasSubstr("model/MatMul: float32 [N, 3] = MatMul(model/Dropout, "
                              "model/read/dense) {transpose_a=false, transpose_b=false} on "
                              "/device:GPU:1\n"));
  EXPECT_THAT(text, HasSubstr("MaxPool2DGrad("));
  EXPECT_THAT(text, HasSubstr("model/MaxPool2D:1"));
  EXPECT_THAT(text, HasSubstr("variables=[conv/kernel, dense]"));
  EXPECT_THAT(text, HasSubstr("after x"));
  EXPECT_THAT(text, ContainsRegex("gradients/model/MatMul/MatMul: [^\n]*\\(backward\\)"));
  EXPECT_THAT(text, HasSubstr("value=float32 [] (0.1"));
  EXPECT_THAT(text, HasSubstr("\n    Add: float64 [] = Add(a, Constant)\n"));
}

TEST_F(DumpTest, GraphvizHasNodesAndEdges) {
  build(graph_);
  const std::string text = dump_graphviz(graph_);
  EXPECT_THAT(text, HasSubstr("digraph cohort {"));
  EXPECT_THAT(text, HasSubstr("[label=\"model/MatMul\\nMatMul\"]"));
  EXPECT_THAT(text, HasSubstr("[label=\"float32 [N, 16]\"]"));
  EXPECT_THAT(text, HasSubstr("[style=dashed]"));
  EXPECT_THAT(text, HasSubstr("fillcolor=lightgrey"));
}

}  // namespace
}  // namespace cohort
