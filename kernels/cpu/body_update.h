#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "cohort/core/graph/graph.h"
#include "cohort/kernels/cpu/parallel.h"
#include "cohort/kernels/cpu/update_plan.h"

namespace cohort::cpu {

/// What depends on an element, by node id: `num_arrays` placeholders, and what is made of them.
std::vector<bool> made_of_elements(const Graph& body, size_t num_arrays);

/// The part of a body of an update that is the same for all elements, for one thread: its numbers,
/// and what its ops make of these alone.
class BodyNumbers {
 public:
  BodyNumbers(const KernelRequest& request, const Graph& body, size_t num_arrays, bool decays,
              Device& device);
  BodyNumbers(const BodyNumbers&) = delete;
  BodyNumbers& operator=(const BodyNumbers&) = delete;

  /// By node id; of what depends on elements nothing.
  const std::vector<Operand>& operands() const { return operands_; }
  void compute(const double* numbers, double& weight_decay);

 private:
  void add(const KernelRequest& request, const Node& node, Device& device);

  std::vector<Operand> operands_;
  std::vector<void*> slots_;
  std::vector<double> memory_;  ///< of one number each
  std::vector<void**> given_;
  void** weight_decay_ = nullptr;
  std::vector<std::unique_ptr<Kernel>> kernels_;
};

/// What kernels of "ElementwiseUpdate" (core/ops/update_body.h) share: every piece is cut into
/// tiles, and these are divided into lanes, one for each thread.
class BodyUpdateKernel : public UpdateKernel {
 protected:
  explicit BodyUpdateKernel(const KernelRequest& request);

  struct Lane {
    std::unique_ptr<BodyNumbers> numbers;
    double weight_decay = 0;
  };

  const Graph& body() const { return *body_; }
  const double* numbers() const { return in(num_inputs() - 2).data<double>(); }
  /// So many that each is worth a thread, where a body has `ops`.
  size_t num_lanes(int64_t ops, int64_t tile) const;

  /// Unless nothing applies, calls fn(lane, piece, first, last) for tiles first … last - 1 of a
  /// piece, with the lane's numbers computed; of lane 0 for every piece, for what is left of it
  /// behind its tiles, too. `L` derives from Lane.
  template <class L, class Fn>
  void run_lanes(std::vector<L>& lanes, int64_t tile, Fn&& fn) {
    if (!apply()) return;
    const std::vector<Piece>& pieces = find_pieces();
    const auto num_lanes = static_cast<int64_t>(lanes.size());
    parallel_for(threads(), num_lanes, 2, [&](int64_t begin, int64_t end) {
      for (int64_t lane = begin; lane < end; ++lane)
        run_lane(lanes[static_cast<size_t>(lane)], lane, num_lanes, pieces, tile, fn);
    });
  }

 private:
  template <class L, class Fn>
  void run_lane(L& lane, int64_t number, int64_t num_lanes, const std::vector<Piece>& pieces,
                int64_t tile, Fn& fn) {
    int64_t tiles = 0;
    for (const Piece& piece : pieces) tiles += piece.count / tile;
    const int64_t begin = tiles * number / num_lanes, end = tiles * (number + 1) / num_lanes;
    int64_t before = 0;  // tiles of earlier pieces
    for (const Piece& piece : pieces) {
      const int64_t whole = piece.count / tile;
      const int64_t first = std::max(begin - before, int64_t{0});
      const int64_t last = std::min(end - before, whole);
      before += whole;
      if (first >= last && number > 0) continue;
      lane.weight_decay = decay(piece.first);
      lane.numbers->compute(numbers(), lane.weight_decay);
      fn(lane, piece, first, last);
    }
  }

  std::shared_ptr<const Graph> body_;
};

}  // namespace cohort::cpu
