#pragma once

#include <optional>

#include "launch/descriptor.h"

namespace cohort::launch {

/// A pseudo-terminal that changes no byte. Who writes to one buffers its output by lines, not by
/// kilobytes that are lost in a crash.
struct PseudoTerminal {
  Descriptor reader;
  Descriptor writer;  ///< nobody's controlling terminal
};

/// Nothing where the system has none left.
std::optional<PseudoTerminal> open_pseudo_terminal();

}  // namespace cohort::launch
