#include <algorithm>
#include <optional>

#include "cohort/kernels/cuda/conv_case.h"
#include "cohort/kernels/cuda/cuda_kernel.h"
#include "cohort/kernels/cuda/matmul_plan.h"
#include "cohort/kernels/cuda/reduce.h"
#include "cohort/kernels/cuda/unfold.h"

// cuDNN's exact f32 algorithms with one order of addition leave most of a GPU idle where channels
// are last (the kernel's gradient by up to ten times). As products of matrices, with the image
// unfolded, all three passes read and write our own layouts, and the bias costs nothing.
//
//   forward          y      [P, F] = matrix [P, K] kernel [K, F]      P: places N OH OW
//   backward input   matrix [P, K] = dy [P, F] kernel [K, F]^T        K: KH KW C
//   backward kernel  dkernel [K, F] = matrix [P, K]^T dy [P, F]
//
// The matrix is made for some images at a time. The last product has few elements and long sums:
// the places are cut into slices, whose products one call makes side by side, and the partial
// results are added in their order.
namespace cohort::cuda {
namespace {

constexpr int64_t kMaxMatrixBytes = int64_t{64} << 20;  // of some images
constexpr int64_t kMaxImageBytes = int64_t{256} << 20;  // of one
constexpr int64_t kWantedTiles = 264;  // of a product: two for each multiprocessor of large GPUs
constexpr int64_t kTile = 64;
constexpr int64_t kMinSlice = 256;  // places
constexpr int kWideAlignment = 16;

int64_t ceil_divide(int64_t a, int64_t b) { return (a + b - 1) / b; }
size_t aligned(size_t bytes) { return (bytes + 255) / 256 * 256; }

// The numbers of the products.
struct Sizes {
  int64_t window;   // K
  int64_t outputs;  // F
  int64_t places_of_image;
  bool pointwise;  // the image is the matrix

  explicit Sizes(const Window& w)
      : window(static_cast<int64_t>(w.window_height) * w.window_width * w.channels),
        outputs(w.out_channels),
        places_of_image(static_cast<int64_t>(w.out_height) * w.out_width),
        pointwise(w.window_height == 1 && w.window_width == 1 && w.stride_height == 1 &&
                  w.stride_width == 1 && w.pad_top + w.pad_bottom + w.pad_left + w.pad_right == 0) {
  }

  int64_t matrix_bytes_of_image() const { return places_of_image * window * 4; }
};

// Images whose matrix is made together; 0 where not even one fits.
int images_together(const Window& w, const Sizes& sizes) {
  const int64_t of_image = static_cast<int64_t>(w.height) * w.width * w.channels * 4;
  const int64_t bytes = std::max(sizes.matrix_bytes_of_image(), of_image);
  if (sizes.pointwise) return w.batch;
  if (bytes > kMaxImageBytes) return 0;
  return static_cast<int>(std::clamp<int64_t>(kMaxMatrixBytes / bytes, 1, w.batch));
}

// The products of some images. Sums over places are cut into `slices` of equal length and a shorter
// one, which has a plan of its own.
struct Products {
  MatMulPlan plan;
  std::optional<MatMulPlan> last_slice;
  int64_t slices, slice_places;
};

std::optional<MatMulPlan> make_plan(const KernelRequest& request, MatMulCase c) {
  c.dtype = DType::kF32;
  const bool wide = c.stride_a % 4 == 0 && c.stride_b % 4 == 0 && c.stride_y % 4 == 0;
  c.alignment = wide ? kWideAlignment : 4;
  return MatMulPlan::make(device_of(request), c);
}

std::optional<Products> make_row_products(const KernelRequest& request, const Sizes& sizes,
                                          ConvPass pass, int64_t places, Epilogue epilogue) {
  const bool forward = pass == ConvPass::kForward;
  // What lies behind these images' rows begins where the next images' do.
  const int64_t a = places * (forward ? sizes.window : sizes.outputs);
  const int64_t y = places * (forward ? sizes.outputs : sizes.window);
  auto plan = make_plan(request, {.m = places,
                                  .n = forward ? sizes.outputs : sizes.window,
                                  .k = forward ? sizes.window : sizes.outputs,
                                  .transpose_b = !forward,
                                  .count = 1,
                                  .stride_a = a,
                                  .stride_y = y,
                                  .epilogue = epilogue});
  if (!plan) return {};
  return Products{std::move(*plan), {}, 1, places};
}

// `wanted` slices of `places` places, or fewer.
std::optional<Products> make_sliced_products(const KernelRequest& request, const Sizes& sizes,
                                             int64_t places, int64_t wanted) {
  const int64_t slices = std::clamp<int64_t>(places / kMinSlice, 1, wanted);
  const int64_t length = slices == 1 ? places : ceil_divide(ceil_divide(places, slices), 4) * 4;
  MatMulCase c = {.m = sizes.window,
                  .n = sizes.outputs,
                  .k = length,
                  .transpose_a = true,
                  .count = places / length,
                  .stride_a = length * sizes.window,
                  .stride_b = length * sizes.outputs,
                  .stride_y = sizes.window * sizes.outputs,
                  .epilogue = Epilogue::kNone};
  auto plan = make_plan(request, c);
  if (!plan) return {};
  Products products = {std::move(*plan), {}, c.count, length};
  c.k = places - c.count * length;
  c.count = 1;
  if (c.k > 0) {
    products.last_slice = make_plan(request, c);
    if (!products.last_slice) return {};
  }
  return products;
}

class ConvProductKernel final : public Kernel {
 public:
  ConvProductKernel(const KernelRequest& request, ConvCase c, Epilogue epilogue)
      : case_(std::move(c)),
        sizes_(case_.window),
        epilogue_(epilogue),
        bias_(epilogue == Epilogue::kNone ? Operand{} : request.inputs[2]),
        workspace_(request.workspace),
        stream_(stream_of(request)) {}

  // False where cuBLASLt does not take the products.
  bool plan(const KernelRequest& request, int images) {
    images_ = images;
    const int batch = case_.window.batch;
    const int chunks = (batch + images - 1) / images;
    whole_ = make(request, images, chunks);
    if (batch % images != 0) rest_ = make(request, batch % images, chunks);
    if (!whole_ || (batch % images != 0 && !rest_)) return false;
    const int64_t of_whole = slices_of(*whole_);
    slices_ = of_whole * (batch / images) + (rest_ ? slices_of(*rest_) : 0);
    if (!sizes_.pointwise)
      matrix_bytes_ = aligned(static_cast<size_t>(images * sizes_.matrix_bytes_of_image()));
    if (slices_ > 1) {
      sum_ = reduce_rows(slices_, sizes_.window * sizes_.outputs);
      partial_bytes_ =
          aligned(static_cast<size_t>(slices_ * sizes_.window * sizes_.outputs) * sizeof(float));
    }
    for (const auto* each : {&whole_, &rest_})
      if (*each) {
        rest_bytes_ = std::max(rest_bytes_, (*each)->plan.workspace_bytes());
        if ((*each)->last_slice)
          rest_bytes_ = std::max(rest_bytes_, (*each)->last_slice->workspace_bytes());
      }
    rest_bytes_ = std::max(rest_bytes_, sum_.workspace_bytes(kReducedBytes));
    return true;
  }

  size_t workspace_bytes() const override { return matrix_bytes_ + partial_bytes_ + rest_bytes_; }

  void run() override {
    const Window& w = case_.window;
    int64_t slice = 0;
    for (int first = 0; first < w.batch; first += images_) {
      Window part = w;
      part.batch = std::min(images_, w.batch - first);
      Products& products = part.batch == images_ ? *whole_ : *rest_;
      run(part, first, products, slice);
      slice += slices_of(products);
    }
    if (case_.pass == ConvPass::kBackwardKernel && slices_ > 1)
      reduce(ReduceKind::kSum, DType::kF32, sum_, 0, partials(), *case_.result.slot, rest(),
             stream_);
  }

 private:
  std::optional<Products> make(const KernelRequest& request, int images, int chunks) const {
    const int64_t places = images * sizes_.places_of_image;
    if (case_.pass != ConvPass::kBackwardKernel)
      return make_row_products(request, sizes_, case_.pass, places, epilogue_);
    const int64_t tiles = ceil_divide(sizes_.window, kTile) * ceil_divide(sizes_.outputs, kTile);
    return make_sliced_products(request, sizes_, places,
                                ceil_divide(ceil_divide(kWantedTiles, tiles), chunks));
  }

  static int64_t slices_of(const Products& p) { return p.slices + (p.last_slice ? 1 : 0); }

  void run(const Window& part, int first, Products& products, int64_t slice) {
    const Window& w = case_.window;
    const int64_t image_at = static_cast<int64_t>(first) * w.height * w.width * w.channels;
    const int64_t output_at = first * sizes_.places_of_image * sizes_.outputs;
    const void* bias = epilogue_ == Epilogue::kNone ? nullptr : *bias_.slot;
    switch (case_.pass) {
      case ConvPass::kForward:
        products.plan.run(unfolded(part, case_.first.data<float>() + image_at), *case_.second.slot,
                          bias, case_.result.data<float>() + output_at, rest());
        return;
      case ConvPass::kBackwardInput: {
        float* image = case_.result.data<float>() + image_at;
        float* to = sizes_.pointwise ? image : matrix();
        products.plan.run(case_.first.data<float>() + output_at, *case_.second.slot, nullptr, to,
                          rest());
        if (!sizes_.pointwise) fold(part, to, image, stream_);
        return;
      }
      case ConvPass::kBackwardKernel: {
        const float* a = unfolded(part, case_.first.data<float>() + image_at);
        const float* b = case_.second.data<float>() + output_at;
        const int64_t of_slice = sizes_.window * sizes_.outputs;
        float* to = slices_ > 1 ? partials() + slice * of_slice : case_.result.data<float>();
        products.plan.run(a, b, nullptr, to, rest());
        if (!products.last_slice) return;
        const int64_t places = products.slices * products.slice_places;
        products.last_slice->run(a + places * sizes_.window, b + places * sizes_.outputs, nullptr,
                                 to + products.slices * of_slice, rest());
        return;
      }
    }
  }

  const float* unfolded(const Window& part, const float* image) const {
    if (sizes_.pointwise) return image;
    unfold(part, image, matrix(), stream_);
    return matrix();
  }

  // The workspace: the matrix, partial results, and what the library and the sum need.
  float* matrix() const { return static_cast<float*>(*workspace_); }
  float* partials() const { return matrix() + matrix_bytes_ / sizeof(float); }
  void* rest() const {
    return rest_bytes_ > 0 ? partials() + partial_bytes_ / sizeof(float) : nullptr;
  }

  ConvCase case_;
  Sizes sizes_;
  Epilogue epilogue_;
  Operand bias_;
  void* const* workspace_;
  cudaStream_t stream_;
  int images_ = 0;
  std::optional<Products> whole_, rest_;
  int64_t slices_ = 0;
  Reduction sum_;
  size_t matrix_bytes_ = 0, partial_bytes_ = 0, rest_bytes_ = 0;
};

// What the product itself can add; with_bias does, or refuses, the rest.
Epilogue epilogue_of(const KernelRequest& request) {
  if (request.node.op_name() != "FusedConv2D") return Epilogue::kNone;
  const auto activation = request.node.attrs().get<std::string>("activation");
  if (activation == "relu") return Epilogue::kBiasRelu;
  return activation.empty() ? Epilogue::kBias : Epilogue::kNone;
}

std::unique_ptr<Kernel> make_with(const KernelRequest& request, const ConvCase& c,
                                  Epilogue epilogue) {
  const int images = images_together(c.window, Sizes(c.window));
  if (images == 0) return nullptr;
  auto kernel = std::make_unique<ConvProductKernel>(request, c, epilogue);
  if (!kernel->plan(request, images)) return nullptr;
  return kernel;
}

}  // namespace

std::unique_ptr<Kernel> make_conv_product(const KernelRequest& request) {
  const ConvCase c = conv_case(request);
  if (c.image.dtype != DType::kF32 || device_of(request).allow_tf32() || c.window.groups != 1 ||
      c.empty())
    return nullptr;
  const Epilogue epilogue = epilogue_of(request);
  if (epilogue != Epilogue::kNone)
    if (auto fused = make_with(request, c, epilogue)) return fused;
  return with_bias(request, make_with(request, c, Epilogue::kNone));
}

}  // namespace cohort::cuda
