#include "cohort/nn/saving/resumable.h"

#include "cohort/core/error.h"

namespace cohort::nn::internal {

ResumableItem item_of_bytes(std::function<std::string()> value,
                            std::function<void(const std::string&)> assign) {
  const auto size = static_cast<int64_t>(value().size());
  return {DType::kU8, Shape{size},
          [value] {
            const std::string bytes = value();
            return Tensor::from(std::vector<uint8_t>(bytes.begin(), bytes.end()),
                                Shape{static_cast<int64_t>(bytes.size())});
          },
          [assign](const Tensor& tensor) {
            const Tensor whole = tensor.contiguous();
            const auto bytes = whole.values<uint8_t>();
            assign(std::string(bytes.begin(), bytes.end()));
          }};
}

ResumableItem item_of(const Function& function) {
  return {DType::kI64, Shape{}, [function] { return Tensor::scalar(function.runs()); },
          [function](const Tensor& value) {
            const int64_t runs = value.item<int64_t>();
            if (runs < 0)
              throw DataLoss("resumable: got {} runs of {}; want 0 or more", runs, function.name());
            function.set_runs(runs);
          }};
}

}  // namespace cohort::nn::internal
