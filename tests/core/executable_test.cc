#include "cohort/core/runtime/executable.h"

#include <gtest/gtest.h>

#include "cohort/core/graph/gradients.h"
#include "cohort/core/graph/scope.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/array.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/matmul.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/softmax.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/ops/update.h"
#include "cohort/core/runtime/function.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/core/trace/recorder.h"
#include "tests/support/expect_error.h"

namespace cohort {
namespace {

class ExecutableTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { default_runtime().set_logical_cpu_devices(2, 1); }
};

std::shared_ptr<VariableState> variable(const std::string& name, Tensor value) {
  return std::make_shared<VariableState>(std::move(value), VariableOptions{.name = name});
}

TEST_F(ExecutableTest, ComputesWhatTheFunctionSays) {
  const Function f = function([](Value x, Value y) { return ops::relu(x * 2.0 - y); });
  const auto out = f(Tensor::from({1.f, 2.f, 3.f}), Tensor::from({3.f, 1.f, 1.f}));
  EXPECT_EQ(std::vector<float>(out[0].values<float>().begin(), out[0].values<float>().end()),
            (std::vector<float>{0, 3, 5}));
}

TEST_F(ExecutableTest, OneGraphServesEveryNumberOfRows) {
  const Trace t = trace(
      [](std::span<const Value> in) {
        return std::vector<Value>{ops::reduce_sum(in[0], {.axis = {1}})};
      },
      {{DType::kF32, Shape{batch_dim(), 2}}}, "rows");
  for (const int64_t rows : {0, 1, 5}) {
    auto executable = compile(default_runtime(), *t.graph, t.outputs, {{"N", rows}}, {});
    const Tensor x = Tensor::full(DType::kF32, Shape{rows, 2}, 3);
    executable->set_input(0, x.raw());
    executable->run();
    EXPECT_EQ(executable->output(0).shape(), (Shape{rows}));
    const Tensor sums = executable->output(0);
    for (const float y : sums.values<float>()) EXPECT_EQ(y, 6);
  }
}

TEST_F(ExecutableTest, CommitsSeeTheValuesOfTheStart) {
  auto a = variable("a", Tensor::scalar(1.f)), b = variable("b", Tensor::scalar(2.f));
  const Function swap = function([&](std::vector<Value>) {
    Graph& graph = require_graph("test");
    const Value old_a = graph.read(a), old_b = graph.read(b);
    ops::assign(a, old_b);
    ops::assign(b, old_a);
    return std::vector<Value>{old_a};
  });
  const auto out = swap(std::span<const Tensor>());
  EXPECT_EQ(out[0].item(), 1);
  EXPECT_EQ(a->value().item(), 2);
  EXPECT_EQ(b->value().item(), 1);
  swap(std::span<const Tensor>());
  EXPECT_EQ(a->value().item(), 1);
}

TEST_F(ExecutableTest, GradientDescentWalksDownhillOnLaidOutVariables) {
  auto w = variable("w", Tensor::from({1.f, -2.f, 3.f}, Shape{3, 1})),
       c = variable("c", Tensor::from({0.5f}));
  const Function step = function([&](Value x) {
    Graph& graph = x.graph();
    const std::vector<Value> parameters{graph.read(w), graph.read(c)};
    const Value loss = ops::reduce_mean(ops::square(ops::matmul(x, parameters[0]) + parameters[1]));
    std::vector<Value> dense;
    for (const Gradient& g : gradients(loss, parameters)) dense.push_back(g.dense());
    ops::sgd_update({w, c}, {}, dense, ops::scalar(0.1, DType::kF32),
                    ops::cast(ops::scalar(1, DType::kF32), DType::kI64),
                    ops::cast(ops::scalar(1, DType::kF32), DType::kBool), {});
    return loss;
  });
  const Tensor x = Tensor::from({1.f, 0.f, 0.f, 0.f, 1.f, 0.f, 0.f, 0.f, 1.f}, Shape{3, 3});
  // loss = ((1.5)^2 + (-1.5)^2 + 3.5^2) / 3, dw_i = 2/3 (w_i + c), dc = 2/3 sum.
  EXPECT_NEAR(step(x)[0].item(), (2.25 + 2.25 + 12.25) / 3, 1e-5);
  EXPECT_NEAR(w->value().values<float>()[0], 1 - 0.1 * 2 / 3 * 1.5, 1e-6);
  EXPECT_NEAR(w->value().values<float>()[2], 3 - 0.1 * 2 / 3 * 3.5, 1e-6);
  EXPECT_NEAR(c->value().item(), 0.5 - 0.1 * 2 / 3 * 3.5, 1e-6);
  double last = 1e9;
  for (int i = 0; i < 50; ++i) {
    const double loss = step(x)[0].item();
    EXPECT_LT(loss, last);
    last = loss;
  }
  const char* first = static_cast<const char*>(w->places()[0]->data);
  const char* second = static_cast<const char*>(c->places()[0]->data);
  EXPECT_EQ(std::abs(first - second), 64) << "the variables of one update lie side by side";
}

TEST_F(ExecutableTest, AnErrorLeavesVariablesAlone) {
  auto v = variable("v", Tensor::scalar(1.f));
  const Function step = function([&](Value logits, Value labels) {
    ops::assign(v, ops::reduce_sum(ops::sparse_softmax_cross_entropy(logits, labels)));
    return ops::reduce_sum(logits);
  });
  EXPECT_THROW(step(Tensor::full(DType::kF32, Shape{1, 3}, 0), Tensor::from({int64_t{7}})), Error);
  EXPECT_EQ(v->value().item(), 1);
}

TEST_F(ExecutableTest, TwoHalvesOnTwoDevices) {
  auto w1 = variable("w1", Tensor::full(DType::kF32, Shape{4, 4}, 0.5)),
       w2 = variable("w2", Tensor::full(DType::kF32, Shape{4, 2}, 0.25));
  const Function step = function([&](Value x) {
    Value h, y, a, b;
    {
      DeviceScope scope("cpu:0");
      a = x.graph().read(w1);
      h = ops::relu(ops::matmul(x, a));
    }
    {
      DeviceScope scope("cpu:1");
      b = x.graph().read(w2);
      y = ops::reduce_sum(ops::matmul(h, b));
    }
    std::vector<Value> dense;
    for (const Gradient& g : gradients(y, std::vector<Value>{a, b})) dense.push_back(g.dense());
    ops::sgd_update({w1, w2}, {}, dense, ops::scalar(0.1, DType::kF32),
                    ops::cast(ops::scalar(1, DType::kF32), DType::kI64),
                    ops::cast(ops::scalar(1, DType::kF32), DType::kBool), {});
    return y;
  });
  const Tensor x = Tensor::full(DType::kF32, Shape{3, 4}, 1);
  // h = 2 everywhere, y = 3 * 2 * 4 * 2 * 0.25 = 12; dw1 = 3 * 0.5, dw2 = 3 * 2.
  EXPECT_EQ(step(x)[0].item(), 12);
  EXPECT_NEAR(w1->value().values<float>()[0], 0.5 - 0.1 * 1.5, 1e-6);
  EXPECT_NEAR(w2->value().values<float>()[0], 0.25 - 0.1 * 6, 1e-6);
  for (int i = 0; i < 200; ++i) step(x);
}

TEST_F(ExecutableTest, ARequestThatNoDeviceMeetsIsRefused) {
  for (const char* request : {"cpu:7", "gpu:0", "/task:1", "/job:worker/cpu:0"}) {
    const Function f = function([&](Value x) {
      DeviceScope scope(request);
      return ops::exp(x);
    });
    cohort::testing::expect_invalid(
        {DeviceName::parse(request).to_string(), "/job:localhost/replica:0/task:0/device:CPU:0"},
        [&] { f(Tensor::from({1.f})); });
  }
}

TEST_F(ExecutableTest, APartialRequestIsMetByTheStepsOwnDevice) {
  const Trace t = trace(
      [](std::span<const Value> in) {
        DeviceScope scope("/job:localhost/cpu");
        return std::vector<Value>{ops::exp(in[0])};
      },
      {{DType::kF32, Shape{1}}}, "partial");
  TraceRecorder recorder;
  auto executable = compile(default_runtime(), *t.graph, t.outputs, {},
                            {.device = &default_runtime().device("cpu:1"), .recorder = &recorder});
  const Tensor x = Tensor::from({0.f});
  executable->set_input(0, x.raw());
  executable->run();
  ASSERT_EQ(recorder.events().size(), 1u);
  EXPECT_EQ(recorder.events()[0].track, "/job:localhost/replica:0/task:0/device:CPU:1");
}

Value twice(Value x) { return x + x; }

TEST_F(ExecutableTest, APlainFunctionIsTracedToo) {
  EXPECT_EQ(function(twice)(Tensor::from({3.f}))[0].item(), 6);
}

}  // namespace
}  // namespace cohort
