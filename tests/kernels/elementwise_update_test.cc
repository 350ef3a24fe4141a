// Updates by a body, and the forms of known bodies that have kernels of their own.
#include <cmath>

#include "cohort/core/ops/math.h"
#include "cohort/core/ops/update.h"
#include "tests/kernels/compare.h"

namespace cohort::testing {
namespace {

/// Sizes around a block of 4096 floats, of none, and of less than a vector.
const std::vector<Shape> kShapes{{37, 5}, {5}, {0}, {4096}, {3 * 4096 + 17}, {1}, {2, 64}, {4095}};

constexpr DType kFloating[] = {DType::kF32, DType::kF64, DType::kF16, DType::kBF16};

using Record = void (*)(ops::UpdateBody& body, Value rate, Value alpha);

struct BodyCase {
  int slots = 0;
  Record record = nullptr;
  bool decays = false;
};

constexpr double kRate = 0.1f;  // as it comes from an f32 scalar
constexpr int64_t kStep = 3;

std::vector<double> decays_of_variables() {
  std::vector<double> decays;
  for (size_t i = 0; i < kShapes.size(); ++i) decays.push_back(i % 3 == 0 ? 0.02 : 0.01);
  return decays;
}

void add_arrays(KernelCase& test, DType dtype, int slots) {
  for (const Shape& shape : kShapes) test.inputs.push_back(random_tensor(dtype, shape, 9));
  for (int slot = 0; slot <= slots; ++slot)
    for (const Shape& shape : kShapes) {
      Tensor value = random_tensor(dtype, shape, static_cast<uint64_t>(slot));
      if (slot >= 2)  // second moments are not negative
        value = run_kernel({.op = "Square", .inputs = {value}}).outputs[0];
      test.variables.push_back(value);
    }
}

Tensor yes() { return Tensor::full(DType::kBool, {}, 1); }

KernelCase by_body(const BodyCase& body_case, DType dtype) {
  const OpRegistry& registry = BoundKernel::op_registry();
  Graph step(registry);
  const Value rate = step.placeholder("rate", {DType::kF64, {}});
  const Value alpha = step.placeholder("alpha", {DType::kF64, {}});
  ops::UpdateBody body("test", dtype, static_cast<size_t>(body_case.slots), registry);
  if (body_case.decays) body.decay(rate);
  const Value of_rate = body.number(rate), of_alpha = body.number(alpha);
  body_case.record(body, of_rate, of_alpha);
  KernelCase test{.op = "ElementwiseUpdate"};
  add_arrays(test, dtype, body_case.slots);
  const double bias = std::sqrt(1 - std::pow(0.999, 3.0)) / (1 - std::pow(0.9, 3.0));
  const double scaled = kRate * std::sqrt(1 - std::pow(0.999, 3.0)) / (1 - std::pow(0.9, 3.0));
  EXPECT_NEAR(scaled, kRate * bias, 1e-12);
  std::vector<double> numbers{kRate, scaled};
  if (body_case.decays) numbers.insert(numbers.begin(), kRate);
  const auto count = static_cast<int64_t>(numbers.size());
  test.inputs.push_back(Tensor::from<double>(numbers, Shape{count}));
  test.inputs.push_back(yes());
  test.attrs = {{"body", body.finish()},
                {"weight_decay", body_case.decays ? decays_of_variables() : std::vector<double>()}};
  return test;
}

KernelCase by_hand(const char* op, int slots, DType dtype, bool decays, Attrs attrs) {
  KernelCase test{.op = op, .attrs = std::move(attrs)};
  test.attrs.set("weight_decay", decays ? decays_of_variables() : std::vector<double>());
  add_arrays(test, dtype, slots);
  test.inputs.push_back(Tensor::scalar(0.1f));
  test.inputs.push_back(Tensor::scalar(kStep));
  test.inputs.push_back(yes());
  return test;
}

void expect_same_variables(const KernelResult& got, const KernelResult& want,
                           const std::string& what) {
  ASSERT_EQ(got.variables.size(), want.variables.size());
  for (size_t i = 0; i < want.variables.size(); ++i)
    EXPECT_TRUE(bitwise_equal(got.variables[i], want.variables[i])) << what << ", variable " << i;
}

void expect_same_bits(const KernelCase& body, const KernelCase& hand) {
  const KernelResult want = run_kernel(hand, "");
  std::vector<const char*> implementations{"blocks"};
  if (size_of(hand.variables[0].dtype()) > 2) implementations.push_back("simd");
  for (const char* implementation : implementations)
    for (const int threads : {1, 2, 3}) {
      KernelCase test = body;
      test.threads = threads;
      expect_same_variables(run_kernel(test, implementation), want,
                            fmt::format("{}, {}, {} threads", hand.op, implementation, threads));
    }
}

TEST(ElementwiseUpdateTest, AdamsBodyHasTheBitsOfItsKernel) {
  for (const DType dtype : kFloating)
    for (const bool decays : {false, true}) {
      const auto attrs = [](bool amsgrad) {
        return Attrs{{"beta_1", 0.9}, {"beta_2", 0.999}, {"epsilon", 1e-7}, {"amsgrad", amsgrad}};
      };
      expect_same_bits(
          by_body({2, [](ops::UpdateBody& b, Value, Value alpha) { ops::adam_body(b, alpha, {}); },
                   decays},
                  dtype),
          by_hand("AdamUpdate", 2, dtype, decays, attrs(false)));
      expect_same_bits(by_body({3,
                                [](ops::UpdateBody& b, Value, Value alpha) {
                                  ops::adam_body(b, alpha, {.amsgrad = true});
                                },
                                decays},
                               dtype),
                       by_hand("AdamUpdate", 3, dtype, decays, attrs(true)));
    }
}

TEST(ElementwiseUpdateTest, SgdsBodyHasTheBitsOfItsKernel) {
  for (const DType dtype : kFloating)
    for (const bool decays : {false, true}) {
      const auto attrs = [](double momentum, bool nesterov) {
        return Attrs{{"momentum", momentum}, {"nesterov", nesterov}};
      };
      expect_same_bits(
          by_body({0, [](ops::UpdateBody& b, Value rate, Value) { ops::sgd_body(b, rate, {}); },
                   decays},
                  dtype),
          by_hand("SgdUpdate", 0, dtype, decays, attrs(0, false)));
      expect_same_bits(by_body({1,
                                [](ops::UpdateBody& b, Value rate, Value) {
                                  ops::sgd_body(b, rate, {.momentum = 0.9});
                                },
                                decays},
                               dtype),
                       by_hand("SgdUpdate", 1, dtype, decays, attrs(0.9, false)));
      expect_same_bits(by_body({1,
                                [](ops::UpdateBody& b, Value rate, Value) {
                                  ops::sgd_body(b, rate, {.momentum = 0.9, .nesterov = true});
                                },
                                decays},
                               dtype),
                       by_hand("SgdUpdate", 1, dtype, decays, attrs(0.9, true)));
    }
}

/// Neither kernel's bits depend on where a range begins.
TEST(ElementwiseUpdateTest, RangesBeginAtAnyElement) {
  const Attrs attrs{{"beta_1", 0.9}, {"beta_2", 0.999}, {"epsilon", 1e-7}, {"amsgrad", false}};
  for (const DType dtype : kFloating) {
    KernelCase body = by_body(
        {2, [](ops::UpdateBody& b, Value, Value alpha) { ops::adam_body(b, alpha, {}); }}, dtype);
    KernelCase hand = by_hand("AdamUpdate", 2, dtype, false, attrs);
    const KernelResult want = run_kernel(hand, "");
    for (const int64_t first : {1, 2, 3, 5, 7, 13, 15}) {
      body.first_element = hand.first_element = first;
      const std::string what = fmt::format("{} from element {}", dtype, first);
      expect_same_variables(run_kernel(body, ""), want, what);
      expect_same_variables(run_kernel(hand, ""), want, what);
    }
  }
}

/// Where nothing changes a number, its sign stays: without decay there is no p - 0 p.
TEST(ElementwiseUpdateTest, MinusZeroStaysWithoutAStep) {
  for (const DType dtype : kFloating)
    for (const bool decays : {false, true}) {
      KernelCase body = by_body(
          {1,
           [](ops::UpdateBody& b, Value rate, Value) { ops::sgd_body(b, rate, {.momentum = 0.9}); },
           decays},
          dtype);
      KernelCase hand = by_hand("SgdUpdate", 1, dtype, decays, {{"momentum", 0.9}});
      KernelCase body_of_adam = by_body(
          {2, [](ops::UpdateBody& b, Value, Value alpha) { ops::adam_body(b, alpha, {}); }, decays},
          dtype);
      KernelCase hand_of_adam = by_hand("AdamUpdate", 2, dtype, decays,
                                        {{"beta_1", 0.9}, {"beta_2", 0.999}, {"epsilon", 1e-7}});
      for (KernelCase* test : {&body, &hand, &body_of_adam, &hand_of_adam})
        for (size_t i = 0; i < test->variables.size(); ++i) {
          Tensor& variable = test->variables[i];
          variable = Tensor::full(dtype, variable.shape(), i < kShapes.size() ? -0.0 : 0.0);
          if (i < kShapes.size()) test->inputs[i] = Tensor::full(dtype, variable.shape(), 0);
        }
      expect_same_bits(body, hand);
      expect_same_bits(body_of_adam, hand_of_adam);
      if (!decays) {
        EXPECT_TRUE(std::signbit(
            run_kernel(hand_of_adam, "").variables[0].cast(DType::kF64).data<double>()[0]));
      }
    }
}

/// The same ops in vector registers and on blocks: every op that both have, values that are kept
/// for later, results that several wait for, numbers that choose.
TEST(ElementwiseUpdateTest, RegistersAndBlocksGiveTheSameBits) {
  const std::vector<Record> bodies{
      [](ops::UpdateBody& b, Value rate, Value alpha) {
        const Value g = b.gradient, p = b.parameter, v = b.slots[1];
        const Value x = ops::maximum(ops::minimum(g, p), ops::neg(ops::abs(g)));
        const Value y = ops::fma(x, p, ops::rsqrt(v + 1.0)) + ops::sign(p) * rate;
        b.slots[0] = ops::fma(rate, y, x) - ops::fma(y, alpha, g) / (x * x + 1.0);
        b.slots[1] = ops::reciprocal(v + 2.0) + ops::squared_difference(y, b.slots[0]) + x;
        b.parameter = ops::sqrt(ops::maximum(v, ops::square(y))) - 1.0 / (1.0 + ops::abs(y));
      },
      [](ops::UpdateBody& b, Value rate, Value alpha) {
        const Value p = b.parameter, s = b.slots[0], v = b.slots[1];
        const Value sum = p + s, large = ops::greater(rate, alpha);
        b.parameter = ops::where(large, sum, b.gradient - p);
        b.slots[0] = ops::where(ops::logical_not(large), p * v, sum + sum);
        b.slots[1] = b.parameter;
      },
      [](ops::UpdateBody& b, Value rate, Value) {  // old values to the end
        const Value g = b.gradient, p = b.parameter, s = b.slots[0], v = b.slots[1];
        b.parameter = g + s;
        b.slots[0] = g - v * rate;
        b.slots[1] = s - p / (b.slots[0] + b.parameter);
      },
      [](ops::UpdateBody& b, Value, Value) { b.slots[0] = b.gradient - b.gradient; },
      [](ops::UpdateBody& b, Value rate, Value alpha) {  // products that sums and quotients take
        const Value g = b.gradient, p = b.parameter, s = b.slots[0], v = b.slots[1];
        const Value early = g * p;
        b.slots[1] = early / (v + rate) + g * s - p * p;
        b.slots[0] = s * rate - (g * alpha + (p - g * g)) * v + (s + g * (p + s));
        b.parameter = b.slots[1] * b.slots[0] - b.slots[1] * (rate * alpha);
      },
  };
  for (const DType dtype : {DType::kF32, DType::kF64})
    for (size_t i = 0; i < bodies.size(); ++i)
      for (const bool decays : {false, true})
        for (const int threads : {1, 3}) {
          KernelCase test = by_body({2, bodies[i], decays}, dtype);
          test.threads = threads;
          expect_same_variables(run_kernel(test, "simd"), run_kernel(test, "blocks"),
                                fmt::format("body {} of {}, {} threads", i, dtype, threads));
        }
}

/// Old values may be wanted after new ones are made, and by other slots.
TEST(ElementwiseUpdateTest, OldValuesStayUntilNobodyWantsThem) {
  const KernelCase test = by_body({2,
                                   [](ops::UpdateBody& b, Value, Value) {
                                     const Value p = b.parameter, s = b.slots[0];
                                     b.parameter = b.gradient + s;
                                     b.slots[0] = p;
                                     b.slots[1] = b.slots[1] + p * s;
                                   }},
                                  DType::kF32);
  const KernelResult got = run_kernel(test, "blocks");
  const size_t n = kShapes.size();
  for (size_t i = 0; i < n; ++i)
    for (int64_t k = 0; k < kShapes[i].num_elements(); ++k) {
      const auto at = [&](const Tensor& t) { return t.data<float>()[k]; };
      const float g = at(test.inputs[i]), p = at(test.variables[i]), s = at(test.variables[n + i]);
      ASSERT_EQ(at(got.variables[i]), g + s);
      ASSERT_EQ(at(got.variables[n + i]), p);
      ASSERT_EQ(at(got.variables[2 * n + i]), at(test.variables[2 * n + i]) + p * s);
    }
}

TEST(ElementwiseUpdateTest, WhatDoesNotApplyLeavesEveryBit) {
  KernelCase test = by_body(
      {2, [](ops::UpdateBody& b, Value, Value alpha) { ops::adam_body(b, alpha, {}); }, true},
      DType::kF32);
  test.inputs.back() = Tensor::full(DType::kBool, {}, 0);
  for (const char* implementation : {"simd", "blocks"})
    expect_same_variables(run_kernel(test, implementation), {{}, test.variables}, implementation);
}

/// Elements of 16 bits are rounded once, behind everything.
TEST(ElementwiseUpdateTest, HalvesAreComputedInSinglePrecision) {
  const BodyCase adam{2,
                      [](ops::UpdateBody& b, Value, Value alpha) { ops::adam_body(b, alpha, {}); }};
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    const KernelCase test = by_body(adam, dtype);
    const KernelResult got = run_kernel(test, "blocks");
    KernelCase wide = by_body(adam, DType::kF32);
    for (size_t i = 0; i < kShapes.size(); ++i) wide.inputs[i] = test.inputs[i].cast(DType::kF32);
    for (size_t i = 0; i < test.variables.size(); ++i)
      wide.variables[i] = test.variables[i].cast(DType::kF32);
    const KernelResult want = run_kernel(wide, "blocks");
    for (size_t i = 0; i < got.variables.size(); ++i)
      EXPECT_TRUE(bitwise_equal(got.variables[i], want.variables[i].cast(dtype)))
          << fmt::format("{}, variable {}", dtype, i);
  }
}

TEST(ElementwiseUpdateTest, PlaceholdersThatChangePlacesAreRefused) {
  const KernelCase test =
      by_body({1, [](ops::UpdateBody& b, Value, Value) { std::swap(b.parameter, b.slots[0]); }},
              DType::kF32);
  try {
    run_kernel(test, "blocks");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kUnimplemented) << error.what();
  }
}

}  // namespace
}  // namespace cohort::testing
