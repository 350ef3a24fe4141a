#pragma once

#include <span>

#include "cohort/core/runtime/rewrite.h"

// A step is taken by all replicas or by none. What one of them alone can fail at (a bad label among
// its rows) is computed before the vote: op "StepVote" says 1 where all went well, these are added
// up over the replicas, and op "StepVeto", the first of the commit phase, keeps the others from
// writing unless the sum is the number of replicas. So a sum that came to nothing, because the
// collective was aborted, is a veto too. Where kernels throw (CPU), a replica that fails does not
// come to the vote, and its communicator's abort ends the others' wait for it. A replica on several
// devices votes when all of them have done what could fail, and none of them commits before the
// veto has run.
namespace cohort {

/// By node: whether its outputs may differ between replicas. Inputs of replicas reach it by a way
/// without a collective.
std::vector<bool> differing_nodes(const Graph& graph);

/// The live node after which the vote can start: the last, but for commits, that need not do the
/// same on every replica, because inputs reach it by a way without a collective. Null where nothing
/// is committed, or no such node is there.
const Node* last_before_vote(const Graph& graph, std::span<const Value> fetches);

bool is_vote(const Node& node);
bool is_veto(const Node& node);

/// Appends both ops, with the reduction between them as bucket `bucket`.
void add_vote(Graph& graph, int64_t bucket, int voters);

}  // namespace cohort
