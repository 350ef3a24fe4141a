#include "cohort/cluster/tls_probe.h"

#include <string>
#include <string_view>

namespace cohort::cluster {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

std::string big_endian(size_t value, int bytes) {
  std::string text;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
    text += static_cast<char>(value >> shift & 0xff);
  return text;
}

std::string with_length(const std::string& text, int bytes) {
  return big_endian(text.size(), bytes) + text;
}

std::string extension(size_t type, const std::string& data) {
  return big_endian(type, 2) + with_length(data, 2);
}

}  // namespace

std::string client_hello() {
  // ECDHE with ECDSA or RSA, with AES-GCM or ChaCha20: what gRPC's servers take.
  const std::string ciphers("\xc0\x2b\xc0\x2f\xc0\x2c\xc0\x30\xcc\xa9\xcc\xa8"sv);
  const std::string groups("\x00\x1d\x00\x17\x00\x18"sv);
  const std::string signatures("\x04\x03\x05\x03\x06\x03\x08\x04\x08\x05\x08\x06\x04\x01"sv);
  const std::string extensions = extension(10, with_length(groups, 2)) +
                                 extension(11, with_length("\0"s, 1)) +
                                 extension(13, with_length(signatures, 2)) +
                                 extension(16, with_length(with_length("h2", 1), 2));
  const std::string random(32, '\x5a');  // nothing is kept secret with it
  const std::string hello = "\x03\x03" + random + with_length("", 1) + with_length(ciphers, 2) +
                            with_length("\0"s, 1) + with_length(extensions, 2);
  return "\x16\x03\x01" + with_length("\x01" + with_length(hello, 3), 2);
}

Speech probe_speech(const Address& numeric, std::chrono::milliseconds timeout) {
  const std::string answer = ask(numeric, client_hello(), 9, timeout);
  if (answer.size() >= 2 && (answer[0] == '\x16' || answer[0] == '\x15') && answer[1] == '\x03')
    return Speech::kTls;
  // HTTP/2's first frame: 3 bytes of length, then the type SETTINGS (RFC 9113, 3.4).
  if (answer.size() == 9 && answer[0] == '\0' && answer[1] == '\0' && answer[3] == '\x04')
    return Speech::kPlainText;
  return Speech::kUnknown;
}

}  // namespace cohort::cluster
