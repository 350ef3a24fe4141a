#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cohort/core/shape.h"

namespace cohort {

/// One axis of a mesh, with so many ranks along it.
struct MeshAxis {
  std::string name;
  int64_t size = 1;
  bool operator==(const MeshAxis&) const = default;
};

/// Ranks in a grid with named axes. Without axes: one rank.
class Mesh {
 public:
  Mesh() = default;
  /// Throws InvalidArgument, naming the axis, for an empty name, one twice, and a size below 1.
  explicit Mesh(std::vector<MeshAxis> axes);

  const std::vector<MeshAxis>& axes() const { return axes_; }
  int64_t num_ranks() const;
  const MeshAxis* find(std::string_view axis) const;
  /// "data 4, model 2"
  std::string to_string() const;
  bool operator==(const Mesh&) const = default;

 private:
  std::vector<MeshAxis> axes_;
};

/// Elements [begin, end) of a row-major array.
struct Elements {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
  bool operator==(const Elements&) const = default;
};
/// What two have in common; of size 0 where that is nothing.
Elements intersect(Elements a, Elements b);

/// How a value lies over the ranks of a mesh. On each axis it is replicated, where nothing else is
/// said; sharded along one of its dimensions, so that each rank has an equal block of it; or
/// partial, so that the values of the ranks add up to it.
class Placement {
 public:
  enum class Kind { kReplicated, kSharded, kPartial };
  struct Axis {
    std::string name;
    Kind kind = Kind::kReplicated;
    int dimension = 0;  ///< of a sharded value
    bool operator==(const Axis&) const = default;
  };

  Placement() = default;
  Placement(Mesh mesh, std::vector<Axis> axes) : mesh_(std::move(mesh)), axes_(std::move(axes)) {}

  const Mesh& mesh() const { return mesh_; }
  bool is_replicated() const;
  bool is_sharded() const;
  /// Throws, naming variable and axis: InvalidArgument for an axis that the mesh lacks or that is
  /// named twice, a dimension that is not there or that the axis does not divide; Unimplemented for
  /// a dimension but the first and for several axes that are not replicated.
  void check(std::string_view variable, const Shape& shape) const;
  /// Throws InvalidArgument, naming variable and axis, where a value of this placement has no
  /// number of its own anywhere, because it is partial. `reader` wants one.
  void check_readable(std::string_view variable, std::string_view reader) const;
  /// Of what one rank holds.
  Shape local_shape(const Shape& shape) const;
  /// Which elements rank `rank` of the mesh holds of a value of so many.
  Elements elements_of(int64_t rank, int64_t num_elements) const;
  /// "sharded(0) on data of 4", "replicated"
  std::string to_string() const;
  bool operator==(const Placement&) const = default;

 private:
  const Axis* find(Kind kind) const;

  Mesh mesh_;
  std::vector<Axis> axes_;
};

}  // namespace cohort
