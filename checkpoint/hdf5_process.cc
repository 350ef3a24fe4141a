#include "cohort/checkpoint/hdf5_process.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <mutex>

#include "cohort/core/error.h"
#include "cohort/core/system.h"
#include "cohort/core/wire/protobuf.h"

// Questions and answers go over a socket, each after its size in 8 bytes; numbers of datasets lie
// in memory that both processes see. The child is one thread and touches nothing but HDF5 and
// these.
namespace cohort::checkpoint {
namespace {

constexpr int kSilenceMs = 10 * 60 * 1000;  // of a child that reads one dataset
constexpr uint64_t kMaxMessage = uint64_t{1} << 30;

enum Question : uint64_t { kDatasets, kAttribute, kAttributeList, kRead };
// Fields of an answer: an error's code and text, or what was asked for.
enum Field : int { kCode = 1, kMessage, kDataset, kText };
enum DatasetField : int { kPath = 1, kType, kSizes };

bool send_all(int socket, const void* data, size_t bytes) {
  const char* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t sent = send(socket, at, bytes, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    at += sent;
    bytes -= static_cast<size_t>(sent);
  }
  return true;
}

bool receive_all(int socket, void* data, size_t bytes, int timeout_ms) {
  char* at = static_cast<char*>(data);
  while (bytes > 0) {
    pollfd event{.fd = socket, .events = POLLIN, .revents = 0};
    const int ready = poll(&event, 1, timeout_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    const ssize_t got = recv(socket, at, bytes, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    bytes -= static_cast<size_t>(got);
  }
  return true;
}

bool send_message(int socket, const std::string& message) {
  const uint64_t bytes = message.size();
  return send_all(socket, &bytes, sizeof bytes) && send_all(socket, message.data(), bytes);
}

bool receive_message(int socket, std::string& message, int timeout_ms) {
  uint64_t bytes = 0;
  if (!receive_all(socket, &bytes, sizeof bytes, timeout_ms) || bytes > kMaxMessage) return false;
  message.resize(bytes);
  return receive_all(socket, message.data(), bytes, timeout_ms);
}

std::string question(Question kind, uint64_t index, const std::string& path,
                     const std::string& name) {
  wire::Writer out;
  out.write_uint(1, kind);
  out.write_uint(2, index);
  out.write_bytes(3, path);
  out.write_bytes(4, name);
  return out.take();
}

/// The child's side.
class Server {
 public:
  Server(int socket, int memory, const Hdf5Reader& reader)
      : socket_(socket), memory_(memory), reader_(reader) {}

  void run() {
    for (std::string asked; receive_message(socket_, asked, -1);)
      if (!send_message(socket_, answer(asked))) return;
  }

 private:
  std::string answer(const std::string& asked) try {
    uint64_t kind = 0, index = 0;
    std::string path, name;
    wire::Reader in(asked, "hdf5 question");
    while (in.next()) {
      if (in.field() == 1)
        kind = in.read_uint();
      else if (in.field() == 2)
        index = in.read_uint();
      else
        (in.field() == 3 ? path : name) = in.read_bytes();
    }
    if (kind == kDatasets) return datasets();
    wire::Writer out;
    if (kind == kRead)
      read(reader_.datasets().at(index));
    else if (kind == kAttributeList)
      list(reader_.attribute_list(path, name), out);
    else if (const auto text = reader_.attribute(path, name))
      out.write_bytes(kText, *text);
    return out.take();
  } catch (const Error& error) {
    wire::Writer out;
    out.write_uint(kCode, static_cast<uint64_t>(error.code()));
    out.write_bytes(kMessage, error.what());
    return out.take();
  }

  /// A field more than there are strings: there is a list.
  static void list(const std::optional<std::vector<std::string>>& texts, wire::Writer& out) {
    if (!texts) return;
    out.write_bytes(kText, "");
    for (const std::string& text : *texts) out.write_bytes(kText, text);
  }

  std::string datasets() const {
    wire::Writer out;
    for (const Hdf5Dataset& dataset : reader_.datasets()) {
      wire::Writer one;
      one.write_bytes(kPath, dataset.path);
      one.write_uint(kType, static_cast<uint64_t>(dataset.dtype));
      one.write_packed_sint(kSizes, dataset.shape.numbers());
      out.write_message(kDataset, one);
    }
    return out.take();
  }

  void read(const Hdf5Dataset& dataset) const {
    const Tensor value = reader_.read(dataset);
    const auto* at = static_cast<const char*>(value.raw());
    for (size_t done = 0; done < value.num_bytes();) {
      const ssize_t put =
          pwrite(memory_, at + done, value.num_bytes() - done, static_cast<off_t>(done));
      if (put <= 0 && errno != EINTR) throw system_error("hdf5: shared memory", errno);
      if (put > 0) done += static_cast<size_t>(put);
    }
  }

  const int socket_, memory_;
  const Hdf5Reader& reader_;
};

[[noreturn]] void run_child(int socket, int memory, const std::string& path,
                            std::unique_ptr<Hdf5Reader> (*open)(const std::string&)) {
  for (const int fatal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) signal(fatal, SIG_DFL);
  std::unique_ptr<Hdf5Reader> reader;
  wire::Writer out;
  try {
    reader = open(path);
  } catch (const Error& error) {
    out.write_uint(kCode, static_cast<uint64_t>(error.code()));
    out.write_bytes(kMessage, error.what());
  } catch (const std::exception& error) {
    out.write_uint(kCode, static_cast<uint64_t>(Code::kResourceExhausted));
    out.write_bytes(kMessage, path + ": " + error.what());
  }
  if (send_message(socket, out.data()) && reader) Server(socket, memory, *reader).run();
  _exit(0);
}

class ChildReader final : public Hdf5Reader {
 public:
  ChildReader(const std::string& path, std::unique_ptr<Hdf5Reader> (*open)(const std::string&))
      : path_(path) {
    memory_ = memfd_create("cohort-hdf5", MFD_CLOEXEC);
    int ends[2] = {-1, -1};
    if (memory_ < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0 ||
        (child_ = fork()) < 0) {
      const Error error = system_error(path + ": a process that reads it", errno);
      for (const int end : ends)
        if (end >= 0) close(end);
      close_all();
      throw error;
    }
    if (child_ == 0) run_child(ends[1], memory_, path, open);
    close(ends[1]);
    socket_ = ends[0];
    try {
      receive();
      list(ask(question(kDatasets, 0, "", "")));
    } catch (...) {
      close_all();
      throw;
    }
  }
  ~ChildReader() override { close_all(); }

  const std::vector<Hdf5Dataset>& datasets() const override { return datasets_; }

  std::optional<std::string> attribute(const std::string& path,
                                       const std::string& name) const override {
    const std::vector<std::string> texts = ask_for_texts(kAttribute, path, name);
    return texts.empty() ? std::nullopt : std::optional(texts.front());
  }

  std::optional<std::vector<std::string>> attribute_list(const std::string& path,
                                                         const std::string& name) const override {
    std::vector<std::string> texts = ask_for_texts(kAttributeList, path, name);
    if (texts.empty()) return {};
    texts.erase(texts.begin());
    return texts;
  }

  Tensor read(const Hdf5Dataset& dataset) const override {
    const std::lock_guard lock(mutex_);
    uint64_t index = 0;
    while (datasets_.at(index).path != dataset.path) ++index;
    Tensor result(dataset.dtype, dataset.shape);
    ask(question(kRead, index, "", ""));
    auto* at = static_cast<char*>(result.raw());
    for (size_t done = 0; done < result.num_bytes();) {
      const ssize_t got =
          pread(memory_, at + done, result.num_bytes() - done, static_cast<off_t>(done));
      if (got == 0) throw DataLoss("{}: {}: got too few bytes", path_, dataset.path);
      if (got < 0 && errno != EINTR) throw system_error(path_, errno);
      if (got > 0) done += static_cast<size_t>(got);
    }
    return result;
  }

 private:
  std::vector<std::string> ask_for_texts(Question kind, const std::string& path,
                                         const std::string& name) const {
    const std::lock_guard lock(mutex_);
    const std::string answer = ask(question(kind, 0, path, name));
    wire::Reader in(answer, path_);
    std::vector<std::string> texts;
    while (in.next())
      if (in.field() == kText)
        texts.emplace_back(in.read_bytes());
      else
        in.skip();
    return texts;
  }

  std::string ask(const std::string& question) const {
    if (!send_message(socket_, question)) throw_end();
    return receive();
  }

  std::string receive() const {
    std::string answer;
    if (!receive_message(socket_, answer, kSilenceMs)) throw_end();
    wire::Reader in(answer, path_);
    auto code = Code{};
    while (in.next()) {
      if (in.field() == kCode)
        code = static_cast<Code>(in.read_uint());
      else if (in.field() == kMessage)
        throw Error(code, std::string(in.read_bytes()));
      else
        in.skip();
    }
    return answer;
  }

  /// Says what became of the child.
  [[noreturn]] void throw_end() const {
    kill(child_, SIGKILL);
    int status = 0;
    while (waitpid(child_, &status, 0) < 0 && errno == EINTR) {
    }
    child_ = -1;
    const int by = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    throw DataLoss(
        "{}: the process that read it for this one {}; want a file that HDF5's library bears",
        path_,
        by == SIGKILL ? std::string("was silent or was killed")
        : by != 0     ? std::string("crashed: ") + strsignal(by)
                      : std::string("has ended"));
  }

  void list(const std::string& answer) {
    wire::Reader in(answer, path_);
    while (in.next()) {
      if (in.field() != kDataset) {
        in.skip();
        continue;
      }
      Hdf5Dataset dataset;
      std::vector<int64_t> sizes;
      wire::Reader one(in.read_bytes(), path_);
      while (one.next()) {
        if (one.field() == kPath)
          dataset.path = one.read_bytes();
        else if (one.field() == kType)
          dataset.dtype = static_cast<DType>(one.read_uint());
        else
          one.read_sints(sizes);
      }
      dataset.shape = Shape(std::span<const int64_t>(sizes));
      datasets_.push_back(std::move(dataset));
    }
  }

  void close_all() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      while (waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
      }
    }
    for (const int descriptor : {socket_, memory_})
      if (descriptor >= 0) close(descriptor);
  }

  const std::string path_;
  int memory_ = -1, socket_ = -1;
  mutable pid_t child_ = -1;
  std::vector<Hdf5Dataset> datasets_;
  mutable std::mutex mutex_;
};

}  // namespace

std::unique_ptr<Hdf5Reader> read_in_child(const std::string& path,
                                          std::unique_ptr<Hdf5Reader> (*open)(const std::string&)) {
  return std::make_unique<ChildReader>(path, open);
}

}  // namespace cohort::checkpoint
