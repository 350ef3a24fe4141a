// Optimizers and metrics by the names that their structs have.
#include "tests/nn/support.h"
#include "tests/support/expect_error.h"

namespace cohort::nn {
namespace {

TEST(GivenByNameTest, EveryOptimizerIsKnown) {
  for (const std::string name : {"adadelta", "adagrad", "adam", "adamax", "adamw", "ftrl", "lamb",
                                 "lion", "nadam", "rmsprop", "SGD"})
    EXPECT_EQ(Optimizer(name)->name(), name);
  EXPECT_EQ(Optimizer("RMSprop")->name(), "rmsprop");
  testing::expect_error(Code::kInvalidArgument,
                        {"optimizer", "no such name", "adadelta", "lion", "sgd"},
                        [] { const Optimizer none("no such name"); });
}

TEST(GivenByNameTest, AMetricIsKnownByNameAndClass) {
  for (const char* name : {"auc", "AUC", "f1_score", "MeanAbsoluteError", "mean", "mse"})
    EXPECT_EQ(make_metric(name, {8, 3}, {8, 3})->name(), name);
  testing::expect_error(Code::kInvalidArgument,
                        {"metric", "no such name", "auc", "precision", "top_k"}, [] {
                          make_metric("no such name", {8, 3}, {8, 3});
                        });
}

}  // namespace
}  // namespace cohort::nn
