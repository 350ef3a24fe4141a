#include <gtest/gtest.h>

#include "cohort/core/error.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/placement.h"
#include "cohort/core/runtime/parameter_group.h"
#include "tests/support/expect_error.h"

namespace cohort {
namespace {

using testing::expect_error;
using Kind = Placement::Kind;

Placement on_data(int64_t size, int dimension = 0) {
  return Placement(Mesh({{"data", size}}), {{"data", Kind::kSharded, dimension}});
}

TEST(MeshTest, RanksAreTheProductOfItsAxes) {
  EXPECT_EQ(Mesh().num_ranks(), 1);
  EXPECT_EQ(Mesh({{"data", 4}, {"model", 2}}).num_ranks(), 8);
  expect_error(Code::kInvalidArgument, {"axis data twice"}, [] {
    Mesh({{"data", 4}, {"data", 2}});
  });
  expect_error(Code::kInvalidArgument, {"0 ranks on axis data"}, [] { Mesh({{"data", 0}}); });
  expect_error(Code::kInvalidArgument, {"without a name"}, [] { Mesh({{"", 1}}); });
}

TEST(PlacementValueTest, ElementsOfRanksAreEqualBlocks) {
  EXPECT_EQ(on_data(4).elements_of(3, 40), (Elements{30, 40}));
  EXPECT_EQ(on_data(4).local_shape(Shape{8, 3}), (Shape{2, 3}));
  const Placement inner(Mesh({{"data", 2}, {"model", 3}}), {{"model", Kind::kSharded, 0}});
  for (int64_t rank = 0; rank < 6; ++rank)
    EXPECT_EQ(inner.elements_of(rank, 30), (Elements{rank % 3 * 10, rank % 3 * 10 + 10}));
  const Placement outer(Mesh({{"data", 2}, {"model", 3}}), {{"data", Kind::kSharded, 0}});
  for (int64_t rank = 0; rank < 6; ++rank)
    EXPECT_EQ(outer.elements_of(rank, 30), (Elements{rank / 3 * 15, rank / 3 * 15 + 15}));
}

TEST(PlacementValueTest, WhatCannotBeNamesVariableAndAxis) {
  const auto variable = [](Placement placement, const Shape& shape) {
    return [=] {
      VariableState(Tensor(DType::kF32, shape), {.name = "kernel", .placement = placement});
    };
  };
  expect_error(Code::kInvalidArgument, {"kernel", "[7, 2]", "axis data of 4 ranks"},
               variable(on_data(4), Shape{7, 2}));
  expect_error(Code::kInvalidArgument, {"kernel", "axis model", "data 4"},
               variable(Placement(Mesh({{"data", 4}}), {{"model", Kind::kSharded, 0}}), Shape{8}));
  expect_error(Code::kInvalidArgument, {"kernel", "dimension 2", "axis data"},
               variable(on_data(4, 2), Shape{8, 8}));
  expect_error(Code::kUnimplemented, {"kernel", "dimension 1", "axis data"},
               variable(on_data(4, 1), Shape{8, 8}));
  const Placement partial(Mesh({{"data", 4}}), {{"data", Kind::kPartial}});
  expect_error(Code::kInvalidArgument, {"loss", "kernel", "partial on axis data"},
               [&] { partial.check_readable("kernel", "loss"); });
}

TEST(PlacementValueTest, ElementsAreReadAndWrittenByRange) {
  VariableState variable(Tensor(DType::kF32, Shape{2, 3}), {.name = "v"});
  variable.assign_elements({2, 5}, Tensor::from(std::vector<float>{1, 2, 3}, Shape{3}));
  EXPECT_EQ(variable.elements({1, 4}).values<float>()[1], 1);
  EXPECT_EQ(variable.value().values<float>()[4], 3);
  expect_error(Code::kOutOfRange, {"v", "[4, 7)", "6"}, [&] { variable.elements({4, 7}); });
  expect_error(Code::kInvalidArgument, {"v", "2 float32", "[0, 3)"}, [&] {
    variable.assign_elements({0, 3}, Tensor(DType::kF32, Shape{2}));
  });
}

TEST(PlacementValueTest, APartOfAVariableHasItsValueThere) {
  const auto whole = std::make_shared<VariableState>(Tensor(DType::kF32, Shape{10}),
                                                     VariableOptions{.name = "whole"});
  VariableState part(Tensor::full(DType::kF32, Shape{2, 2}, 5), {.name = "part"});
  part.become_part_of(whole, 3);
  EXPECT_EQ(whole->value().values<float>()[2], 0);
  EXPECT_EQ(whole->value().values<float>()[3], 5);
  part.assign(Tensor::full(DType::kF32, Shape{2, 2}, 7));
  EXPECT_EQ(whole->value().values<float>()[6], 7);
  EXPECT_EQ(whole->value().values<float>()[7], 0);
  EXPECT_EQ(part.value().shape(), (Shape{2, 2}));
}

ParameterGroup::Variables of_sizes(const std::vector<int64_t>& sizes) {
  ParameterGroup::Variables variables;
  for (const int64_t size : sizes)
    variables.push_back(std::make_shared<VariableState>(
        Tensor(DType::kF32, Shape{size}),
        VariableOptions{.name = "v" + std::to_string(variables.size())}));
  return variables;
}

TEST(ParameterGroupTest, ALineOfAVariableIsOneRanks) {
  const ParameterGroup group(of_sizes({10, 5000, 3000, 1100, 1}), Mesh({{"data", 3}}), "data");
  const auto& segments = group.segments();
  const std::vector<int64_t> offsets{0, 4096, 9104, 12288, 13392};
  int64_t elements = 0;
  for (size_t i = 0; i < offsets.size(); ++i) {
    EXPECT_EQ(segments[i].offset, offsets[i]) << i;
    elements += segments[i].elements + segments[i].padding;
  }
  EXPECT_EQ(group.num_elements(), 6 * 4096);
  EXPECT_EQ(elements, group.num_elements());
  EXPECT_EQ(group.local_elements(), 2 * 4096);
}

TEST(ParameterGroupTest, WantsOneDtypeAndAnAxisOfTheMesh) {
  ParameterGroup::Variables mixed = of_sizes({4});
  mixed.push_back(std::make_shared<VariableState>(Tensor(DType::kF64, Shape{4}),
                                                  VariableOptions{.name = "wide"}));
  expect_error(Code::kInvalidArgument, {"v0 of float32", "wide of float64"}, [&] {
    ParameterGroup(mixed, Mesh({{"data", 2}}), "data");
  });
  expect_error(Code::kInvalidArgument, {"v0 to v1", "axis model", "data 2"}, [&] {
    ParameterGroup(of_sizes({4, 4}), Mesh({{"data", 2}}), "model");
  });
}

TEST(ParameterGroupTest, ASlotIsOfOneGroup) {
  const auto variables = of_sizes({4, 4}), slots = of_sizes({4, 4});
  ParameterGroup both(variables, Mesh({{"data", 2}}), "data");
  const auto slot = both.slot(slots);
  EXPECT_EQ(both.slot(slots), slot);
  EXPECT_EQ(both.slots().size(), 1u);
  ParameterGroup one({variables[1]}, Mesh({{"data", 2}}), "data");
  expect_error(Code::kFailedPrecondition, {"v1", "laid out in another"},
               [&] { one.slot({slots[1]}); });
}

}  // namespace
}  // namespace cohort
