#include "cohort/kernels/cuda/update_body.h"

#include "cohort/kernels/cuda/scalar_ops.cuh"
#include "cohort/kernels/cuda/update_table.cuh"

namespace cohort::cuda {
namespace {

using Kind = ElementStep::Kind;
using Table = UpdateTable<UpdateSegment::kMaxArrays, 16>;

constexpr int kBodyThreads = 128;
constexpr int kInFlight = 4;  // arrays that a thread waits for at a time

// A block's registers lie in shared memory: a step names them, and a thread's own registers have no
// numbers. A thread sees its own alone.
template <class C, int kVector, int kRegisters>
struct Registers {
  Vector<C, kVector> at[kRegisters][kBodyThreads];
  double numbers[ElementProgram::kMaxNumbers];
  C numbers_of_elements[ElementProgram::kMaxNumbers];  // the same
};

// To the values of a dtype; bool: 0 or 1.
template <class C>
__device__ C rounded(DType dtype, C x) {
  switch (dtype) {
    case DType::kBool:
      return x != C(0) ? C(1) : C(0);
    case DType::kF16:
      return static_cast<C>(__half2float(__float2half_rn(static_cast<float>(x))));
    case DType::kBF16:
      return static_cast<C>(__bfloat162float(__float2bfloat16_rn(static_cast<float>(x))));
    case DType::kF32:
      return static_cast<C>(static_cast<float>(x));
    default:
      return x;
  }
}

template <class C>
__device__ C apply_step(const ElementStep& step, C a, C b, C c) {
  switch (step.kind) {
    case Kind::kUnary:
      return apply_floating(static_cast<UnaryOp>(step.op), a);
    case Kind::kBinary:
      return apply_floating(static_cast<BinaryOp>(step.op), a, b);
    case Kind::kCompare:
      return apply_compare(static_cast<CompareOp>(step.op), a, b) ? C(1) : C(0);
    case Kind::kNot:
      return a != C(0) ? C(0) : C(1);
    case Kind::kIsFinite:
      return isfinite(a) ? C(1) : C(0);
    case Kind::kSelect:
      return a != C(0) ? b : c;
    case Kind::kFma:
      return fma(a, b, c);
    default:  // kRound
      return rounded(static_cast<DType>(step.op), a);
  }
}

// Numbers that all elements share: those given, then what one thread makes of them.
template <class Registers>
__device__ void compute_numbers(const ElementProgram& program, const double* given,
                                double weight_decay, Registers& registers) {
  const auto set = [&registers](int number, double value) {
    registers.numbers[number] = value;
    registers.numbers_of_elements[number] = value;
  };
  const int thread = static_cast<int>(threadIdx.x);
  const int constant = thread - program.num_given - (program.decays ? 1 : 0);
  if (thread < program.num_given)
    set(thread, given[thread]);
  else if (constant < 0)
    set(thread, weight_decay);
  else if (constant < program.num_constants)
    set(thread, program.constants[constant]);
  __syncthreads();
  const auto value = [&registers](ElementPlace place) {
    return place < kNumber ? 0 : registers.numbers[place - kNumber];
  };
  if (thread == 0)
    for (int i = 0; i < program.num_number_steps; ++i) {
      const ElementStep step = program.number_steps[i];
      const double a = value(step.from[0]), b = value(step.from[1]), c = value(step.from[2]);
      set(step.to - kNumber,
          step.single ? apply_step<float>(step, a, b, c) : apply_step<double>(step, a, b, c));
    }
  __syncthreads();
}

// A thread's own part of the registers.
template <class C, int kVector, int kRegisters>
struct Lane {
  using Values = Vector<C, kVector>;
  Registers<C, kVector, kRegisters>& all;

  __device__ Values& operator[](int place) const { return all.at[place][threadIdx.x]; }
  __device__ C number(ElementPlace place) const { return all.numbers_of_elements[place - kNumber]; }
  __device__ Values values(ElementPlace place) const {
    if (place < kNumber) return (*this)[place];
    Values result;
    for (int k = 0; k < kVector; ++k) result.at[k] = number(place);
    return result;
  }
  __device__ C value(ElementPlace place, int k) const {
    return place < kNumber ? (*this)[place].at[k] : number(place);
  }

  template <class F>
  __device__ void one(const ElementStep& step, F f) const {
    Values a = values(step.from[0]);
#pragma unroll
    for (int k = 0; k < kVector; ++k) a.at[k] = f(a.at[k]);
    (*this)[step.to] = a;
  }
  template <class F>
  __device__ void two(const ElementStep& step, F f) const {
    Values a = values(step.from[0]);
    const Values b = values(step.from[1]);
#pragma unroll
    for (int k = 0; k < kVector; ++k) a.at[k] = f(a.at[k], b.at[k]);
    (*this)[step.to] = a;
  }
  template <class F>
  __device__ void three(const ElementStep& step, F f) const {
    Values a = values(step.from[0]);
    const Values b = values(step.from[1]), c = values(step.from[2]);
#pragma unroll
    for (int k = 0; k < kVector; ++k) a.at[k] = f(a.at[k], b.at[k], c.at[k]);
    (*this)[step.to] = a;
  }
  // Of every other op, one element after the other: code for several would be long.
  __device__ void any(const ElementStep& step) const {
#pragma unroll 1
    for (int k = 0; k < kVector; ++k)
      (*this)[step.to].at[k] =
          apply_step(step, value(step.from[0], k), value(step.from[1], k), value(step.from[2], k));
  }

  __device__ void run(const ElementStep& step) const {
    switch (step.kind) {
      case Kind::kFma:
        return three(step, [](C a, C b, C c) { return fma(a, b, c); });
      case Kind::kUnary:
        return run_unary(step);
      case Kind::kBinary:
        return run_binary(step);
      default:
        return any(step);
    }
  }
  __device__ void run_unary(const ElementStep& step) const {
    switch (static_cast<UnaryOp>(step.op)) {
      case UnaryOp::kSquare:
        return one(step, [](C a) { return a * a; });
      case UnaryOp::kSqrt:
        return one(step, [](C a) { return sqrt(a); });
      default:
        return any(step);
    }
  }
  __device__ void run_binary(const ElementStep& step) const {
    switch (static_cast<BinaryOp>(step.op)) {
      case BinaryOp::kAdd:
        return two(step, [](C a, C b) { return a + b; });
      case BinaryOp::kSub:
        return two(step, [](C a, C b) { return a - b; });
      case BinaryOp::kMul:
        return two(step, [](C a, C b) { return a * b; });
      case BinaryOp::kDiv:
        return two(step, [](C a, C b) { return a / b; });
      default:
        return any(step);
    }
  }
};

template <class T, int kVector, class Share, class OfThread>
__device__ void load_arrays(const Share& share, int num_arrays, const OfThread& lane) {
  for (int first = 0; first < num_arrays; first += kInFlight) {
    Vector<T, kVector> arrays[kInFlight];
#pragma unroll
    for (int i = 0; i < kInFlight; ++i)
      if (first + i < num_arrays) arrays[i] = share.template load<T>(first + i);
#pragma unroll
    for (int i = 0; i < kInFlight; ++i)
      if (first + i < num_arrays)
        for (int k = 0; k < kVector; ++k)
          lane[first + i].at[k] = static_cast<Compute<T>>(arrays[i].at[k]);
  }
}

template <class T, int kVector, int kRegisters>
__global__ void __launch_bounds__(kBodyThreads)
    body_kernel(__grid_constant__ const Table table, __grid_constant__ const ElementProgram program,
                BodyInputs inputs) {
  using C = Compute<T>;
  __shared__ Registers<C, kVector, kRegisters> registers;
  const auto share = share_of_thread<kVector>(table);
  const Lane<C, kVector, kRegisters> lane = {registers};
  load_arrays<T, kVector>(share, program.num_arrays, lane);
  compute_numbers(program, inputs.numbers, share.segment->weight_decay, registers);
  if (inputs.fault->site != 0 || !*inputs.apply || share.count == 0) return;
  for (int i = 0; i < program.num_steps; ++i) lane.run(program.steps[i]);
  for (int i = 1; i < program.num_arrays; ++i) {
    if (program.results[i] == kUnchanged) continue;
    const Vector<C, kVector> from = lane.values(program.results[i]);
    Vector<T, kVector> to;
    for (int k = 0; k < kVector; ++k) to.at[k] = static_cast<T>(from.at[k]);
    share.store(i, to);
  }
}

// Few registers leave room for many blocks; bodies that want more than 48 KiB of vectors take one
// element for each thread.
template <class T, class Run>
void with_registers(int count, Run&& run) {
  constexpr int kVector = 16 / static_cast<int>(sizeof(Compute<T>));
  if (count <= 8)
    run(std::integral_constant<int, kVector>{}, std::integral_constant<int, 8>{});
  else if (count <= 16)
    run(std::integral_constant<int, kVector>{}, std::integral_constant<int, 16>{});
  else
    run(std::integral_constant<int, 1>{},
        std::integral_constant<int, ElementProgram::kMaxRegisters>{});
}

}  // namespace

bool update_by_body(DType dtype, const ElementProgram& program,
                    std::span<const UpdateSegment> segments, BodyInputs inputs,
                    cudaStream_t stream) {
  return visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    with_registers<T>(program.num_registers, [&](auto vector, auto registers) {
      for_each_table<T, vector(), Table>(
          segments, kBodyThreads, [&](const Table& table, int blocks) {
            launch("update_body", body_kernel<T, vector(), registers()>, blocks, kBodyThreads,
                   stream, table, program, inputs);
          });
    });
  });
}

}  // namespace cohort::cuda
