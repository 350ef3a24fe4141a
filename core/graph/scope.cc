#include "cohort/core/graph/scope.h"

#include <vector>

#include "cohort/core/graph/graph.h"

namespace cohort {
namespace {

struct ScopeStack {
  std::vector<std::string> names{""};
  DeviceName device;
  Stage stage = Stage::kForward;
  Graph* graph = nullptr;
};

ScopeStack& scopes() {
  thread_local ScopeStack stack;
  return stack;
}

}  // namespace

NameScope::NameScope(const std::string& name) {
  const std::string& outer = scopes().names.back();
  scopes().names.push_back(outer.empty() ? name : outer + "/" + name);
}
NameScope::~NameScope() { scopes().names.pop_back(); }

DeviceScope::DeviceScope(const std::string& device) : previous_(scopes().device) {
  scopes().device = DeviceName::parse(device).merged_with(previous_);
}
DeviceScope::~DeviceScope() { scopes().device = previous_; }

StageScope::StageScope(Stage stage) : previous_(scopes().stage) { scopes().stage = stage; }
StageScope::~StageScope() { scopes().stage = previous_; }

GraphScope::GraphScope(Graph& graph) : previous_(scopes().graph) { scopes().graph = &graph; }
GraphScope::~GraphScope() { scopes().graph = previous_; }

const std::string& current_name_scope() { return scopes().names.back(); }
const DeviceName& current_device_scope() { return scopes().device; }
Stage current_stage_scope() { return scopes().stage; }
Graph* current_graph() { return scopes().graph; }

Graph& require_graph(std::string_view where) {
  if (!current_graph())
    throw FailedPrecondition(
        "{}: called outside of a traced function; call it inside cohort::function or a layer's "
        "call",
        where);
  return *current_graph();
}

}  // namespace cohort
