#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cohort/core/current_error.h"
#include "cohort/core/preempted.h"
#include "cohort/core/runtime/one_thread.h"
#include "cohort/core/tensor.h"

namespace cohort {
class Communicator;
}  // namespace cohort

namespace cohort::distribute {

/// The processes that carry a strategy, as one of them sees them. This class is a process alone;
/// WorkerGroup is a job of several. What is collective is called by every worker, in the same
/// order, from one thread at a time.
class Workers {
 public:
  virtual ~Workers() = default;

  virtual int count() const { return 1; }
  /// This process; the chief is 0.
  virtual int index() const { return 0; }
  bool is_chief() const { return index() == 0; }
  /// For messages: "/job:worker/task:1".
  virtual std::string name_of(int worker) const;
  std::string name() const { return name_of(index()); }

  /// `mine` of every worker, in order. Collective. Where the labels differ, every worker throws the
  /// same FailedPrecondition.
  virtual std::vector<std::string> all_gather(std::string_view label, std::string_view mine);
  /// The tensors of every worker, one worker after the other. Collective.
  std::vector<Tensor> all_gather(std::string_view label, const std::vector<Tensor>& mine);
  /// Replaces `numbers` by the chief's. Collective.
  void take_from_chief(std::span<double> numbers);
  /// Throws FailedPrecondition, on every worker alike, when they say different things of `what`.
  /// Collective.
  void check_equal(std::string_view what, const std::string& mine);
  /// Whether any worker says so. Collective.
  bool any(std::string_view what, bool mine);

  /// Keeps other threads of this process out of what is collective, as long as the result lives;
  /// this one may enter again. `what` it does, for people, is a literal. FailedPrecondition, naming
  /// both, where another thread is inside. A process alone lets everybody in.
  [[nodiscard]] virtual OneThread::Entered enter(const char* what) {
    (void)what;
    return {};
  }

  /// Ends the waits of `communicator` when a worker fails, as long as the result lives.
  virtual std::shared_ptr<void> watch(Communicator&) { return nullptr; }
  /// Tells the others that this worker cannot go on, unless the error came from them.
  virtual void report_error(const Error&) {}
  /// What `error`, which came out of a communicator, is to be thrown as. One worker's failure ends
  /// another's connections too: where that is all that is seen here, waits a few seconds for the
  /// cluster's word, which says why.
  virtual Error explain(const Error& error) { return error; }
  /// Counts a step that every worker makes. Called by its runner.
  virtual void enter_call() {}

  /// Returns what `work` returns, with this thread entered as doing `what`; see enter(). What
  /// leaves it by exception is told to the others, for they would wait for this worker, and goes on
  /// to the caller as it is. That a second thread is refused is told to nobody, nor a Preempted:
  /// all workers throw it.
  template <class Work>
  decltype(auto) guard(const char* what, Work&& work) {
    const OneThread::Entered entered = enter(what);
    try {
      return work();
    } catch (const Preempted&) {
      throw;
    } catch (...) {
      report_error(current_error());
      throw;
    }
  }
};

}  // namespace cohort::distribute
