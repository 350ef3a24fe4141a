#pragma once

#include <string>

#include "cohort/core/device.h"

namespace cohort {

class Graph;
enum class Stage;

/// Objects of these classes live on the stack; each changes, for this thread, what is recorded
/// while it lives. The stack is thread-local: another thread starts with none.

/// Prefixes the names of nodes: NameScope("encoder") makes "encoder/MatMul".
class NameScope {
 public:
  explicit NameScope(const std::string& name);
  ~NameScope();
  NameScope(const NameScope&) = delete;
  NameScope& operator=(const NameScope&) = delete;
};

/// Requests a device for the nodes recorded inside; an inner scope wins, absent fields merge from
/// the outer. Throws InvalidArgument on a bad name.
class DeviceScope {
 public:
  explicit DeviceScope(const std::string& device);
  ~DeviceScope();
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

 private:
  DeviceName previous_;
};

/// Makes `graph` the one that constants, reads of variables and step state go to.
class GraphScope {
 public:
  explicit GraphScope(Graph& graph);
  ~GraphScope();
  GraphScope(const GraphScope&) = delete;
  GraphScope& operator=(const GraphScope&) = delete;

 private:
  Graph* previous_;
};

/// Records nodes of another stage of the step than the outer scope does.
class StageScope {
 public:
  explicit StageScope(Stage stage);
  ~StageScope();
  StageScope(const StageScope&) = delete;
  StageScope& operator=(const StageScope&) = delete;

 private:
  Stage previous_;
};

const std::string& current_name_scope();  ///< "" or "a/b"
const DeviceName& current_device_scope();
Stage current_stage_scope();  ///< kForward outside every StageScope
/// nullptr outside every GraphScope.
Graph* current_graph();
/// The graph being traced; throws FailedPrecondition that names `where` when there is none.
Graph& require_graph(std::string_view where);

}  // namespace cohort
