#include "cohort/cluster/wait_graph.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace cohort::cluster {
namespace {

/// Tarjan's strongly connected components: two nodes are in one when each can be reached from the
/// other. With a stack of its own, since a chain may be as long as there are ranks.
class Components {
 public:
  explicit Components(std::vector<std::vector<size_t>> next)
      : next_(std::move(next)), nodes_(next_.size()) {
    for (size_t node = 0; node < nodes_.size(); ++node)
      if (nodes_[node].index == 0) visit_from(node);
  }

  size_t of(size_t node) const { return nodes_[node].component; }

 private:
  struct Node {
    size_t index = 0;      ///< in the order of visits, from 1
    size_t lowest = 0;     ///< index of an open node that can be reached
    size_t followed = 0;   ///< of next_
    size_t component = 0;  ///< from 1; 0: the node is open
  };

  void visit_from(size_t start) {
    std::vector<size_t> path{start};
    open(start);
    while (!path.empty()) {
      const size_t at = path.back();
      Node& node = nodes_[at];
      if (node.followed < next_[at].size()) {
        const size_t to = next_[at][node.followed++];
        if (nodes_[to].index == 0) {
          open(to);
          path.push_back(to);
        } else if (nodes_[to].component == 0) {
          node.lowest = std::min(node.lowest, nodes_[to].index);
        }
        continue;
      }
      path.pop_back();
      if (!path.empty()) {
        Node& before = nodes_[path.back()];
        before.lowest = std::min(before.lowest, node.lowest);
      }
      if (node.lowest == node.index) close(at);
    }
  }

  void open(size_t node) {
    nodes_[node].index = nodes_[node].lowest = ++visited_;
    open_.push_back(node);
  }

  void close(size_t root) {
    ++components_;
    for (size_t node = root + 1; node != root; open_.pop_back()) {
      node = open_.back();
      nodes_[node].component = components_;
    }
  }

  const std::vector<std::vector<size_t>> next_;
  std::vector<Node> nodes_;
  std::vector<size_t> open_;
  size_t visited_ = 0, components_ = 0;
};

/// For each of these waits whether it lies on a circle of them.
std::vector<bool> on_circles(const std::vector<const Wait*>& waits) {
  std::unordered_map<std::string_view, size_t> numbers;
  std::vector<std::pair<size_t, size_t>> edges;
  const auto number = [&](const std::string& name) {
    return numbers.try_emplace(name, numbers.size()).first->second;
  };
  for (const Wait* wait : waits) {
    const size_t from = number(wait->from), to = number(wait->to);
    edges.emplace_back(from, to);
  }
  std::vector<std::vector<size_t>> next(numbers.size());
  for (const auto& [from, to] : edges) next[from].push_back(to);
  const Components components(std::move(next));
  std::vector<bool> found;
  for (const auto& [from, to] : edges) found.push_back(components.of(from) == components.of(to));
  return found;
}

}  // namespace

bool WaitGraph::report(const Task& task, std::vector<Wait> waits) {
  Report& report = reports_[task];
  const bool cuts = waits.size() > kMostWaits;
  if (cuts) waits.resize(kMostWaits);
  ++report.number;
  report.waits = std::move(waits);
  return !cuts || std::exchange(report.cut, true);
}

std::optional<std::string> WaitGraph::find_circle() {
  forget_ended();
  std::vector<const Wait*> confirmed;
  std::vector<const Task*> tasks;
  for (const Link& link : suspected_) {
    if (reports_.at(link.task).number == link.reported) continue;
    confirmed.push_back(&link.wait);
    tasks.push_back(&link.task);
  }
  const std::vector<bool> found = on_circles(confirmed);
  std::string text;
  std::set<std::pair<Task, std::string_view>> said;
  for (size_t i = 0; i < confirmed.size(); ++i)
    if (const std::string& what = confirmed[i]->what;
        found[i] && !what.empty() && said.emplace(*tasks[i], what).second)
      text += (text.empty() ? "" : "; ") + tasks[i]->to_string() + " in " + what;
  if (std::find(found.begin(), found.end(), true) != found.end()) return text;
  if (confirmed.size() == suspected_.size()) suspect();
  return std::nullopt;
}

void WaitGraph::suspect() {
  std::vector<const Wait*> all;
  for (const auto& [task, report] : reports_)
    for (const Wait& wait : report.waits) all.push_back(&wait);
  const std::vector<bool> found = on_circles(all);
  suspected_.clear();
  size_t at = 0;
  for (const auto& [task, report] : reports_)
    for (const Wait& wait : report.waits)
      if (found[at++]) suspected_.push_back({task, wait, report.number});
}

/// Takes out of the suspected what is not reported any more.
void WaitGraph::forget_ended() {
  using Key = std::tuple<uint64_t, std::string_view, std::string_view>;
  const auto key = [](const Wait& wait) { return Key(wait.id, wait.from, wait.to); };
  const Task* task = nullptr;
  std::set<Key> reported;
  std::vector<Link> lasting;
  for (const Link& link : suspected_) {
    if (!task || !(*task == link.task)) {
      task = &link.task;
      reported.clear();
      for (const Wait& wait : reports_.at(link.task).waits) reported.insert(key(wait));
    }
    if (reported.contains(key(link.wait))) lasting.push_back(link);
  }
  suspected_ = std::move(lasting);
}

}  // namespace cohort::cluster
