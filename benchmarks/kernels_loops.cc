// Time and memory traffic of the vector routines, one thread, in the sizes of the training
// benchmarks, beside a plain copy of as many bytes. The best of many short samples, so that a busy
// machine disturbs little.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <vector>

#include "cohort/kernels/cpu/simd_dispatch.h"

namespace {

using cohort::cpu::Simd;

template <class Call>
double best_seconds(Call call) {
  double best = 1e9;
  for (int round = 0; round < 60; ++round) {
    const auto start = std::chrono::steady_clock::now();
    int repeats = 0;
    double spent = 0;
    do {
      call();
      ++repeats;
      spent = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    } while (spent < 5e-4);
    best = std::min(best, spent / repeats);
  }
  return best;
}

void print(const char* what, double seconds, double bytes) {
  fmt::print("{:44} {:9.2f} us {:7.1f} GB/s\n", what, seconds * 1e6, bytes / seconds / 1e9);
}

/// Adam touches 28 bytes a parameter; the copy beside it moves 28 bytes a parameter too (14 read,
/// 14 written).
void adam(const Simd& simd, std::ptrdiff_t n) {
  std::vector<float> p(n, 0.5f), m(n, 0.01f), v(n, 0.01f), g(n, 0.02f);
  const auto step = [&] {
    simd.f32.adam({.parameter = p.data(),
                   .m = m.data(),
                   .v = v.data(),
                   .gradient = g.data(),
                   .count = n,
                   .alpha = 1e-9f,
                   .one_minus_beta_1 = 0.1f,
                   .one_minus_beta_2 = 0.001f,
                   .epsilon = 1e-7f});
  };
  std::vector<float> from(n * 7 / 2, 1.0f), to(from.size());
  const double bytes = 28.0 * n;
  const double ours = best_seconds(step);
  const double copy = best_seconds([&] { std::memcpy(to.data(), from.data(), from.size() * 4); });
  const double stream = best_seconds([&] {
    simd.f32.stream_copy(from.data(), to.data(), static_cast<std::ptrdiff_t>(from.size()));
  });
  print(fmt::format("adam {}", n).c_str(), ours, bytes);
  fmt::print("    of memcpy {:.0f} %, of streamed copy {:.0f} %\n", 100 * copy / ours,
             100 * stream / ours);
}

void mlp(const Simd& simd) {
  const std::ptrdiff_t rows = 32, hidden = 128, classes = 10, n = rows * hidden;
  std::vector<float> h(n, 0.5f), dh(n, 0.25f), bias(hidden, 0.1f), logits(rows * classes, 0.3f);
  std::vector<float> loss(rows), backprop(rows * classes), sums(hidden), y(n);
  std::vector<std::int32_t> labels(rows, 3);
  print("dropout 32x128", best_seconds([&] {
          simd.f32.dropout({.key = 7, .first = 0}, 1 << 22, 1.25f, h.data(), y.data(), n);
        }),
        8.0 * n);
  print("relu_grad 32x128",
        best_seconds([&] { simd.f32.relu_grad(dh.data(), h.data(), 1.25f, y.data(), n); }),
        12.0 * n);
  print("sum_columns 32x128", best_seconds([&] {
          simd.f32.sum_columns(h.data(), hidden, sums.data(), rows, hidden, false);
        }),
        4.0 * n);
  print("sparse_cross_entropy 32x10", best_seconds([&] {
          simd.f32.sparse_cross_entropy_i32({.rows = rows,
                                             .columns = classes,
                                             .logits = logits.data(),
                                             .labels = labels.data(),
                                             .loss = loss.data(),
                                             .backprop = backprop.data()});
        }),
        8.0 * rows * classes);
  std::vector<std::uint8_t> images(60000 * 784, 3);
  std::vector<std::int64_t> indices(rows);
  std::vector<float> batch(rows * 784);
  std::int64_t next = 1;
  print("gather_rows_u8 32x784", best_seconds([&] {
          for (auto& i : indices) i = (next = next * 7919 % 60000);
          simd.f32.gather_rows_u8(images.data(), 784, indices.data(), rows, 1 / 255.0f, 0,
                                  batch.data());
        }),
        5.0 * rows * 784);
}

void elementwise(const Simd& simd) {
  using cohort::cpu::Unary;
  const std::ptrdiff_t n = 1 << 13;
  std::vector<float> x(n, 0.3f), y(n);
  const std::pair<const char*, Unary> functions[] = {
      {"relu", Unary::kRelu},      {"exp", Unary::kExp}, {"log", Unary::kLog},
      {"tanh", Unary::kTanh},      {"erf", Unary::kErf}, {"gelu", Unary::kGelu},
      {"sigmoid", Unary::kSigmoid}};
  for (const auto& [name, f] : functions)
    print(fmt::format("{} 8192", name).c_str(),
          best_seconds([&] { simd.f32.unary(f, x.data(), y.data(), n); }), 8.0 * n);
  std::vector<float> square(256 * 256, 1.0f), turned(256 * 256);
  print("transpose 64x64",
        best_seconds([&] { simd.f32.transpose(square.data(), 64, turned.data(), 64, 64, 64); }),
        8.0 * 64 * 64);
  print("transpose 256x256",
        best_seconds([&] { simd.f32.transpose(square.data(), 256, turned.data(), 256, 256, 256); }),
        8.0 * 256 * 256);
}

void pooling(const Simd& simd, std::ptrdiff_t size, std::ptrdiff_t channels) {
  const cohort::cpu::PoolShape shape{.batch = 64,
                                     .height = size,
                                     .width = size,
                                     .channels = channels,
                                     .out_height = size / 2,
                                     .out_width = size / 2};
  const std::size_t in = 64 * size * size * channels, out = in / 4;
  std::vector<float> x(in, 0.5f), y(out), dy(out, 0.25f), dx(in);
  for (std::size_t i = 0; i < in; ++i) x[i] = static_cast<float>(i * 2654435761u % 1000) - 500;
  std::vector<std::uint8_t> where(out);
  const std::string name = fmt::format("64x{}x{}x{}", size, size, channels);
  print(("max_pool + relu " + name).c_str(),
        best_seconds([&] { simd.f32.max_pool(shape, x.data(), y.data(), where.data(), true); }),
        4.0 * in + 5.0 * out);
  print(("max_pool_grad " + name).c_str(),
        best_seconds([&] { simd.f32.max_pool_grad(shape, dy.data(), where.data(), dx.data()); }),
        4.0 * in + 5.0 * out);
}

}  // namespace

int main() {
  const Simd& simd = cohort::cpu::simd();
  cohort::cpu::flush_denormals();
  fmt::print("{}\n", cohort::cpu::isa_name(simd.isa));
  mlp(simd);
  elementwise(simd);
  pooling(simd, 28, 32);
  pooling(simd, 14, 64);
  adam(simd, 101770);
  adam(simd, 4 << 20);
}
