// core/graph/graph.proto describes what serialize() writes: Protobuf's own compiler reads it.
#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cohort/core/graph/gradients.h"
#include "cohort/core/graph/serialize.h"
#include "cohort/core/ops/array.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/state.h"
#include "tests/ops/op_test.h"

namespace cohort {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class GraphProtoTest : public testing::OpTest {};

TEST_F(GraphProtoTest, ProtocDecodesTheCanonicalForm) {
  if (std::system("protoc --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "no protoc here";
  const Value x = input({N, 3});
  const Value y = ops::reduce_sum(ops::square(ops::concat({x, x * -1.5}, 1)));
  const auto variable = std::make_shared<VariableState>(Tensor(DType::kF32, {}), VariableOptions{});
  ops::assign(variable, y);
  gradients(y, std::vector<Value>{x});
  const std::string bytes = serialize(graph_);
  const fs::path folder = fs::path(::testing::TempDir()) / "cohort_graph_proto_test";
  fs::create_directories(folder);
  std::ofstream(folder / "graph.bin", std::ios::binary) << bytes;
  const std::string schema = std::string(COHORT_SOURCE_DIR) + "/core/graph";
  const std::string at = folder.string();
  const std::string command = "protoc --proto_path=" + schema +
                              " --decode=cohort.Graph graph.proto < " + at + "/graph.bin > " + at +
                              "/graph.txt";
  ASSERT_EQ(std::system(command.c_str()), 0);
  std::ostringstream text;
  text << std::ifstream(folder / "graph.txt").rdbuf();
  EXPECT_THAT(text.str(), HasSubstr("op: \"Concat\""));
  EXPECT_THAT(text.str(), HasSubstr("symbol: \"N\""));
  EXPECT_THAT(text.str(), HasSubstr("int_value: 1"));
  EXPECT_THAT(text.str(), HasSubstr("tensor_value {"));
  EXPECT_THAT(text.str(), HasSubstr("stage: BACKWARD"));
  EXPECT_THAT(text.str(), HasSubstr("stage: COMMIT"));
  EXPECT_THAT(text.str(), Not(HasSubstr("stage: FORWARD")));
  EXPECT_THAT(text.str(), Not(HasSubstr("\n    1: ")));  // a field that the schema lacks
  fs::remove_all(folder);
}

}  // namespace
}  // namespace cohort
