#pragma once

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "cohort/core/tensor.h"

namespace cohort::testing {

/// Values recorded from another framework: one file `tests/golden/<topic>.txt`, written by
/// a script beside it (golden.py states the format). A name is a path `group/case/field`.
class Golden {
 public:
  /// Reads the whole file; throws NotFound where there is none.
  explicit Golden(std::string_view topic) {
    const std::string path = COHORT_SOURCE_DIR "/tests/golden/" + std::string(topic) + ".txt";
    std::ifstream file(path);
    if (!file) throw NotFound("Golden: got topic {}; want the file {}", topic, path);
    for (std::string line; std::getline(file, line);)
      if (!line.empty() && line[0] != '#') add(line);
  }

  bool has(const std::string& name) const { return lines_.contains(name); }

  /// The array `name`; throws NotFound.
  Tensor operator[](const std::string& name) const {
    const Line& line = find(name);
    if (line.dtype == "f32") return parse<float>(line);
    if (line.dtype == "f64") return parse<double>(line);
    if (line.dtype == "i32") return parse<int32_t>(line);
    if (line.dtype == "i64") return parse<int64_t>(line);
    if (line.dtype == "bool") return parse<bool>(line);
    throw InvalidArgument("Golden: got dtype {} for {}; want an array", line.dtype, name);
  }
  /// The elements of array `name`, converted to T, in row-major order.
  template <class T>
  std::vector<T> values(const std::string& name) const {
    return numbers<T>(find(name));
  }
  /// The only element of `name`.
  double number(const std::string& name) const { return values<double>(name).at(0); }
  /// The text `name`.
  std::string text(const std::string& name) const { return find(name).values; }

  /// The cases of a group, in file order: for "conv2d", {"valid", "same_stride2", ...}.
  std::vector<std::string> cases(const std::string& group) const {
    std::vector<std::string> found;
    for (const std::string& name : order_) {
      if (!name.starts_with(group + "/")) continue;
      const std::string rest = name.substr(group.size() + 1);
      const std::string item = rest.substr(0, rest.find('/'));
      if (std::find(found.begin(), found.end(), item) == found.end()) found.push_back(item);
    }
    if (found.empty()) throw NotFound("Golden: got group {}; want one in the file", group);
    return found;
  }

 private:
  struct Line {
    std::string dtype, dims, values;
  };

  void add(const std::string& text) {
    std::istringstream in(text);
    std::string name;
    Line line;
    in >> name >> line.dtype >> line.dims;
    in.get();
    std::getline(in, line.values);
    lines_[name] = line;
    order_.push_back(name);
  }
  const Line& find(const std::string& name) const {
    const auto it = lines_.find(name);
    if (it == lines_.end()) throw NotFound("Golden: got name {}; want one in the file", name);
    return it->second;
  }
  template <class T>
  static std::vector<T> numbers(const Line& line) {
    std::vector<T> values;
    const char* p = line.values.c_str();
    for (char* end = nullptr;; p = end) {
      const double value = std::is_same_v<T, float> ? std::strtof(p, &end) : std::strtod(p, &end);
      if (end == p) return values;
      values.push_back(static_cast<T>(value));
    }
  }
  template <class T>
  static Tensor parse(const Line& line) {
    std::vector<int64_t> dims;
    std::istringstream in(line.dims == "-" ? "" : line.dims);
    for (std::string dim; std::getline(in, dim, 'x');) dims.push_back(std::stoll(dim));
    return Tensor::from(numbers<T>(line), Shape(std::span<const int64_t>(dims)));
  }
  std::map<std::string, Line> lines_;
  std::vector<std::string> order_;
};

}  // namespace cohort::testing
