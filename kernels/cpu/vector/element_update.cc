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
    lanes_.resize(num_lanes(static_cast<int64_t>(steps_.size()), tile_));
    for (size_t i = 0; i < lanes_.size(); ++i) {
      TileLane& lane = lanes_[i];
      lane.number = i;
      lane.numbers =
          std::make_unique<BodyNumbers>(request, body(), num_arrays(), decays(), *one_thread_);
      lane.places.resize(num_arrays() + code_.num_temporaries + code_.numbers.size());
    }
  }

  size_t workspace_bytes() const override { return lanes_.size() * lane_bytes(); }

  void run() override {
    run_lanes(lanes_, tile_,
              [this](TileLane& lane, const Piece& piece, int64_t first, int64_t last) {
                for (size_t i = 0; i < code_.num_temporaries; ++i)
                  lane.places[num_arrays() + i] = buffer(lane.number, i);
                for (size_t i = 0; i < code_.numbers.size(); ++i)
                  lane.places[num_arrays() + code_.num_temporaries + i] =
                      lane.numbers->operands()[static_cast<size_t>(code_.numbers[i]->id())]
                          .template data<T>();
                if (first < last) run_tiles(lane, piece, first, last);
                if (lane.number == 0 && piece.count % tile_ != 0) run_rest(lane, piece);
              });
  }

 private:
  struct TileLane : BodyUpdateKernel::Lane {
    size_t number = 0;
    std::vector<T*> places;
  };

  /// Temporaries, and a tile of every array.
  size_t lane_bytes() const {
    return (code_.num_temporaries + num_arrays()) * static_cast<size_t>(tile_) * sizeof(T);
  }
  T* buffer(size_t lane, size_t tile) const {
    return reinterpret_cast<T*>(workspace() + lane * lane_bytes()) +
           static_cast<int64_t>(tile) * tile_;
  }

  T* array(size_t number, const Piece& piece) const {
    return reinterpret_cast<T*>(begin_of(number, piece.first));
  }

  void run_tiles(TileLane& lane, const Piece& piece, int64_t first, int64_t last) {
    for (size_t k = 0; k < num_arrays(); ++k) lane.places[k] = array(k, piece) + first * tile_;
    simd().of<T>().run_elements(steps_.data(), lane.places.data(),
                                static_cast<std::ptrdiff_t>(num_arrays()), last - first);
  }

  void run_rest(TileLane& lane, const Piece& piece) {
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
  std::vector<TileLane> lanes_;
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
