#include "distribute/transport/network_watch.h"

#include <algorithm>
#include <cstdio>

namespace cohort::distribute {
namespace {

constexpr auto kPostAfter = std::chrono::seconds(1);
// Who only waits for somebody that waits lets those speak first that know who is late.
constexpr auto kPatienceWithOthers = std::chrono::seconds(5);
constexpr auto kPatienceForRecords = std::chrono::milliseconds(1000);

}  // namespace

void NetworkWatch::check(size_t index, const NetworkCollective* collective) {
  if (index >= seen_.size()) seen_.resize(index + 1);
  Seen& seen = seen_[index];
  const auto now = Clock::now();
  const uint32_t call = collective ? collective->pending_call() : 0;
  if (call != seen.call) seen = {.call = call, .since = now};
  const auto waited = now - seen.since;
  if (collective && (call == 0 || waited >= kPostAfter) && host_stands_still())
    post(index, *collective, seen);
  else
    seen.posted.clear();
  if (call == 0) return;
  collective->check_alive();
  if (waited >= std::min(options_.timeout, options_.warn_after))
    check_patience(*collective, seen, waited);
}

void NetworkWatch::check_patience(const NetworkCollective& collective, Seen& seen,
                                  Clock::duration waited) {
  const NetworkCollective::Silence silence = collective.silence();
  const auto timeout =
      silence.first_hand ? options_.timeout : options_.timeout + kPatienceWithOthers;
  if (waited >= timeout) {
    timed_out_ = true;
    throw DeadlineExceeded("{}: nothing from {} in {} ms", collective.name(), silence.who,
                           options_.timeout.count());
  }
  if (seen.warned || waited < options_.warn_after) return;
  seen.warned = true;
  std::fprintf(
      stderr, "warning: %s: nothing from %s for %lld s\n", collective.name().c_str(),
      silence.who.c_str(),
      static_cast<long long>(std::chrono::duration_cast<std::chrono::seconds>(waited).count()));
}

/// A rank of this process has waited for a while.
bool NetworkWatch::host_stands_still() const {
  const auto& board = options_.host->options().wait_board;
  return board && board->has_ranks();
}

/// Writes on the wait board whom this node's part in the next call of a collective waits for.
void NetworkWatch::post(size_t index, const NetworkCollective& collective, Seen& seen) {
  NetworkCollective::Silence silence = collective.silence();
  const uint32_t call = collective.next_call();
  if (!seen.posted.empty() && seen.posted_call == call && seen.posted_who == silence.who) return;
  seen.posted_call = call;
  seen.posted_who = std::move(silence.who);
  seen.posted.clear();
  cluster::WaitBoard::Group& board = *options_.host->board();
  const auto post = [&](std::string to) {
    seen.posted.push_back(
        board.post_node(board.node_name(options_.node, index, call), std::move(to)));
  };
  for (const int rank : silence.ranks) post(board.rank_name(rank));
  for (const int other : silence.nodes) post(board.node_name(other, index, call));
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
  std::fprintf(stderr, "%s\n", explain_histories(all, options_.host->options().rank_names).c_str());
}

}  // namespace cohort::distribute
