#include "cohort/core/graph/departure.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/runtime/function.h"
#include "cohort/core/runtime/runtime.h"

/// Values that are copied while steps write the variables.
namespace cohort {
namespace {

using Departing = std::shared_ptr<VariableState>;
constexpr std::chrono::seconds kPatience(60);

Departing departing_from(float value) {
  return std::make_shared<VariableState>(Tensor::full(DType::kF32, Shape{3}, value),
                                         VariableOptions{.name = "v"});
}

/// Adds 1 to each of them, by a node of its own.
Function adding_to(const std::vector<Departing>& variables) {
  return function([variables](std::vector<Value>) {
    for (const Departing& each : variables)
      ops::assign_add(each, ops::constant(Tensor::full(DType::kF32, Shape{3}, 1)));
    return std::vector<Value>{};
  });
}

void run_once(const Function& step) { step(std::span<const Tensor>()); }

float first_of(const Tensor& value) { return value.values<float>()[0]; }

VariablePlace& place_of(const Departing& of) { return *of->places().front(); }

TEST(DepartureTest, AStepWritesOnlyWhatHasBeenCopied) {
  const std::vector<Departing> all{departing_from(1), departing_from(2)};
  const Function step = adding_to(all);
  run_once(step);
  const DepartingValue a = depart(*all[0]), b = depart(*all[1]);
  ASSERT_NE(a.departure, nullptr);
  run_once(step);
  run_once(step);
  a.departure->finish();
  b.departure->finish();
  EXPECT_EQ(first_of(a.value), 2);
  EXPECT_EQ(first_of(b.value), 3);
  EXPECT_EQ(first_of(all[0]->value()), 4);
  EXPECT_EQ(first_of(all[1]->value()), 5);
}

/// The last of three variables is being copied when a step commits: the first is written meanwhile,
/// for the second one's copy is made behind that.
TEST(DepartureTest, ACommitGoesOnUntilItWritesWhatIsBeingCopied) {
  const std::vector<Departing> all{departing_from(1), departing_from(2), departing_from(3)};
  const Function step = adding_to(all);
  run_once(step);
  std::vector<float> copies(3);
  std::promise<void> begun, gate, second;
  const std::shared_future<void> open = gate.get_future().share();
  const auto copy_of = [&](size_t i) {
    return [&copies, i, from = static_cast<const float*>(place_of(all[i]).data)] {
      copies[i] = *from;
    };
  };
  const auto first_one = std::make_shared<Departure>(copy_of(0));
  const auto second_one = std::make_shared<Departure>([copy = copy_of(1), &second] {
    copy();
    second.set_value();
  });
  const auto third_one = std::make_shared<Departure>([copy = copy_of(2), &begun, open] {
    begun.set_value();
    open.wait();
    copy();
  });
  place_of(all[0]).arrival = first_one;
  place_of(all[1]).arrival = second_one;
  place_of(all[2]).arrival = third_one;
  std::thread copier([&] { third_one->finish(); });
  begun.get_future().wait();
  std::promise<void> ended;
  std::thread trainer([&] {
    run_once(step);
    ended.set_value();
  });
  EXPECT_EQ(second.get_future().wait_for(kPatience), std::future_status::ready);
  std::future<void> end = ended.get_future();
  EXPECT_EQ(end.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  gate.set_value();
  copier.join();
  trainer.join();
  EXPECT_EQ(copies, (std::vector<float>{2, 3, 4}));
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(first_of(all[i]->value()), static_cast<float>(i) + 3);
}

TEST(DepartureTest, WhatElseWritesCopiesFirst) {
  const Tensor nine = Tensor::full(DType::kF32, Shape{3}, 9);
  const std::vector<std::function<void(const Departing&)>> writers{
      [&](const Departing& of) { of->assign(nine); },
      [&](const Departing& of) { of->assign(*place_of(of).device, nine); },
      [&](const Departing& of) {
        of->assign_elements({0, 1}, Tensor::full(DType::kF32, Shape{1}, 9));
      },
      [&](const Departing& of) {
        const auto memory = place_of(of).device->allocate(of->num_bytes());
        of->relocate(*place_of(of).device, memory.get(), memory);
        of->assign(nine);
      },
  };
  for (size_t i = 0; i < writers.size(); ++i) {
    const Departing of = departing_from(1);
    run_once(adding_to({of}));
    const DepartingValue departing = depart(*of);
    writers[i](of);
    departing.departure->finish();
    EXPECT_EQ(first_of(departing.value), 2) << i;
    EXPECT_EQ(first_of(of->value()), 9) << i;
  }
}

TEST(DepartureTest, ValuesOutliveTheirVariableAndDepartAgain) {
  Departing of = departing_from(1);
  run_once(adding_to({of}));
  const DepartingValue earlier = depart(*of), later = depart(*of);
  of = nullptr;
  later.departure->finish();
  earlier.departure->finish();
  EXPECT_EQ(first_of(earlier.value), 2);
  EXPECT_EQ(first_of(later.value), 2);
}

TEST(DepartureTest, WhatNoStepHasUsedIsCopiedAtOnce) {
  const DepartingValue value = depart(*departing_from(5));
  EXPECT_EQ(value.departure, nullptr);
  EXPECT_EQ(first_of(value.value), 5);
}

}  // namespace
}  // namespace cohort
