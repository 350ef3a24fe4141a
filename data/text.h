#pragma once

#include <string>
#include <string_view>

#include "cohort/data/element.h"

/// Bytes of any length, as tensors: records, lines and names of files are uint8 [L], where L
/// differs from element to element.
namespace cohort::data {

/// The bytes of a uint8 [L] tensor. Throws InvalidArgument for another.
std::string text_of(const Tensor& tensor);

/// Makes `out` the uint8 [L] tensor of these bytes, in the memory it has where that is possible.
void text_tensor(std::string_view text, Tensor& out);
/// The same as the one component of an element.
void text_tensor(std::string_view text, Element& out);
/// What such elements look like: one component, uint8 [L].
ElementSpec text_spec();

}  // namespace cohort::data
