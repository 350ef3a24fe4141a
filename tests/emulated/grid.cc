#include "tests/emulated/grid.h"

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "tests/emulated/access_checker.h"

// A thread is a fiber: it runs until it waits for others, and then the next one runs. A fiber whose
// thread has ended takes the next thread that has not begun, so a kernel without barriers needs
// one.
namespace cohort::emulated {

Here here;

namespace {

constexpr int kWarp = 32;
constexpr size_t kStackBytes = size_t{1} << 20;   // the sanitizers' reports take much
constexpr size_t kGuardBytes = size_t{64} << 10;  // a multiple of any page

enum class State { kIdle, kReady, kAtBarrier, kInWarp };

using Place = std::array<void*, 5>;  // as the compiler's setjmp wants it

struct Fiber {
  ucontext_t beginning;
  bool begun = false;
  Place place = {};
  std::byte* stack = nullptr;
  void* fake_stack = nullptr;
  State state = State::kIdle;
  Site site;
  Actor actor = {};
  int thread = 0;
  // In kInWarp: whom it waits for and what it gave; afterwards, what all gave.
  unsigned mask = 0;
  uint64_t given = 0;
  std::array<uint64_t, kWarp> lanes = {};
};

// The compiler's own jumps: swapcontext makes a system call each time. They keep all registers that
// a function must keep, for change() saves those as any function does.
[[noreturn, gnu::noinline, gnu::no_sanitize("address", "undefined")]] void jump(Place& to) {
  __builtin_longjmp(to.data(), 1);
}

/// Goes on at `to`, or at `beginning` if there is one; returns when somebody goes on at `from`.
[[gnu::noinline, gnu::no_sanitize("address", "undefined")]] void change(Place& from, Place& to,
                                                                        ucontext_t* beginning) {
  if (__builtin_setjmp(from.data()) != 0) return;
  if (beginning) setcontext(beginning);
  jump(to);
}

bool same(const Site& a, const Site& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         std::strcmp(a.file_name(), b.file_name()) == 0;
}

class Grid {
 public:
  static Grid& instance() {
    static Grid& grid = *new Grid;
    return grid;
  }

  std::string run(const Kernel& kernel, int64_t blocks, int threads) {
    kernel_ = &kernel;
    threads_ = threads;
    here.block_size = dim3(static_cast<unsigned>(threads));
    here.grid_size = dim3(static_cast<unsigned>(blocks));
    checker_.begin_grid(threads, kernel.parameters.get(), kernel.parameter_bytes);
    for (int64_t block = 0; block < blocks && checker_.found().empty(); ++block) run_block(block);
    return checker_.found();
  }

  void barrier(Site site) {
    current_->site = site;
    wait(State::kAtBarrier);
  }

  std::array<uint64_t, kWarp>& exchange(unsigned mask, uint64_t given, Site site) {
    current_->site = site;
    current_->mask = mask;
    current_->given = given;
    wait(State::kInWarp);
    return current_->lanes;
  }

  int thread() const { return current_->thread; }

 private:
  void run_block(int64_t block) {
    here.block.x = static_cast<unsigned>(block);
    checker_.begin_block();
    warp_epochs_.assign(static_cast<size_t>((threads_ + kWarp - 1) / kWarp), 0);
    next_thread_ = ended_ = 0;
    block_ = block;
    while (ended_ < threads_) {
      if (Fiber* fiber = runnable()) {
        resume(*fiber);
      } else if (!release_barrier() && !release_warps()) {
        checker_.report(deadlock());
      }
      if (!checker_.found().empty()) break;
    }
    if (ended_ < threads_) abandon();
  }

  Fiber* runnable() {
    if (ready_.empty() && next_thread_ == threads_) return nullptr;
    std::vector<Fiber*>& from = ready_.empty() ? idle_ : ready_;
    if (from.empty()) {
      fibers_.push_back(std::make_unique<Fiber>());
      prepare(*fibers_.back());
    }
    Fiber* fiber = from.back();
    from.pop_back();
    return fiber;
  }

  void make_ready(Fiber& fiber) {
    fiber.state = State::kReady;
    ready_.push_back(&fiber);
  }

  void prepare(Fiber& fiber) {
    if (!fiber.stack) {
      void* memory = mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
      if (memory == MAP_FAILED || mprotect(memory, kGuardBytes, PROT_NONE) != 0) std::abort();
      fiber.stack = static_cast<std::byte*>(memory) + kGuardBytes;
    }
    __asan_unpoison_memory_region(fiber.stack, kStackBytes);
    fiber.state = State::kIdle;
    fiber.begun = false;
    getcontext(&fiber.beginning);
    fiber.beginning.uc_stack = {.ss_sp = fiber.stack, .ss_flags = 0, .ss_size = kStackBytes};
    fiber.beginning.uc_link = nullptr;
    makecontext(
        &fiber.beginning, [] { instance().run_threads(); }, 0);
    idle_.push_back(&fiber);
  }

  // A fiber's life.
  void run_threads() {
    Fiber& self = *current_;
    __sanitizer_finish_switch_fiber(nullptr, &host_stack_, &host_stack_bytes_);
    for (;;) {
      while (next_thread_ < threads_) {
        begin_thread(self, next_thread_++);
        checker_.set_actor(&self.actor);
        kernel_->run(kernel_->function, kernel_->parameters.get());
        checker_.set_actor(nullptr);
        ++ended_;
      }
      self.state = State::kIdle;
      idle_.push_back(&self);
      leave();
    }
  }

  void begin_thread(Fiber& fiber, int thread) {
    fiber.state = State::kReady;
    fiber.thread = thread;
    here.thread.x = static_cast<unsigned>(thread);
    fiber.actor = {.number = static_cast<uint32_t>(block_ * threads_ + thread),
                   .warp_epoch = warp_epochs_[static_cast<size_t>(thread / kWarp)],
                   .stack = reinterpret_cast<uintptr_t>(fiber.stack),
                   .stack_bytes = kStackBytes};
  }

  void resume(Fiber& fiber) {
    current_ = &fiber;
    here.thread.x = static_cast<unsigned>(fiber.thread);
    void* fake_stack = nullptr;
    __sanitizer_start_switch_fiber(&fake_stack, fiber.stack, kStackBytes);
    change(host_, fiber.place, std::exchange(fiber.begun, true) ? nullptr : &fiber.beginning);
    __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
  }

  // Back to run_block.
  void leave() {
    Fiber& self = *current_;
    __sanitizer_start_switch_fiber(&self.fake_stack, host_stack_, host_stack_bytes_);
    change(self.place, host_, nullptr);
    __sanitizer_finish_switch_fiber(self.fake_stack, &host_stack_, &host_stack_bytes_);
  }

  void wait(State state) {
    checker_.set_actor(nullptr);
    current_->state = state;
    leave();
    checker_.set_actor(&current_->actor);
  }

  bool release_barrier() {
    const Fiber* first = nullptr;
    int arrived = 0;
    for (const auto& fiber : fibers_) {
      if (fiber->state != State::kAtBarrier) continue;
      if (!first) first = fiber.get();
      if (same(first->site, fiber->site)) ++arrived;
    }
    if (arrived != threads_) return false;
    checker_.meet();
    for (const auto& fiber : fibers_)
      if (fiber->state == State::kAtBarrier) make_ready(*fiber);
    return true;
  }

  // Lets every group of lanes go on that is complete.
  bool release_warps() {
    std::map<int, std::array<Fiber*, kWarp>> warps;
    for (const auto& fiber : fibers_)
      if (fiber->state == State::kInWarp)
        warps[fiber->thread / kWarp][static_cast<size_t>(fiber->thread % kWarp)] = fiber.get();
    bool released = false;
    for (auto& [warp, lanes] : warps)
      for (Fiber* fiber : lanes)
        if (fiber && fiber->state == State::kInWarp && is_complete(*fiber, lanes)) {
          release(fiber->mask, lanes, ++warp_epochs_[static_cast<size_t>(warp)]);
          released = true;
        }
    return released;
  }

  static bool is_complete(const Fiber& one, const std::array<Fiber*, kWarp>& lanes) {
    if ((one.mask >> (one.thread % kWarp) & 1) == 0) return false;
    for (int lane = 0; lane < kWarp; ++lane) {
      const Fiber* fiber = lanes[static_cast<size_t>(lane)];
      if ((one.mask >> lane & 1) == 0) continue;
      if (!fiber || fiber->state != State::kInWarp || fiber->mask != one.mask ||
          !same(fiber->site, one.site))
        return false;
    }
    return true;
  }

  void release(unsigned mask, const std::array<Fiber*, kWarp>& lanes, uint32_t epoch) {
    std::array<uint64_t, kWarp> given = {};
    for (size_t lane = 0; lane < kWarp; ++lane)
      if (mask >> lane & 1) given[lane] = lanes[lane]->given;
    for (size_t lane = 0; lane < kWarp; ++lane)
      if (mask >> lane & 1) {
        lanes[lane]->lanes = given;
        lanes[lane]->actor.warp_epoch = epoch;
        make_ready(*lanes[lane]);
      }
  }

  std::string deadlock() const {
    std::map<std::string, int> waiting;
    for (const auto& fiber : fibers_)
      if (fiber->state == State::kAtBarrier || fiber->state == State::kInWarp)
        ++waiting[(fiber->state == State::kAtBarrier ? "at the barrier of " : "for lanes in ") +
                  describe(fiber->site)];
    std::string text = "block " + std::to_string(block_) + ": of " + std::to_string(threads_) +
                       " threads " + std::to_string(ended_) + " have ended";
    for (const auto& [where, count] : waiting)
      text += ", " + std::to_string(count) + " wait " + where;
    return text;
  }

  void abandon() {
    ready_.clear();
    idle_.clear();
    for (const auto& fiber : fibers_) prepare(*fiber);
  }

  AccessChecker& checker_ = AccessChecker::instance();
  const Kernel* kernel_ = nullptr;
  int threads_ = 0;
  int64_t block_ = 0;
  int next_thread_ = 0;
  int ended_ = 0;
  std::vector<uint32_t> warp_epochs_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> ready_, idle_;
  Fiber* current_ = nullptr;
  Place host_ = {};
  const void* host_stack_ = nullptr;
  size_t host_stack_bytes_ = 0;
};

}  // namespace

std::string run_grid(const Kernel& kernel, int64_t blocks, int threads) {
  return Grid::instance().run(kernel, blocks, threads);
}

std::string describe(const Site& site) {
  const std::string file = site.file_name();
  return file.substr(file.rfind('/') + 1) + ":" + std::to_string(site.line());
}

void barrier(Site site) { Grid::instance().barrier(site); }

int lane() { return Grid::instance().thread() % kWarp; }

uint64_t exchange(unsigned mask, uint64_t mine, int source, Site site) {
  if (source < 0 || source >= kWarp || (mask >> source & 1) == 0)
    AccessChecker::instance().report("shuffle of " + describe(site) + ": lane " +
                                     std::to_string(lane()) + " asks lane " +
                                     std::to_string(source) + ", which is not in the mask");
  const auto& lanes = Grid::instance().exchange(mask, mine, site);
  return lanes[static_cast<size_t>(source) % kWarp];
}

unsigned vote(unsigned mask, bool predicate, Site site) {
  const auto& lanes = Grid::instance().exchange(mask, predicate, site);
  unsigned votes = 0;
  for (size_t lane = 0; lane < kWarp; ++lane)
    if (mask >> lane & 1 && lanes[lane]) votes |= 1u << lane;
  return votes;
}

}  // namespace cohort::emulated
