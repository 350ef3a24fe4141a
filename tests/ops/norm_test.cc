#include "cohort/core/ops/norm.h"

#include "tests/ops/op_test.h"

namespace cohort {
namespace {

using testing::expect_error;
using testing::expect_invalid;

class NormOpTest : public testing::OpTest {};

TEST_F(NormOpTest, GivesTheBatchsStatisticsPerChannel) {
  const auto out = ops::batch_norm(input({N, 4, 4, 3}), input({3}), input({3}), 1e-3);
  EXPECT_EQ(out.y.shape(), (Shape{N, 4, 4, 3}));
  EXPECT_EQ(out.mean.shape(), (Shape{3}));
  EXPECT_EQ(out.variance.shape(), (Shape{3}));
}

TEST_F(NormOpTest, RefusesParametersOfOtherChannels) {
  expect_invalid({"batch_norm: got x [N, 3] and parameters [4]; want [3]"}, [&] {
    ops::batch_norm(input({N, 3}), input({3}), input({4}), 1e-3);
  });
  expect_invalid({"batch_norm: got x [3]"},
                 [&] { ops::batch_norm(input({3}), input({3}), input({3}), 1e-3); });
  expect_invalid({"want equal dtypes"}, [&] {
    ops::batch_norm(input({N, 3}), input({3}, DType::kF64), input({3}, DType::kF64), 1e-3);
  });
}

TEST_F(NormOpTest, ParametersAndStatisticsMayBeWiderThanX) {
  const Value x = input({N, 3}, DType::kBF16), gamma = input({3}), beta = input({3});
  const auto out = ops::batch_norm(x, gamma, beta, 1e-3);
  EXPECT_EQ(out.y.type(), x.type());
  EXPECT_EQ(out.mean.dtype(), DType::kF32);
  const auto d = gradients(out.y, std::vector<Value>{x, gamma});
  EXPECT_EQ(d[0].dense().dtype(), DType::kBF16);
  EXPECT_EQ(d[1].dense().dtype(), DType::kF32);
  expect_invalid({"batch_norm: got input 2 of bfloat16 beside x of bfloat16", "equal dtypes"},
                 [&] { ops::batch_norm(x, gamma, input({3}, DType::kBF16), 1e-3); });
}

TEST_F(NormOpTest, GradientsFlowThroughYOnly) {
  const Value x = input({N, 3}), gamma = input({3}), beta = input({3});
  const auto out = ops::batch_norm(x, gamma, beta, 1e-3);
  const auto d = gradients(out.y, std::vector<Value>{x, gamma, beta});
  EXPECT_EQ(d[0].dense().shape(), x.shape());
  EXPECT_EQ(d[2].dense().shape(), beta.shape());
  expect_error(Code::kUnimplemented, {"batch_norm: got a gradient of the batch's mean"},
               [&] { gradient(out.mean, x); });
}

TEST_F(NormOpTest, InferenceIsElementwise) {
  const Value c = input({3});
  EXPECT_EQ(ops::batch_norm_inference(input({N, 2, 3}), c, c, c, c, 1e-3).shape(),
            (Shape{N, 2, 3}));
}

}  // namespace
}  // namespace cohort
