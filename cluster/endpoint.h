#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cohort/cluster/address.h"
#include "cohort/core/chrono.h"

namespace cohort::cluster {

/// The numeric addresses of `address`, in the system's order. Throws NotFound with the system's
/// reason when the name does not resolve, and with `advice` (ClusterResolver::advice_on_names).
std::vector<Address> resolve(const Address& address, std::string_view advice = "");

/// Whether something accepts connections at a numeric address: empty, or why not ("connection
/// refused", "no answer in 2000 ms").
std::string try_connect(const Address& numeric, std::chrono::milliseconds timeout);

/// Sends `text` to a numeric address on a connection of its own, and returns the first bytes that
/// come back, `count` of them; fewer or none if the other end closes or the time is up.
std::string ask(const Address& numeric, const std::string& text, size_t count,
                std::chrono::milliseconds timeout);

/// A socket that listens at a numeric address, not blocking; its port goes to `port`. The caller
/// closes it. Throws as check_listenable.
int listen_at(const Address& numeric, int& port);

/// Throws AlreadyExists when a numeric address cannot be listened at because its port is in use
/// (by which process, where that can be seen), FailedPrecondition with the system's reason
/// otherwise; both name the address.
void check_listenable(const Address& numeric);

}  // namespace cohort::cluster
