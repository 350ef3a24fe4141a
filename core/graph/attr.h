#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "cohort/core/dtype.h"
#include "cohort/core/shape.h"
#include "cohort/core/tensor.h"

namespace cohort {

class Graph;

/// What an attribute of a node may hold. A Shape may contain symbols, which are bound with the
/// graph.
using Attr = std::variant<bool, int64_t, double, std::string, DType, Shape, std::vector<int64_t>,
                          std::vector<double>, std::vector<std::string>, Tensor,
                          std::shared_ptr<const Graph>>;

/// The attributes of one node, sorted by name.
class Attrs {
 public:
  using Entry = std::pair<std::string, Attr>;

  Attrs();
  Attrs(std::initializer_list<Entry> entries);
  Attrs(const Attrs& other);
  Attrs(Attrs&& other) noexcept;
  Attrs& operator=(const Attrs& other);
  Attrs& operator=(Attrs&& other) noexcept;
  ~Attrs();

  void set(std::string name, Attr value);
  bool has(std::string_view name) const { return find(name) != nullptr; }
  const Attr* find(std::string_view name) const;
  Attr* find(std::string_view name);

  /// Throws Internal when absent or of another type: attributes are written by the op's own
  /// builder.
  template <class T>
  const T& get(std::string_view name) const {
    const Attr* attr = find(name);
    const T* value = attr ? std::get_if<T>(attr) : nullptr;
    if (!value) refuse(name);
    return *value;
  }
  template <class T>
  T get_or(std::string_view name, T fallback) const {
    return has(name) ? get<T>(name) : fallback;
  }

  const std::vector<Entry>& entries() const { return entries_; }

 private:
  [[noreturn]] void refuse(std::string_view name) const;

  std::vector<Entry> entries_;
};

}  // namespace cohort
