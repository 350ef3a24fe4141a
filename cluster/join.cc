#include "cohort/cluster/join.h"

#include <algorithm>
#include <cstdio>
#include <thread>

#include "cohort/cluster/job_secret.h"
#include "cohort/cluster/leader.h"
#include "cohort/cluster/member.h"
#include "cohort/cluster/publication.h"
#include "cohort/cluster/running_clock.h"
#include "cohort/cluster/session.h"
#include "cohort/cluster/shared_secret.h"
#include "cohort/cluster/tls_probe.h"
#include "cohort/core/system.h"
#include "cohort/core/terminal.h"

namespace cohort::cluster {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kLongestAttempt(3000);  // to reach the leader, but for its answer

using Log = std::function<void(const std::string& line)>;

Log log_of(const JoinOptions& options) {
  if (options.log) return options.log;
  return [](const std::string& line) { say(stderr, line + "\n"); };
}

milliseconds between(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration_cast<milliseconds>(end - begin);
}

// The time of a start, and what it says to people meanwhile.
class Start {
 public:
  explicit Start(const JoinOptions& options)
      : options_(options),
        log_(log_of(options)),
        clock_(std::max(options.report_every, kLongestAttempt + options.dead_after)),
        begin_(clock_.now()),
        next_report_(begin_ + options.report_every) {}

  const Task& self() const { return options_.tasks[static_cast<size_t>(options_.self)]; }
  milliseconds left() { return until(begin_ + options_.startup_timeout); }
  /// To the next report or the end, whichever is first.
  milliseconds nap() { return std::min(left(), until(next_report_)); }

  void report(const std::string& waits_for) {
    const Clock::time_point now = clock_.now();
    if (now < next_report_) return;
    next_report_ = now + options_.report_every;
    log_(fmt::format("cluster: {} waits ({:.0f} of {:.0f} s): {}", self().to_string(),
                     seconds(between(begin_, now)), seconds(options_.startup_timeout), waits_for));
  }

  Error failure(const std::string& waits_for) const {
    return DeadlineExceeded("cluster: {} waited {:.1f} s for the cluster to start: {}",
                            self().to_string(), seconds(options_.startup_timeout), waits_for);
  }

 private:
  milliseconds until(Clock::time_point time) {
    return std::max(between(clock_.now(), time), milliseconds(0));
  }
  static double seconds(milliseconds time) { return std::chrono::duration<double>(time).count(); }

  const JoinOptions& options_;
  const Log log_;
  RunningClock clock_;
  const Clock::time_point begin_;
  Clock::time_point next_report_;
};

void check(const JoinOptions& options) {
  if (options.self < 0 || static_cast<size_t>(options.self) >= options.tasks.size())
    throw InvalidArgument("join_cluster: got self {}; there are {} tasks", options.self,
                          options.tasks.size());
  if (!options.addresses.empty() && options.addresses.size() != options.tasks.size())
    throw InvalidArgument("join_cluster: got {} addresses; there are {} tasks",
                          options.addresses.size(), options.tasks.size());
  if (options.heartbeat_interval.count() <= 0 ||
      options.dead_after < 2 * options.heartbeat_interval)
    throw InvalidArgument(
        "join_cluster: got heartbeat_interval {} ms, dead_after {} ms; want two beats at least",
        options.heartbeat_interval.count(), options.dead_after.count());
  if (options.published || (options.tasks.size() == 1 && !options.listen_alone)) return;
  if (parse_address(options.coordinator).port == 0 && options.self != 0)
    throw InvalidArgument("join_cluster: got coordinator {}; want the leader's port",
                          options.coordinator);
}

// What gRPC takes at its start, which spins, crashes or does not end when it cannot have it: some
// descriptors, the leader one more for each task, and a dozen threads.
void expect_room_for(const JoinOptions& options) {
  constexpr size_t kDescriptors = 16, kAddressBytes = size_t{128} << 20;
  const size_t others = options.tasks.size() - 1;
  if (others == 0) return;
  expect_room("cluster: " + options.tasks[static_cast<size_t>(options.self)].to_string(),
              kDescriptors + (options.self == 0 ? others : 0), kAddressBytes, options.tasks.size());
}

Member::Options member_options(const JoinOptions& options) {
  return {.tasks = options.tasks,
          .self = options.self,
          .job_id = options.job_id,
          .version = options.version,
          .heartbeat_interval = options.heartbeat_interval,
          .dead_after = options.dead_after,
          .stop = options.stop,
          .wait_board = options.wait_board};
}

// Looks up the names of the tasks that have not come, as many as the report names, so that a typing
// error is told as one.
void note_names(Coordinator& coordinator, std::string_view advice) {
  std::vector<Coordinator::Missing> missing = coordinator.missing();
  if (missing.size() > Coordinator::kMostNamed) missing.resize(Coordinator::kMostNamed);
  for (const Coordinator::Missing& task : missing) {
    if (task.address.empty()) continue;
    try {
      resolve(parse_address(task.address), advice);
      coordinator.note(task.task, "");
    } catch (const Error& error) {
      coordinator.note(task.task, error.what());
    }
  }
}

// How the leader is to be reached. Says so where anybody may come.
LeaderOptions leader_options(const JoinOptions& options) {
  LeaderOptions serving{.address = options.published ? "127.0.0.1:0" : options.coordinator,
                        .tls = options.tls,
                        .listen_alone = options.listen_alone,
                        .secret = options.secret,
                        .reflection = options.reflection,
                        .advice_on_names = options.advice_on_names};
  const bool others = options.tasks.size() > 1;
  if (!serving.secret.empty()) return serving;
  if (options.one_host) {
    serving.secret = random_secret();
    serving.share_secret = others;
  } else if (others && options.require_secret) {
    throw FailedPrecondition(
        "cluster: the job has no secret; want COHORT_JOB_SECRET_FILE or COHORT_JOB_SECRET on all "
        "tasks, because of COHORT_REQUIRE_SECRET");
  } else if (others && !options.tls.enabled()) {
    log_of(options)(fmt::format(
        "cluster: {} leads without the job's secret and without TLS: whoever reaches {} can take "
        "part; want COHORT_JOB_SECRET_FILE on all tasks",
        options.tasks.front().to_string(), options.coordinator));
  }
  return serving;
}

std::unique_ptr<Membership> lead(const JoinOptions& options) {
  Start start(options);
  std::optional<Publication> publication;  // nobody needs it when all are there
  const auto leader = std::make_shared<Leader>(
      Coordinator::Options{.tasks = options.tasks,
                           .addresses = options.addresses,
                           .job_id = options.job_id,
                           .version = options.version,
                           .heartbeat_interval = options.heartbeat_interval,
                           .dead_after = options.dead_after,
                           .warn = log_of(options)},
      leader_options(options));
  if (options.published) publication.emplace(publish_address(options.job_id, leader->address()));
  if (options.on_bound) options.on_bound(leader->address());
  Coordinator& coordinator = *leader->coordinator();
  auto member = std::make_unique<Member>(member_options(options), leader);
  member->set_leader_address(leader->address());
  member->take_seat(
      [&](PipeReceiver receiver) {
        return connect_locally(leader->coordinator(), std::move(receiver));
      },
      options.startup_timeout);
  while (!member->wait_for_start(start.nap())) {
    note_names(coordinator, options.advice_on_names);
    if (start.left().count() == 0) {
      const Error failure = start.failure(coordinator.missing_text());
      coordinator.fail(failure);
      throw Error(failure);
    }
    start.report(coordinator.missing_text());
  }
  return member;
}

// Throws when the leader uses TLS and this task does not, or the other way round: waiting will not
// change that. True: the two agree.
bool expect_same_speech(const JoinOptions& options, const std::string& leader,
                        const Address& address, milliseconds timeout) {
  const Speech speech = probe_speech(address, timeout);
  const Speech ours = options.tls.enabled() ? Speech::kTls : Speech::kPlainText;
  const auto words = [](Speech s) { return s == Speech::kTls ? "TLS" : "plain text"; };
  if (speech != Speech::kUnknown && speech != ours)
    throw FailedPrecondition(
        "cluster: the leader {} at {} uses {}, and {} {}; want TLS on all tasks or none",
        options.tasks.front().to_string(), leader, words(speech),
        options.tasks[static_cast<size_t>(options.self)].to_string(), words(ours));
  return speech == ours;
}

// What to show to the leader at `address`; nothing where it shares its secret and that is not
// there.
std::optional<Credentials> credentials_for(const Address& address, const JoinOptions& options,
                                           const RpcModule& rpc) {
  Credentials credentials{options.secret, options.job_id, rpc.hmac_sha256};
  if (!credentials.secret.empty() || !options.one_host) return credentials;
  const auto shared = shared_secret(address.to_string());
  if (!shared) return std::nullopt;
  credentials.secret = *shared;
  return credentials;
}

// One attempt to take the seat: nothing, or why the leader could not be asked.
std::optional<std::string> try_once(const JoinOptions& options, const std::string& leader,
                                    const RpcModule& rpc, const TlsKeys& keys, Member& member,
                                    milliseconds left, bool& same_speech) {
  const Address named = parse_address(leader);
  std::string reason;
  try {
    for (const Address& address : resolve(named, options.advice_on_names)) {
      const milliseconds timeout = std::clamp(left, milliseconds(1), milliseconds(2000));
      reason = try_connect(address, timeout);
      if (!reason.empty()) continue;
      const auto credentials = credentials_for(address, options, rpc);
      if (!credentials) {
        reason =
            "it shares no secret in this user's runtime folder here; want the same XDG_RUNTIME_DIR "
            "for all tasks, or a COHORT_JOB_SECRET_FILE";
        continue;
      }
      const auto connect = [&](PipeReceiver receiver) {
        return rpc.connect({address, named.host, keys}, std::move(receiver));
      };
      member.set_leader_address(leader);
      const auto refusal =
          member.take_seat(connect, std::max(timeout, options.dead_after), credentials);
      if (refusal && !same_speech)
        same_speech = expect_same_speech(options, leader, address, timeout);
      return refusal;
    }
  } catch (const Error& error) {
    // A secret that is shared changes with the leader.
    const bool shared = options.one_host && options.secret.empty();
    const bool passes =
        error.code() == Code::kNotFound || (shared && error.code() == Code::kPermissionDenied);
    if (!passes) throw;
    return error.what();
  }
  return reason;
}

std::unique_ptr<Membership> follow(const JoinOptions& options) {
  constexpr milliseconds kFirstPause(5), kLongestPause(250);
  Start start(options);
  const RpcModule rpc = rpc_module();
  const TlsKeys keys = read_tls_keys(options.tls);
  auto member = std::make_unique<Member>(member_options(options));
  milliseconds pause = kFirstPause;
  bool same_speech = false;
  while (true) {
    const std::optional<std::string> leader =
        options.published ? published_address(options.job_id) : options.coordinator;
    std::string waits_for = fmt::format("for the leader {}", options.tasks.front().to_string());
    if (!leader) {
      waits_for += fmt::format(", whose address is not in {}", publication_path(options.job_id));
    } else {
      const auto reason = try_once(options, *leader, rpc, keys, *member, start.left(), same_speech);
      if (!reason) break;
      waits_for += fmt::format(" at {} ({})", *leader, *reason);
    }
    if (options.stop.stop_requested())
      throw Cancelled("cluster: {} was stopped", start.self().to_string());
    if (start.left().count() == 0) throw start.failure(waits_for);
    start.report(waits_for);
    // Nobody can tell us when a leader that is not there yet begins to listen.
    std::this_thread::sleep_for(std::min(start.left(), pause));
    pause = std::min(2 * pause, kLongestPause);
  }
  while (!member->wait_for_start(start.nap())) {
    const std::string missing = member->missing_text();
    const std::string waits_for = missing.empty() ? "tasks are missing" : missing;
    if (start.left().count() == 0) {
      const Error failure = start.failure(waits_for);
      member->report_error(failure);
      throw Error(failure);
    }
    start.report(waits_for);
  }
  return member;
}

}  // namespace

std::unique_ptr<Membership> join_cluster(const JoinOptions& options) {
  check(options);
  expect_room_for(options);
  return options.self == 0 ? lead(options) : follow(options);
}

}  // namespace cohort::cluster
