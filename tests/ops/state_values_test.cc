// What state ops and updates do to variables, by hand; errors that only data can show.
#include <gtest/gtest.h>

#include <cmath>

#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/indexing.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/softmax.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/ops/update.h"
#include "tests/support/evaluate.h"
#include "tests/support/expect_error.h"

namespace cohort::testing {
namespace {

using Inputs = std::span<const Value>;

std::shared_ptr<VariableState> variable(std::vector<double> values) {
  const auto n = static_cast<int64_t>(values.size());
  return std::make_shared<VariableState>(Tensor::from(values, Shape{n}),
                                         VariableOptions{.name = "v"});
}

/// The inputs of a dense update: learning rate 0.5, step 1, and whether it applies.
std::vector<Value> update_inputs(bool apply) {
  return {ops::scalar(0.5, DType::kF32), ops::constant(Tensor::scalar(int64_t{1})),
          ops::constant(Tensor::scalar(apply))};
}

TEST(StateValuesTest, AssignsWriteAtTheEndOfTheStep) {
  const auto a = variable({1, 2}), b = variable({1, 2}), c = variable({1, 2});
  const auto out = evaluate(
      [&](Inputs in) {
        ops::assign(a, in[0]);
        ops::assign_add(b, in[0]);
        ops::assign_sub(c, in[0]);
        return std::vector<Value>{in[0].graph().read(a) + in[0].graph().read(b)};
      },
      {Tensor::from({10.0, 20.0})});
  EXPECT_EQ(elements(out[0]), (std::vector<double>{2, 4}));
  EXPECT_EQ(elements(a->value()), (std::vector<double>{10, 20}));
  EXPECT_EQ(elements(b->value()), (std::vector<double>{11, 22}));
  EXPECT_EQ(elements(c->value()), (std::vector<double>{-9, -18}));
}

TEST(StateValuesTest, SgdStepsByHand) {
  const auto plain = variable({1}), p = variable({1}), m = variable({0.25});
  const auto kept = variable({1});
  evaluate(
      [&](Inputs in) {
        const auto on = update_inputs(true), off = update_inputs(false);
        ops::sgd_update({plain}, {}, in, on[0], on[1], on[2], {.weight_decay = {0.1}});
        ops::sgd_update({p}, {m}, in, on[0], on[1], on[2], {.momentum = 0.5, .nesterov = true});
        ops::sgd_update({kept}, {}, in, off[0], off[1], off[2], {});
        return std::vector<Value>{in[0]};
      },
      {Tensor::from({4.0})});
  EXPECT_NEAR(plain->value().item<double>(), 1 - 0.1 * 0.5 * 1 - 0.5 * 4, 1e-12);
  const double velocity = 0.5 * 0.25 - 0.5 * 4;
  EXPECT_NEAR(m->value().item<double>(), velocity, 1e-12);
  EXPECT_NEAR(p->value().item<double>(), 1 + 0.5 * velocity - 0.5 * 4, 1e-12);
  EXPECT_EQ(kept->value().item<double>(), 1);
}

TEST(StateValuesTest, AdamStepsByHand) {
  const auto p = variable({1}), m = variable({0.5}), v = variable({0.25});
  evaluate(
      [&](Inputs in) {
        const auto on = update_inputs(true);
        ops::adam_update({p}, {m}, {v}, {}, in, on[0], on[1], on[2], {.epsilon = 1e-3});
        return std::vector<Value>{in[0]};
      },
      {Tensor::from({2.0})});
  const double m1 = 0.5 + (2 - 0.5) * 0.1, v1 = 0.25 + (4 - 0.25) * 0.001;
  const double alpha = 0.5 * std::sqrt(1 - 0.999) / (1 - 0.9);
  EXPECT_NEAR(m->value().item<double>(), m1, 1e-12);
  EXPECT_NEAR(v->value().item<double>(), v1, 1e-12);
  EXPECT_NEAR(p->value().item<double>(), 1 - alpha * m1 / (std::sqrt(v1) + 1e-3), 1e-9);
}

TEST(StateValuesTest, RowsThatOccurTwiceAreUpdatedOnceByTheirSum) {
  const auto table = variable({1, 1, 1}), squares = variable({0, 5, 1}), kept = variable({1, 1, 1});
  evaluate(
      [&](Inputs in) {
        const Slices slices{in[0], in[1], Shape{3}};
        const Value rate = ops::scalar(0.5, DType::kF64);
        ops::UpdateBody body("by_rows", DType::kF64, 1, rate.graph().ops());
        body.slots[0] = body.slots[0] + ops::square(body.gradient);
        body.parameter = body.parameter - body.number(rate) * body.gradient;
        ops::rows_update(body, table, {squares}, slices, update_inputs(true)[2],
                         ops::OtherRows::kAsDense);
        ops::UpdateBody plain("plain", DType::kF64, 0, rate.graph().ops());
        plain.parameter = plain.gradient;
        ops::rows_update(plain, kept, {}, slices, update_inputs(false)[2],
                         ops::OtherRows::kAsDense);
        return std::vector<Value>{in[1]};
      },
      {Tensor::from<int32_t>({2, 0, 2}), Tensor::from({2.0, 4.0, 6.0})});
  EXPECT_EQ(elements(table->value()), (std::vector<double>{-1, 1, -3}));
  EXPECT_EQ(elements(squares->value()), (std::vector<double>{16, 5, 65}));
  EXPECT_EQ(elements(kept->value()), (std::vector<double>{1, 1, 1}));
}

TEST(StateValuesTest, AllFiniteSeesEveryInput) {
  const auto finite = [](double last) {
    return evaluate([](Inputs in) { return std::vector<Value>{ops::all_finite(in)}; },
                    {Tensor::from({1.f, 2.f}), Tensor::from({0.0, last})})[0]
        .item<bool>();
  };
  EXPECT_TRUE(finite(1e308));
  EXPECT_FALSE(finite(INFINITY));
  EXPECT_FALSE(finite(NAN));
}

TEST(StateValuesTest, BadDataIsNamed) {
  expect_error(Code::kOutOfRange, {"7", "3"}, [] {
    evaluate([](Inputs in) { return std::vector<Value>{ops::gather(in[0], in[1])}; },
             {random_tensor({3, 2}, 1), Tensor::from<int64_t>({0, 7})});
  });
  expect_invalid({"label", "-1"}, [] {
    evaluate(
        [](Inputs in) {
          return std::vector<Value>{ops::sparse_softmax_cross_entropy(in[0], in[1])};
        },
        {random_tensor({2, 5}, 1), Tensor::from<int64_t>({4, -1})});
  });
}

TEST(StateValuesTest, OneHotIgnoresIndicesOutside) {
  const auto out = evaluate(
      [](Inputs in) { return std::vector<Value>{ops::one_hot(in[0], 2, DType::kF64, 5, -1)}; },
      {Tensor::from<int32_t>({1, 2, -1})});
  EXPECT_EQ(elements(out[0]), (std::vector<double>{-1, 5, -1, -1, -1, -1}));
}

}  // namespace
}  // namespace cohort::testing
