#include "cohort/distribute/transport/network_watch.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "cohort/core/terminal.h"

namespace cohort::distribute {
namespace {

constexpr auto kWhile = std::chrono::seconds(1);
constexpr auto kProcessStopped = std::chrono::seconds(1);
// Who only waits for somebody that waits lets those speak first that know who is late.
constexpr auto kPatienceWithOthers = std::chrono::seconds(5);
constexpr auto kPatienceForRecords = std::chrono::milliseconds(1000);

}  // namespace

void NetworkWatch::look(bool moved, bool heard) {
  const auto now = Clock::now();
  const bool stopped = now - now_ > kProcessStopped;  // nobody's silence
  now_ = now;
  const auto& board = options_.host->options().wait_board;
  if (moved && board) board->note_movement();
  const uint64_t movements = board ? board->movements() : movements_ + (moved ? 1 : 0);
  moves_here_ = std::exchange(movements_, movements) != movements;
  if (moves_here_ || heard || stopped) {
    moved_ = now;
    options_.host->note_movement();
  }
  stands_still_ = board && board->has_ranks();
  somebody_waits_ = false;
}

void NetworkWatch::check(size_t index, const NetworkCollective* collective) {
  if (index >= seen_.size()) seen_.resize(index + 1);
  Seen& seen = seen_[index];
  const uint32_t call = collective ? collective->next_call() : 0;
  const int entered = collective ? collective->num_entered() : 0;
  if (call != seen.call) seen = {.call = call};
  if (entered != seen.entered) {
    if (seen.entered == 0) seen.begin = now_;
    seen.since = now_;
    seen.entered = entered;
  }
  const bool lasts = entered > 0 && now_ - seen.begin >= kWhile;
  somebody_waits_ |= lasts;
  if (collective && options_.host->board() && (lasts || stands_still_))
    post(index, *collective, seen);
  else
    seen.posted.clear();
  if (!collective || collective->pending_call() == 0) return;
  collective->check_alive();
  check_patience(*collective, seen);
}

void NetworkWatch::check_patience(const NetworkCollective& collective, Seen& seen) {
  const auto since = std::max(seen.since, moved_);
  const auto still = now_ - since;
  if (still < std::min(options_.timeout, options_.warn_after)) return;
  const NetworkCollective::Silence silence = collective.silence();
  const auto timeout =
      silence.first_hand ? options_.timeout : options_.timeout + kPatienceWithOthers;
  if (still >= timeout) {
    timed_out_ = true;
    throw DeadlineExceeded("{}: nothing from {} in {} ms", collective.name(), silence.who,
                           options_.timeout.count());
  }
  if (seen.warned == since || still < options_.warn_after) return;
  seen.warned = since;
  say(stderr, fmt::format("warning: {}: nothing from {} for {} s\n", collective.name(), silence.who,
                          std::chrono::floor<std::chrono::seconds>(still).count()));
}

bool NetworkWatch::has_news() {
  if (!moves_here_ || !somebody_waits_ || now_ - told_ < kWhile) return false;
  told_ = now_;
  return true;
}

/// Writes on the wait board which ranks of this host the next call of a collective waits for.
void NetworkWatch::post(size_t index, const NetworkCollective& collective, Seen& seen) {
  if (!seen.posted.empty() && seen.posted_call == seen.call) return;
  seen.posted_call = seen.call;
  seen.posted.clear();
  cluster::WaitBoard::Group& board = *options_.host->board();
  for (const int rank : collective.missing_ranks())
    seen.posted.push_back(
        board.post_call(board.call_name(index, seen.call),
                        board.rank_name(options_.host->options().ranks[static_cast<size_t>(rank)]),
                        collective.misses(rank)));
}

void NetworkWatch::report_failure() const {
  try {
    options_.store->insert(options_.key + std::to_string(options_.node),
                           dump_histories(options_.host->histories()));
  } catch (const Error&) {  // the store may have failed first
  }
  if (!timed_out_) return;
  std::vector<RankHistory> all;
  for (int n = 0; n < options_.num_nodes; ++n) {
    try {
      for (RankHistory& history : parse_histories(
               options_.store->get(options_.key + std::to_string(n), kPatienceForRecords)))
        all.push_back(std::move(history));
    } catch (const Error&) {  // that node is silent; the others' records speak
    }
  }
  say(stderr, explain_histories(all, options_.host->options().rank_names) + "\n");
}

}  // namespace cohort::distribute
