#include "cohort/distribute/messages/message_port.h"

#include "cohort/distribute/messages/message_hub.h"

namespace cohort::distribute {

MessageCall::~MessageCall() {
  if (call_) hub_->give_up(*call_);
}

size_t MessageCall::wait(std::chrono::milliseconds timeout) { return hub_->wait(*call_, timeout); }

MessageCall MessagePeer::call(uint32_t method, std::span<const char> request,
                              std::span<char> reply) {
  return MessageCall(hub_, hub_->call(*this, method, request, reply));
}

void MessagePeer::close() { hub_->close(*this); }

MessageRequest::~MessageRequest() {
  fail(Internal("messages: request {} was dropped unanswered", method_));
}

void MessageRequest::reply(std::span<const char> data, std::shared_ptr<const void> keep) {
  if (!answered_.exchange(true)) hub_->answer(*peer_, id_, data, std::move(keep), nullptr);
}

void MessageRequest::reply(std::string data) {
  const auto kept = std::make_shared<std::string>(std::move(data));
  reply(*kept, kept);
}

void MessageRequest::fail(const Error& error) {
  if (!answered_.exchange(true)) hub_->answer(*peer_, id_, {}, nullptr, &error);
}

std::shared_ptr<char> MessageHandler::memory_for(const std::string&, uint32_t, size_t bytes) {
  return {new char[bytes], std::default_delete<char[]>()};
}

void MessageHandler::left(const MessagePeer&, const Error&) {}

MessagePort::MessagePort(MessagePortOptions options, std::shared_ptr<MessageHandler> handler)
    : hub_(std::make_shared<MessageHub>(std::move(options), std::move(handler))) {
  hub_->start();
}

MessagePort::~MessagePort() { hub_->stop(); }

const std::string& MessagePort::address() const { return hub_->address(); }

std::shared_ptr<MessagePeer> MessagePort::connect(const std::string& address,
                                                  std::chrono::milliseconds timeout) {
  return hub_->connect(address, timeout);
}

}  // namespace cohort::distribute
