// Values and gradients of ops as PyTorch computed them (tests/golden/generate_ops.py), in f32 and
// f64.
#include <gtest/gtest.h>

#include <map>

#include "cohort/core/graph/gradients.h"
#include "cohort/core/ops/array.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/conv.h"
#include "cohort/core/ops/indexing.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/matmul.h"
#include "cohort/core/ops/norm.h"
#include "cohort/core/ops/pool.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/softmax.h"
#include "tests/golden/golden.h"
#include "tests/support/evaluate.h"

namespace cohort::testing {
namespace {

using Inputs = std::span<const Value>;
using Numbers = std::vector<int64_t>;
/// Records the op of one case, whose arguments `get` reads by field name.
using Record = Value (*)(const Golden& golden, const std::string& name, Inputs in);

struct Group {
  const char* topic;
  const char* name;
  std::vector<std::string> inputs;
  Record record;
};

Numbers numbers(const Golden& golden, const std::string& name) {
  return golden.values<int64_t>(name);
}
std::array<int64_t, 2> pair(const Golden& golden, const std::string& name) {
  const Numbers n = numbers(golden, name);
  return {n.at(0), n.at(1)};
}
ops::Padding padding(const Golden& golden, const std::string& name) {
  return golden.text(name + "/padding") == "same" ? ops::Padding::kSame : ops::Padding::kValid;
}

/// One case in one dtype: y, and the gradient of sum(y dy) with respect to each floating input.
void compare(const Golden& golden, const Group& group, const std::string& name, DType dtype) {
  SCOPED_TRACE(name + (dtype == DType::kF32 ? " f32" : " f64"));
  std::vector<Tensor> inputs;
  for (const std::string& field : group.inputs) {
    if (!golden.has(name + "/" + field)) continue;  // concat takes two or three
    const Tensor value = golden[name + "/" + field];
    inputs.push_back(is_floating(value.dtype()) ? value.cast(dtype) : value);
  }
  const size_t n = inputs.size();
  const bool differentiable = golden.has(name + "/dy");
  if (differentiable) inputs.push_back(golden[name + "/dy"].cast(dtype));
  std::vector<std::string> fields{"y"};
  const auto out = evaluate(
      [&](Inputs in) {
        const Value y = group.record(golden, name, in.first(n));
        std::vector<Value> fetches{y};
        if (!differentiable) return fetches;
        const auto d = gradients(std::vector<Value>{y}, in.first(n), in.last(1));
        for (size_t i = 0; i < n; ++i) {
          if (!golden.has(name + "/d" + group.inputs[i])) continue;
          fields.push_back("d" + group.inputs[i]);
          fetches.push_back(d[i].absent() ? ops::zeros_like(in[i]) : d[i].dense());
        }
        return fetches;
      },
      inputs);
  const double tolerance = dtype == DType::kF32 ? 2e-5 : 1e-6;
  for (size_t i = 0; i < fields.size(); ++i)
    expect_near(out[i], golden[name + "/" + fields[i]], tolerance, name + "/" + fields[i]);
}

class GoldenOpTest : public ::testing::TestWithParam<Group> {};

TEST_P(GoldenOpTest, AgreesWithPyTorch) {
  const Group& group = GetParam();
  const Golden golden(group.topic);
  for (const std::string& name : golden.cases(group.name))
    for (DType dtype : {DType::kF32, DType::kF64})
      compare(golden, group, std::string(group.name) + "/" + name, dtype);
}

template <Value (*op)(Value, Value)>
Value binary(const Golden&, const std::string&, Inputs in) {
  return op(in[0], in[1]);
}
template <Value (*op)(Value)>
Value unary(const Golden&, const std::string&, Inputs in) {
  return op(in[0]);
}
template <Value (*op)(Value, ops::ReduceOptions)>
Value reduce(const Golden& golden, const std::string& name, Inputs in) {
  return op(in[0], {.axis = numbers(golden, name + "/axis"),
                    .keepdims = golden.number(name + "/keepdims") != 0});
}
template <Value (*op)(Value, ops::Pool2DOptions)>
Value pool(const Golden& golden, const std::string& name, Inputs in) {
  return op(in[0], {.pool_size = pair(golden, name + "/pool_size"),
                    .strides = pair(golden, name + "/strides"),
                    .padding = padding(golden, name)});
}

Value matmul(const Golden& golden, const std::string& name, Inputs in) {
  return ops::matmul(in[0], in[1],
                     {.transpose_a = golden.number(name + "/transpose_a") != 0,
                      .transpose_b = golden.number(name + "/transpose_b") != 0});
}
Value conv2d(const Golden& golden, const std::string& name, Inputs in) {
  return ops::conv2d(in[0], in[1],
                     {.strides = pair(golden, name + "/strides"),
                      .padding = padding(golden, name),
                      .dilation = pair(golden, name + "/dilations"),
                      .groups = numbers(golden, name + "/groups").at(0)});
}
Value select(const Golden&, const std::string&, Inputs in) {
  return ops::where(in[0], in[1], in[2]);
}
Value transpose(const Golden& golden, const std::string& name, Inputs in) {
  return ops::transpose(in[0], numbers(golden, name + "/permutation"));
}
Value concat(const Golden& golden, const std::string& name, Inputs in) {
  return ops::concat(in, numbers(golden, name + "/axis").at(0));
}
Value slice(const Golden& golden, const std::string& name, Inputs in) {
  const Numbers begin = numbers(golden, name + "/begin");
  Numbers end = numbers(golden, name + "/size");
  for (size_t i = 0; i < end.size(); ++i) end[i] += begin[i];
  return ops::slice(in[0], begin, end);
}
Value pad(const Golden& golden, const std::string& name, Inputs in) {
  return ops::pad(in[0], numbers(golden, name + "/before"), numbers(golden, name + "/after"),
                  golden.number(name + "/value"));
}
Value argmax(const Golden& golden, const std::string& name, Inputs in) {
  return ops::argmax(in[0], numbers(golden, name + "/axis").at(0));
}
Value one_hot(const Golden& golden, const std::string& name, Inputs in) {
  return ops::one_hot(in[0], numbers(golden, name + "/depth").at(0));
}
Value batch_norm(const Golden& golden, const std::string& name, Inputs in) {
  return ops::batch_norm(in[0], in[1], in[2], golden.number(name + "/epsilon")).y;
}
/// Rows are gathered from axis 0; other axes by transposition.
Value gather(const Golden& golden, const std::string& name, Inputs in) {
  if (!golden.has(name + "/axis")) return ops::gather(in[0], in[1]);
  return ops::transpose(ops::gather(ops::transpose(in[0], {1, 0, 2}), in[1]), {1, 0, 2});
}
Value global_average(const Golden&, const std::string&, Inputs in) {
  return ops::global_avg_pool2d(in[0]);
}
Value global_max(const Golden&, const std::string&, Inputs in) {
  return ops::global_max_pool2d(in[0]);
}

INSTANTIATE_TEST_SUITE_P(
    Ops, GoldenOpTest,
    ::testing::Values(Group{"ops", "add", {"a", "b"}, binary<ops::add>},
                      Group{"ops", "sub", {"a", "b"}, binary<ops::sub>},
                      Group{"ops", "mul", {"a", "b"}, binary<ops::mul>},
                      Group{"ops", "div", {"a", "b"}, binary<ops::div>},
                      Group{"ops", "pow", {"a", "b"}, binary<ops::pow>},
                      Group{"ops", "maximum", {"a", "b"}, binary<ops::maximum>},
                      Group{"ops", "minimum", {"a", "b"}, binary<ops::minimum>},
                      Group{"ops", "select", {"condition", "a", "b"}, select},
                      Group{"ops", "matmul", {"a", "b"}, matmul},
                      Group{"ops", "reduce_sum", {"x"}, reduce<ops::reduce_sum>},
                      Group{"ops", "reduce_mean", {"x"}, reduce<ops::reduce_mean>},
                      Group{"ops", "reduce_max", {"x"}, reduce<ops::reduce_max>},
                      Group{"ops", "reduce_min", {"x"}, reduce<ops::reduce_min>},
                      Group{"ops", "reduce_prod", {"x"}, reduce<ops::reduce_prod>},
                      Group{"ops", "argmax", {"x"}, argmax},
                      Group{"ops", "transpose", {"x"}, transpose},
                      Group{"ops", "concat", {"a", "b", "c"}, concat},
                      Group{"ops", "slice", {"x"}, slice}, Group{"ops", "pad", {"x"}, pad},
                      Group{"ops", "gather", {"x", "indices"}, gather},
                      Group{"ops", "one_hot", {"indices"}, one_hot},
                      Group{"ops", "softmax", {"x"}, unary<ops::softmax>},
                      Group{"ops", "log_softmax", {"x"}, unary<ops::log_softmax>},
                      Group{"ops",
                            "sparse_softmax_cross_entropy",
                            {"logits", "labels"},
                            binary<ops::sparse_softmax_cross_entropy>},
                      Group{"ops",
                            "softmax_cross_entropy",
                            {"logits", "labels"},
                            binary<ops::softmax_cross_entropy>},
                      Group{"ops",
                            "sigmoid_cross_entropy",
                            {"logits", "labels"},
                            binary<ops::sigmoid_cross_entropy>},
                      Group{"ops_image", "conv2d", {"x", "kernel"}, conv2d},
                      Group{"ops_image", "max_pool", {"x"}, pool<ops::max_pool2d>},
                      Group{"ops_image", "average_pool", {"x"}, pool<ops::avg_pool2d>},
                      Group{"ops_image", "global_average_pool", {"x"}, global_average},
                      Group{"ops_image", "global_max_pool", {"x"}, global_max},
                      Group{"ops_image", "batch_norm", {"x", "gamma", "beta"}, batch_norm}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(GoldenUnaryTest, AgreesWithPyTorch) {
  const std::map<std::string, Value (*)(Value)> known = {
      {"neg", ops::neg},       {"abs", ops::abs},           {"exp", ops::exp},
      {"square", ops::square}, {"tanh", ops::tanh},         {"sigmoid", ops::sigmoid},
      {"relu", ops::relu},     {"softplus", ops::softplus}, {"sin", ops::sin},
      {"cos", ops::cos},       {"erf", ops::erf},           {"expm1", ops::expm1},
      {"sign", ops::sign},     {"floor", ops::floor},       {"ceil", ops::ceil},
      {"round", ops::round},   {"log", ops::log},           {"sqrt", ops::sqrt},
      {"rsqrt", ops::rsqrt},   {"log1p", ops::log1p},       {"reciprocal", ops::reciprocal}};
  static Value (*function)(Value) = nullptr;
  const Golden golden("ops");
  int compared = 0;
  for (const std::string& name : golden.cases("unary")) {
    const auto it = known.find(name);
    if (it == known.end()) continue;  // activations of the layers
    function = it->second;
    const Group group{"ops", "unary", {"x"}, [](const Golden&, const std::string&, Inputs in) {
                        return function(in[0]);
                      }};
    for (DType dtype : {DType::kF32, DType::kF64}) compare(golden, group, "unary/" + name, dtype);
    ++compared;
  }
  EXPECT_EQ(compared, static_cast<int>(known.size()));
}

TEST(GoldenCompareTest, AgreesWithPyTorch) {
  const std::map<std::string, Value (*)(Value, Value)> known = {
      {"eq", ops::equal},      {"ne", ops::not_equal}, {"lt", ops::less},
      {"le", ops::less_equal}, {"gt", ops::greater},   {"ge", ops::greater_equal}};
  const Golden golden("ops");
  for (const auto& [name, op] : known) {
    const std::string at = "compare/" + name;
    const auto out =
        evaluate([&op = op](Inputs in) { return std::vector<Value>{op(in[0], in[1])}; },
                 {golden[at + "/a"], golden[at + "/b"]});
    EXPECT_EQ(elements(out[0]), golden.values<double>(at + "/y")) << name;
  }
}

}  // namespace
}  // namespace cohort::testing
