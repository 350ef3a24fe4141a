#include "cohort/core/ops/random.h"

#include <thread>

#include "tests/ops/op_test.h"

namespace cohort {
namespace {

using testing::expect_error;
using testing::expect_invalid;

class RandomOpTest : public testing::OpTest {
 protected:
  static std::string stream(Value y) { return y.node()->attrs().get<std::string>("stream"); }
};

TEST_F(RandomOpTest, StreamsAreTheNodesFullNames) {
  NameScope scope("model");
  const Value x = input({N, 3});
  const Value a = ops::dropout(x, 0.5), b = ops::dropout(x, 0.5);
  EXPECT_EQ(stream(a), "model/Dropout");
  EXPECT_EQ(stream(b), "model/Dropout_1");
  EXPECT_EQ(stream(ops::random_uniform({N}, DType::kF32)), "model/RandomUniform");
}

TEST_F(RandomOpTest, TheGradientUsesTheSameBits) {
  const Value x = input({N, 3}), y = ops::dropout(x, 0.5, 7);
  const Node& d = *gradient(y, x).dense().node();
  EXPECT_EQ(d.op_name(), "DropoutGrad");
  EXPECT_EQ(d.attrs().get<double>("rate"), 0.5);
  EXPECT_EQ(d.attrs().get<std::string>("stream"), stream(y));
  EXPECT_EQ(d.attrs().get<int64_t>("seed"), 7);
}

TEST_F(RandomOpTest, RemembersWhetherRowsAreOfTheBatch) {
  EXPECT_TRUE(ops::dropout(input({N, 3}), 0.5).node()->attrs().get<bool>("batched"));
  EXPECT_FALSE(ops::dropout(input({4, 3}), 0.5).node()->attrs().get<bool>("batched"));
  EXPECT_FALSE(ops::random_normal({}, DType::kF64).node()->attrs().get<bool>("batched"));
}

TEST_F(RandomOpTest, RatesAtTheEndsNeedNoRandomness) {
  const Value x = input({N, 3});
  EXPECT_EQ(ops::dropout(x, 0).node()->op_name(), "Identity");
  EXPECT_FALSE(gradient(ops::dropout(x, 1), x).absent());
  EXPECT_EQ(count("Dropout"), 0);
}

TEST_F(RandomOpTest, RefusesWrongArguments) {
  expect_invalid({"dropout: got rate 1.5; want 0 to 1"}, [&] { ops::dropout(input({N}), 1.5); });
  expect_invalid({"dropout: got int32"}, [&] { ops::dropout(input({N}, DType::kI32), 0.5); });
  expect_invalid({"random_uniform: got low 2"},
                 [] { ops::random_uniform({2}, DType::kF32, 2, 1); });
  expect_invalid({"random_normal: got int64"}, [] { ops::random_normal({2}, DType::kI64); });
}

TEST_F(RandomOpTest, SourcesNeedATracedFunction) {
  EXPECT_EQ(&ops::random_uniform({2}, DType::kF32).graph(), &graph_);
  std::thread([] {  // a new thread has no scopes
    expect_error(Code::kFailedPrecondition, {"random_uniform: called outside"},
                 [] { ops::random_uniform({2}, DType::kF32); });
  })
      .join();
}

}  // namespace
}  // namespace cohort
