#include "cohort/kernels/cuda/conv_plan.h"

#include <array>

#include "cohort/kernels/cuda/status.h"

namespace cohort::cuda {
namespace {

constexpr size_t kMaxWorkspaceBytes = size_t{256} << 20;
constexpr int kMaxCandidates = 16;

cudnnDataType_t data_type(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return CUDNN_DATA_HALF;
    case DType::kBF16:
      return CUDNN_DATA_BFLOAT16;
    case DType::kF64:
      return CUDNN_DATA_DOUBLE;
    default:
      return CUDNN_DATA_FLOAT;
  }
}

cudnnMathType_t math_type(DType dtype, bool allow_tf32) {
  if (dtype == DType::kF16 || dtype == DType::kBF16) return CUDNN_TENSOR_OP_MATH;
  return dtype == DType::kF32 && allow_tf32 ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH;
}

}  // namespace

ConvPlan::ConvPlan(CudaDevice& device, DType dtype, const Window& w, ConvPass pass)
    : library_(device.cudnn()),
      pass_(pass),
      double_scale_(dtype == DType::kF64),
      exact_(dtype == DType::kF32 && !device.allow_tf32()) {
  const cudnnDataType_t type = data_type(dtype);
  const cudnnDataType_t computed = double_scale_ ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT;
  check(cudnnCreateTensorDescriptor(image_.receive()), "cudnnCreateTensorDescriptor");
  check(cudnnCreateTensorDescriptor(output_.receive()), "cudnnCreateTensorDescriptor");
  check(cudnnCreateFilterDescriptor(filter_.receive()), "cudnnCreateFilterDescriptor");
  check(cudnnCreateConvolutionDescriptor(convolution_.receive()),
        "cudnnCreateConvolutionDescriptor");
  check(cudnnSetTensor4dDescriptor(image_, CUDNN_TENSOR_NHWC, type, w.batch, w.channels, w.height,
                                   w.width),
        "cudnnSetTensor4dDescriptor");
  check(cudnnSetTensor4dDescriptor(output_, CUDNN_TENSOR_NHWC, type, w.batch, w.out_channels,
                                   w.out_height, w.out_width),
        "cudnnSetTensor4dDescriptor");
  check(cudnnSetFilter4dDescriptor(filter_, type, CUDNN_TENSOR_NHWC, w.out_channels,
                                   w.channels / w.groups, w.window_height, w.window_width),
        "cudnnSetFilter4dDescriptor");
  check(cudnnSetConvolution2dDescriptor(convolution_, w.pad_top, w.pad_left, w.stride_height,
                                        w.stride_width, w.dilation_height, w.dilation_width,
                                        CUDNN_CROSS_CORRELATION, computed),
        "cudnnSetConvolution2dDescriptor");
  check(cudnnSetConvolutionGroupCount(convolution_, w.groups), "cudnnSetConvolutionGroupCount");
  check(cudnnSetConvolutionMathType(convolution_, math_type(dtype, device.allow_tf32())),
        "cudnnSetConvolutionMathType");
}

// What the chosen algorithm needs, asked for exactly: the ranking only estimates.
bool ConvPlan::ask_workspace() {
  size_t bytes = 0;
  cudnnStatus_t status = CUDNN_STATUS_NOT_SUPPORTED;
  switch (pass_) {
    case ConvPass::kForward:
      status = cudnnGetConvolutionForwardWorkspaceSize(
          library_, image_, filter_, convolution_, output_,
          static_cast<cudnnConvolutionFwdAlgo_t>(algorithm_), &bytes);
      break;
    case ConvPass::kBackwardInput:
      status = cudnnGetConvolutionBackwardDataWorkspaceSize(
          library_, filter_, output_, convolution_, image_,
          static_cast<cudnnConvolutionBwdDataAlgo_t>(algorithm_), &bytes);
      break;
    case ConvPass::kBackwardKernel:
      status = cudnnGetConvolutionBackwardFilterWorkspaceSize(
          library_, image_, output_, convolution_, filter_,
          static_cast<cudnnConvolutionBwdFilterAlgo_t>(algorithm_), &bytes);
      break;
  }
  workspace_bytes_ = bytes;
  return status == CUDNN_STATUS_SUCCESS && bytes <= kMaxWorkspaceBytes;
}

template <class Performance>
bool ConvPlan::accept(const Performance& candidate) {
  if (candidate.status != CUDNN_STATUS_SUCCESS || candidate.determinism != CUDNN_DETERMINISTIC)
    return false;
  const bool tensor_cores = candidate.mathType == CUDNN_TENSOR_OP_MATH ||
                            candidate.mathType == CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION;
  if (exact_ && tensor_cores) return false;
  if (!exact_)
    check(cudnnSetConvolutionMathType(convolution_, candidate.mathType),
          "cudnnSetConvolutionMathType");
  algorithm_ = static_cast<int>(candidate.algo);
  return ask_workspace();
}

// `get(count, &found, candidates)` asks cuDNN, which answers in the order of expected speed.
template <class Performance, class Get>
bool ConvPlan::choose_from(Get&& get) {
  std::array<Performance, kMaxCandidates> candidates = {};
  int found = 0;
  if (get(kMaxCandidates, &found, candidates.data()) != CUDNN_STATUS_SUCCESS) return false;
  for (int i = 0; i < found; ++i)
    if (accept(candidates[static_cast<size_t>(i)])) return true;
  return false;
}

bool ConvPlan::choose() {
  switch (pass_) {
    case ConvPass::kForward:
      return choose_from<cudnnConvolutionFwdAlgoPerf_t>([&](int n, int* found, auto* result) {
        return cudnnGetConvolutionForwardAlgorithm_v7(library_, image_, filter_, convolution_,
                                                      output_, n, found, result);
      });
    case ConvPass::kBackwardInput:
      return choose_from<cudnnConvolutionBwdDataAlgoPerf_t>([&](int n, int* found, auto* result) {
        return cudnnGetConvolutionBackwardDataAlgorithm_v7(library_, filter_, output_, convolution_,
                                                           image_, n, found, result);
      });
    case ConvPass::kBackwardKernel:
      return choose_from<cudnnConvolutionBwdFilterAlgoPerf_t>([&](int n, int* found, auto* result) {
        return cudnnGetConvolutionBackwardFilterAlgorithm_v7(
            library_, image_, output_, convolution_, filter_, n, found, result);
      });
  }
  return false;
}

std::optional<ConvPlan> ConvPlan::make(CudaDevice& device, DType dtype, const Window& w,
                                       ConvPass pass) {
  DeviceGuard guard(device.ordinal());
  ConvPlan plan(device, dtype, w, pass);
  if (!plan.choose()) return {};
  return plan;
}

void ConvPlan::run(const void* first, const void* second, void* result, void* workspace) {
  const double numbers[] = {1, 0};
  const float floats[] = {1, 0};
  const void* one = double_scale_ ? static_cast<const void*>(&numbers[0]) : &floats[0];
  const void* zero = double_scale_ ? static_cast<const void*>(&numbers[1]) : &floats[1];
  switch (pass_) {
    case ConvPass::kForward:
      check(cudnnConvolutionForward(library_, one, image_, first, filter_, second, convolution_,
                                    static_cast<cudnnConvolutionFwdAlgo_t>(algorithm_), workspace,
                                    workspace_bytes_, zero, output_, result),
            "conv2d");
      return;
    case ConvPass::kBackwardInput:
      check(
          cudnnConvolutionBackwardData(library_, one, filter_, second, output_, first, convolution_,
                                       static_cast<cudnnConvolutionBwdDataAlgo_t>(algorithm_),
                                       workspace, workspace_bytes_, zero, image_, result),
          "conv2d_backward_input");
      return;
    case ConvPass::kBackwardKernel:
      check(cudnnConvolutionBackwardFilter(library_, one, image_, first, output_, second,
                                           convolution_,
                                           static_cast<cudnnConvolutionBwdFilterAlgo_t>(algorithm_),
                                           workspace, workspace_bytes_, zero, filter_, result),
            "conv2d_backward_kernel");
      return;
  }
}

}  // namespace cohort::cuda
