#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "cohort/core/error.h"

namespace cohort {

/// Makes the process fit for work: standard descriptors that are closed are opened to /dev/null, so
/// that no socket gets their numbers, the soft limit of descriptors is raised to the hard one, and
/// under a limit of addresses threads share malloc's arenas. run_program() and the default runtime
/// begin with it. What does not succeed stays as it is.
void prepare_process();

/// The body of a program's main: prepares the process and returns what `body` returns, or, when it
/// throws, says on standard error "NAME: what was thrown" and returns 1.
int run_program(const char* name, const std::function<int()>& body);

/// What an exception says; where memory or threads have run out, with the limits that apply.
std::string describe(const std::exception& error);

/// A soft limit of this process (RLIMIT_AS, …); nothing when there is none.
std::optional<uint64_t> resource_limit(int resource);

/// Throws ResourceExhausted naming the limit unless the process could now open so many descriptors
/// more, and map so many bytes of addresses: some libraries do not bear to find out. `num_tasks`:
/// as for system_reason().
void expect_room(std::string_view where, size_t descriptors, size_t address_bytes,
                 size_t num_tasks);

/// About how many descriptors a task of a job of `num_tasks` on one host holds.
size_t descriptors_wanted(size_t num_tasks);

/// The system's words for `error`, an errno, and the limit behind it: "Too many open files
/// (RLIMIT_NOFILE is 20; want about 160)". `num_tasks`: of the job, as far as it is known.
std::string system_reason(int error, size_t num_tasks = 1);
/// "WHERE: SYSTEM_REASON": ResourceExhausted where a limit or the system's memory is the reason,
/// and starting again does not help; else Unavailable.
Error system_error(std::string_view where, int error, size_t num_tasks = 1);

}  // namespace cohort
