#include "cohort/nn/saving/keras_classes.h"

#include <cohort/made/metrics.h>
#include <cohort/made/optimizers.h>

#include <tuple>

namespace cohort::nn::internal {
namespace {

using Layers = std::tuple<Activation, Add, AveragePooling2D, BatchNormalization, Concatenate,
                          Conv2D, Dense, Dropout, Embedding, Flatten, GlobalAveragePooling2D,
                          GlobalMaxPooling2D, Masking, MaxPooling2D, Rescaling, Reshape>;
using Losses = std::tuple<BinaryCrossentropy, CategoricalCrossentropy, MeanSquaredError,
                          SparseCategoricalCrossentropy>;
// Beside those that can be given by name, which are listed where they are.
using OtherMetrics = std::tuple<metrics::MeanIoU>;
using OtherOptimizers = std::tuple<LossScaleOptimizer>;
using Schedules =
    std::tuple<schedules::CosineDecay, schedules::ExponentialDecay, schedules::InverseTimeDecay,
               schedules::PiecewiseConstantDecay, schedules::PolynomialDecay>;
using Initializers =
    std::tuple<initializers::Constant, initializers::GlorotNormal, initializers::GlorotUniform,
               initializers::HeNormal, initializers::HeUniform, initializers::Identity,
               initializers::LecunNormal, initializers::LecunUniform, initializers::Ones,
               initializers::Orthogonal, initializers::RandomNormal, initializers::RandomUniform,
               initializers::TruncatedNormal, initializers::VarianceScaling, initializers::Zeros>;
using Regularizers = std::tuple<regularizers::L1, regularizers::L1L2, regularizers::L2>;
using Constraints = std::tuple<constraints::MaxNorm, constraints::MinMaxNorm, constraints::NonNeg,
                               constraints::UnitNorm>;

/// "Dense" of cohort::nn::Dense.
template <class T>
std::string class_name() {
  std::string_view name = __PRETTY_FUNCTION__;
  name = name.substr(name.find("T = ") + 4);
  name = name.substr(0, name.find_first_of(";]"));
  return std::string(name.substr(name.rfind(':') + 1));
}

template <class... T>
void enter(std::vector<SavedClass>& classes, const std::string& module, const std::tuple<T...>*) {
  (classes.push_back(options_class<T>(class_name<T>(), "", module)), ...);
}
template <class List>
const List* list() {
  return nullptr;
}

}  // namespace

const std::vector<SavedClass>& keras_classes() {
  static const std::vector<SavedClass> known = [] {
    std::vector<SavedClass> classes;
    enter(classes, "keras.layers", list<Layers>());
    enter(classes, "keras.losses", list<Losses>());
    enter(classes, "keras.metrics", list<metrics::GivenByName>());
    enter(classes, "keras.metrics", list<OtherMetrics>());
    enter(classes, "keras.optimizers", list<optimizers::GivenByName>());
    enter(classes, "keras.optimizers", list<OtherOptimizers>());
    enter(classes, "keras.optimizers.schedules", list<Schedules>());
    enter(classes, "keras.initializers", list<Initializers>());
    enter(classes, "keras.regularizers", list<Regularizers>());
    enter(classes, "keras.constraints", list<Constraints>());
    return classes;
  }();
  return known;
}

const std::vector<FixedMember>& fixed_members() {
  static const std::vector<FixedMember> known{
      {"Conv2D", "data_format", "channels_last", true},
      {"MaxPooling2D", "data_format", "channels_last", true},
      {"AveragePooling2D", "data_format", "channels_last", true},
      {"GlobalMaxPooling2D", "data_format", "channels_last", true},
      {"GlobalAveragePooling2D", "data_format", "channels_last", true},
      {"Flatten", "data_format", "channels_last", true},
      {"BatchNormalization", "renorm", false},
      {"BatchNormalization", "renorm_momentum", 0.99},
      {"BinaryCrossentropy", "axis", -1},
      {"CategoricalCrossentropy", "axis", -1},
      {"", "autocast", true},
      {"", "sparse", false},
      {"", "ragged", false},
      {"", "optional", false},
  };
  return known;
}

}  // namespace cohort::nn::internal
