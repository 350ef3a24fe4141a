#pragma once

#include "cohort/cluster/message.h"

namespace cohort::control {
class Message;
}

namespace cohort::cluster {

void to_proto(const Message& message, control::Message& proto);
Message from_proto(const control::Message& proto);

}  // namespace cohort::cluster
