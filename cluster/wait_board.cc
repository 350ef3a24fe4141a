#include "cohort/cluster/wait_board.h"

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

std::string WaitBoard::Group::call_name(size_t collective, uint32_t call) const {
  return name_ + "/#" + std::to_string(collective) + " call " + std::to_string(call);
}

std::shared_ptr<void> WaitBoard::Group::post_rank(int rank, std::string to, std::string what,
                                                  Lasts lasts) {
  return post(true, {.from = rank_name(rank), .to = std::move(to), .what = std::move(what)},
              std::move(lasts));
}

std::shared_ptr<void> WaitBoard::Group::post_call(std::string call, std::string to, Lasts lasts) {
  return post(false, {.from = std::move(call), .to = std::move(to), .what = ""}, std::move(lasts));
}

std::shared_ptr<void> WaitBoard::Group::post(bool is_rank, Wait wait, Lasts lasts) {
  const std::lock_guard lock(board_->mutex_);
  wait.id = ++board_->last_id_;
  const auto entry = board_->entries_.insert(board_->entries_.end(),
                                             {this, is_rank, std::move(wait), std::move(lasts)});
  return {&*entry, [board = board_, entry](void*) {
            const std::lock_guard lock(board->mutex_);
            board->entries_.erase(entry);
          }};
}

bool WaitBoard::has_ranks() const {
  const std::lock_guard lock(mutex_);
  return std::any_of(entries_.begin(), entries_.end(), [](const Entry& e) { return e.is_rank; });
}

std::vector<Wait> WaitBoard::waits(size_t most) const {
  const std::lock_guard lock(mutex_);
  std::vector<Wait> waits;
  for (const Entry& entry : entries_) {
    if (!entry.is_rank || !entry.lasts()) continue;
    waits.push_back(entry.wait);
    for (const Group* group : groups_) {
      if (group == entry.group) continue;
      for (const int rank : group->ranks_)
        waits.push_back(
            {.id = entry.wait.id, .from = group->rank_name(rank), .to = entry.wait.from});
    }
  }
  for (const Entry& entry : entries_) {
    if (waits.size() >= most) break;
    if (!entry.is_rank && entry.lasts()) waits.push_back(entry.wait);
  }
  if (waits.size() > most) waits.resize(most);
  return waits;
}

}  // namespace cohort::cluster
