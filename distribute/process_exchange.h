#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cohort/core/runtime/communicator.h"

namespace cohort::distribute {

/// Small values of every process, given to every process. Every process makes the same calls in the
/// same order, from one thread. Each call has a label; when the labels differ, every process throws
/// the same FailedPrecondition, which names the processes and what each was about to do.
class ProcessExchange {
 public:
  /// `communicator` has one rank for each process.
  explicit ProcessExchange(std::unique_ptr<Communicator> communicator);

  int rank() const { return communicator_->rank(); }
  int size() const { return communicator_->size(); }
  Communicator& communicator() { return *communicator_; }

  /// `mine` of every process, in rank order.
  std::vector<std::string> all_gather(std::string_view label, std::string_view mine);
  /// What process 0 holds; `bytes` of the others are overwritten. Equal sizes everywhere.
  void broadcast(std::string_view label, void* data, size_t bytes);

 private:
  /// What goes round first; short contents are in it already.
  struct Header {
    static constexpr size_t kLabel = 24, kInline = 96;
    uint64_t bytes;
    char label[kLabel];
    char contents[kInline];
  };
  /// A repeated gather of equal pieces.
  struct Gather {
    Gather(Communicator& communicator, size_t bytes);
    std::vector<char> mine, all;
    void* mine_slot;
    void* all_slot;
    std::unique_ptr<Communicator::Request> request;
    void run();
  };

  void check_labels() const;
  const Header& header(int rank) const;

  std::unique_ptr<Communicator> communicator_;
  Gather headers_;
  std::unique_ptr<Gather> contents_;  ///< large enough for the largest so far
};

}  // namespace cohort::distribute
