#pragma once

#include <cstddef>
#include <cstdint>

namespace cohort::cpu {

/// What a step of a program does to the value in the vector registers, x, with what its operands b
/// and c hold; each rounded as its ArithmeticRoutines.
enum class ElementOp : std::uint8_t {
  kLoad,   ///< x = b
  kStore,  ///< b = x
  kNeg,
  kAbs,
  kSign,
  kSquare,
  kSqrt,
  kRsqrt,
  kReciprocal,
  kAdd,
  kSub,
  kSubFrom,  ///< b - x
  kMul,
  kDiv,
  kDivInto,  ///< b / x
  kMaximum,
  kMaximumOf,  ///< of b and x
  kMinimum,
  kMinimumOf,
  kSquaredDifference,
  kFma,           ///< x b + c
  kFmaOf,         ///< b c + x
  kPlusProduct,   ///< x + b c, the product rounded
  kMinusProduct,  ///< x - b c
  kProductMinus,  ///< b c - x
  kProductOver,   ///< b c / x
  kChoose,        ///< b ? x : c, b being a bool
  kChooseOther,   ///< b ? c : x
  kEnd,
};

/// Made by element_step. `b` and `c` are places of operands.
struct ElementStep {
  void (*run)() = nullptr;
  std::uint16_t b = 0, c = 0;
};

template <class T>
struct ElementRoutines {
  /// Elements that go through a program at a time, in vector registers.
  std::ptrdiff_t element_tile;
  /// What runs an op, whose operands are numbers that all elements share, or else tiles.
  void (*(*element_step)(ElementOp op, bool b_is_number, bool c_is_number))();
  /// Runs steps, the last of which is kEnd, on so many tiles. `places` are the operands; the first
  /// `num_walking` are moved on by a tile each time.
  void (*run_elements)(const ElementStep* steps, T** places, std::ptrdiff_t num_walking,
                       std::ptrdiff_t tiles);
};

}  // namespace cohort::cpu
