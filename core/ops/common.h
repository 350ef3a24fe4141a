#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

#include "cohort/core/graph/op.h"

/// What the files of core/ops share. Not for other folders.
namespace cohort::ops {

using Types = std::vector<TensorType>;

/// A string as template argument: one shape rule serves a family of ops, each with its own name in
/// its messages.
template <size_t size>
struct Text {
  consteval Text(const char (&text)[size]) { std::copy_n(text, size, chars); }  // NOLINT
  constexpr std::string_view view() const { return {chars, size - 1}; }
  char chars[size] = {};
};

/// Records one node in the graph of `inputs` (of which there is at least one).
Node* record_node(std::string_view op, std::vector<Value> inputs, Attrs attrs = {});
/// Its first output.
Value record(std::string_view op, std::vector<Value> inputs, Attrs attrs = {});
/// A node without inputs, in the graph being traced.
Value record_source(std::string_view op, Attrs attrs, std::string_view where);

/// The i-th output of a node, for gradient rules.
Value output_of(const Node& node, int i = 0);
/// A number beside `like`: same graph, same dtype.
Value number_like(const Value& like, double value);

// Checks of shape rules. All throw InvalidArgument beginning with `where`.
void want_floating(const InferContext& in, int i, std::string_view where);
/// Floating or integer.
void want_numeric(const InferContext& in, int i, std::string_view where);
void want_dtype(const InferContext& in, int i, DType dtype, std::string_view where);
void want_same_dtypes(const InferContext& in, std::string_view where);
void want_index_dtype(const InferContext& in, int i, std::string_view where);
void want_inputs(const InferContext& in, int at_least, std::string_view where);

/// The type of the first input.
Types same_as_first(const InferContext& in);
/// Whether the output has the type of the first input: the trait is_identity of ops that change
/// nothing but types.
bool keeps_type(const Node& node);
/// The gradient rule of ops through which nothing flows.
Gradients no_gradient(const Node& node, std::span<const Gradient> dy);

// Parts of families that live in files of their own.
void register_unary(OpRegistry& ops);
void register_binary(OpRegistry& ops);
void register_slice(OpRegistry& ops);

}  // namespace cohort::ops
