// Updates by a body on the GPU: the bits of the CPU, for the body of every optimizer.
#include <cmath>

#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/update.h"
#include "cohort/nn/nn.h"
#include "tests/gpu/device_case.h"
#include "tests/support/expect_error.h"

namespace cohort::testing {
namespace {

using GpuUpdateBodyTest = GpuTest;

const std::vector<Shape> kShapes{{1}, {10}, {70, 3}, {0}, {1200}, {512}, {3}};

/// An update of variables of kShapes with random numbers in them. Slots are squares, and the first
/// one is larger than the square of another: which NaN a root gives, a GPU says otherwise.
KernelCase case_of(Attrs attrs, DType dtype, size_t num_slots, const std::vector<double>& numbers) {
  KernelCase test{.op = "ElementwiseUpdate", .inputs = {}, .attrs = std::move(attrs)};
  uint64_t seed = 1;
  for (const Shape& shape : kShapes) test.inputs.push_back(random_numbers(dtype, shape, seed++));
  for (size_t group = 0; group <= num_slots; ++group)
    for (const Shape& shape : kShapes) {
      Tensor value = random_numbers(dtype, shape, seed++);
      if (group >= 1) value = run_kernel({"Square", {value}}).outputs[0];
      if (group == 1) value = run_kernel({"Add", {value, Tensor::full(dtype, {}, 20)}}).outputs[0];
      test.variables.push_back(value);
    }
  test.inputs.push_back(Tensor::from(numbers, Shape{static_cast<int64_t>(numbers.size())}));
  test.inputs.push_back(Tensor::from(std::vector<bool>{true}, {}));
  return test;
}

/// What the optimizer records for variables of kShapes, the second without weight decay.
KernelCase case_of(const nn::Optimizer& optimizer, DType dtype) {
  Graph graph(default_runtime().ops());
  const GraphScope scope(graph);
  std::vector<nn::Variable> variables;
  std::vector<Gradient> gradients;
  for (const Shape& shape : kShapes) {
    variables.emplace_back(Tensor(dtype, shape), "v");
    gradients.emplace_back(graph.placeholder("gradient", {dtype, shape}));
  }
  optimizer.exclude_from_weight_decay({variables[1]});
  optimizer.apply(gradients, variables);
  for (const auto& node : graph.nodes()) {
    if (node->op_name() != "ElementwiseUpdate") continue;
    const Attrs& attrs = node->attrs();
    const size_t groups = attrs.get<std::vector<int64_t>>("variables").size() / kShapes.size();
    const Value given = node->inputs()[kShapes.size()];
    std::vector<double> numbers;
    for (int64_t i = 0; i < given.shape().num_elements(); ++i)
      numbers.push_back(0.03 + 0.6 * static_cast<double>(i % 2));
    return case_of({{"body", attrs.get<std::shared_ptr<const Graph>>("body")},
                    {"update", attrs.get<std::string>("update")},
                    {"weight_decay", attrs.get<std::vector<double>>("weight_decay")}},
                   dtype, groups - 1, numbers);
  }
  throw Internal("{}: recorded no update by a body", optimizer->name());
}

void expect_like_cpus_blocks(const KernelCase& test, double tolerance) {
  const KernelResult want = run_kernel(test, "blocks"), got = GpuKernel(test).run();
  for (size_t i = 0; i < want.variables.size(); ++i)
    expect_close(got.variables[i], want.variables[i], tolerance);
}

using Make = nn::Optimizer (*)();
using Bodies = std::vector<std::pair<const char*, Make>>;

template <class Options>
nn::Optimizer of(Options options) {
  return options;
}

/// Of all optimizers, with what changes their bodies.
const Bodies kExact{
    {"SGD", [] { return of(nn::SGD{.use_ema = true}); }},
    {"Nesterov",
     [] {
       return of(nn::SGD{.momentum = 0.9, .nesterov = true, .weight_decay = 0.01, .use_ema = true});
     }},
    {"Adam", [] { return of(nn::Adam{.use_ema = true, .ema_overwrite_frequency = 3}); }},
    {"AMSGrad", [] { return of(nn::AdamW{.amsgrad = true, .use_ema = true}); }},
    {"RMSprop", [] { return of(nn::RMSprop{}); }},
    {"centered RMSprop",
     [] {
       return of(nn::RMSprop{.momentum = 0.9,
                             .centered = true,
                             .weight_decay = 0.01,
                             .use_ema = true,
                             .gradient_accumulation_steps = 2});
     }},
    {"Adagrad", [] { return of(nn::Adagrad{.weight_decay = 0.1}); }},
    {"Adadelta", [] { return of(nn::Adadelta{}); }},
    {"Adamax", [] { return of(nn::Adamax{}); }},
    {"Nadam", [] { return of(nn::Nadam{.weight_decay = 0.004}); }},
    {"Lion", [] { return of(nn::Lion{}); }},
    {"Ftrl", [] { return of(nn::Ftrl{.l1_regularization_strength = 0.1, .beta = 0.2}); }},
    {"Lamb", [] { return of(nn::Lamb{.weight_decay = 0.01}); }},
};

TEST_F(GpuUpdateBodyTest, EveryOptimizersBodyHasTheBitsOfTheCpu) {
  for (const auto& [name, make] : kExact)
    for (const DType dtype : {DType::kF32, DType::kF64, DType::kF16, DType::kBF16}) {
      SCOPED_TRACE(fmt::format("{}, {}", name, dtype));
      expect_like_cpus_blocks(case_of(make(), dtype), 0);
    }
}

/// Rows of a table that a gradient has, among them some that are not there.
TEST_F(GpuUpdateBodyTest, RowsHaveTheBitsOfTheCpu) {
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kF16, DType::kBF16})
    for (const bool apply : {true, false}) {
      SCOPED_TRACE(fmt::format("{}, {}", dtype, apply));
      KernelCase test = case_of(of(nn::Adadelta{}), dtype);
      test.op = "RowsUpdate";
      test.attrs.set("stay", true);
      test.inputs = {Tensor::from<int32_t>({7, -1, 0, 40, 3}), random_numbers(dtype, {5, 33}, 1),
                     test.inputs[test.inputs.size() - 2],
                     Tensor::from(std::vector<bool>{apply}, {})};
      test.variables = {random_numbers(dtype, {41, 33}, 2)};
      for (uint64_t slot = 0; slot < 2; ++slot)
        test.variables.push_back(
            run_kernel({"Square", {random_numbers(dtype, {41, 33}, 3 + slot)}}).outputs[0]);
      expect_like_cpu(test, 0);
    }
}

/// Of a power the last bits are the library's.
TEST_F(GpuUpdateBodyTest, ABodyWithAPowerAgrees) {
  for (const DType dtype : {DType::kF32, DType::kF64})
    expect_like_cpus_blocks(case_of(of(nn::Ftrl{.learning_rate_power = -0.7}), dtype),
                            rounding(dtype));
}

using Record = void (*)(ops::UpdateBody& body, Value rate);

KernelCase by_hand_written_body(size_t slots, Record record, DType dtype = DType::kF32) {
  const OpRegistry& registry = default_runtime().ops();
  Graph step(registry);
  ops::UpdateBody body("own update", dtype, slots, registry);
  record(body, body.number(step.placeholder("rate", {DType::kF64, {}})));
  return case_of({{"body", body.finish()},
                  {"update", std::string("own update")},
                  {"weight_decay", std::vector<double>()}},
                 dtype, slots, {0.1});
}

TEST_F(GpuUpdateBodyTest, EveryExactOpHasTheBitsOfTheCpu) {
  for (const DType dtype : {DType::kF32, DType::kF64})
    expect_like_cpus_blocks(
        by_hand_written_body(
            2,
            [](ops::UpdateBody& b, Value rate) {
              const Value g = b.gradient, p = b.parameter, s = b.slots[0], v = b.slots[1];
              const Value small = ops::less(ops::abs(g), rate);
              const Value odd = ops::logical_or(ops::logical_not(small), ops::greater(p, s));
              const Value x = ops::where(odd, ops::fma(g, p, s), ops::neg(ops::square(g)));
              b.slots[0] = ops::minimum(ops::maximum(x, s), ops::rsqrt(v + 1.0)) +
                           ops::cast(small, g.dtype()) * ops::sign(p) + ops::floor(p * 3.0);
              b.slots[1] = ops::where(ops::is_finite(g / p), ops::sqrt(v), ops::round(p * 10.0));
              b.parameter = ops::cast(ops::cast(x, DType::kF16), g.dtype()) -
                            ops::squared_difference(g, p) * (rate * rate) + ops::ceil(s) +
                            ops::reciprocal(v + 2.0);
            },
            dtype),
        0);
}

/// Old values may be wanted after new ones are made, and may change places.
TEST_F(GpuUpdateBodyTest, OldValuesStayUntilNobodyWantsThem) {
  expect_like_cpus_blocks(by_hand_written_body(3,
                                               [](ops::UpdateBody& b, Value) {
                                                 const Value p = b.parameter, s = b.slots[0];
                                                 b.parameter = b.gradient + s;
                                                 b.slots[0] = p;
                                                 b.slots[1] = b.slots[1] + p * s;
                                               }),
                          0);
  const KernelCase swap = by_hand_written_body(
      1, [](ops::UpdateBody& b, Value) { std::swap(b.parameter, b.slots[0]); });
  const KernelResult got = GpuKernel(swap).run();
  const size_t n = kShapes.size();
  for (size_t i = 0; i < n; ++i) {
    EXPECT_TRUE(bitwise_equal(got.variables[i], swap.variables[n + i]));
    EXPECT_TRUE(bitwise_equal(got.variables[n + i], swap.variables[i]));
  }
}

template <size_t kCount>
void keep_values(ops::UpdateBody& b, Value rate) {
  std::vector<Value> kept{b.gradient * rate};
  while (kept.size() < kCount) kept.push_back(kept.back() + b.gradient);
  for (const Value& value : kept) b.parameter = b.parameter - value * b.slots[0];
}

/// More values at a time than a vector of each has room for.
TEST_F(GpuUpdateBodyTest, ALongBodyTakesAnElementAtATime) {
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kBF16})
    for (const Record record : {Record(keep_values<10>), Record(keep_values<24>)})
      expect_like_cpus_blocks(by_hand_written_body(1, record, dtype), 0);
  expect_error(Code::kUnimplemented, {"own update", "41 values", "at most 40"},
               [] { GpuKernel kernel(by_hand_written_body(1, keep_values<40>)); });
}

TEST_F(GpuUpdateBodyTest, WhatItDoesNotTakeIsRefusedByName) {
  const auto refused = [](size_t slots, Record record, std::string_view got,
                          std::string_view want) {
    expect_error(Code::kUnimplemented, {"own update", got, want},
                 [&] { GpuKernel kernel(by_hand_written_body(slots, record)); });
  };
  refused(
      0,
      [](ops::UpdateBody& b, Value) {
        b.parameter = ops::cast(ops::cast(b.gradient, DType::kI32), DType::kF32);
      },
      "a cast of float32 to int32", "floating");
  refused(
      0,
      [](ops::UpdateBody& b, Value) {
        const Value wide = ops::cast(b.gradient, DType::kF64);
        b.parameter = ops::cast(wide * wide, DType::kF32);
      },
      "Mul of float64", "want float32");
  refused(
      0,
      [](ops::UpdateBody& b, Value) {
        for (int i = 0; i < 130; ++i) b.parameter = b.parameter - b.gradient;
      },
      "129 ops", "at most 128");
  refused(
      11, [](ops::UpdateBody& b, Value) { b.parameter = b.parameter - b.gradient; }, "11 slots",
      "at most 10");
}

TEST_F(GpuUpdateBodyTest, ApplyFalseAndFaultsChangeNothing) {
  KernelCase test = case_of(of(nn::Nadam{}), DType::kF32);
  GpuKernel bad({"SparseSoftmaxCrossEntropy",
                 {random_numbers(DType::kF32, {1, 4}), Tensor::from({int64_t{7}})}});
  GpuKernel update(test);
  bad.submit();
  update.submit();
  EXPECT_THROW(gpu()->synchronize(), Error);
  test.inputs.back() = Tensor::from(std::vector<bool>{false}, {});
  const KernelResult faulty = update.results(), skipped = GpuKernel(test).run();
  for (size_t i = 0; i < test.variables.size(); ++i) {
    EXPECT_TRUE(bitwise_equal(faulty.variables[i], test.variables[i]));
    EXPECT_TRUE(bitwise_equal(skipped.variables[i], test.variables[i]));
  }
}

/// On this device: of the last bit it is the library's.
double power(double base, double exponent) {
  return GpuKernel({"Pow", {Tensor::scalar(base), Tensor::scalar(exponent)}})
      .run()
      .outputs[0]
      .item<double>();
}

struct HandKernel {
  const char* op;
  Attrs attrs;
  size_t slots;
  Record record;
  bool by_alpha;
};

/// The kernels of SGD and Adam are fast forms of their bodies.
void expect_bits_of_body(const HandKernel& hand, DType dtype, bool decays) {
  SCOPED_TRACE(fmt::format("{}, {}", hand.op, dtype));
  const double rate = 0.01f, step = 3;
  const double alpha = rate * std::sqrt(1 - power(0.999, step)) / (1 - power(0.9, step));
  const OpRegistry& registry = default_runtime().ops();
  Graph graph(registry);
  ops::UpdateBody body(hand.op, dtype, hand.slots, registry);
  const Value number = graph.placeholder("number", {DType::kF64, {}});
  if (decays) body.decay(number);
  hand.record(body, body.number(number));
  std::vector<double> numbers(decays ? 1 : 0, rate), weight_decay;
  numbers.push_back(hand.by_alpha ? alpha : rate);
  if (decays) weight_decay = {0, 0.1, 0, 0.01, 0.1, 0, 0.2};
  const KernelCase by_body = case_of({{"body", body.finish()}, {"weight_decay", weight_decay}},
                                     dtype, hand.slots, numbers);
  KernelCase by_hand = by_body;
  by_hand.op = hand.op;
  by_hand.attrs = hand.attrs;
  by_hand.attrs.set("weight_decay", weight_decay);
  by_hand.inputs[kShapes.size()] = Tensor::scalar(0.01f);
  by_hand.inputs[kShapes.size() + 1] = Tensor::scalar(int64_t{3});
  by_hand.inputs.push_back(Tensor::from(std::vector<bool>{true}, {}));
  const KernelResult want = GpuKernel(by_body).run(), got = GpuKernel(by_hand).run();
  for (size_t i = 0; i < want.variables.size(); ++i)
    expect_close(got.variables[i], want.variables[i], 0);
}

TEST_F(GpuUpdateBodyTest, SgdsAndAdamsKernelsHaveTheBitsOfTheirBodies) {
  const auto adam = [](bool amsgrad) {
    return Attrs{{"beta_1", 0.9}, {"beta_2", 0.999}, {"epsilon", 1e-7}, {"amsgrad", amsgrad}};
  };
  const std::vector<HandKernel> kernels{
      {"SgdUpdate",
       {{"momentum", 0.0}},
       0,
       [](ops::UpdateBody& b, Value rate) { ops::sgd_body(b, rate, {}); },
       false},
      {"SgdUpdate",
       {{"momentum", 0.9}},
       1,
       [](ops::UpdateBody& b, Value rate) { ops::sgd_body(b, rate, {.momentum = 0.9}); },
       false},
      {"SgdUpdate",
       {{"momentum", 0.9}, {"nesterov", true}},
       1,
       [](ops::UpdateBody& b, Value rate) {
         ops::sgd_body(b, rate, {.momentum = 0.9, .nesterov = true});
       },
       false},
      {"AdamUpdate", adam(false), 2,
       [](ops::UpdateBody& b, Value alpha) { ops::adam_body(b, alpha, {}); }, true},
      {"AdamUpdate", adam(true), 3,
       [](ops::UpdateBody& b, Value alpha) { ops::adam_body(b, alpha, {.amsgrad = true}); }, true},
  };
  for (const HandKernel& kernel : kernels)
    for (const DType dtype : {DType::kF32, DType::kF64, DType::kF16, DType::kBF16})
      for (const bool decays : {false, true}) expect_bits_of_body(kernel, dtype, decays);
}

}  // namespace
}  // namespace cohort::testing
