#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cohort/core/error.h"

/// Things that users denote by name.
namespace cohort::nn::internal {

/// Throws InvalidArgument that lists `known` when `name` is not among them.
void check_name(std::string_view where, std::string_view what, std::string_view name,
                std::initializer_list<std::string_view> known);
[[noreturn]] void throw_unknown(std::string_view where, std::string_view name,
                                std::span<const std::string_view> known);

template <class T>
struct Named {
  std::string_view name;
  T thing;
};

template <class T, size_t N>
std::vector<std::string_view> names_of(const Named<T> (&known)[N]) {
  std::vector<std::string_view> names;
  for (const Named<T>& entry : known) names.push_back(entry.name);
  return names;
}

/// "MaxPooling2D" -> "max_pooling2d", as Keras does.
std::string to_snake_case(std::string_view camel);
/// "ADAM" -> "adam".
std::string lower_case(std::string_view text);
/// "MaxPooling2D" and "MSE": begins with a capital and has no underscore.
bool is_class_name(std::string_view name);

/// The thing called `name`; throws InvalidArgument that lists the known names.
template <class T, size_t N>
const T& find_named(std::string_view where, std::string_view name, const Named<T> (&known)[N]) {
  for (const Named<T>& entry : known)
    if (entry.name == name) return entry.thing;
  throw_unknown(where, name, names_of(known));
}

/// The same for what Keras also takes by the name of its class: "GlorotUniform" is
/// "glorot_uniform", "MSE" is "mse".
template <class T, size_t N>
const T& find_named_class(std::string_view where, std::string_view name,
                          const Named<T> (&known)[N]) {
  const std::string snake = is_class_name(name) ? to_snake_case(name) : std::string(name);
  for (const Named<T>& entry : known)
    if (entry.name == snake) return entry.thing;
  throw_unknown(where, name, names_of(known));
}

/// Keras' automatic names: "dense", "dense_1", … counted on this thread since the last
/// reset_names().
std::string unique_name(const std::string& base);
void reset_names();

}  // namespace cohort::nn::internal
