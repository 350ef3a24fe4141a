#pragma once

#include <optional>
#include <string>

#include "cohort/cluster/publication.h"

namespace cohort::cluster {

// The secret of a job on one host to which nobody gave one: the leader makes it and shares it with
// this user's other processes, in publication.h's folder.

/// Shares `secret` with the tasks that will connect to the leader at `address` (numeric, with its
/// port). Throws as publish_address.
Publication share_secret(const std::string& address, const std::string& secret);

/// What the leader at `address` shares on this host; nothing where it does not (yet).
std::optional<std::string> shared_secret(const std::string& address);

}  // namespace cohort::cluster
