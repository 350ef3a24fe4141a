#pragma once

#include <cstddef>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

/// The fields of an aggregate, by name and in order: what a layer, loss, metric, schedule,
/// initializer, regularizer or callback has as options, written once, as the members of its struct.
/// Of aggregates without a base, with 1 to 24 fields.
namespace cohort {
namespace internal {

/// Stands for a value of any type while fields are counted.
struct AnyField {
  template <class T>
  operator T() const;  // NOLINT
};

template <class T, size_t... I>
constexpr bool takes_fields(std::index_sequence<I...>) {
  return requires { T{(static_cast<void>(I), AnyField())...}; };
}

template <class T, size_t kMost>
constexpr size_t count_fields() {
  if constexpr (takes_fields<T>(std::make_index_sequence<kMost>()))
    return kMost;
  else
    return count_fields<T, kMost - 1>();
}

constexpr size_t kMostFields = 24;
template <class T>
constexpr size_t kNumFields = count_fields<std::remove_const_t<T>, kMostFields>();

/// References to the fields.
template <class T>
constexpr auto fields_of(T& of) {
  static_assert(!takes_fields<std::remove_const_t<T>>(std::make_index_sequence<kMostFields + 1>()));
  if constexpr (kNumFields<T> == 1) {
    auto& [f0] = of;
    return std::tie(f0);
  }
  if constexpr (kNumFields<T> == 2) {
    auto& [f0, f1] = of;
    return std::tie(f0, f1);
  }
  if constexpr (kNumFields<T> == 3) {
    auto& [f0, f1, f2] = of;
    return std::tie(f0, f1, f2);
  }
  if constexpr (kNumFields<T> == 4) {
    auto& [f0, f1, f2, f3] = of;
    return std::tie(f0, f1, f2, f3);
  }
  if constexpr (kNumFields<T> == 5) {
    auto& [f0, f1, f2, f3, f4] = of;
    return std::tie(f0, f1, f2, f3, f4);
  }
  if constexpr (kNumFields<T> == 6) {
    auto& [f0, f1, f2, f3, f4, f5] = of;
    return std::tie(f0, f1, f2, f3, f4, f5);
  }
  if constexpr (kNumFields<T> == 7) {
    auto& [f0, f1, f2, f3, f4, f5, f6] = of;
    return std::tie(f0, f1, f2, f3, f4, f5, f6);
  }
  if constexpr (kNumFields<T> == 8) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7] = of;
    return std::tie(f0, f1, f2, f3, f4, f5, f6, f7);
  }
  if constexpr (kNumFields<T> == 9) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8] = of;
    return std::tie(f0, f1, f2, f3, f4, f5, f6, f7, f8);
  }
  if constexpr (kNumFields<T> == 10) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9] = of;
    return std::tie(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9);
  }
  if constexpr (kNumFields<T> == 11) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10] = of;
    return std::tie(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10);
  }
  if constexpr (kNumFields<T> == 12) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11] = of;
    return std::tie(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11);
  }
  if constexpr (kNumFields<T> == 13) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12] = of;
    return std::tie(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12);
  }
  if constexpr (kNumFields<T> == 14) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13] = of;
    return std::tie(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13);
  }
  if constexpr (kNumFields<T> == 15) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14] = of;
    return std::tie(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14);
  }
  if constexpr (kNumFields<T> == 16) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15] = of;
    return std::tie(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15);
  }
  if constexpr (kNumFields<T> == 17) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16] = of;
    return std::tie(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16);
  }
  if constexpr (kNumFields<T> == 18) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17] = of;
    return std::tie(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17);
  }
  if constexpr (kNumFields<T> == 19) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18] =
        of;
    return std::tie(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17,
                    f18);
  }
  if constexpr (kNumFields<T> == 20) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18,
           f19] = of;
    return std::tie(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17,
                    f18, f19);
  }
  if constexpr (kNumFields<T> == 21) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20] = of;
    return std::tie(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17,
                    f18, f19, f20);
  }
  if constexpr (kNumFields<T> == 22) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21] = of;
    return std::tie(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17,
                    f18, f19, f20, f21);
  }
  if constexpr (kNumFields<T> == 23) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22] = of;
    return std::tie(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17,
                    f18, f19, f20, f21, f22);
  }
  if constexpr (kNumFields<T> == 24) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23] = of;
    return std::tie(f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17,
                    f18, f19, f20, f21, f22, f23);
  }
}

/// The name of a field is in the type of a constant that points to it: "… Dense::units)}; …".
template <class T>
struct Nowhere {
  T value;
};
template <class T>
extern const Nowhere<T> nowhere;
template <class Field>
struct PointerTo {
  const Field* field;
};
template <class T, size_t kIndex>
constexpr auto pointer_to_field() {
  const auto& field = std::get<kIndex>(fields_of(nowhere<T>.value));
  return PointerTo<std::remove_cvref_t<decltype(field)>>{&field};
}
template <auto kPointer>
constexpr std::string_view name_of_field() {
  std::string_view name = __PRETTY_FUNCTION__;
  name = name.substr(0, name.find(")}"));
  return name.substr(name.rfind(':') + 1);
}

}  // namespace internal

/// Calls visit(name, field) for each field of `of`, in the order of their declaration.
template <class T, class Visit>
void for_each_field(T& of, Visit&& visit) {
  using Plain = std::remove_const_t<T>;
  const auto fields = internal::fields_of(of);
  [&]<size_t... I>(std::index_sequence<I...>) {
    (visit(internal::name_of_field<internal::pointer_to_field<Plain, I>()>(), std::get<I>(fields)),
     ...);
  }
  (std::make_index_sequence<internal::kNumFields<T>>());
}

}  // namespace cohort
