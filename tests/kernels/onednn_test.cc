// oneDNN's convolutions against the plain ones. Which threads add what may depend on their number,
// so only equal numbers of threads give equal bits.
#include <algorithm>

#include "tests/kernels/compare.h"

namespace cohort::testing {
namespace {

using Ints = std::vector<int64_t>;

struct ConvCase {
  int64_t n, h, w, c, kh, kw, f;
  Ints strides = {1, 1};
  Ints dilation = {1, 1};
  Ints pads = {0, 0, 0, 0};
  int64_t groups = 1;
};

const ConvCase kCases[] = {
    {2, 8, 8, 1, 3, 3, 32, {1, 1}, {1, 1}, {1, 1, 1, 1}},
    {3, 9, 7, 32, 3, 3, 64, {1, 1}, {1, 1}, {1, 1, 1, 1}},
    {2, 9, 11, 5, 3, 2, 7},
    {1, 11, 11, 6, 3, 3, 10, {2, 2}, {1, 1}, {0, 1, 0, 1}},
    {2, 11, 11, 8, 3, 3, 8, {1, 1}, {2, 2}, {2, 2, 2, 2}},
    {2, 7, 7, 8, 3, 3, 12, {1, 1}, {1, 1}, {1, 1, 1, 1}, 4},
    {2, 7, 7, 8, 3, 3, 8, {1, 1}, {1, 1}, {1, 1, 1, 1}, 8},
    {5, 6, 6, 16, 1, 1, 10},
};

class OneDnnTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto names = BoundKernel::kernels().names("Conv2D", DeviceType::kCPU);
    if (std::find(names.begin(), names.end(), "onednn") == names.end())
      GTEST_SKIP() << "this build has no oneDNN";
  }
};

void expect_onednn(KernelCase test) {
  SCOPED_TRACE(test.op);
  const KernelResult want = run_kernel(test, "plain");
  const Tensor first = run_kernel(test, "onednn").outputs[0];
  expect_near(first, want.outputs[0], 1e-4);
  for (const int threads : {1, 2, 3}) {
    test.threads = threads;
    EXPECT_TRUE(bitwise_equal(run_kernel(test, "onednn").outputs[0], first)) << threads;
  }
}

Attrs attrs_of(const ConvCase& c) {
  return {{"strides", c.strides}, {"dilation", c.dilation}, {"pads", c.pads}, {"groups", c.groups}};
}

KernelCase forward(const ConvCase& c) {
  return {.op = "Conv2D",
          .inputs = {random_tensor(DType::kF32, {c.n, c.h, c.w, c.c}),
                     random_tensor(DType::kF32, {c.kh, c.kw, c.c / c.groups, c.f}, 2)},
          .attrs = attrs_of(c)};
}

TEST_F(OneDnnTest, ForwardEqualsPlain) {
  for (const ConvCase& c : kCases) expect_onednn(forward(c));
}

TEST_F(OneDnnTest, ForwardWithBiasAndReluEqualsPlain) {
  for (const ConvCase& c : kCases)
    for (const char* activation : {"", "relu"}) {
      KernelCase test = forward(c);
      test.op = "FusedConv2D";
      test.inputs.push_back(random_tensor(DType::kF32, {c.f}, 3));
      test.attrs.set("activation", std::string(activation));
      expect_onednn(test);
    }
}

TEST_F(OneDnnTest, BackwardEqualsPlain) {
  for (const ConvCase& c : kCases) {
    const KernelCase y = forward(c);
    const Tensor dy = random_tensor(DType::kF32, run_kernel(y).outputs[0].shape(), 5);
    KernelCase input{
        .op = "Conv2DBackwardInput", .inputs = {dy, y.inputs[1]}, .attrs = attrs_of(c)};
    input.attrs.set("shape", y.inputs[0].shape());
    expect_onednn(input);
    KernelCase kernel{
        .op = "Conv2DBackwardKernel", .inputs = {y.inputs[0], dy}, .attrs = attrs_of(c)};
    kernel.attrs.set("shape", y.inputs[1].shape());
    expect_onednn(kernel);
  }
}

// Of many images, with blocks of unequal size: expect_onednn tries several numbers of threads.
TEST_F(OneDnnTest, SumsOverLargeBatchesDoNotDependOnTheTeam) {
  for (const ConvCase& c : {ConvCase{100, 14, 14, 3, 5, 5, 32}, ConvCase{37, 12, 12, 24, 3, 3, 24},
                            ConvCase{9, 10, 10, 64, 3, 3, 160}}) {
    const KernelCase y = forward(c);
    const Tensor dy = random_tensor(DType::kF32, run_kernel(y).outputs[0].shape(), 5);
    KernelCase kernel{
        .op = "Conv2DBackwardKernel", .inputs = {y.inputs[0], dy}, .attrs = attrs_of(c)};
    kernel.attrs.set("shape", y.inputs[1].shape());
    expect_onednn(kernel);
  }
}

TEST_F(OneDnnTest, KernelIsPackedAgainWhenTheVariableWasWritten) {
  on_own_thread([] {
    BoundKernel kernel(forward(kCases[1]), "onednn");
    kernel.run();
    const Tensor before = kernel.outputs()[0].clone();
    float* weights = kernel.inputs()[1].data<float>();
    for (int64_t i = 0; i < kernel.inputs()[1].num_elements(); ++i) weights[i] *= 2;
    kernel.run_with_same_weights();
    EXPECT_TRUE(bitwise_equal(kernel.outputs()[0], before)) << "the copy was not kept";
    kernel.run();
    Tensor doubled = before.clone();
    for (int64_t i = 0; i < doubled.num_elements(); ++i) doubled.data<float>()[i] *= 2;
    EXPECT_TRUE(bitwise_equal(kernel.outputs()[0], doubled));
  });
}

TEST_F(OneDnnTest, BatchesWithoutRowsGoToThePlainKernel) {
  KernelCase test = forward({0, 8, 8, 3, 3, 3, 4});
  EXPECT_FALSE(on_own_thread([&] { return BoundKernel(test, "onednn").valid(); }));
  EXPECT_EQ(run_kernel(test, "").outputs[0].shape(), (Shape{0, 6, 6, 4}));
  KernelCase gradient{.op = "Conv2DBackwardKernel",
                      .inputs = {test.inputs[0], Tensor(DType::kF32, {0, 6, 6, 4})},
                      .attrs = test.attrs};
  gradient.attrs.set("shape", Shape{3, 3, 3, 4});
  expect_near(run_kernel(gradient, "").outputs[0], Tensor(DType::kF32, {3, 3, 3, 4}), 0);
}

}  // namespace
}  // namespace cohort::testing
