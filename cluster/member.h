#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

#include "cohort/cluster/handshake.h"
#include "cohort/cluster/membership.h"
#include "cohort/cluster/pipe.h"

namespace cohort::cluster {

/// A task's seat, held over a pipe to the leader. Beats to the leader and watches that it answers.
class Member final : public Membership {
 public:
  struct Options {
    std::vector<Task> tasks;  ///< the first leads
    int self = 0;
    std::string job_id;
    std::string version;
    std::chrono::milliseconds heartbeat_interval{1000};
    std::chrono::milliseconds dead_after{5000};
    std::stop_token stop;                         ///< ends every wait with Cancelled
    std::shared_ptr<const WaitBoard> wait_board;  ///< told to the leader; may be none
  };
  using Connect = std::function<std::unique_ptr<Pipe>(PipeReceiver)>;

  /// `keep` lives as long as the member, which in the leader's process is what serves the others.
  explicit Member(Options options, std::shared_ptr<void> keep = nullptr);
  /// Ends without leaving, unless leave() was called: a death in the others' eyes.
  ~Member() override;

  /// For messages; before take_seat.
  void set_leader_address(std::string address) { leader_address_ = std::move(address); }
  /// Connects and asks for the seat: nothing when it has it, or why the leader could not be asked,
  /// so that it is worth trying again. Throws what the leader refuses it with, and what an
  /// Introduction does. `credentials`: for a leader in another process; none: it is in this one.
  std::optional<std::string> take_seat(const Connect& connect, std::chrono::milliseconds timeout,
                                       const std::optional<Credentials>& credentials = {});
  /// True when every task has its seat, false after `timeout`. Throws the cluster's error.
  bool wait_for_start(std::chrono::milliseconds timeout);
  /// Which tasks are missing, as the leader last said.
  std::string missing_text() const;

  const Task& self() const override { return options_.tasks[static_cast<size_t>(options_.self)]; }
  const std::vector<Task>& tasks() const override { return options_.tasks; }
  void insert(const std::string& key, const std::string& value) override;
  std::string get(const std::string& key, std::chrono::milliseconds timeout) override;
  std::optional<std::string> try_get(const std::string& key) override;
  void barrier(const std::string& name, std::chrono::milliseconds timeout,
               std::span<const Task> participants = {}) override;
  void report_error(const Error& error) override;
  std::optional<Error> error() const override;
  int watch(std::function<void(const Error&)> handler) override;
  void unwatch(int watch) override;
  void leave(std::chrono::milliseconds timeout) override;

 private:
  enum class Seat { kNone, kGreeting, kAsked, kRefused, kBroken, kTaken };

  bool introduce(const Credentials& credentials, std::chrono::steady_clock::time_point deadline);
  std::optional<Message> next_greeting(std::chrono::steady_clock::time_point deadline);
  void received(Message message);
  void closed(const std::string& reason);
  void fail(const Error& error);
  Message call(Message request);
  void beat();
  void send_beat();
  void give_up_leader(double silence);

  const std::shared_ptr<void> keep_;  // destroyed last
  const Options options_;
  const uint64_t incarnation_;
  std::string leader_address_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Seat seat_ = Seat::kNone;          // guarded by mutex_, as all below
  std::optional<Message> greeting_;  // the leader's last, before the seat is asked for
  std::string broken_reason_;
  std::string missing_;
  bool started_ = false;
  bool left_ = false;
  bool ending_ = false;
  uint64_t last_id_ = 0;
  uint64_t leave_id_ = 0;
  std::map<uint64_t, std::optional<Message>> replies_;  // of the calls under way
  std::chrono::steady_clock::time_point last_heard_;
  std::optional<Error> error_;

  std::mutex watch_mutex_;
  std::map<int, std::function<void(const Error&)>>
      watches_;  // guarded by watch_mutex_, as both below
  std::optional<Error> told_;
  int last_watch_ = 0;

  std::unique_ptr<Pipe> pipe_;
  std::thread beat_thread_;
  std::optional<std::stop_callback<std::function<void()>>> on_stop_;
};

}  // namespace cohort::cluster
