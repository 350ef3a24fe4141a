#pragma once

#include "cohort/kernels/cuda/elementwise.h"
#include "cohort/kernels/cuda/launch.cuh"
#include "cohort/kernels/cuda/types.cuh"

// What each elementwise op makes of one element, for the kernels of single ops and of whole bodies.
// Which op is data, not a template argument: a uniform branch costs less than the memory traffic,
// and one kernel per type keeps the module small.
namespace cohort::cuda {

template <class C>
__device__ C sigmoid(C x) {
  if (x >= C(0)) return C(1) / (C(1) + exp(-x));
  const C e = exp(x);
  return e / (C(1) + e);
}

/// For double, float and int64_t, in which integers are computed.
template <class C>
__device__ C apply_number(UnaryOp op, C x) {
  switch (op) {
    case UnaryOp::kNeg:
      return -x;
    case UnaryOp::kAbs:
      return x < C(0) ? -x : x == C(0) ? C(0) : x;
    case UnaryOp::kSign:
      return x > C(0) ? C(1) : x < C(0) ? C(-1) : x;
    case UnaryOp::kSquare:
      return x * x;
    default:  // kRelu
      return x < C(0) ? C(0) : x;
  }
}

template <class C>
__device__ C apply_floating(UnaryOp op, C x) {
  switch (op) {
    case UnaryOp::kExp:
      return exp(x);
    case UnaryOp::kExpm1:
      return expm1(x);
    case UnaryOp::kLog:
      return log(x);
    case UnaryOp::kLog1p:
      return log1p(x);
    case UnaryOp::kSqrt:
      return sqrt(x);
    case UnaryOp::kRsqrt:
      return C(1) / sqrt(x);
    case UnaryOp::kReciprocal:
      return C(1) / x;
    case UnaryOp::kSin:
      return sin(x);
    case UnaryOp::kCos:
      return cos(x);
    case UnaryOp::kTanh:
      return tanh(x);
    case UnaryOp::kSigmoid:
      return sigmoid(x);
    case UnaryOp::kErf:
      return erf(x);
    case UnaryOp::kSoftplus:
      return (x > C(0) ? x : C(0)) + log1p(exp(-fabs(x)));
    case UnaryOp::kFloor:
      return floor(x);
    case UnaryOp::kCeil:
      return ceil(x);
    case UnaryOp::kRound:
      return nearbyint(x);
    default:
      return apply_number(op, x);
  }
}

template <class C>
__device__ C floating_mod(C a, C b) {
  const C r = fmod(a, b);
  if (r == C(0)) return copysign(r, b);
  return (r < C(0)) != (b < C(0)) ? r + b : r;
}

template <class C>
__device__ C apply_floating(BinaryOp op, C a, C b) {
  switch (op) {
    case BinaryOp::kAdd:
      return a + b;
    case BinaryOp::kSub:
      return a - b;
    case BinaryOp::kMul:
      return a * b;
    case BinaryOp::kDiv:
      return a / b;
    case BinaryOp::kFloorMod:
      return floating_mod(a, b);
    case BinaryOp::kPow:
      return pow(a, b);
    case BinaryOp::kMaximum:
      return a != a || a >= b ? a : b;
    case BinaryOp::kMinimum:
      return a != a || a <= b ? a : b;
    case BinaryOp::kSquaredDifference:
      return (a - b) * (a - b);
    case BinaryOp::kReluGrad:
      return b > C(0) ? a : C(0);
    case BinaryOp::kSigmoidGrad:
      return a * b * (C(1) - b);
    default:  // kTanhGrad
      return a * (C(1) - b * b);
  }
}

template <class C>
__device__ bool apply_compare(CompareOp op, C a, C b) {
  switch (op) {
    case CompareOp::kEqual:
      return a == b;
    case CompareOp::kNotEqual:
      return a != b;
    case CompareOp::kLess:
      return a < b;
    case CompareOp::kLessEqual:
      return a <= b;
    case CompareOp::kGreater:
      return a > b;
    case CompareOp::kGreaterEqual:
      return a >= b;
    case CompareOp::kAnd:
      return a && b;
    default:  // kOr
      return a || b;
  }
}

}  // namespace cohort::cuda
