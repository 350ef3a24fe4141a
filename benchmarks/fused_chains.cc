// Chains of elementwise ops, one node against one node for each op, in one run and interleaved; the
// least of many times: fused_chains [threads]. Both give the same bits, which is checked.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "cohort/core/graph/gradients.h"
#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/runtime/executable.h"
#include "cohort/core/runtime/passes.h"
#include "cohort/core/runtime/runtime.h"

namespace {

using namespace cohort;

constexpr int64_t kColumns = 256;

struct Chain {
  const char* name;
  DType dtype;
  Value (*record)(Value x, Value row);
};

Value gelu(Value x, Value) { return x * (ops::erf(x * 0.70710678) + 1.0) * 0.5; }
Value gelu_gradient(Value x, Value row) {
  return gradients(ops::reduce_sum(gelu(x, row)), std::span(&x, 1)).front().dense();
}
Value mish(Value x, Value) { return x * ops::tanh(ops::softplus(x)); }
Value leaky(Value x, Value row) {
  const Value shifted = x + row;
  return ops::where(ops::greater(shifted, ops::scalar(0, x.dtype())), shifted, shifted * 0.1);
}
Value normalised(Value x, Value row) { return ops::relu((x - row) * row + row); }
Value hard_swish(Value x, Value) { return x * ops::clip(x / 6.0 + 0.5, 0, 1); }

const Chain kChains[] = {{"gelu", DType::kF32, gelu},
                         {"gelu gradient", DType::kF32, gelu_gradient},
                         {"mish", DType::kF32, mish},
                         {"leaky relu of x + row", DType::kF32, leaky},
                         {"normalise, relu", DType::kF32, normalised},
                         {"hard swish", DType::kF32, hard_swish},
                         {"gelu bf16", DType::kBF16, gelu},
                         {"hard swish f64", DType::kF64, hard_swish}};

double seconds_of(Executable& executable, int repeats) {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < repeats; ++i) executable.run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / repeats;
}

void measure(Device& device, const Chain& chain, int64_t rows) {
  Runtime& runtime = default_runtime();
  Graph graph(runtime.ops());
  const GraphScope scope(graph);
  const Value x = graph.placeholder("x", {chain.dtype, Shape{rows, kColumns}});
  const Value row = graph.placeholder("row", {chain.dtype, Shape{kColumns}});
  const std::vector<Value> fetches{chain.record(x, row)};
  const GraphFunction bound = bind(graph, fetches, {});
  const GraphFunction one = fuse_elementwise(runtime, device, bound, 0);
  const CompileOptions options{.device = &device, .disabled_passes = {"fuse"}};
  const auto unfused = compile(runtime, *bound.graph, bound.fetches, {}, options);
  const auto fused = compile(runtime, *one.graph, one.fetches, {}, options);
  Tensor values(DType::kF32, Shape{rows, kColumns}), row_values(DType::kF32, Shape{kColumns});
  for (int64_t i = 0; i < values.num_elements(); ++i)
    values.data<float>()[i] = static_cast<float>(i * 7919 % 1000) / 250.0f - 2.0f;
  for (int64_t i = 0; i < kColumns; ++i)
    row_values.data<float>()[i] = static_cast<float>(i) / 300.0f;
  const Tensor in = values.cast(chain.dtype), in_row = row_values.cast(chain.dtype);
  for (Executable* executable : {unfused.get(), fused.get()}) {
    executable->set_input(0, in.raw());
    executable->set_input(1, in_row.raw());
  }
  double best[2] = {1e9, 1e9};
  const int repeats = static_cast<int>(std::max<int64_t>(1, 400'000 / values.num_elements()));
  for (int round = 0; round < 12; ++round) {
    best[0] = std::min(best[0], seconds_of(*unfused, repeats));
    best[1] = std::min(best[1], seconds_of(*fused, repeats));
  }
  unfused->run();
  const Tensor a = unfused->output(0);
  fused->run();
  const Tensor b = fused->output(0);
  const bool same = std::memcmp(a.raw(), b.raw(), a.num_bytes()) == 0;
  fmt::print("{:24} {:9} bytes: {:10.2f} us apart, {:10.2f} us fused, {:5.2f} times as fast{}\n",
             chain.name, a.num_bytes(), best[0] * 1e6, best[1] * 1e6, best[0] / best[1],
             same ? "" : ", OTHER BITS");
}

}  // namespace

int main(int argc, char** argv) try {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  Runtime& runtime = default_runtime();
  runtime.set_logical_cpu_devices(1, threads);
  Device& device = runtime.device("cpu:0");
  device.bind_thread();
  for (const Chain& chain : kChains)
    for (const int64_t rows : {8, 128, 1024, 8192, 32768, 131072}) measure(device, chain, rows);
  return 0;
} catch (const cohort::Error& error) {
  fmt::print(stderr, "fused_chains: {}\n", error.what());
  return 1;
}
