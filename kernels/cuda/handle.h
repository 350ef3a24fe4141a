#pragma once

#include <utility>

namespace cohort::cuda {

/// Owns one handle of a C library. `Destroy` gets it when the owner goes; its status is dropped,
/// because a destructor has nobody to tell.
template <class T, auto Destroy>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T handle) : handle_(handle) {}
  ~Handle() { reset(); }
  Handle(Handle&& other) noexcept : handle_(std::exchange(other.handle_, T{})) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      reset();
      handle_ = std::exchange(other.handle_, T{});
    }
    return *this;
  }

  T get() const { return handle_; }
  operator T() const { return handle_; }  // NOLINT: passed to the library's functions
  explicit operator bool() const { return handle_ != T{}; }
  /// Where a create function writes the new handle.
  T* receive() {
    reset();
    return &handle_;
  }
  void reset() {
    if (handle_ != T{}) (void)Destroy(std::exchange(handle_, T{}));
  }

 private:
  T handle_{};
};

}  // namespace cohort::cuda
