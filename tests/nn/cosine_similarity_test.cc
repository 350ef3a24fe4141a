// The numbers are Keras 3.15.1's on TensorFlow 2.21.0.
#include "tests/nn/support.h"
#include "tests/support/expect_error.h"

namespace cohort::nn {
namespace {

Tensor cosine_labels() {
  return Tensor::from({1.f, 2.f, 3.f, 0.f, -1.f, .5f, 0.f, 0.f, 0.f, 2.f, 0.f, -2.f}, Shape{4, 3});
}
Tensor cosine_predictions() {
  return Tensor::from({1.f, .5f, -1.f, .25f, -2.f, 1.f, 1.f, 1.f, 1.f, 4.f, 0.f, -4.f},
                      Shape{4, 3});
}

TEST(CosineSimilarityTest, FollowsKerasOverBatchesAndWeights) {
  const Metric metric = make_metric("cosine_similarity", {4, 3}, {4, 3});
  const Tensor y = cosine_labels(), p = cosine_predictions();
  metric.update_state(y.slice(0, 0, 3).contiguous(), p.slice(0, 0, 3).contiguous());
  EXPECT_NEAR(metric.result(), 0.2718779444694519, 1e-6);
  metric.update_state(y.slice(0, 3, 4).contiguous(), p.slice(0, 3, 4).contiguous());
  EXPECT_NEAR(metric.result(), 0.45390844345092773, 1e-6);
  metric.reset_state();
  metric.update_state(y, p, Tensor::from({1.f, 2.f, 0.5f, 3.f}));
  EXPECT_NEAR(metric.result(), 0.739914059638977, 1e-6);
}

TEST(CosineSimilarityTest, TakesAnotherAxis) {
  const Metric metric = CosineSimilarity{.axis = 1};
  metric.update_state(
      Tensor::from({-5.f, -4.f, -3.f, -2.f, -1.f, 0.f, 1.f, 2.f, 3.f, 4.f, 5.f, 6.f},
                   Shape{2, 3, 2}),
      Tensor::from({2.f, 0.f, 0.f, 2.f, -1.f, -2.f, -1.f, 2.f, 0.f, 0.f, 2.f, -1.f},
                   Shape{2, 3, 2}));
  EXPECT_NEAR(metric.result(), -0.10893765091896057, 1e-6);
}

TEST(CosineSimilarityTest, RefusesTheAxisOfExamples) {
  testing::expect_error(Code::kInvalidArgument, {"cosine_similarity: got axis -1 of"}, [] {
    CosineSimilarity{}.operator Metric().update_state(Tensor::from({1.f}), Tensor::from({1.f}));
  });
}

}  // namespace
}  // namespace cohort::nn
