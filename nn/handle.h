#pragma once

#include <memory>
#include <string_view>
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

/// The handle to a new object of a user's class: `nn::Layer layer = nn::make<MyLayer>(64)`.
template <class Impl, class... Args>
typename Impl::HandleType make(Args&&... args) {
  return typename Impl::HandleType(std::make_shared<Impl>(std::forward<Args>(args)...));
}

}  // namespace cohort::nn
