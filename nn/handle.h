#pragma once

#include <any>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

#include "cohort/core/error.h"

namespace cohort::nn {

/// A cheap share of an object's state, as in Python: copies denote the same object. Empty handles
/// denote none; using one throws FailedPrecondition.
template <class Impl>
class Handle {
 public:
  Handle() = default;
  explicit Handle(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

  bool defined() const { return impl_ != nullptr; }
  Impl& impl() const {
    if (!impl_)
      throw FailedPrecondition("handle: got an empty one; want one that was given an object");
    return *impl_;
  }
  Impl* operator->() const { return &impl(); }
  const std::shared_ptr<Impl>& shared() const { return impl_; }
  bool operator==(const Handle& other) const { return impl_ == other.impl_; }

 protected:
  std::shared_ptr<Impl> impl_;
};

/// What an object was made of: a copy of its options, an aggregate that converts to the object's
/// handle. They describe the object where it is saved.
class MadeOfOptions {
 public:
  /// Empty: of none.
  const std::any& made_of() const { return made_of_; }
  template <class Options>
  void remember(const Options& options) {
    made_of_ = options;
  }

 private:
  std::any made_of_;
};

namespace internal {

/// Whether T is the options of what Made is a handle to.
template <class T, class Made>
constexpr bool kIsOptionsOf =
    std::is_class_v<T>&& std::is_aggregate_v<T>&& std::is_convertible_v<T, Made>;

}  // namespace internal

/// The handle to a new object of a user's class: `nn::Layer layer = nn::make<MyLayer>(64)`. Where
/// an argument is its options, it remembers them.
template <class Impl, class... Args>
typename Impl::HandleType make(Args&&... args) {
  using Made = typename Impl::HandleType;
  if constexpr (std::is_base_of_v<MadeOfOptions, Impl>) {
    std::any options;
    const auto look_at = [&]<class T>(const T& argument) {
      if constexpr (internal::kIsOptionsOf<T, Made>) options = argument;
    };
    (look_at(args), ...);
    Made made(std::make_shared<Impl>(std::forward<Args>(args)...));
    made.impl().MadeOfOptions::remember(options);
    return made;
  } else {
    return Made(std::make_shared<Impl>(std::forward<Args>(args)...));
  }
}

/// The same object, which remembers that it was made of `options`.
template <class Made, class Options>
Made remember(Made made, const Options& options) {
  made.impl().MadeOfOptions::remember(options);
  return made;
}

}  // namespace cohort::nn
