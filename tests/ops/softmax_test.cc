#include "cohort/core/ops/softmax.h"

#include "tests/ops/op_test.h"

namespace cohort {
namespace {

using testing::expect_invalid;

class SoftmaxOpTest : public testing::OpTest {};

TEST_F(SoftmaxOpTest, KeepsItsInputsType) {
  EXPECT_EQ(ops::softmax(input({N, T, 5})).shape(), (Shape{N, T, 5}));
  EXPECT_EQ(ops::log_softmax(input({N, 5})).shape(), (Shape{N, 5}));
  expect_invalid({"softmax: got a scalar"}, [&] { ops::softmax(input({})); });
  expect_invalid({"log_softmax: got int32"}, [&] { ops::log_softmax(input({5}, DType::kI32)); });
}

TEST_F(SoftmaxOpTest, CrossEntropiesGiveOneLossARow) {
  const Value logits = input({N, 5});
  EXPECT_EQ(ops::sparse_softmax_cross_entropy(logits, input({N}, DType::kU8)).shape(), (Shape{N}));
  EXPECT_EQ(ops::softmax_cross_entropy(logits, input({N, 5})).shape(), (Shape{N}));
  EXPECT_EQ(ops::sigmoid_cross_entropy(logits, input({N, 5})).shape(), (Shape{N, 5}));
}

TEST_F(SoftmaxOpTest, CrossEntropiesRefuseLabelsThatDoNotFit) {
  const Value logits = input({N, 5});
  expect_invalid({"sparse_softmax_cross_entropy: got logits [N, 5], labels [N, 1]"}, [&] {
    ops::sparse_softmax_cross_entropy(logits, input({N, 1}, DType::kI64));
  });
  expect_invalid({"sparse_softmax_cross_entropy: got indices of float32"},
                 [&] { ops::sparse_softmax_cross_entropy(logits, input({N})); });
  expect_invalid({"softmax_cross_entropy: got logits [N, 5], labels [N, 4]"}, [&] {
    ops::softmax_cross_entropy(logits, input({N, 4}));
  });
}

TEST_F(SoftmaxOpTest, SparseCrossEntropysGradientIsOneProduct) {
  const Value logits = input({N, 5});
  const Value loss = ops::sparse_softmax_cross_entropy(logits, input({N}, DType::kI32));
  EXPECT_EQ(gradient(loss, logits).dense().node()->op_name(), "Mul");
  EXPECT_EQ(count("Softmax"), 0);
}

TEST_F(SoftmaxOpTest, GradientsOfGradientsExist) {
  const Value logits = input({N, 5}), labels = input({N, 5});
  for (Value loss : {ops::sparse_softmax_cross_entropy(logits, input({N}, DType::kI32)),
                     ops::softmax_cross_entropy(logits, labels)}) {
    const Value d = gradient(loss, logits).dense();
    EXPECT_EQ(gradient(d, logits).dense().shape(), logits.shape());
  }
}

}  // namespace
}  // namespace cohort
