#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "cohort/data/dataset.h"
#include "cohort/data/text.h"

namespace cohort::data {

using Numbers = std::vector<int64_t>;
using Batches = std::vector<Numbers>;

/// All elements of one integer component as numbers, flattened.
inline Numbers numbers_of(const Tensor& tensor) {
  const Tensor wide = tensor.cast(DType::kI64);
  const auto values = wide.values<int64_t>();
  return Numbers(values.begin(), values.end());
}

/// Component `component` of every element that is left of the iterator's epoch.
inline Batches rest_of(Iterator& iterator, size_t component = 0) {
  Batches batches;
  for (const Element& element : iterator) batches.push_back(numbers_of(element[component]));
  return batches;
}

inline Batches batches_of(const Dataset& dataset, IterateOptions options = {},
                          size_t component = 0) {
  Iterator iterator = dataset.iterate(options);
  return rest_of(iterator, component);
}

/// The same, one after the other.
inline Numbers flat(const Batches& batches) {
  Numbers all;
  for (const Numbers& batch : batches) all.insert(all.end(), batch.begin(), batch.end());
  return all;
}
inline Numbers values_of(const Dataset& dataset, IterateOptions options = {}) {
  return flat(batches_of(dataset, options));
}

inline Numbers iota(int64_t start, int64_t stop) {
  Numbers numbers(static_cast<size_t>(stop - start));
  std::iota(numbers.begin(), numbers.end(), start);
  return numbers;
}

/// Component 0 of what is left, as bytes.
inline std::vector<std::string> texts_of(Iterator iterator) {
  std::vector<std::string> texts;
  for (const Element& element : iterator) texts.push_back(text_of(element[0]));
  return texts;
}
inline std::vector<std::string> texts_of(const Dataset& dataset) {
  return texts_of(dataset.iterate());
}

/// The code of the Error that `function` throws; kUnknown and a failure when it throws none.
template <class Function>
Code code_of(Function&& function) {
  try {
    function();
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "no Error was thrown";
  return Code::kUnknown;
}

/// The message of the Error that `function` throws; "" and a failure when it throws none.
template <class Function>
std::string error_of(Function&& function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "no Error was thrown";
  return "";
}

}  // namespace cohort::data
