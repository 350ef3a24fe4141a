#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cohort/data/dataset.h"

/// tf.train.Example: named lists of numbers or bytes, in Protobuf's encoding (tensorflow/core/
/// example/{example,feature}.proto):
///   Example   { Features features = 1; }
///   Features  { map<string, Feature> feature = 1; }
///   Feature   { BytesList bytes_list = 1; | FloatList float_list = 2; | Int64List int64_list = 3;
///   } BytesList { repeated bytes value = 1; }     FloatList { repeated float value = 1; }
///   Int64List { repeated int64 value = 1; }
namespace cohort::data {

/// A feature that every example has, with as many values as `shape` says, and the component that it
/// becomes: f32 from a list of floats, i64 from a list of integers, u8 from one string of bytes.
/// A shape [L] with a symbol takes as many values as there are.
struct FixedLenFeature {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape = {};
  /// Stands in where an example lacks the feature; dtype and shape as above.
  std::optional<Tensor> default_value = {};
};

/// The function that turns a record, uint8 [L], into one component per feature;
/// Dataset::parse_example maps it. It throws DataLoss for bytes that are no Example and
/// InvalidArgument for a feature that is missing, of another kind or of another size; the message
/// names it, what was got and wanted. Throws InvalidArgument here for features that cannot be.
MapFunction example_parser(std::vector<FixedLenFeature> features);

/// An Example with these features: f32 as floats, i64 as integers, u8 as one string of bytes.
/// Throws InvalidArgument for other dtypes.
std::string serialize_example(const std::map<std::string, Tensor>& features);

}  // namespace cohort::data
