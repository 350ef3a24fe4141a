#pragma once

#include <memory>
#include <string>

#include "cohort/cluster/coordinator.h"
#include "cohort/cluster/pipe.h"

namespace cohort::cluster {

/// The leader's side of one task's pipe: turns messages into calls of the coordinator and what
/// comes of them into messages. The first message must be kRegister; a task that is refused, or a
/// peer that sends anything else, gets kFailed and the end of the stream. A task that gets its seat
/// is admitted.
PipeReceiver serve_task(std::shared_ptr<Coordinator> coordinator, std::shared_ptr<Pipe> pipe,
                        Peer peer);

/// The same where there is no coordinator: tasks of the job are refused with `error`, others
/// without a word.
PipeReceiver refuse_task(std::shared_ptr<Pipe> pipe, const std::string& job_id, const Error& error);

/// The end of a pipe to a coordinator in this process. Messages are handled by the thread that
/// sends them.
std::unique_ptr<Pipe> connect_locally(std::shared_ptr<Coordinator> coordinator,
                                      PipeReceiver receiver);

/// The error that a message carries, its text made printable. A code that is none is Unknown.
Error error_of(const Message& message);

}  // namespace cohort::cluster
