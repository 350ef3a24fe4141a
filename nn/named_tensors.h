#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cohort/core/tensor.h"

namespace cohort::nn {

/// Values under names, for a later process: what a callback keeps, or all of a training's state.
class NamedTensors : public std::map<std::string, Tensor> {
 public:
  using std::map<std::string, Tensor>::map;

  void set(const std::string& name, int64_t value) { (*this)[name] = Tensor::scalar(value); }
  void set(const std::string& name, double value) { (*this)[name] = Tensor::scalar(value); }
  void set(const std::string& name, const std::vector<int64_t>& values);
  void set(const std::string& name, const std::vector<double>& values);
  void set(const std::string& name, const std::vector<std::string>& texts);
  void set(const std::string& name, Tensor value) { (*this)[name] = std::move(value); }
  /// All of `values`, under names that begin with `prefix`.
  void set_all(const std::string& prefix, const NamedTensors& values);

  /// These throw DataLoss, naming what was got and wanted, where there is no such value.
  const Tensor& tensor(const std::string& name) const;
  int64_t integer(const std::string& name) const;
  double number(const std::string& name) const;
  std::vector<int64_t> integers(const std::string& name) const;
  std::vector<double> numbers(const std::string& name) const;
  std::vector<std::string> texts(const std::string& name) const;
  bool has(const std::string& name) const { return contains(name); }
  /// Those whose names begin with `prefix`, without it.
  NamedTensors all(const std::string& prefix) const;

 private:
  const Tensor& tensor(const std::string& name, DType dtype, int rank) const;
};

}  // namespace cohort::nn
