#pragma once

#include <memory>
#include <vector>

#include "cohort/nn/saving/field_configs.h"

namespace cohort::nn::internal {

/// What Cohort has of Keras' classes: a new one is entered into the list of its kind in
/// keras_classes.cc.
const std::vector<SavedClass>& keras_classes();

/// A value that a member of a class' configuration has in Cohort, which has no field for it.
struct FixedMember {
  const char* name;  ///< of the class
  const char* member;
  Config value;
  bool written = false;  ///< as Keras may have another default
};
const std::vector<FixedMember>& fixed_members();

}  // namespace cohort::nn::internal
