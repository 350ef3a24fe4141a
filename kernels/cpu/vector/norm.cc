// Batch normalisation over x [M, C]. The rows are summed by blocks of kBlockRows, each in T, and
// the blocks added in order in double: no bit depends on the number of threads.
#include <algorithm>
#include <cmath>

#include "cohort/kernels/cpu/vector/vector_kernel.h"

namespace cohort::cpu::vector {
namespace {

constexpr int64_t kBlockRows = 256;

template <class T>
class NormKernel : public CpuKernel {
 protected:
  NormKernel(const KernelRequest& request, int64_t channels)
      : CpuKernel(request),
        channels_(channels),
        rows_(channels > 0 ? request.inputs[0].num_elements() / channels : 0),
        blocks_((rows_ + kBlockRows - 1) / kBlockRows),
        epsilon_(request.node.attrs().get<double>("epsilon")) {}

  /// Calls fn(first row, rows, partial sums [C]) for each block, after which partials(i) holds sums
  /// of array i < 2.
  template <class Fn>
  void for_each_block(Fn&& fn) {
    parallel_for(threads(), blocks_,
                 grain_for(4 * kBlockRows * channels_, kBlockRows * channels_ * sizeof(T)),
                 [&, this](int64_t begin, int64_t end) {
                   for (int64_t block = begin; block < end; ++block) {
                     const int64_t first = block * kBlockRows;
                     fn(block, first, std::min(kBlockRows, rows_ - first));
                   }
                 });
  }
  template <class Fn>
  void for_each_row_range(Fn&& fn) {
    parallel_for(threads(), rows_, grain_for(4 * channels_, 2 * channels_ * sizeof(T)), fn);
  }

  T* partial(int array, int64_t block) const {
    return workspace<T>() + (array * blocks_ + block) * channels_;
  }
  /// Array i of C numbers behind the partial sums.
  T* constants(int array) const { return workspace<T>() + (2 * blocks_ + array) * channels_; }
  double total(int array, int64_t c) const {
    double sum = 0;
    for (int64_t block = 0; block < blocks_; ++block)
      sum += static_cast<double>(partial(array, block)[c]);
    return sum;
  }
  size_t bytes() const { return static_cast<size_t>((2 * blocks_ + 3) * channels_) * sizeof(T); }

  int64_t channels_;
  int64_t rows_;
  int64_t blocks_;
  double epsilon_;
};

// y = x * scale + shift with scale = gamma / sqrt(variance + epsilon), shift = beta - mean * scale.
template <class T>
class BatchNormKernel final : public NormKernel<T> {
 public:
  explicit BatchNormKernel(const KernelRequest& request)
      : NormKernel<T>(request, request.inputs[1].num_elements()) {}
  size_t workspace_bytes() const override { return this->bytes(); }

  void run() override {
    const int64_t channels = this->channels_;
    const T* x = this->in(0).template data<T>();
    T* mean = this->out(1).template data<T>();
    T* variance = this->out(2).template data<T>();
    const double count = static_cast<double>(std::max<int64_t>(1, this->rows_));
    this->for_each_block([=, this](int64_t block, int64_t first, int64_t rows) {
      simd().of<T>().sum_columns(x + first * channels, channels, this->partial(0, block), rows,
                                 channels, false);
    });
    for (int64_t c = 0; c < channels; ++c) mean[c] = static_cast<T>(this->total(0, c) / count);
    this->for_each_block([=, this](int64_t block, int64_t first, int64_t rows) {
      add_squares(x + first * channels, mean, this->partial(0, block), rows, channels);
    });
    for (int64_t c = 0; c < channels; ++c) variance[c] = static_cast<T>(this->total(0, c) / count);
    normalise(x, mean, variance);
  }

 private:
  static void add_squares(const T* x, const T* mean, T* sums, int64_t rows, int64_t channels) {
    std::fill_n(sums, channels, T{0});
    for (int64_t r = 0; r < rows; ++r, x += channels)
      for (int64_t c = 0; c < channels; ++c) {
        const T d = x[c] - mean[c];
        sums[c] += d * d;
      }
  }

  void normalise(const T* x, const T* mean, const T* variance) {
    const int64_t channels = this->channels_;
    const T* gamma = this->in(1).template data<T>();
    const T* beta = this->in(2).template data<T>();
    T* scale = this->constants(0);
    for (int64_t c = 0; c < channels; ++c)
      scale[c] = static_cast<T>(static_cast<double>(gamma[c]) /
                                std::sqrt(static_cast<double>(variance[c]) + this->epsilon_));
    T* y = this->out(0).template data<T>();
    this->for_each_row_range([=](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        for (int64_t c = 0; c < channels; ++c)
          y[r * channels + c] = (x[r * channels + c] - mean[c]) * scale[c] + beta[c];
    });
  }
};

// With r = 1 / sqrt(variance + epsilon):  dbeta = sum dy;  dgamma = r sum dy (x - mean);
// dx = gamma r (dy - dbeta / M - (x - mean) r dgamma / M).
template <class T>
class BatchNormGradKernel final : public NormKernel<T> {
 public:
  explicit BatchNormGradKernel(const KernelRequest& request)
      : NormKernel<T>(request, request.inputs[2].num_elements()) {}
  size_t workspace_bytes() const override { return this->bytes(); }

  void run() override {
    const int64_t channels = this->channels_;
    const T* dy = this->in(0).template data<T>();
    const T* x = this->in(1).template data<T>();
    const T* mean = this->in(3).template data<T>();
    this->for_each_block([=, this](int64_t block, int64_t first, int64_t rows) {
      add_products(dy + first * channels, x + first * channels, mean, this->partial(0, block),
                   this->partial(1, block), rows, channels);
    });
    find_constants();
    const T* of_dy = this->constants(0);
    const T* of_x = this->constants(1);
    const T* shift = this->constants(2);
    T* dx = this->out(0).template data<T>();
    this->for_each_row_range([=](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        for (int64_t c = 0; c < channels; ++c)
          dx[r * channels + c] = of_dy[c] * (dy[r * channels + c] - shift[c]) -
                                 of_x[c] * (x[r * channels + c] - mean[c]);
    });
  }

 private:
  static void add_products(const T* dy, const T* x, const T* mean, T* sums, T* products,
                           int64_t rows, int64_t channels) {
    std::fill_n(sums, channels, T{0});
    std::fill_n(products, channels, T{0});
    for (int64_t r = 0; r < rows; ++r, dy += channels, x += channels)
      for (int64_t c = 0; c < channels; ++c) {
        sums[c] += dy[c];
        products[c] += dy[c] * (x[c] - mean[c]);
      }
  }

  void find_constants() {
    const T* gamma = this->in(2).template data<T>();
    const T* variance = this->in(4).template data<T>();
    const double count = static_cast<double>(std::max<int64_t>(1, this->rows_));
    for (int64_t c = 0; c < this->channels_; ++c) {
      const double r = 1 / std::sqrt(static_cast<double>(variance[c]) + this->epsilon_);
      const double dbeta = this->total(0, c), dgamma = this->total(1, c) * r;
      const double scale = static_cast<double>(gamma[c]) * r;
      this->constants(0)[c] = static_cast<T>(scale);
      this->constants(1)[c] = static_cast<T>(scale * r * dgamma / count);
      this->constants(2)[c] = static_cast<T>(dbeta / count);
      this->out(1).template data<T>()[c] = static_cast<T>(dgamma);
      this->out(2).template data<T>()[c] = static_cast<T>(dbeta);
    }
  }
};

}  // namespace

void register_norm(KernelRegistry& registry) {
  registry.add("BatchNorm", DeviceType::kCPU, kVector, make_by_output<BatchNormKernel>);
  registry.add("BatchNormGrad", DeviceType::kCPU, kVector, make_by_output<BatchNormGradKernel>);
}

}  // namespace cohort::cpu::vector
