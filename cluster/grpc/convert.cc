#include "cohort/cluster/grpc/convert.h"

#include <generated/control.pb.h>

namespace cohort::cluster {
namespace {

void to_proto(const Task& task, control::Task& proto) {
  proto.set_type(task.type);
  proto.set_index(task.index);
}

Task task_from_proto(const control::Task& proto) { return {proto.type(), proto.index()}; }

}  // namespace

void to_proto(const Message& message, control::Message& proto) {
  proto.Clear();
  proto.set_kind(static_cast<uint32_t>(message.kind));
  proto.set_id(message.id);
  proto.set_name(message.name);
  proto.set_value(message.value);
  for (const Task& task : message.tasks) to_proto(task, *proto.add_tasks());
  proto.set_timeout_ms(message.timeout_ms);
  proto.set_code(message.code);
  proto.set_error(message.error);
  for (const Wait& wait : message.waits) {
    control::Wait& to = *proto.add_waits();
    to.set_id(wait.id);
    to.set_from(wait.from);
    to.set_to(wait.to);
    to.set_what(wait.what);
  }
  proto.set_calls(message.calls);
  if (!message.registration) return;
  control::Registration& registration = *proto.mutable_registration();
  to_proto(message.registration->task, *registration.mutable_task());
  registration.set_incarnation(message.registration->incarnation);
  registration.set_job_id(message.registration->job_id);
  registration.set_version(message.registration->version);
  registration.set_place(message.registration->place);
}

Message from_proto(const control::Message& proto) {
  Message message{
      .kind = proto.kind() > 255 ? MessageKind{} : static_cast<MessageKind>(proto.kind()),
      .id = proto.id(),
      .name = proto.name(),
      .value = proto.value(),
      .timeout_ms = proto.timeout_ms(),
      .code = proto.code(),
      .error = proto.error(),
      .calls = proto.calls()};
  for (const control::Task& task : proto.tasks()) message.tasks.push_back(task_from_proto(task));
  for (const control::Wait& wait : proto.waits())
    message.waits.push_back({wait.id(), wait.from(), wait.to(), wait.what()});
  if (proto.has_registration())
    message.registration = Registration{.task = task_from_proto(proto.registration().task()),
                                        .incarnation = proto.registration().incarnation(),
                                        .job_id = proto.registration().job_id(),
                                        .version = proto.registration().version(),
                                        .place = proto.registration().place()};
  return message;
}

}  // namespace cohort::cluster
