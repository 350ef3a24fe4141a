#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cohort::nn {

/// Names and numbers of an epoch or batch: "accuracy", "loss", "val_loss", in alphabetical order as
/// in Keras. The logs of a batch are read from the devices only when somebody looks at them, once
/// for each batch; copy them to keep them.
class Logs {
 public:
  using Entry = std::pair<std::string, double>;
  using Reader = std::function<void(std::vector<Entry>& entries)>;

  Logs();
  explicit Logs(std::vector<Entry> entries);
  /// Logs that `read` fills in place on the first look after refresh().
  explicit Logs(Reader read);
  Logs(const Logs& other);
  Logs& operator=(const Logs& other);
  ~Logs();

  /// Throws NotFound that lists the names.
  double operator[](std::string_view name) const;
  bool has(std::string_view name) const { return find(name) != nullptr; }
  const double* find(std::string_view name) const;
  void set(std::string name, double value);

  const std::vector<Entry>& entries() const;
  auto begin() const { return entries().begin(); }
  auto end() const { return entries().end(); }
  size_t size() const { return entries().size(); }

  /// What was read is no longer true.
  void refresh() { stale_ = read_ != nullptr; }

 private:
  mutable std::vector<Entry> entries_;
  Reader read_;
  mutable bool stale_ = false;
};

}  // namespace cohort::nn
