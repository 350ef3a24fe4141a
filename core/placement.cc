#include "cohort/core/placement.h"

#include <algorithm>

#include "cohort/core/error.h"

namespace cohort {

Mesh::Mesh(std::vector<MeshAxis> axes) : axes_(std::move(axes)) {
  for (size_t i = 0; i < axes_.size(); ++i) {
    const MeshAxis& axis = axes_[i];
    if (axis.name.empty()) throw InvalidArgument("mesh: got an axis without a name; want one");
    if (axis.size < 1)
      throw InvalidArgument("mesh: got {} ranks on axis {}; want 1 or more", axis.size, axis.name);
    if (find(axis.name) != &axis)
      throw InvalidArgument("mesh: got the axis {} twice; want different names", axis.name);
  }
}

int64_t Mesh::num_ranks() const {
  int64_t ranks = 1;
  for (const MeshAxis& axis : axes_) ranks *= axis.size;
  return ranks;
}

const MeshAxis* Mesh::find(std::string_view axis) const {
  for (const MeshAxis& known : axes_)
    if (known.name == axis) return &known;
  return nullptr;
}

std::string Mesh::to_string() const {
  std::string text;
  for (const MeshAxis& axis : axes_)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", axis.name, axis.size);
  return text.empty() ? "one rank" : text;
}

Elements intersect(Elements a, Elements b) {
  const int64_t begin = std::max(a.begin, b.begin);
  return {begin, std::max(begin, std::min(a.end, b.end))};
}

const Placement::Axis* Placement::find(Kind kind) const {
  for (const Axis& axis : axes_)
    if (axis.kind == kind) return &axis;
  return nullptr;
}

bool Placement::is_replicated() const { return !find(Kind::kSharded) && !find(Kind::kPartial); }
bool Placement::is_sharded() const { return find(Kind::kSharded) != nullptr; }

void Placement::check(std::string_view variable, const Shape& shape) const {
  const Axis* placed = nullptr;
  for (const Axis& axis : axes_) {
    const MeshAxis* on = mesh_.find(axis.name);
    if (!on)
      throw InvalidArgument("variable {}: got a placement on axis {}; want one of the mesh ({})",
                            variable, axis.name, mesh_.to_string());
    if (std::count_if(axes_.begin(), axes_.end(),
                      [&](const Axis& other) { return other.name == axis.name; }) > 1)
      throw InvalidArgument("variable {}: got two placements on axis {}; want one", variable,
                            axis.name);
    if (axis.kind == Kind::kReplicated) continue;
    if (placed)
      throw Unimplemented(
          "variable {}: got placements on axes {} and {}; want it replicated on all "
          "but one",
          variable, placed->name, axis.name);
    placed = &axis;
    if (axis.kind == Kind::kPartial) continue;
    if (axis.dimension < 0 || axis.dimension >= shape.rank())
      throw InvalidArgument(
          "variable {}: got dimension {} of {} sharded on axis {}; want one that "
          "it has",
          variable, axis.dimension, shape, axis.name);
    if (axis.dimension > 0)
      throw Unimplemented("variable {}: got dimension {} of {} sharded on axis {}; want the first",
                          variable, axis.dimension, shape, axis.name);
    if (shape.size(0) % on->size != 0)
      throw InvalidArgument(
          "variable {}: got {} sharded on axis {} of {} ranks; want a first "
          "dimension that they divide",
          variable, shape, axis.name, on->size);
  }
}

void Placement::check_readable(std::string_view variable, std::string_view reader) const {
  if (const Axis* partial = find(Kind::kPartial))
    throw InvalidArgument(
        "{}: got a read of {}, which is partial on axis {}; want it reduced over "
        "the axis first",
        reader, variable, partial->name);
}

Shape Placement::local_shape(const Shape& shape) const {
  const Axis* sharded = find(Kind::kSharded);
  if (!sharded) return shape;
  Shape local = shape;
  local[sharded->dimension] = Dim(shape.size(sharded->dimension) / mesh_.find(sharded->name)->size);
  return local;
}

Elements Placement::elements_of(int64_t rank, int64_t num_elements) const {
  if (!is_sharded()) return {0, num_elements};
  // Of several axes, all but one have copies of each block; the last axis runs fastest.
  int64_t along = rank;
  for (auto axis = mesh_.axes().rbegin(); axis != mesh_.axes().rend(); ++axis) {
    if (axis->name == find(Kind::kSharded)->name) {
      const int64_t block = num_elements / axis->size;
      return {along % axis->size * block, (along % axis->size + 1) * block};
    }
    along /= axis->size;
  }
  return {};
}

std::string Placement::to_string() const {
  std::string text;
  for (const Axis& axis : axes_) {
    if (axis.kind == Kind::kReplicated) continue;
    const MeshAxis* on = mesh_.find(axis.name);
    text += fmt::format(
        "{}{} on {} of {}", text.empty() ? "" : ", ",
        axis.kind == Kind::kPartial ? "partial" : fmt::format("sharded({})", axis.dimension),
        axis.name, on ? on->size : 0);
  }
  return text.empty() ? "replicated" : text;
}

}  // namespace cohort
