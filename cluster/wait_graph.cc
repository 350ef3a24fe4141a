#include "cluster/wait_graph.h"

#include <algorithm>
#include <unordered_map>

namespace cohort::cluster {

void WaitGraph::report(const Task& task, std::vector<Wait> waits) {
  if (waits.size() > kMostWaits) waits.resize(kMostWaits);
  Report& report = reports_[task];
  ++report.number;
  report.waits = std::move(waits);
}

std::optional<std::string> WaitGraph::find_circle() {
  const auto reported = [this](const Link& link) { return is_reported(link); };
  if (suspected_.empty() || !std::all_of(suspected_.begin(), suspected_.end(), reported)) {
    suspected_ = search();
    return std::nullopt;
  }
  std::string text;
  for (const Link& link : suspected_) {
    if (reports_.at(link.task).number == link.reported) return std::nullopt;
    if (!link.wait.what.empty())
      text += (text.empty() ? "" : "; ") + link.task.to_string() + " in " + link.wait.what;
  }
  return text;
}

bool WaitGraph::is_reported(const Link& link) const {
  const auto& waits = reports_.at(link.task).waits;
  return std::any_of(waits.begin(), waits.end(), [&](const Wait& wait) {
    return wait.id == link.wait.id && wait.from == link.wait.from && wait.to == link.wait.to;
  });
}

/// Depth first, with a stack of its own: a chain may be as long as there are ranks.
std::vector<WaitGraph::Link> WaitGraph::search() const {
  struct Node {
    std::vector<Link> waits;
    size_t next = 0;  ///< of `waits`, to follow
    bool on_path = false;
  };
  std::unordered_map<std::string, Node> nodes;
  for (const auto& [task, report] : reports_)
    for (const Wait& wait : report.waits)
      nodes[wait.from].waits.push_back({task, wait, report.number});

  std::vector<Link> path;
  for (auto& [name, start] : nodes) {
    Node* node = &start;
    node->on_path = true;
    while (true) {
      if (node->next == node->waits.size()) {
        node->on_path = false;
        if (path.empty()) break;
        node = &nodes.at(path.back().wait.from);
        path.pop_back();
        continue;
      }
      const Link& link = node->waits[node->next++];
      path.push_back(link);
      const auto to = nodes.find(link.wait.to);
      if (to == nodes.end() || (!to->second.on_path && to->second.next > 0)) {
        path.pop_back();  // waits for nobody, or leads into no circle
        continue;
      }
      node = &to->second;
      if (node->on_path) {
        path.erase(path.begin(), std::find_if(path.begin(), path.end(), [&](const Link& l) {
                     return l.wait.from == link.wait.to;
                   }));
        return path;
      }
      node->on_path = true;
    }
  }
  return {};
}

}  // namespace cohort::cluster
