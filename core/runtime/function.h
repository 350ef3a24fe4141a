#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "cohort/core/graph/graph.h"
#include "cohort/core/tensor.h"

namespace cohort {

class ParameterGroup;
class Runtime;

/// A function recorded as a graph: its placeholders are the arguments in order.
struct Trace {
  std::shared_ptr<Graph> graph;
  std::vector<Value> outputs;
  /// For each placeholder: is it fed the same on every replica? Missing entries mean no.
  std::vector<bool> shared_inputs = {};
  /// Whether what it commits is training, which a strategy's commit number counts.
  bool counts_commits = true;
  /// Of a placed trace: what attribute "group" of its nodes numbers.
  std::vector<std::shared_ptr<ParameterGroup>> groups = {};
};

/// The types of the arguments of one trace. A symbolic dimension 0 (batch_dim()) lets one trace
/// serve every number of rows.
using Signature = std::vector<TensorType>;

/// C++ code that records ops, traced once per signature. A cheap handle to shared state. Captured
/// C++ values are frozen at tracing, and live as long as a handle does. Calling it runs it on the
/// default device, as one replica; Strategy::run runs it on every replica. Thread-safe.
class Function {
 public:
  using Body = std::function<std::vector<Value>(std::span<const Value>)>;

  explicit Function(Body body, std::string name = "function");

  const std::string& name() const;
  /// The trace for `signature`, made on first use and kept (RecentlyUsed says how many are). A
  /// copy: the graph is shared.
  Trace trace(const Signature& signature) const;

  /// A new trace that is not kept.
  Trace record(const Signature& signature) const;
  /// Counts a run, on whatever runs it, and returns how many came before: the step of the run's
  /// random numbers, which no two runs of a function share. Any thread.
  int64_t count_run() const;
  /// Runs that were counted; state of a program that goes on in a later process.
  int64_t runs() const;
  void set_runs(int64_t runs) const;
  /// The same function object (handles of one state).
  bool operator==(const Function& other) const { return state_ == other.state_; }
  /// Expires with the last handle.
  std::weak_ptr<const void> watch() const { return state_; }
  /// Whether `watch` is of this function object.
  bool is(const std::weak_ptr<const void>& watch) const {
    return !watch.owner_before(state_) && !state_.owner_before(watch);
  }

  /// Traces for exactly these shapes, compiles, runs; returns copies of the outputs.
  std::vector<Tensor> operator()(std::span<const Tensor> arguments) const;
  template <class... Tensors>
  requires(std::is_same_v<std::remove_cvref_t<Tensors>, Tensor>&&...) std::vector<Tensor>
  operator()(const Tensors&... arguments) const {
    const std::vector<Tensor> list{arguments...};
    return (*this)(std::span<const Tensor>(list));
  }

 private:
  struct State;
  std::shared_ptr<State> state_;
};

namespace internal {

template <class F>
struct CallableTraits : CallableTraits<decltype(&F::operator())> {};
template <class R, class... A>
struct CallableTraits<R (*)(A...)> {
  using Result = R;
  using Arguments = std::tuple<std::remove_cvref_t<A>...>;
};
template <class C, class R, class... A>
struct CallableTraits<R (C::*)(A...) const> : CallableTraits<R (*)(A...)> {};
template <class C, class R, class... A>
struct CallableTraits<R (C::*)(A...)> : CallableTraits<R (*)(A...)> {};

std::vector<Value> as_outputs(Value value);
inline std::vector<Value> as_outputs(std::vector<Value> values) { return values; }

void check_argument_count(const std::string& name, size_t got, size_t want);

}  // namespace internal

/// Wraps a callable, or a function, that takes Values (or one std::vector<Value>) and returns a
/// Value, a std::vector<Value> or nothing.
///   auto step = cohort::function([&](Value x, Value y) { … return loss; });
template <class F>
Function function(F callable, std::string name = "function") {
  using Traits = internal::CallableTraits<F>;
  using Arguments = typename Traits::Arguments;
  auto body = [callable = std::move(callable),
               name](std::span<const Value> inputs) mutable -> std::vector<Value> {
    const auto call = [&](auto&&... arguments) -> std::vector<Value> {
      if constexpr (std::is_void_v<typename Traits::Result>) {
        callable(arguments...);
        return {};
      } else {
        return internal::as_outputs(callable(arguments...));
      }
    };
    if constexpr (std::is_same_v<Arguments, std::tuple<std::vector<Value>>>) {
      return call(std::vector<Value>(inputs.begin(), inputs.end()));
    } else {
      constexpr size_t kCount = std::tuple_size_v<Arguments>;
      internal::check_argument_count(name, inputs.size(), kCount);
      return [&]<size_t... I>(std::index_sequence<I...>) { return call(inputs[I]...); }
      (std::make_index_sequence<kCount>());
    }
  };
  return Function(std::move(body), std::move(name));
}

/// Records `body` for `signature` in a new graph of the default runtime.
Trace trace(const Function::Body& body, const Signature& signature, const std::string& name);

/// The types of concrete tensors.
Signature signature_of(std::span<const Tensor> arguments);

}  // namespace cohort
