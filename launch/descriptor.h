#pragma once

#include <string>

namespace cohort::launch {

/// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor() { close(); }

  int get() const { return number_; }
  bool open() const { return number_ >= 0; }
  void close();
  int release();

 private:
  int number_;
};

struct Pipe {
  Descriptor read, write;
};

/// Closed in the programs that are executed. Throws ResourceExhausted.
Pipe make_pipe();

}  // namespace cohort::launch
