#include "cohort/distribute/transport/mpi_world.h"

#include <mpi.h>

#include <array>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "cohort/core/error.h"

// MPI's blocking calls are made where they can hurt nobody: MPI_Init_thread and MPI_Finalize, which
// wait for all processes, in a thread that is left behind when time is up. All else is started and
// tested.
namespace cohort::distribute {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kNap = std::chrono::milliseconds(1);
constexpr auto kPatienceAtEnd = std::chrono::seconds(5);
constexpr auto kPatienceAtFailure = std::chrono::milliseconds(500);
constexpr size_t kSmall = 1024;  // copied

void check(int result, const char* what) {
  if (result == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int bytes = 0;
  MPI_Error_string(result, text, &bytes);
  throw Unavailable("{}: {}", what, text);
}

const char* name_of_level(int level) {
  if (level == MPI_THREAD_SINGLE) return "MPI_THREAD_SINGLE";
  if (level == MPI_THREAD_FUNNELED) return "MPI_THREAD_FUNNELED";
  return level == MPI_THREAD_SERIALIZED ? "MPI_THREAD_SERIALIZED" : "MPI_THREAD_MULTIPLE";
}

/// The thread that begins MPI and, much later, ends it.
class Keeper {
 public:
  enum class State { kBeginning, kRunning, kEnd, kLeave, kOver };

  /// Waits until MPI runs; returns its level.
  static std::shared_ptr<Keeper> begin(const MpiStart& start) {
    const auto keeper = std::make_shared<Keeper>();
    std::thread([keeper] { keeper->run(); }).detach();
    const auto deadline = Clock::now() + start.timeout;
    std::unique_lock lock(keeper->mutex_);
    while (!keeper->changed_.wait_for(lock, kNap * 50,
                                      [&] { return keeper->state_ != State::kBeginning; })) {
      lock.unlock();
      start.check();
      if (Clock::now() > deadline)
        throw DeadlineExceeded("mpi: MPI_Init waits for the other processes since {} ms",
                               start.timeout.count());
      lock.lock();
    }
    return keeper;
  }

  int level() const { return level_; }

  /// kEnd or kLeave.
  void finish(State how) {
    std::unique_lock lock(mutex_);
    state_ = how;
    changed_.notify_all();
    changed_.wait_for(lock, kPatienceAtEnd, [&] { return state_ == State::kOver; });
  }

 private:
  void run() {
    int level = MPI_THREAD_SINGLE;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &level);
    std::unique_lock lock(mutex_);
    level_ = level;
    state_ = State::kRunning;
    changed_.notify_all();
    changed_.wait(lock, [&] { return state_ != State::kRunning; });
    if (state_ == State::kEnd) {
      lock.unlock();
      MPI_Finalize();
      lock.lock();
    }
    state_ = State::kOver;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  State state_ = State::kBeginning;  // guarded by mutex_
  int level_ = MPI_THREAD_SINGLE;    // set before kRunning
};

class World;

class MpiConnection final : public Connection {
 public:
  MpiConnection(std::shared_ptr<World> world, MPI_Comm communicator, int rank, int tag)
      : world_(std::move(world)), communicator_(communicator), rank_(rank), tag_(tag) {}

  ~MpiConnection() override { stop_reading(); }

  size_t try_write(std::span<const iovec> parts) override {
    if (!writing_) begin_write(parts);
    int done = 0;
    check(MPI_Testall(static_cast<int>(writes_.size()), writes_.data(), &done, MPI_STATUSES_IGNORE),
          "MPI_Testall");
    writing_ = !done;
    return done ? write_bytes_ : 0;
  }

  bool is_stuck() const override { return writing_; }

  size_t try_read(char* to, size_t bytes) override {
    if (stopped_) return 0;
    if (read_ == MPI_REQUEST_NULL)
      check(MPI_Irecv(to, static_cast<int>(bytes), MPI_BYTE, rank_, tag_, communicator_, &read_),
            "MPI_Irecv");
    int done = 0;
    MPI_Status status;
    check(MPI_Test(&read_, &done, &status), "MPI_Test");
    if (!done) return 0;
    int got = 0;
    MPI_Get_count(&status, MPI_BYTE, &got);
    if (static_cast<size_t>(got) != bytes)
      throw DataLoss("got a message of {} bytes; want {}", got, bytes);
    return bytes;
  }

  int descriptor() const override { return -1; }
  std::string peer_identity() const override { return "mpi " + std::to_string(rank_); }
  void finish() override;

  void stop_reading() override {
    stopped_ = true;
    if (read_ == MPI_REQUEST_NULL) return;
    MPI_Cancel(&read_);
    int done = 0;  // a message that is on its way comes first, unless its sender has died
    for (const auto until = Clock::now() + kPatienceAtFailure; !done && Clock::now() < until;)
      if (MPI_Test(&read_, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) break;
    if (!done) MPI_Request_free(&read_);
    read_ = MPI_REQUEST_NULL;
  }

 private:
  void begin_write(std::span<const iovec> parts) {
    writes_.fill(MPI_REQUEST_NULL);
    write_bytes_ = 0;
    writing_ = true;
    for (size_t i = 0; i < parts.size(); ++i) {
      const void* data = parts[i].iov_base;
      if (parts[i].iov_len <= kSmall)  // the queue that holds headers may move
        data = std::memcpy(small_[i].data(), data, parts[i].iov_len);
      check(MPI_Isend(data, static_cast<int>(parts[i].iov_len), MPI_BYTE, rank_, tag_,
                      communicator_, &writes_[i]),
            "MPI_Isend");
      write_bytes_ += parts[i].iov_len;
    }
  }

  const std::shared_ptr<World> world_;
  const MPI_Comm communicator_;
  const int rank_, tag_;
  std::array<std::array<char, kSmall>, 2> small_;
  std::array<MPI_Request, 2> writes_{MPI_REQUEST_NULL, MPI_REQUEST_NULL};
  MPI_Request read_ = MPI_REQUEST_NULL;
  size_t write_bytes_ = 0;
  bool writing_ = false;
  bool stopped_ = false;
};

class World final : public MpiWorld, public std::enable_shared_from_this<World> {
 public:
  explicit World(const MpiStart& start) {
    int begun = 0, ended = 0;
    MPI_Initialized(&begun);
    MPI_Finalized(&ended);
    if (ended) throw FailedPrecondition("mpi: MPI has ended in this process, and begins only once");
    int level = MPI_THREAD_SINGLE;
    if (begun) {
      MPI_Query_thread(&level);
    } else {
      if (!start.launched)
        throw FailedPrecondition(
            "mpi: this process was not started for MPI; want mpirun, or srun --mpi=pmix");
      keeper_ = Keeper::begin(start);
      level = keeper_->level();
    }
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    if (level < MPI_THREAD_MULTIPLE) {
      if (keeper_) keeper_->finish(Keeper::State::kEnd);
      throw FailedPrecondition("mpi: got {}; want MPI_THREAD_MULTIPLE{}", name_of_level(level),
                               begun ? " in the program's call of MPI_Init_thread" : "");
    }
    duplicate(start);
  }

  ~World() override {
    if (failed_) {
      if (keeper_) keeper_->finish(Keeper::State::kLeave);
      return;
    }
    MPI_Comm_free(&communicator_);
    if (keeper_) keeper_->finish(Keeper::State::kEnd);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::unique_ptr<Connection> connect(int rank, int tag) override {
    return std::make_unique<MpiConnection>(shared_from_this(), communicator_, rank, tag);
  }
  void give_up() override { failed_ = true; }

 private:
  void duplicate(const MpiStart& start) {
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Comm_idup(MPI_COMM_WORLD, &communicator_, &request), "MPI_Comm_idup");
    const auto deadline = Clock::now() + start.timeout;
    for (int done = 0; true;) {
      check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
      if (done) break;
      start.check();
      if (Clock::now() > deadline)
        throw DeadlineExceeded("mpi: MPI_Comm_idup waits for the other processes since {} ms",
                               start.timeout.count());
      std::this_thread::sleep_for(kNap);  // MPI wakes nobody, and MPI_Wait has no deadline
    }
    MPI_Comm_set_errhandler(communicator_, MPI_ERRORS_RETURN);
  }

  std::shared_ptr<Keeper> keeper_;  ///< none where the program has begun MPI
  MPI_Comm communicator_ = MPI_COMM_NULL;
  int rank_ = 0, size_ = 0;
  std::atomic<bool> failed_{false};
};

void MpiConnection::finish() { world_->give_up(); }

std::shared_ptr<MpiWorld> start(const MpiStart& options) {
  return std::make_shared<World>(options);
}

}  // namespace
}  // namespace cohort::distribute

extern "C" __attribute__((visibility("default"))) void cohort_mpi_module(
    cohort::distribute::MpiModule& module) {
  module.start = cohort::distribute::start;
}
