#include "cohort/checkpoint/directory_lock.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cohort/core/error.h"
#include "cohort/core/process_identity.h"

// A lock is a file made by an exclusive creation. One that has fallen is first renamed, to a name
// of the taker's own: of several takers one succeeds. It then looks whether it has renamed what it
// saw; if another was faster, the file is that one's, and goes back.
namespace cohort::checkpoint {
namespace {

constexpr std::string_view kLockName = "lock";
constexpr uint64_t kMaxLockBytes = 4096;
constexpr auto kPoll = std::chrono::milliseconds(100);
using Clock = std::chrono::steady_clock;

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

std::string describe(const LockHolder& holder) {
  return fmt::format("process {} on {}{}", holder.pid, holder.host,
                     holder.job.empty() ? "" : ", job " + holder.job);
}

/// Names that no two takers share.
std::string unique_suffix() {
  static std::atomic<int> count{0};
  return fmt::format(".{}.{}", ::getpid(), count++);
}

/// The holder with another number of renewals is the same.
bool same_process(LockHolder a, const LockHolder& b) {
  a.renewals = b.renewals;
  return a == b;
}

/// Whether a holder's lock falls at once, without a wait for its renewal.
bool falls_to(const LockHolder& me, const LockHolder& holder) {
  if (!me.job.empty() && me.job == holder.job) return true;
  const bool knows = me.host == holder.host && me.boot_id == holder.boot_id;
  return knows && process_start(static_cast<int>(holder.pid)) != holder.started;
}

/// Removes a file that may be gone.
void remove_quietly(Storage& storage, const std::string& path) {
  try {
    storage.remove_file(path);
  } catch (const Error&) {
    // Somebody else has removed it, or the directory.
  }
}

}  // namespace

LockHolder LockHolder::here(std::string job) {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return {.host = host.data(),
          .boot_id = cohort::checkpoint::boot_id(),
          .pid = ::getpid(),
          .started = process_start(::getpid()),
          .job = std::move(job)};
}

std::string serialize(const LockHolder& holder) {
  const nlohmann::json text = {{"host", holder.host}, {"boot_id", holder.boot_id},
                               {"pid", holder.pid},   {"started", holder.started},
                               {"job", holder.job},   {"renewals", holder.renewals}};
  return text.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::optional<LockHolder> parse_lock_holder(std::string_view text) {
  const nlohmann::json holder = nlohmann::json::parse(text, nullptr, false);
  if (!holder.is_object()) return {};
  try {
    return LockHolder{.host = holder.at("host"),
                      .boot_id = holder.at("boot_id"),
                      .pid = holder.at("pid"),
                      .started = holder.at("started"),
                      .job = holder.at("job"),
                      .renewals = holder.at("renewals")};
  } catch (const nlohmann::json::exception&) {
    return {};
  }
}

DirectoryLock::DirectoryLock(std::shared_ptr<Storage> storage, std::string directory,
                             LockOptions options)
    : storage_(std::move(storage)),
      directory_(std::move(directory)),
      path_(join_path(directory_, kLockName)),
      options_(std::move(options)),
      mine_(LockHolder::here(options_.job)) {
  std::optional<std::string> last;
  Clock::time_point seen = Clock::now();
  while (!create()) {
    const std::optional<std::string> text = read();
    if (!text) continue;  // given free just now
    if (text != last) seen = Clock::now();
    const bool renewed = last && text != last;
    last = text;
    const LockHolder holder = parse_lock_holder(*text).value_or(LockHolder{.host = "unknown"});
    if (same_process(holder, mine_))
      throw FailedPrecondition(
          "{}: got a directory that this process writes checkpoints to already; want one lock",
          directory_);
    const bool fallen = falls_to(mine_, holder) || Clock::now() - seen >= options_.falls_after;
    if (fallen && take(holder)) break;
    if (renewed)
      throw FailedPrecondition(
          "{}: got a directory that {} writes checkpoints to; want another directory, or its end",
          directory_, describe(holder));
    std::this_thread::sleep_for(std::min<Clock::duration>(kPoll, options_.falls_after / 4));
  }
  remove_leftovers();
  renewing_ = std::thread([this] { renew_until_stopped(); });
}

DirectoryLock::~DirectoryLock() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stopped_.notify_all();
  renewing_.join();
  try {
    check();
    storage_->remove_file(path_);
  } catch (const Error&) {
    // It is another's now, or the directory is gone.
  }
}

/// Of processes that were killed while they renewed or took the lock.
void DirectoryLock::remove_leftovers() const {
  for (const std::string& name : storage_->list(directory_))
    if (name.starts_with(std::string(kLockName) + "."))
      remove_quietly(*storage_, join_path(directory_, name));
}

std::optional<std::string> DirectoryLock::read() const {
  try {
    return read_file(*storage_, path_, kMaxLockBytes);
  } catch (const Error& error) {
    if (error.code() == Code::kNotFound) return {};
    throw;
  }
}

void DirectoryLock::write(const std::string& path, std::string_view text) const {
  const auto file = storage_->create(path);
  try {
    file->append(text);
    file->close();
  } catch (const Error&) {
    remove_quietly(*storage_, path);
    throw;
  }
}

bool DirectoryLock::create() {
  try {
    write(path_, serialize(mine_));
    return true;
  } catch (const Error& error) {
    if (error.code() == Code::kAlreadyExists) return false;
    throw;
  }
}

bool DirectoryLock::take(const LockHolder& seen) {
  const std::string aside = path_ + unique_suffix();
  try {
    storage_->rename(path_, aside);
  } catch (const Error& error) {
    if (error.code() == Code::kNotFound) return false;
    throw;
  }
  const auto moved = parse_lock_holder(read_file(*storage_, aside, kMaxLockBytes))
                         .value_or(LockHolder{.host = "unknown"});
  if (!same_process(moved, seen)) {
    storage_->rename(aside, path_);
    return false;
  }
  remove_quietly(*storage_, aside);
  return create();
}

void DirectoryLock::check() const {
  const std::lock_guard lock(mutex_);
  const auto text = read();
  const auto holder = text ? parse_lock_holder(*text) : std::nullopt;
  if (holder && same_process(*holder, mine_)) return;
  throw Aborted("{}: got a lock of {}; want this process' own: another one has taken the directory",
                directory_, holder ? describe(*holder) : "nobody");
}

/// A file in the place of the other, so that a reader finds the one or the other whole.
void DirectoryLock::renew() {
  check();
  const std::lock_guard lock(mutex_);
  ++mine_.renewals;
  const std::string next = path_ + unique_suffix();
  write(next, serialize(mine_));
  storage_->rename(next, path_);
}

void DirectoryLock::renew_until_stopped() {
  std::unique_lock lock(mutex_);
  while (!stopped_.wait_for(lock, options_.renew_every, [this] { return stop_; })) {
    lock.unlock();
    try {
      renew();
    } catch (const Error&) {
      // check() says so to whoever writes next.
    }
    lock.lock();
  }
}

}  // namespace cohort::checkpoint
