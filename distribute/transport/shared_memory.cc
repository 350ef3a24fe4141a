#include "cohort/distribute/transport/shared_memory.h"

#include "cohort/distribute/transport/shared_collective.h"

namespace cohort::distribute {
namespace {

class SharedMemoryCommunicator final : public Communicator {
 public:
  SharedMemoryCommunicator(std::shared_ptr<HostGroup> group, int rank, std::vector<int> block_sizes,
                           std::shared_ptr<GroupSplitter> splitter)
      : self_(std::make_shared<SharedRank>()), splitter_(std::move(splitter)) {
    self_->group = std::move(group);
    self_->rank = rank;
    self_->block_sizes = std::move(block_sizes);
  }

  int rank() const override { return self_->rank; }
  int size() const override { return self_->group->size(); }
  std::shared_ptr<void> allocate_bucket(size_t bytes) override {
    return self_->group->heap()->allocate(bytes);
  }
  void abort(const Error& error) override {
    self_->group->fail(error);
    splitter_->abort(error);
  }
  std::string history() const override { return dump_histories(self_->group->histories()); }

 private:
  std::unique_ptr<Request> do_prepare(const CollectiveSpec& spec) override {
    const bool copies =
        spec.kind == CollectiveKind::kAllGather || spec.kind == CollectiveKind::kBroadcast;
    return copies ? make_shared_copy(self_, spec) : make_shared_reduction(self_, spec);
  }
  std::unique_ptr<Communicator> do_split(std::string_view axis, int color) override {
    return splitter_->split(*this, axis, color);
  }

  std::shared_ptr<SharedRank> self_;
  std::shared_ptr<GroupSplitter> splitter_;
};

}  // namespace

std::unique_ptr<Communicator> make_shared_memory_communicator(
    std::shared_ptr<HostGroup> group, int rank, std::vector<int> block_sizes,
    std::shared_ptr<GroupSplitter> splitter) {
  return std::make_unique<SharedMemoryCommunicator>(std::move(group), rank, std::move(block_sizes),
                                                    std::move(splitter));
}

}  // namespace cohort::distribute
