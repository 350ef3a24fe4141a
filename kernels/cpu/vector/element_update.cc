// The body of an update in vector registers, tile by tile (simd/element_code.h). What is left of a
// run of variables, less than a tile, goes through a tile of its own.
#include <algorithm>
#include <cstring>

#include "cohort/core/runtime/cpu_device.h"
#include "cohort/kernels/cpu/body_update.h"
#include "cohort/kernels/cpu/vector/element_code.h"
#include "cohort/kernels/cpu/vector/vector_kernel.h"

namespace cohort::cpu::vector {
namespace {

template <class T>
class ElementUpdateKernel final : public BodyUpdateKernel {
 public:
  ElementUpdateKernel(const KernelRequest& request, ElementCode code)
      : BodyUpdateKernel(request),
        code_(std::move(code)),
        tile_(simd().of<T>().element_tile),
        one_thread_(make_cpu_device(0, 1)) {
    for (const ElementCode::Step& step : code_.steps)
      steps_.push_back({simd().of<T>().element_step(step.op, step.b.is_number, step.c.is_number),
                        static_cast<uint16_t>(step.b.place), static_cast<uint16_t>(step.c.place)});
    const bool forks =
        num_elements() >= grain_for(static_cast<int64_t>(steps_.size()),
                                    static_cast<int64_t>(2 * num_arrays() * sizeof(T)));
    const int64_t tiles = num_elements() / tile_;
    lanes_.resize(forks ? static_cast<size_t>(std::clamp<int64_t>(tiles, 1, int64_t{threads()}))
                        : 1);
    for (Lane& lane : lanes_) {
      lane.numbers =
          std::make_unique<BodyNumbers>(request, body(), num_arrays(), decays(), *one_thread_);
      lane.places.resize(num_arrays() + code_.num_temporaries + code_.numbers.size());
    }
  }

  size_t workspace_bytes() const override { return lanes_.size() * lane_bytes(); }

  void run() override {
    if (!apply()) return;
    pieces_ = &find_pieces();
    const auto num_lanes = static_cast<int64_t>(lanes_.size());
    parallel_for(threads(), num_lanes, 2, [this](int64_t begin, int64_t end) {
      for (int64_t lane = begin; lane < end; ++lane) run_lane(static_cast<size_t>(lane));
    });
  }

 private:
  /// A thread's share of the work.
  struct Lane {
    std::unique_ptr<BodyNumbers> numbers;
    std::vector<T*> places;
    double weight_decay = 0;
  };

  /// Temporaries, and a tile of every array.
  size_t lane_bytes() const {
    return (code_.num_temporaries + num_arrays()) * static_cast<size_t>(tile_) * sizeof(T);
  }
  T* buffer(size_t lane, size_t tile) const {
    return reinterpret_cast<T*>(workspace() + lane * lane_bytes()) +
           static_cast<int64_t>(tile) * tile_;
  }

  void run_lane(size_t number) {
    Lane& lane = lanes_[number];
    const size_t begin_of_numbers = num_arrays() + code_.num_temporaries;
    for (size_t i = 0; i < code_.num_temporaries; ++i)
      lane.places[num_arrays() + i] = buffer(number, i);
    int64_t tiles = 0;
    for (const Piece& piece : *pieces_) tiles += piece.count / tile_;
    const auto at = static_cast<int64_t>(number), num_lanes = static_cast<int64_t>(lanes_.size());
    const int64_t begin = tiles * at / num_lanes, end = tiles * (at + 1) / num_lanes;
    int64_t before = 0;  // tiles of earlier pieces
    for (const Piece& piece : *pieces_) {
      const int64_t whole = piece.count / tile_;
      const int64_t first = std::max(begin - before, int64_t{0});
      const int64_t last = std::min(end - before, whole);
      before += whole;
      if (first >= last && number > 0) continue;
      lane.weight_decay = decay(piece.first);
      lane.numbers->compute(numbers(), lane.weight_decay);
      for (size_t i = 0; i < code_.numbers.size(); ++i)
        lane.places[begin_of_numbers + i] =
            lane.numbers->operands()[static_cast<size_t>(code_.numbers[i]->id())]
                .template data<T>();
      if (first < last) run_tiles(lane, piece, first, last);
      if (number == 0 && piece.count % tile_ != 0) run_rest(lane, piece);
    }
  }

  T* array(size_t number, const Piece& piece) const {
    return reinterpret_cast<T*>(begin_of(number, piece.first));
  }

  void run_tiles(Lane& lane, const Piece& piece, int64_t first, int64_t last) {
    for (size_t k = 0; k < num_arrays(); ++k) lane.places[k] = array(k, piece) + first * tile_;
    simd().of<T>().run_elements(steps_.data(), lane.places.data(),
                                static_cast<std::ptrdiff_t>(num_arrays()), last - first);
  }

  void run_rest(Lane& lane, const Piece& piece) {
    const int64_t whole = piece.count / tile_ * tile_;
    const auto bytes = static_cast<size_t>(piece.count - whole) * sizeof(T);
    const auto copy_of = [&](size_t k) { return buffer(0, code_.num_temporaries + k); };
    for (size_t k = 0; k < num_arrays(); ++k) {
      lane.places[k] = copy_of(k);
      std::memset(lane.places[k], 0, static_cast<size_t>(tile_) * sizeof(T));
      std::memcpy(lane.places[k], array(k, piece) + whole, bytes);
    }
    simd().of<T>().run_elements(steps_.data(), lane.places.data(),
                                static_cast<std::ptrdiff_t>(num_arrays()), 1);
    for (size_t k = 1; k < num_arrays(); ++k)
      std::memcpy(array(k, piece) + whole, copy_of(k), bytes);
  }

  ElementCode code_;
  int64_t tile_;
  std::unique_ptr<Device> one_thread_;
  std::vector<ElementStep> steps_;
  std::vector<Lane> lanes_;
  const std::vector<Piece>* pieces_ = nullptr;
};

std::unique_ptr<Kernel> make_element_update(const KernelRequest& request) {
  const DType dtype = request.variables[0].dtype;
  if (dtype != DType::kF32 && dtype != DType::kF64) return nullptr;
  const auto body = request.node.attrs().get<std::shared_ptr<const Graph>>("body");
  const size_t count = request.inputs.size() - static_cast<size_t>(*request.node.op().group_inputs);
  auto code = element_code_of(*body, 1 + request.variables.size() / count);
  if (!code) return nullptr;
  if (dtype == DType::kF32)
    return std::make_unique<ElementUpdateKernel<float>>(request, std::move(*code));
  return std::make_unique<ElementUpdateKernel<double>>(request, std::move(*code));
}

}  // namespace

void register_element_update(KernelRegistry& registry) {
  registry.add("ElementwiseUpdate", DeviceType::kCPU, kVector, make_element_update);
}

}  // namespace cohort::cpu::vector
