#pragma once

#include <cstdint>

#include "cohort/kernels/cuda/update.h"

// A body of elementwise ops as one kernel interprets it: a few lines of code for a block, read by
// all its threads alike. Made by element_program_of.h.
namespace cohort::cuda {

/// An operand or a result: the register of that number, or from kNumber on a number that all
/// elements share.
using ElementPlace = uint8_t;
inline constexpr ElementPlace kNumber = 128;
inline constexpr ElementPlace kUnchanged = 255;  ///< a result that is what was there

/// One op. Bools are numbers, 0 or 1.
struct alignas(8) ElementStep {
  enum class Kind : uint8_t {
    kUnary,
    kBinary,
    kCompare,
    kNot,
    kIsFinite,
    kSelect,
    kFma,
    kRound,  ///< to the values of a dtype, which `op` is
  };
  Kind kind;
  uint8_t op;  ///< UnaryOp, BinaryOp, CompareOp or DType
  ElementPlace to;
  ElementPlace from[3];
  bool single;  ///< of numbers: computed in f32, otherwise in f64
};

/// A kernel argument.
struct ElementProgram {
  static constexpr int kMaxSteps = 128, kMaxNumberSteps = 32, kMaxConstants = 32;
  static constexpr int kMaxNumbers = 64;    ///< all of them
  static constexpr int kMaxRegisters = 40;  ///< at a time

  /// Elements in registers when it begins: gradient, parameter, slots.
  int num_arrays;
  /// Where what becomes of array i lies in the end.
  ElementPlace results[UpdateSegment::kMaxArrays];
  int num_steps, num_registers;
  ElementStep steps[kMaxSteps];

  /// Numbers: those of the step, the segment's weight decay if the body has it, constants, and what
  /// is made of these alone.
  int num_given;
  bool decays;
  int num_constants, num_number_steps;
  double constants[kMaxConstants];
  ElementStep number_steps[kMaxNumberSteps];
};

}  // namespace cohort::cuda
