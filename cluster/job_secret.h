#pragma once

#include <string>

#include "cohort/cluster/environment.h"

namespace cohort::cluster {

// What the tasks of a job know and strangers do not: any bytes. It is never sent; whoever connects
// shows that he knows it (handshake.h). docs/trust.md says what that is worth.

inline constexpr size_t kMinSecretBytes = 16;
inline constexpr size_t kMaxSecretBytes = 4096;

/// The secret that `environment` tells of; empty where it tells of none. The first of
///   COHORT_JOB_SECRET_FILE  a file of this user that no other can read (mode 0600 or less)
///   COHORT_JOB_SECRET       the secret itself
///   COHORT_JOB_SECRET_FD    NUMBER@PROCESS, a descriptor of this process that cohort-launch gave
///                           it: a sealed memory file. It is closed. Where it was closed on the way
///                           the launcher's own is read
/// counts; blanks at its end do not. Throws InvalidArgument for a secret that is too short or too
/// long or a descriptor that holds none, NotFound for a file that cannot be read, and
/// PermissionDenied for one that others may read or own.
std::string read_job_secret(const Environment& environment);

/// The secret of this process' environment, read by the first call, which also takes the secret and
/// the descriptor away from there, so that no child of this process has them; later calls return
/// the same. Throws as above. The first call is to come before threads that read the environment.
const std::string& job_secret_of_process();

/// A sealed memory file with `secret` that this process' children inherit; they are told of it by
/// COHORT_JOB_SECRET_FD. The caller closes it. Throws ResourceExhausted.
int secret_descriptor(const std::string& secret);

/// 32 bytes of the system's generator, as 64 hexadecimal digits.
std::string random_secret();

}  // namespace cohort::cluster
