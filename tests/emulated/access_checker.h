#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

namespace cohort::emulated {

/// A thread of a kernel.
struct Actor {
  uint32_t number;      ///< in the grid
  uint32_t warp_epoch;  ///< counts the shuffles and votes of its warp
  uintptr_t stack;      ///< its own memory
  size_t stack_bytes;
};

/// Sees every access of every thread of a kernel: kernels are compiled so that the address
/// sanitizer's checks are calls, which come here. Shared memory is what is static and writable in
/// this program. Finds
///  * accesses to memory that is neither the device's nor the thread's own,
///  * reads of shared memory that no thread of the block has written,
///  * two threads that touch one byte, one of them writing, with nothing between that orders them:
///    a barrier, or a shuffle or vote of their warp. Threads of two blocks are never ordered.
///    Writing what is there already is let pass.
/// Atomic operations are not looked at. One caller at a time.
class AccessChecker {
 public:
  static AccessChecker& instance();

  void add_device_memory(const void* begin, size_t bytes);
  void remove_device_memory(const void* begin);
  /// The bytes from `begin` on lie in one piece of the device's memory.
  bool is_device_memory(const void* begin, size_t bytes);

  void begin_grid(int threads_per_block, const void* parameters, size_t parameter_bytes);
  void begin_block();
  /// All threads of the block have met.
  void meet() { ++epoch_; }
  /// From now on accesses are this actor's; null: the emulation's own, which are not looked at.
  void set_actor(const Actor* actor);

  void access(uintptr_t at, size_t bytes, bool write, const void* code);
  /// The first finding of this grid; "" if there is none.
  const std::string& found() const { return found_; }
  void report(std::string finding);

 private:
  // Who read a byte last: one thread, or several that nothing orders.
  enum class Readers : uint8_t { kOne, kWarp, kBlock, kGrid };
  struct Touch {
    uint32_t epoch;  // 0: never
    uint32_t warp_epoch;
    uint32_t number;
  };
  struct Cell {
    Touch write, read;
    Readers readers;
  };
  struct Piece {
    size_t bytes = 0;
    Cell* cells = nullptr;  // one for each byte
    bool shared = false;
  };
  using Pieces = std::map<uintptr_t, Piece>;

  AccessChecker();
  Pieces::iterator find(uintptr_t at);
  bool is_exempt(uintptr_t at, size_t bytes, bool write) const;
  void check_read(Cell& cell, bool shared, uintptr_t at, const void* code);
  void check_write(Cell& cell, bool shared, uintptr_t at, size_t bytes, const void* code);
  bool is_current(const Touch& touch, bool shared) const;
  bool conflicts(const Touch& touch, Readers readers, bool shared) const;
  void settle();
  std::string sentence(const std::string& what, uintptr_t at, const void* code) const;

  Pieces pieces_;
  Pieces::iterator last_;
  uintptr_t program_begin_ = 0, program_end_ = 0;

  static thread_local const Actor* actor_;  // others may meanwhile enqueue
  uint32_t block_size_ = 1;
  uintptr_t parameters_ = 0;
  size_t parameter_bytes_ = 0;
  uint32_t epoch_ = 1;        // counts barriers, and beginnings of blocks
  uint32_t grid_epoch_ = 1;   // at the beginning of the grid
  uint32_t block_epoch_ = 1;  // and of the block
  std::string found_;

  // A write over another thread's, until it shows whether it changes anything.
  struct Overwrite {
    uintptr_t at = 0;
    size_t bytes = 0;
    std::array<unsigned char, 16> before = {};
    uint32_t writer = 0;
    const void* code = nullptr;
  };
  Overwrite overwrite_;
};

}  // namespace cohort::emulated
