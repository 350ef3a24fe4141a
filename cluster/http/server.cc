#include <fcntl.h>
#include <httplib.h>
#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <array>

#include "cohort/cluster/endpoint.h"
#include "cohort/cluster/http.h"
#include "cohort/core/error.h"

namespace cohort::cluster {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kConnectionTime(2000);
constexpr milliseconds kLongestPoll(50);  // a server that stops is heard after it
constexpr size_t kMaxRequestBytes = 16 << 10;
constexpr size_t kNumThreads = 2;
constexpr size_t kMaxWaiting = 16;

/// A connection that ends at its deadline, at its byte limit and with its server.
class Connection final : public httplib::Stream {
 public:
  Connection(int fd, const std::atomic<bool>& stopping)
      : fd_(fd), stopping_(stopping), deadline_(Clock::now() + kConnectionTime) {}

  bool is_readable() const override { return at_ < end_ || wait_for(POLLIN); }
  bool is_writable() const override { return wait_for(POLLOUT); }

  ssize_t read(char* to, size_t size) override {
    if (at_ == end_) {
      const size_t most = std::min(buffer_.size(), left_);
      if (most == 0 || !wait_for(POLLIN)) return -1;
      const ssize_t count = recv(fd_, buffer_.data(), most, MSG_DONTWAIT);
      if (count <= 0) return count;
      at_ = 0;
      end_ = static_cast<size_t>(count);
      left_ -= end_;
    }
    const size_t count = std::min(size, end_ - at_);
    std::copy_n(buffer_.data() + at_, count, to);
    at_ += count;
    return static_cast<ssize_t>(count);
  }

  ssize_t write(const char* data, size_t size) override {
    for (size_t sent = 0; sent < size;) {
      if (!wait_for(POLLOUT)) return -1;
      const ssize_t count = send(fd_, data + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count < 0 && errno != EAGAIN) return -1;
      if (count > 0) sent += static_cast<size_t>(count);
    }
    return static_cast<ssize_t>(size);
  }

  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return fd_; }

 private:
  bool wait_for(short events) const {
    pollfd ready{.fd = fd_, .events = events, .revents = 0};
    while (!stopping_) {
      const auto left = std::chrono::duration_cast<milliseconds>(deadline_ - Clock::now());
      if (left.count() <= 0) return false;
      if (poll(&ready, 1, static_cast<int>(std::min(left, kLongestPoll).count())) > 0) return true;
    }
    return false;
  }

  const int fd_;
  const std::atomic<bool>& stopping_;
  const Clock::time_point deadline_;
  std::array<char, 2048> buffer_;
  size_t at_ = 0, end_ = 0, left_ = kMaxRequestBytes;
};

/// Threads that serve connections; whoever accepts more waits.
class BoundedQueue final : public httplib::TaskQueue {
 public:
  BoundedQueue() {
    for (size_t i = 0; i < kNumThreads; ++i) threads_.emplace_back([this] { work(); });
  }

  void enqueue(std::function<void()> task) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return tasks_.size() < kMaxWaiting; });
    tasks_.push_back(std::move(task));
    changed_.notify_all();
  }

  void shutdown() override {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
      changed_.notify_all();
    }
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return ended_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      const std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      changed_.notify_all();
      lock.unlock();
      task();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<std::function<void()>> tasks_;  // guarded by mutex_, as is ended_
  bool ended_ = false;
  std::vector<std::thread> threads_;
};

/// Requests are answered before the library looks for a route: it would match regular expressions.
class BoundedServer final : public httplib::Server {
 public:
  BoundedServer(const Address& address, HttpHandler handler) {
    new_task_queue = [] { return new BoundedQueue; };
    // The library's default would let two servers listen at one port.
    set_socket_options([](int fd) {
      const int on = 1;
      setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    });
    set_pre_routing_handler([answer = std::move(handler)](const httplib::Request& request,
                                                          httplib::Response& response) {
      const bool reads = request.method == "GET" || request.method == "HEAD";
      HttpResponse given = reads ? answer(request.path) : HttpResponse{405, "text/plain", "GET\n"};
      response.status = given.status;
      response.set_content(std::move(given.body), given.content_type);
      return HandlerResponse::Handled;
    });
    check_listenable(address);
    port_ = address.port == 0 ? bind_to_any_port(address.host) : address.port;
    if (port_ <= 0 || (address.port != 0 && !bind_to_port(address.host, address.port)))
      throw AlreadyExists("server: port {} is in use: cannot listen at {}", address.port,
                          address.to_string());
  }

  int port() const { return port_; }
  void end_connections() { stopping_ = true; }

 private:
  bool process_and_close_socket(socket_t fd) override {
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    bool served = false, closed = false;
    try {
      Connection connection(fd, stopping_);
      served = process_request(connection, true, closed, nullptr);
    } catch (...) {
      // Whatever a stranger sent ends his connection only.
    }
    ::shutdown(fd, SHUT_WR);
    ::close(fd);
    return served;
  }

  std::atomic<bool> stopping_{false};
  int port_ = 0;
};

/// Signals stay the program's: its threads get them, and a broken pipe is what it was before.
class SignalsLeftAlone {
 public:
  SignalsLeftAlone() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &mask_);
    sigaction(SIGPIPE, nullptr, &pipe_);
  }
  ~SignalsLeftAlone() {
    sigaction(SIGPIPE, &pipe_, nullptr);
    pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
  }
  SignalsLeftAlone(const SignalsLeftAlone&) = delete;
  SignalsLeftAlone& operator=(const SignalsLeftAlone&) = delete;

 private:
  sigset_t mask_;
  struct sigaction pipe_;
};

class Server final : public HttpServer {
 public:
  Server(const Address& address, HttpHandler handler) {
    const SignalsLeftAlone signals;
    server_ = std::make_unique<BoundedServer>(address, std::move(handler));
    thread_ = std::thread([this] {
      server_->listen_after_bind();
      ended_ = true;
    });
  }

  ~Server() override {
    server_->end_connections();
    // A server that does not listen yet would not hear that it shall stop.
    while (!server_->is_running() && !ended_) std::this_thread::sleep_for(milliseconds(1));
    server_->stop();
    thread_.join();
  }

  int port() const override { return server_->port(); }

 private:
  std::unique_ptr<BoundedServer> server_;
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

std::unique_ptr<HttpServer> serve_http(const Address& address, HttpHandler handler) {
  return std::make_unique<Server>(address, std::move(handler));
}

std::string get_http(const Address& address, const std::string& path, milliseconds timeout) {
  httplib::Client client(address.host, address.port);
  client.set_connection_timeout(timeout);
  client.set_read_timeout(timeout);
  std::string body;
  const auto deadline = Clock::now() + timeout;
  const auto result = client.Get(path, [&](const char* data, size_t size) {
    body.append(data, size);
    return body.size() < kMaxRequestBytes && Clock::now() < deadline;
  });
  return result ? body : "";
}

}  // namespace
}  // namespace cohort::cluster

extern "C" __attribute__((visibility("default"))) void cohort_http_module(
    cohort::cluster::HttpModule& module) {
  module.serve = cohort::cluster::serve_http;
  module.get = cohort::cluster::get_http;
}
