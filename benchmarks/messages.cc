// Calls through a message port beside a raw connection that does the same, in two processes, sample
// by sample in turn: through loopback TCP beside a raw socket of it, through shared memory beside a
// raw local socket.
//   messages [SECONDS]
// One line for each case: microseconds (medians and quartiles) of both and ours over raw: a round
// trip of 64 bytes, and 16 MiB one way with an empty reply.

#include <fmt/core.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "benchmarks/private_memory.h"
#include "benchmarks/raw_link.h"
#include "benchmarks/spread.h"
#include "cohort/core/chrono.h"
#include "cohort/distribute/messages/message_port.h"
#include "cohort/distribute/transport/shared_connection.h"
#include "tests/support/folder_store.h"

namespace {

using namespace cohort;
using Clock = std::chrono::steady_clock;

constexpr size_t kSmall = 64;
constexpr size_t kLarge = size_t{16} << 20;
constexpr std::chrono::seconds kPatience(20);

/// Answers 64 bytes with themselves, more with nothing; both into the same memory for each call.
class Echo : public distribute::MessageHandler {
 public:
  explicit Echo(char* memory) : memory_(memory, [](char*) {}) {}
  std::shared_ptr<char> memory_for(const std::string&, uint32_t, size_t) override {
    return memory_;
  }
  void handle(const std::shared_ptr<distribute::MessageRequest>& request) override {
    const auto payload = request->payload();
    request->reply(payload.size() == kSmall ? payload : payload.first(0), request);
  }

 private:
  const std::shared_ptr<char> memory_;
};

/// The raw server: what is told by one byte comes, and is answered.
void serve_raw(RawLink& link, char* memory) {
  while (true) {
    char kind = 0;
    link.receive(&kind, 1);
    if (kind == 'q') return;
    const size_t bytes = kind == 's' ? kSmall - 1 : kLarge - 1;
    link.receive(memory, bytes);
    if (kind == 's') link.send(memory, kSmall);
    if (kind != 's') link.send(&kind, 1);
  }
}

int serve(test::FolderStore& store) {
  char* memory = reinterpret_cast<char*>(private_memory(kLarge));
  distribute::MessagePort port({.name = "server", .address = "127.0.0.1"},
                               std::make_shared<Echo>(memory));
  distribute::LocalListener listener = distribute::listen_locally();
  store.insert("local", listener.name);
  store.insert("port", port.address());
  RawLink raw(true, "127.0.0.1", store, "raw");
  serve_raw(raw, memory);
  distribute::FileDescriptor socket;
  while (!socket) {
    pollfd readable{listener.socket.get(), POLLIN, 0};
    poll(&readable, 1, -1);
    socket = distribute::FileDescriptor(
        accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  }
  RawLink local(std::move(socket));
  serve_raw(local, memory);
  return 0;
}

double since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

void run(const char* name, distribute::MessagePeer& peer, RawLink& raw, size_t bytes,
         double seconds) {
  char* data = reinterpret_cast<char*>(private_memory(bytes));
  std::vector<char> reply(kSmall);
  std::vector<double> ours, theirs;
  const auto begin = Clock::now();
  while (since(begin) < seconds * 1e6 || ours.size() < 5) {
    auto start = Clock::now();
    peer.call(0, {data, bytes}, reply).wait(kPatience);
    ours.push_back(since(start));
    data[0] = bytes == kSmall ? 's' : 'l';
    start = Clock::now();
    raw.send(data, bytes);
    raw.receive(reply.data(), bytes == kSmall ? kSmall : 1);
    theirs.push_back(since(start));
  }
  const Spread mine(ours), peers(theirs);
  fmt::print("{:<7} {:<9} {:9.1f} ({:.1f}-{:.1f})  {:9.1f} ({:.1f}-{:.1f})  {:.2f}\n", name, bytes,
             peers.median, peers.low, peers.high, mine.median, mine.low, mine.high,
             mine.median / peers.median);
}

}  // namespace

int main(int argc, char** argv) try {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 2;
  std::string folder = std::filesystem::temp_directory_path() / "cohort-messages-XXXXXX";
  if (!mkdtemp(folder.data())) throw Internal("no temporary folder");
  test::FolderStore store(folder);
  const pid_t server = fork();
  if (server == 0) _exit(serve(store));
  fmt::print("through bytes     raw_us (quartiles)  ours_us (quartiles)  ours/raw\n");
  const auto run_both = [&](const char* name, bool shared_memory, RawLink& raw) {
    distribute::MessagePort port({.name = "client", .shared_memory = shared_memory});
    const auto peer = port.connect(store.get("port", kPatience), kPatience);
    run(name, *peer, raw, kSmall, seconds);
    run(name, *peer, raw, kLarge, seconds);
    raw.send("q", 1);
  };
  store.get("port", kPatience);
  RawLink tcp(false, "127.0.0.1", store, "raw");
  run_both("TCP", false, tcp);
  RawLink local(distribute::connect_locally(store.get("local", kPatience)));
  run_both("memory", true, local);
  waitpid(server, nullptr, 0);
  std::filesystem::remove_all(folder);
} catch (const Error& error) {
  fmt::print(stderr, "messages: {}\n", error.what());
  return 1;
}
