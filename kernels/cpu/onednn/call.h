#pragma once

#include <dnnl.hpp>
#include <utility>
#include <vector>

namespace cohort::cpu::onednn {

using Desc = dnnl::memory::desc;

/// What every primitive of a kernel shares. Making an engine and a stream costs microseconds. The
/// first one holds oneDNN to the instruction set of the other kernels.
struct Context {
  Context();
  dnnl::engine engine;
  dnnl::stream stream;
};

/// A primitive with its arguments, made once and executed many times without allocation of ours.
class Call {
 public:
  Call() = default;
  /// `arguments`: pairs of DNNL_ARG_… and the memory's description.
  Call(const Context& context, dnnl::primitive primitive,
       const std::vector<std::pair<int, Desc>>& arguments);

  /// Where the i-th argument lies from now on.
  void set(size_t i, const void* data);
  /// Throws Internal with oneDNN's status.
  void execute(const Context& context);

 private:
  dnnl::primitive primitive_;
  std::vector<dnnl::memory> memories_;
  std::vector<dnnl_exec_arg_t> arguments_;
};

/// Primitives fix the number of threads when they are made: while this lives, the calling thread
/// has a team of `num_threads`.
class TeamSize {
 public:
  explicit TeamSize(int num_threads);
  ~TeamSize();
  TeamSize(const TeamSize&) = delete;
  TeamSize& operator=(const TeamSize&) = delete;

 private:
  int previous_;
};

}  // namespace cohort::cpu::onednn
