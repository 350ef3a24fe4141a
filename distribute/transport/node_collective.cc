#include "cohort/distribute/transport/node_collective.h"

#include <fmt/format.h>

#include <algorithm>

#include "cohort/distribute/transport/describe.h"

namespace cohort::distribute {

NodeCollective::NodeCollective(NetworkEngine& engine, const NetworkLayout& layout, size_t index,
                               const Description& description)
    : engine_(engine),
      layout_(layout),
      index_(index),
      description_(description),
      descriptions_(static_cast<size_t>(layout.size())),
      name_(fmt::format("collective #{}, {}", index, describe_collective(description))),
      memory_(engine.host().map_meeting(index, false)),
      direct_(static_cast<size_t>(engine.host().size())),
      mappings_(direct_.size()),
      theirs_(static_cast<size_t>(layout.num_nodes())) {
  for (size_t n = 0; n < theirs_.size(); ++n) theirs_[n].resize(layout.ranks_of[n].size());
}

bool NodeCollective::all_local(std::atomic<uint32_t> RankLines::*counter, uint32_t value) const {
  for (int r = 0; r < num_local(); ++r)
    if (!reached(lines(r).*counter, value)) return false;
  return true;
}

void NodeCollective::advance() {
  if (!described_) {
    if (!all_local(&RankLines::prepared, 1)) return;
    describe();
  }
  if (!ready_) {
    if (nodes_described_ + 1 < layout_.num_nodes()) return;
    compare();
    set_up();
    ready_ = true;
  }
  if (running_ || !all_local(&RankLines::ready, completed_ + 1)) return;
  call_ = completed_ + 1;
  running_ = true;
  begin();
  end_if_finished();
}

void NodeCollective::describe() {
  described_ = true;
  std::vector<Description>& mine = theirs_[static_cast<size_t>(node())];
  for (int r = 0; r < num_local(); ++r) mine[static_cast<size_t>(r)] = lines(r).description;
  for (int to = 0; to < layout_.num_nodes(); ++to)
    if (to != node())
      send(to, FrameKind::kDescribe, 0, 0, reinterpret_cast<const char*>(mine.data()),
           mine.size() * sizeof(Description));
}

void NodeCollective::compare() {
  std::vector<Description>& all = descriptions_;
  for (size_t n = 0; n < theirs_.size(); ++n)
    for (size_t i = 0; i < theirs_[n].size(); ++i)
      all[static_cast<size_t>(layout_.ranks_of[n][i])] = theirs_[n][i];
  for (size_t rank = 1; rank < all.size(); ++rank)
    check_same_collective(index_, all[0], 0, all[rank], static_cast<int>(rank));
}

char* NodeCollective::place_of(int node, const FrameHeader& frame) {
  if (frame.kind == FrameKind::kDescribe) {
    std::vector<Description>& theirs = theirs_[static_cast<size_t>(node)];
    if (ready_ || frame.bytes != theirs.size() * sizeof(Description)) refuse(node, frame);
    return reinterpret_cast<char*>(theirs.data());
  }
  if (!ready_) return nullptr;
  if (!is_current_or_next(frame.call)) refuse(node, frame);
  return place_of_data(node, frame);
}

void NodeCollective::received(int node, const FrameHeader& frame) {
  if (frame.kind == FrameKind::kDescribe) {
    ++nodes_described_;
    return;
  }
  received_data(node, frame);
  end_if_finished();
}

void NodeCollective::refuse(int node, const FrameHeader& frame) const {
  throw DataLoss(
      "{}: got frame of kind {}, call {}, part {}, bytes {} to {} from node {} in call {}", name_,
      static_cast<int>(frame.kind), frame.call, frame.part, frame.offset,
      frame.offset + frame.bytes, node, completed_);
}

void NodeCollective::send(int node, FrameKind kind, int part, uint64_t offset, const char* data,
                          size_t bytes) {
  ++unsent_;
  if (kind != FrameKind::kDescribe) engine_.count_payload(description_.kind, bytes);
  engine_.send(node,
               {.kind = kind,
                .collective = static_cast<uint32_t>(index_),
                .call = call_,
                .part = static_cast<uint32_t>(part),
                .bytes = static_cast<uint32_t>(bytes),
                .offset = offset},
               data);
}

void NodeCollective::sent() {
  --unsent_;
  if (running_) frame_left();
  end_if_finished();
}

void NodeCollective::end_if_finished() {
  if (!running_ || unsent_ > 0 || !finished()) return;
  end();
  running_ = false;
  completed_ = call_;
  host().signal(lines(0).done, completed_);
}

char* NodeCollective::buffer_of(int host_rank) {
  const auto r = static_cast<size_t>(host_rank);
  if (direct_[r]) return direct_[r];
  Mapping& mapping = mappings_[r];
  const uint64_t location = lines(host_rank).location;
  const size_t bytes = lines(host_rank).description.bytes();
  if (bytes == 0) return nullptr;
  if (mapping.location != location)
    mapping = {location, host().map_buffer(host_rank, location, bytes)};
  return mapping.memory.get();
}

uint32_t NodeCollective::pending_call() const {
  for (int r = 0; r < num_local(); ++r)
    if (reached(lines(r).ready, completed_ + 1)) return completed_ + 1;
  return 0;
}

bool NodeCollective::is_described(int node) const {
  return theirs_[static_cast<size_t>(node)].front().kind != CollectiveKind{};
}

int NodeCollective::num_entered() const {
  int count = 0;
  for (int r = 0; r < num_local(); ++r) count += reached(lines(r).ready, completed_ + 1) ? 1 : 0;
  for (int n = 0; n < layout_.num_nodes(); ++n)
    if (n != node() && (ready_ ? has_come_from(n) : is_described(n))) ++count;
  return count;
}

std::vector<int> NodeCollective::missing_ranks() const {
  std::vector<int> missing;
  for (int r = 0; r < num_local(); ++r)
    if (!reached(lines(r).ready, completed_ + 1)) missing.push_back(r);
  return missing;
}

std::function<bool()> NodeCollective::misses(int host_rank) const {
  return [lines = shared_lines(), host_rank, call = completed_ + 1] {
    return !reached(lines.get()[host_rank].ready, call);
  };
}

void NodeCollective::check_alive() const {
  for (const int r : missing_ranks())
    if (host().has_ended(r) && !reached(lines(r).ready, completed_ + 1))
      throw Unavailable("{}: {} has ended", name_, host().describe_rank(r));
  for (int n = 0; n < layout_.num_nodes(); ++n)
    if (n != node() && (!ready_ ? !is_described(n) : running_ && waits_for(n, false)))
      engine_.expect_alive(n);
}

NetworkCollective::Silence NodeCollective::silence() const {
  std::vector<std::string> who;
  for (const int r : missing_ranks()) who.push_back(host().describe_rank(r));
  if (!who.empty()) return {.who = fmt::format("{}", fmt::join(who, ", "))};
  for (const bool first_hand : {true, false}) {
    for (int n = 0; n < layout_.num_nodes(); ++n)
      if (n != node() && (ready_ ? waits_for(n, first_hand) : !is_described(n)))
        for (const int rank : layout_.ranks_of[static_cast<size_t>(n)])
          who.push_back(layout_.rank_names[static_cast<size_t>(rank)]);
    if (!who.empty())
      return {.who = fmt::format("{}", fmt::join(who, ", ")), .first_hand = first_hand};
  }
  return {.who = "this host's connections", .first_hand = false};
}

}  // namespace cohort::distribute
