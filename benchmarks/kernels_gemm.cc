// GFLOP/s of the matrix product, one thread, beside oneDNN's sgemm where the machine has the
// library. The two alternate, and the best of many short samples is taken, so that a busy machine
// disturbs both alike.
#include <dlfcn.h>
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "cohort/kernels/cpu/simd_dispatch.h"

namespace {

using cohort::cpu::GemmArgs;

struct alignas(64) Line {
  std::byte bytes[64];
};

struct Shape {
  const char* what;
  std::ptrdiff_t m, n, k;
  bool transpose_a = false, transpose_b = false;
};

constexpr Shape kShapes[] = {
    {"mlp b32 forward", 32, 128, 784},
    {"mlp b32 weights' gradient", 784, 128, 32, true, false},
    {"mlp b256 forward", 256, 128, 784},
    {"mlp b256 weights' gradient", 784, 128, 256, true, false},
    {"head forward", 32, 10, 128},
    {"head weights' gradient", 128, 10, 32, true, false},
    {"head input's gradient", 32, 128, 10, false, true},
    {"small mlp", 32, 64, 64},
    {"small mlp weights' gradient", 64, 64, 32, true, false},
    {"small mlp input's gradient", 32, 64, 64, false, true},
    {"cnn dense forward", 64, 128, 3136},
    {"cnn dense input's gradient", 64, 3136, 128, false, true},
    {"cnn dense weights' gradient", 3136, 128, 64, true, false},
    {"square 256", 256, 256, 256},
    {"square 512", 512, 512, 512},
    {"square 1024", 1024, 1024, 1024},
    {"square 1024 NT", 1024, 1024, 1024, false, true},
    {"square 1024 TN", 1024, 1024, 1024, true, false},
    {"square 1000", 1000, 1000, 1000},
};

using Sgemm = int (*)(char, char, std::int64_t, std::int64_t, std::int64_t, float, const float*,
                      std::int64_t, const float*, std::int64_t, float, float*, std::int64_t);

/// dnnl_sgemm on one thread, or null.
Sgemm find_peer() {
  void* library = dlopen("libdnnl.so.2", RTLD_NOW);
  if (!library) return nullptr;
  if (void* set_threads = dlsym(library, "omp_set_num_threads"))
    reinterpret_cast<void (*)(int)>(set_threads)(1);
  return reinterpret_cast<Sgemm>(dlsym(library, "dnnl_sgemm"));
}

template <class Call>
double seconds_of(int repeats, Call call) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < repeats; ++i) call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / repeats;
}

void measure(const cohort::cpu::Simd& simd, Sgemm sgemm, const Shape& s) {
  std::vector<float> a(s.m * s.k, 0.5f), b(s.k * s.n, 0.25f), c(s.m * s.n);
  GemmArgs<float> args{.m = s.m,
                       .n = s.n,
                       .k = s.k,
                       .a = a.data(),
                       .lda = s.transpose_a ? s.m : s.k,
                       .transpose_a = s.transpose_a,
                       .b = b.data(),
                       .ldb = s.transpose_b ? s.k : s.n,
                       .transpose_b = s.transpose_b,
                       .c = c.data(),
                       .ldc = s.n};
  std::vector<Line> scratch(simd.f32.gemm_scratch_bytes(args) / sizeof(Line) + 1);
  args.scratch = scratch.data()->bytes;

  const double flops = 2.0 * s.m * s.n * s.k;
  const int repeats = static_cast<int>(std::max(1.0, 2e8 / flops));
  double ours = 1e9, peer = 1e9;
  for (int round = 0; round < 40; ++round) {
    ours = std::min(ours, seconds_of(repeats, [&] { simd.f32.gemm(args); }));
    if (!sgemm) continue;
    peer = std::min(peer, seconds_of(repeats, [&] {
                      sgemm(s.transpose_a ? 'T' : 'N', s.transpose_b ? 'T' : 'N', s.m, s.n, s.k, 1,
                            args.a, args.lda, args.b, args.ldb, 0, args.c, args.ldc);
                    }));
  }
  fmt::print("{:28} {:>5}x{:<5}x{:<5} {:8.2f} us {:7.1f} GF/s", s.what, s.m, s.n, s.k, ours * 1e6,
             flops / ours / 1e9);
  if (sgemm) fmt::print("   dnnl_sgemm {:8.2f} us {:7.1f} GF/s", peer * 1e6, flops / peer / 1e9);
  fmt::print("\n");
}

}  // namespace

int main() {
  const cohort::cpu::Simd& simd = cohort::cpu::simd();
  fmt::print("{}\n", cohort::cpu::isa_name(simd.isa));
  const Sgemm sgemm = find_peer();
  for (const Shape& shape : kShapes) measure(simd, sgemm, shape);
}
