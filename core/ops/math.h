#pragma once

#include "cohort/core/graph/op.h"

/// Elementwise ops. Each is one op with the CamelCase name of its function ("Add",
/// "SquaredDifference"). Binary ops broadcast as NumPy does and want equal dtypes. Floating ops
/// take f32, f16, bf16, f64; arithmetic, comparison and minimum/maximum take integers too.
namespace cohort::ops {

// y = f(x). Domain errors give NaN or infinities, as IEEE 754 says.
Value neg(Value x);
Value abs(Value x);
Value sign(Value x);
Value exp(Value x);
Value expm1(Value x);
Value log(Value x);
Value log1p(Value x);
Value sqrt(Value x);
Value rsqrt(Value x);
Value square(Value x);
Value reciprocal(Value x);
Value sin(Value x);
Value cos(Value x);
Value tanh(Value x);
Value sigmoid(Value x);
Value erf(Value x);
Value relu(Value x);      ///< max(x, 0); the gradient at 0 is 0
Value softplus(Value x);  ///< log(1 + e^x), without overflow
Value floor(Value x);
Value ceil(Value x);
Value round(Value x);  ///< half to even
/// bool: neither infinite nor NaN.
Value is_finite(Value x);
Value logical_not(Value x);

Value add(Value a, Value b);
Value sub(Value a, Value b);
Value mul(Value a, Value b);
Value div(Value a, Value b);  ///< integers: truncating, as in C++; by zero is an error at run time
Value pow(Value a, Value b);
Value maximum(Value a, Value b);  ///< NaN wins; at a tie the gradient goes to a
Value minimum(Value a, Value b);
Value squared_difference(Value a, Value b);
/// a b + c for floating dtypes, rounded once where the processor's vectors can.
Value fma(Value a, Value b, Value c);
Value fma(Value a, double b, Value c);
Value floor_mod(Value a, Value b);  ///< the sign of b, as in Python

// bool results.
Value equal(Value a, Value b);
Value not_equal(Value a, Value b);
Value less(Value a, Value b);
Value less_equal(Value a, Value b);
Value greater(Value a, Value b);
Value greater_equal(Value a, Value b);
Value logical_and(Value a, Value b);
Value logical_or(Value a, Value b);

/// Op "Select": condition ? a : b, elementwise; the three broadcast; condition is bool.
Value where(Value condition, Value a, Value b);
/// Op "Cast". Attr "dtype". Floats to integers truncate; anything to bool is != 0.
Value cast(Value x, DType dtype);
/// Passes x; no gradient flows. Op "StopGradient".
Value stop_gradient(Value x);
/// Op "Identity".
Value identity(Value x);
Value clip(Value x, double low, double high);

/// Op "ReluGrad": (dy, y) -> dy where y > 0, else 0.
Value relu_grad(Value dy, Value y);
/// Op "SigmoidGrad": (dy, y) -> dy * y * (1 - y).
Value sigmoid_grad(Value dy, Value y);
/// Op "TanhGrad": (dy, y) -> dy * (1 - y^2).
Value tanh_grad(Value dy, Value y);

/// Sum of all values (same shapes), in the order given. Op "AddN".
Value add_n(std::span<const Value> values);

void register_math(OpRegistry& ops);

}  // namespace cohort::ops

namespace cohort {
// Arithmetic on values; a number takes the dtype of the value beside it.
Value operator-(Value x);
Value operator+(Value a, Value b);
Value operator-(Value a, Value b);
Value operator*(Value a, Value b);
Value operator/(Value a, Value b);
Value operator+(Value a, double b);
Value operator-(Value a, double b);
Value operator*(Value a, double b);
Value operator/(Value a, double b);
Value operator+(double a, Value b);
Value operator-(double a, Value b);
Value operator*(double a, Value b);
Value operator/(double a, Value b);
}  // namespace cohort
