#include "cohort/kernels/cuda/elementwise_names.h"

#include <array>

namespace cohort::cuda {
namespace {

template <class Op, size_t kCount>
using Names = std::array<std::pair<std::string_view, Op>, kCount>;

constexpr Names<UnaryOp, 21> kUnary = {
    {{"Neg", UnaryOp::kNeg},     {"Abs", UnaryOp::kAbs},
     {"Sign", UnaryOp::kSign},   {"Square", UnaryOp::kSquare},
     {"Relu", UnaryOp::kRelu},   {"Exp", UnaryOp::kExp},
     {"Expm1", UnaryOp::kExpm1}, {"Log", UnaryOp::kLog},
     {"Log1p", UnaryOp::kLog1p}, {"Sqrt", UnaryOp::kSqrt},
     {"Rsqrt", UnaryOp::kRsqrt}, {"Reciprocal", UnaryOp::kReciprocal},
     {"Sin", UnaryOp::kSin},     {"Cos", UnaryOp::kCos},
     {"Tanh", UnaryOp::kTanh},   {"Sigmoid", UnaryOp::kSigmoid},
     {"Erf", UnaryOp::kErf},     {"Softplus", UnaryOp::kSoftplus},
     {"Floor", UnaryOp::kFloor}, {"Ceil", UnaryOp::kCeil},
     {"Round", UnaryOp::kRound}}};
constexpr Names<BinaryOp, 12> kBinary = {{{"Add", BinaryOp::kAdd},
                                          {"Sub", BinaryOp::kSub},
                                          {"Mul", BinaryOp::kMul},
                                          {"Div", BinaryOp::kDiv},
                                          {"FloorMod", BinaryOp::kFloorMod},
                                          {"Pow", BinaryOp::kPow},
                                          {"Maximum", BinaryOp::kMaximum},
                                          {"Minimum", BinaryOp::kMinimum},
                                          {"SquaredDifference", BinaryOp::kSquaredDifference},
                                          {"ReluGrad", BinaryOp::kReluGrad},
                                          {"SigmoidGrad", BinaryOp::kSigmoidGrad},
                                          {"TanhGrad", BinaryOp::kTanhGrad}}};
constexpr Names<CompareOp, 8> kCompare = {{{"Equal", CompareOp::kEqual},
                                           {"NotEqual", CompareOp::kNotEqual},
                                           {"Less", CompareOp::kLess},
                                           {"LessEqual", CompareOp::kLessEqual},
                                           {"Greater", CompareOp::kGreater},
                                           {"GreaterEqual", CompareOp::kGreaterEqual},
                                           {"LogicalAnd", CompareOp::kAnd},
                                           {"LogicalOr", CompareOp::kOr}}};

}  // namespace

NamedOps<UnaryOp> unary_ops() { return kUnary; }
NamedOps<BinaryOp> binary_ops() { return kBinary; }
NamedOps<CompareOp> compare_ops() { return kCompare; }

}  // namespace cohort::cuda
