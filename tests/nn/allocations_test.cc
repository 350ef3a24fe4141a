// The steady step of fit allocates nothing: counted in every call of operator new of this thread.
#include <cstdlib>
#include <new>

#include "core/runtime/runtime.h"
#include "distribute/mirrored_strategy.h"
#include "tests/nn/support.h"

namespace {

thread_local int64_t allocations = 0;

void* counted(size_t bytes, size_t alignment) {
  ++allocations;
  void* memory =
      alignment > alignof(std::max_align_t)
          ? std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment)
          : std::malloc(bytes == 0 ? 1 : bytes);
  if (!memory) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(size_t bytes) { return counted(bytes, 0); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }

namespace cohort::nn {
namespace {

int64_t allocations_in_steady_steps(const distribute::Strategy& strategy) {
  const Sequential model = strategy.scope([] {
    return Sequential({Input({.shape = {8}}), Dense({.units = 16, .activation = "relu"}),
                       Dropout({.rate = 0.2}), Dense({.units = 4})});
  });
  model.compile({.optimizer = "adam",
                 .loss = SparseCategoricalCrossentropy({.from_logits = true}),
                 .metrics = {"accuracy"}});
  const Tensor x(DType::kF32, {4096, 8}), y(DType::kI32, {4096});
  const auto batches = data::Dataset::from_tensor_slices({x, y}).shuffle(4096).batch(32).prefetch();
  int64_t before = 0, after = 0;
  const LambdaCallback watch({.on_train_batch_end = [&](int64_t batch, const Logs&) {
    if (batch == 20) before = allocations;
    if (batch == 120) after = allocations;
  }});
  model.fit(batches, {.verbose = 0, .callbacks = {watch}});
  return after - before;
}

TEST(AllocationsTest, NoneInFitOnOneDevice) {
  EXPECT_EQ(allocations_in_steady_steps(distribute::OneDeviceStrategy("cpu:0")), 0);
}

TEST(AllocationsTest, NoneInFitUnderMirroredStrategy) {
  EXPECT_EQ(
      allocations_in_steady_steps(distribute::MirroredStrategy({.devices = {"cpu:0", "cpu:1"}})),
      0);
}

TEST(AllocationsTest, TheProgressBarDrawsIntoMemoryItHas) {
  std::string screen;
  screen.reserve(1 << 20);
  const ProgressBar bar(
      {.print = [&](std::string_view text) { screen.append(text); }, .terminal = true});
  bar->set_params({.verbose = 1, .epochs = 1, .steps = 4});
  const Logs logs({{"accuracy", 0.5}, {"loss", 0.25}});
  bar->on_train_begin();
  bar->on_epoch_begin(0);
  for (int64_t batch = 0; batch < 4; ++batch) bar->on_train_batch_end(batch, logs);
  const int64_t before = allocations;
  bar->on_epoch_end(0, logs);
  EXPECT_EQ(allocations - before, 0);
  EXPECT_NE(screen.find("4/4"), std::string::npos);
}

}  // namespace
}  // namespace cohort::nn
