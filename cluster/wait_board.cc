#include "cluster/wait_board.h"

#include <algorithm>

namespace cohort::cluster {

WaitBoard::Group::Group(std::shared_ptr<WaitBoard> board, std::string name, std::vector<int> ranks)
    : board_(std::move(board)), name_(std::move(name)), ranks_(std::move(ranks)) {
  const std::lock_guard lock(board_->mutex_);
  board_->groups_.push_back(this);
}

WaitBoard::Group::~Group() {
  const std::lock_guard lock(board_->mutex_);
  std::erase(board_->groups_, this);
}

std::string WaitBoard::Group::rank_name(int rank) const {
  return name_ + "/rank " + std::to_string(rank);
}

std::string WaitBoard::Group::node_name(int node, size_t collective, uint32_t call) const {
  return name_ + "/node " + std::to_string(node) + " in #" + std::to_string(collective) + " call " +
         std::to_string(call);
}

std::shared_ptr<void> WaitBoard::Group::post_rank(int rank, std::string to, std::string what) {
  return post(true, rank_name(rank), std::move(to), std::move(what));
}

std::shared_ptr<void> WaitBoard::Group::post_node(std::string from, std::string to) {
  return post(false, std::move(from), std::move(to), "");
}

std::shared_ptr<void> WaitBoard::Group::post(bool is_rank, std::string from, std::string to,
                                             std::string what) {
  const std::lock_guard lock(board_->mutex_);
  const auto entry = board_->entries_.insert(board_->entries_.end(), {this,
                                                                      is_rank,
                                                                      {.id = ++board_->last_id_,
                                                                       .from = std::move(from),
                                                                       .to = std::move(to),
                                                                       .what = std::move(what)}});
  return {&*entry, [board = board_, entry](void*) {
            const std::lock_guard lock(board->mutex_);
            board->entries_.erase(entry);
          }};
}

bool WaitBoard::has_ranks() const {
  const std::lock_guard lock(mutex_);
  return std::any_of(entries_.begin(), entries_.end(), [](const Entry& e) { return e.is_rank; });
}

std::vector<Wait> WaitBoard::waits() const {
  const std::lock_guard lock(mutex_);
  std::vector<Wait> waits;
  for (const Entry& entry : entries_) waits.push_back(entry.wait);
  for (const Entry& entry : entries_) {
    if (!entry.is_rank) continue;
    for (const Group* group : groups_) {
      if (group == entry.group) continue;
      for (const int rank : group->ranks_)
        waits.push_back(
            {.id = entry.wait.id, .from = group->rank_name(rank), .to = entry.wait.from});
    }
  }
  return waits;
}

}  // namespace cohort::cluster
