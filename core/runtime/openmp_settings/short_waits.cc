// libcohort_openmp, a library of its own, because of when it must run.
//
// The threads of an OpenMP team wait by spinning. libgomp's default is 300 000 rounds, some 10 ms:
// where another process takes a processor, the threads that wait burn the time slices that the late
// one needs. libgomp takes the number from the environment while it is initialised, which is before
// libcohort, who needs it. Libraries that do not need each other are initialised in the reverse of
// the order in which they are named: this one is named after libgomp.
#include <cstdlib>

namespace {

/// Some 20 µs: longer than the gap between two kernels, shorter than any time slice.
constexpr const char* kRounds = "1000";

[[gnu::constructor]] void shorten_waits() {
  if (!std::getenv("OMP_WAIT_POLICY")) setenv("GOMP_SPINCOUNT", kRounds, 0);
}

}  // namespace
