#include <fmt/format.h>
#include <hdf5.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <set>
#include <utility>

#include "cohort/checkpoint/hdf5_file.h"
#include "cohort/checkpoint/replaced_file.h"
#include "cohort/checkpoint/storage.h"
#include "cohort/core/system.h"

namespace cohort::checkpoint {
namespace {

constexpr int kMaxDepth = 64;  // of groups in groups
constexpr size_t kMaxObjects = 1 << 20;
constexpr size_t kMaxString = 64 << 10;
constexpr size_t kMaxStrings = 64 << 20;  // bytes of a list of them

/// HDF5's own library is not built for threads.
std::mutex& library() {
  static std::mutex mutex;
  return mutex;
}

/// One of HDF5's numbers, given back by `close`.
class Id {
 public:
  Id() = default;
  Id(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  Id(Id&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Id& operator=(Id&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Id() { reset(); }
  operator hid_t() const { return id_; }
  bool ok() const { return id_ >= 0; }
  void reset() {
    if (ok()) close_(id_);
    id_ = -1;
  }

 private:
  hid_t id_ = -1;
  herr_t (*close_)(hid_t) = nullptr;
};

herr_t note_reason(unsigned n, const H5E_error2_t* error, void* reason) {
  if (n == 0 && error->desc) *static_cast<std::string*>(reason) = error->desc;
  return 0;
}

/// Why the latest call failed, in the library's words.
std::string reason() {
  std::string text;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, note_reason, &text);
  return text.empty() ? "no reason given" : text;
}

Id bfloat16_type() {
  Id type(H5Tcreate(H5T_OPAQUE, 2), H5Tclose);
  H5Tset_tag(type, "bfloat16");
  return type;
}

Id half_type() {
  Id type(H5Tcopy(H5T_IEEE_F32LE), H5Tclose);
  H5Tset_fields(type, 15, 10, 5, 0, 10);
  H5Tset_size(type, 2);
  H5Tset_ebias(type, 15);
  return type;
}

/// FALSE and TRUE in one byte, as NumPy's writers have them.
Id bool_type() {
  Id type(H5Tenum_create(H5T_NATIVE_INT8), H5Tclose);
  for (const auto& [name, value] : {std::pair<const char*, int8_t>{"FALSE", 0}, {"TRUE", 1}})
    H5Tenum_insert(type, name, &value);
  return type;
}

Id type_of(DType dtype) {
  const auto copy = [](hid_t type) { return Id(H5Tcopy(type), H5Tclose); };
  switch (dtype) {
    case DType::kF32:
      return copy(H5T_IEEE_F32LE);
    case DType::kF64:
      return copy(H5T_IEEE_F64LE);
    case DType::kF16:
      return half_type();
    case DType::kBF16:
      return bfloat16_type();
    case DType::kI32:
      return copy(H5T_STD_I32LE);
    case DType::kI64:
      return copy(H5T_STD_I64LE);
    case DType::kU8:
      return copy(H5T_STD_U8LE);
    case DType::kI8:
      return copy(H5T_STD_I8LE);
    case DType::kBool:
      return bool_type();
  }
  throw Internal("hdf5: no type for {}", dtype);
}

constexpr DType kTypes[] = {DType::kF32, DType::kF64, DType::kF16, DType::kBF16, DType::kI32,
                            DType::kI64, DType::kU8,  DType::kI8,  DType::kBool};

/// Of an attribute of strings.
std::optional<std::vector<std::string>> read_attribute_list(hid_t object, const std::string& name) {
  if (H5Aexists(object, name.c_str()) <= 0) return {};
  const Id attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose);
  const Id stored(H5Aget_type(attribute), H5Tclose), type(H5Tcopy(stored), H5Tclose);
  const Id space(H5Aget_space(attribute), H5Sclose);
  const hssize_t count = space.ok() ? H5Sget_simple_extent_npoints(space) : -1;
  if (count == 0) return std::vector<std::string>();  // writers make it one of numbers
  const size_t size = type.ok() && H5Tget_class(type) == H5T_STRING ? H5Tget_size(type) : 0;
  if (count < 0 || size == 0 || static_cast<size_t>(count) > kMaxStrings / size) return {};
  std::vector<char> bytes(static_cast<size_t>(count) * size);
  if (H5Aread(attribute, type, bytes.data()) < 0) return {};
  const bool are_elsewhere = H5Tis_variable_str(type) > 0;
  std::vector<std::string> texts;
  for (const char* each = bytes.data(); each != bytes.data() + bytes.size(); each += size) {
    const char* text = each;
    if (are_elsewhere) std::memcpy(&text, each, sizeof text);
    texts.emplace_back(text ? text : "",
                       text ? strnlen(text, are_elsewhere ? kMaxString : size) : 0);
  }
  if (are_elsewhere) H5Dvlen_reclaim(type, space, H5P_DEFAULT, bytes.data());
  return texts;
}

std::optional<std::string> read_attribute(hid_t object, const std::string& name) {
  const auto texts = read_attribute_list(object, name);
  return texts && texts->size() == 1 ? std::optional(texts->front()) : std::nullopt;
}

class Reader final : public Hdf5Reader {
 public:
  explicit Reader(const std::string& path) : path_(path) {
    const auto file = posix_storage()->open(path);  // says why where that fails
    const std::lock_guard lock(library());
    file_ = Id(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
    if (!file_.ok()) throw DataLoss("{}: got no HDF5 file, or a torn one: {}", path, reason());
    file_bytes_ = file->size();
    walk(file_, "", 0);
    std::sort(datasets_.begin(), datasets_.end(),
              [](const auto& a, const auto& b) { return a.path < b.path; });
  }
  ~Reader() override {
    const std::lock_guard lock(library());
    file_.reset();
  }

  const std::vector<Hdf5Dataset>& datasets() const override { return datasets_; }

  std::optional<std::string> attribute(const std::string& path,
                                       const std::string& name) const override {
    const std::lock_guard lock(library());
    const Id object = open_object(path);
    return object.ok() ? read_attribute(object, name) : std::nullopt;
  }

  std::optional<std::vector<std::string>> attribute_list(const std::string& path,
                                                         const std::string& name) const override {
    const std::lock_guard lock(library());
    const Id object = open_object(path);
    return object.ok() ? read_attribute_list(object, name) : std::nullopt;
  }

  Tensor read(const Hdf5Dataset& dataset) const override {
    const std::lock_guard lock(library());
    const Id opened(H5Dopen2(file_, dataset.path.c_str(), H5P_DEFAULT), H5Dclose);
    Tensor result(dataset.dtype, dataset.shape);
    const Id stored(H5Dget_type(opened), H5Tclose);
    const Id memory =
        H5Tget_class(stored) == H5T_OPAQUE ? Id(H5Tcopy(stored), H5Tclose) : type_of(dataset.dtype);
    if (H5Dread(opened, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, result.raw()) < 0)
      throw DataLoss("{}: {}: cannot be read: {}", path_, dataset.path, reason());
    return result;
  }

 private:
  Id open_object(const std::string& path) const {
    if (path.empty()) return Id(H5Oopen(file_, "/", H5P_DEFAULT), H5Oclose);
    return exists(path) ? Id(H5Oopen(file_, path.c_str(), H5P_DEFAULT), H5Oclose) : Id();
  }

  /// Every part of the path is a link within this file.
  bool exists(const std::string& path) const {
    for (size_t end = path.find('/');; end = path.find('/', end + 1)) {
      const std::string part = path.substr(0, end);
      H5L_info_t link{};
      if (H5Lexists(file_, part.c_str(), H5P_DEFAULT) <= 0 ||
          H5Lget_info(file_, part.c_str(), &link, H5P_DEFAULT) < 0 || link.type != H5L_TYPE_HARD)
        return false;
      if (end == path.npos) return true;
    }
  }

  void walk(hid_t group, const std::string& prefix, int depth) {
    if (depth > kMaxDepth)
      throw DataLoss("{}: {}: got groups more than {} deep", path_, prefix, kMaxDepth);
    H5G_info_t info{};
    if (H5Gget_info(group, &info) < 0) throw DataLoss("{}: {}: {}", path_, prefix, reason());
    for (hsize_t i = 0; i < info.nlinks; ++i) {
      const ssize_t size =
          H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, nullptr, 0, H5P_DEFAULT);
      if (size <= 0 || static_cast<size_t>(size) > kMaxString)
        throw DataLoss("{}: {}: got a bad link: {}", path_, prefix, reason());
      std::string name(static_cast<size_t>(size), '\0');
      H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name.data(), name.size() + 1,
                         H5P_DEFAULT);
      visit(group, name, prefix + name, depth);
    }
  }

  void visit(hid_t group, const std::string& name, const std::string& path, int depth) {
    H5L_info_t link{};
    if (H5Lget_info(group, name.c_str(), &link, H5P_DEFAULT) < 0 || link.type != H5L_TYPE_HARD)
      throw DataLoss("{}: {}: got a link to another place; want objects alone", path_, path);
    const std::string place(reinterpret_cast<const char*>(&link.u), sizeof link.u);
    if (!places_.insert(place).second || places_.size() > kMaxObjects)
      throw DataLoss("{}: {}: got a second link to one object, or more than {} objects", path_,
                     path, kMaxObjects);
    const Id object(H5Oopen(group, name.c_str(), H5P_DEFAULT), H5Oclose);
    const H5I_type_t kind = object.ok() ? H5Iget_type(object) : H5I_BADID;
    if (kind == H5I_GROUP)
      walk(object, path + "/", depth + 1);
    else if (kind == H5I_DATASET)
      datasets_.push_back(describe(object, path));
    else if (kind != H5I_DATATYPE)
      throw DataLoss("{}: {}: cannot be opened: {}", path_, path, reason());
  }

  Hdf5Dataset describe(hid_t dataset, const std::string& path) const {
    const Id properties(H5Dget_create_plist(dataset), H5Pclose);
    if (H5Pget_layout(properties) == H5D_VIRTUAL || H5Pget_external_count(properties) > 0)
      throw DataLoss("{}: {}: got data that lies in other files; want them in this one", path_,
                     path);
    const Id space(H5Dget_space(dataset), H5Sclose);
    const int rank = H5Sget_simple_extent_ndims(space);
    if (rank < 0 || H5Sget_simple_extent_type(space) == H5S_NULL)
      throw DataLoss("{}: {}: got no array of numbers", path_, path);
    std::vector<hsize_t> sizes(static_cast<size_t>(rank));
    H5Sget_simple_extent_dims(space, sizes.data(), nullptr);
    std::vector<int64_t> numbers;
    uint64_t elements = 1;
    for (const hsize_t size : sizes) {
      if (size > uint64_t{1} << 40 || (elements *= std::max<uint64_t>(size, 1)) > uint64_t{1} << 40)
        throw DataLoss("{}: {}: got more than 2^40 elements", path_, path);
      numbers.push_back(static_cast<int64_t>(size));
    }
    const Shape shape{std::span<const int64_t>(numbers)};
    const DType dtype = dtype_of(dataset, path);
    if (H5Pget_layout(properties) != H5D_CHUNKED &&
        static_cast<uint64_t>(shape.num_elements()) * size_of(dtype) > file_bytes_)
      throw DataLoss("{}: {}: got {} of {}, more than the file's {} bytes", path_, path, dtype,
                     shape, file_bytes_);
    return {path, dtype, shape};
  }

  DType dtype_of(hid_t dataset, const std::string& path) const {
    const Id type(H5Dget_type(dataset), H5Tclose);
    if (H5Tget_class(type) == H5T_OPAQUE && H5Tget_size(type) == 2 &&
        read_attribute(dataset, "dtype") == "bfloat16")
      return DType::kBF16;
    for (const DType dtype : kTypes)
      if (H5Tequal(type, type_of(dtype)) > 0) return dtype;
    throw Unimplemented("{}: {}: got elements of a type that Cohort does not have", path_, path);
  }

  const std::string path_;
  uint64_t file_bytes_ = 0;
  std::set<std::string> places_;  ///< of objects that were met
  Id file_;
  std::vector<Hdf5Dataset> datasets_;
};

class Writer final : public Hdf5Writer {
 public:
  explicit Writer(const std::string& path)
      : path_(path), partial_(ReplacedFile::partial_path(path)) {
    std::error_code ignored;
    std::filesystem::remove(partial_, ignored);
    posix_storage()->create(partial_)->close();  // says why where that fails
    const std::lock_guard lock(library());
    file_ = Id(H5Fcreate(partial_.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose);
    if (!file_.ok()) fail("the beginning");
  }
  ~Writer() override {
    const std::lock_guard lock(library());
    if (!file_.ok()) return;
    file_.reset();
    std::error_code ignored;
    std::filesystem::remove(partial_, ignored);
  }

  void make_group(const std::string& path) override {
    const std::lock_guard lock(library());
    if (is_there(path)) return;
    const Id parents(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
    H5Pset_create_intermediate_group(parents, 1);
    const Id group(H5Gcreate2(file_, path.c_str(), parents, H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
    if (!group.ok()) fail(path);
  }

  void set_attribute(const std::string& path, const std::string& name,
                     const std::string& value) override {
    const std::lock_guard lock(library());
    set(Id(H5Oopen(file_, path.c_str(), H5P_DEFAULT), H5Oclose), path, name, value);
  }

  void write(const std::string& path, const Tensor& value) override {
    const std::lock_guard lock(library());
    const std::vector<int64_t> numbers = value.shape().numbers();
    const std::vector<hsize_t> sizes(numbers.begin(), numbers.end());
    const Id space =
        sizes.empty()
            ? Id(H5Screate(H5S_SCALAR), H5Sclose)
            : Id(H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr), H5Sclose);
    const Id type = type_of(value.dtype());
    const Id dataset(
        H5Dcreate2(file_, path.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
        H5Dclose);
    if (!dataset.ok() || H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, value.raw()) < 0)
      fail(path);
    if (value.dtype() == DType::kBF16) set(dataset, path, "dtype", "bfloat16");
  }

  void close() override {
    {
      const std::lock_guard lock(library());
      int* descriptor = nullptr;
      if (H5Fflush(file_, H5F_SCOPE_GLOBAL) < 0 ||
          H5Fget_vfd_handle(file_, H5P_DEFAULT, reinterpret_cast<void**>(&descriptor)) < 0)
        fail("the end");
      if (fsync(*descriptor) != 0)
        throw system_error(fmt::format("{}: cannot be synced", partial_), errno);
      file_.reset();
    }
    posix_storage()->rename(partial_, path_);
    posix_storage()->sync_directory(parent_path(path_));
  }

 private:
  bool is_there(const std::string& path) const {
    for (size_t end = path.find('/');; end = path.find('/', end + 1)) {
      if (H5Lexists(file_, path.substr(0, end).c_str(), H5P_DEFAULT) <= 0) return false;
      if (end == path.npos) return true;
    }
  }

  void set(hid_t object, const std::string& path, const std::string& name,
           const std::string& value) const {
    const Id type(H5Tcopy(H5T_C_S1), H5Tclose);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    const Id space(H5Screate(H5S_SCALAR), H5Sclose);
    const Id attribute(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT),
                       H5Aclose);
    const char* text = value.c_str();
    if (!attribute.ok() || H5Awrite(attribute, type, &text) < 0) fail(path);
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw DataLoss("{}: {}: cannot be written: {}", path_, what, reason());
  }

  const std::string path_, partial_;
  Id file_;
};

}  // namespace
}  // namespace cohort::checkpoint

extern "C" __attribute__((visibility("default"))) void cohort_hdf5_module(
    cohort::checkpoint::Hdf5Module& module) {
  namespace checkpoint = cohort::checkpoint;
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // errors are thrown, not printed
  // A child finds the library at rest, and free.
  pthread_atfork([] { checkpoint::library().lock(); }, [] { checkpoint::library().unlock(); },
                 [] { checkpoint::library().unlock(); });
  module.open = [](const std::string& path) -> std::unique_ptr<checkpoint::Hdf5Reader> {
    return std::make_unique<checkpoint::Reader>(path);
  };
  module.create = [](const std::string& path) -> std::unique_ptr<checkpoint::Hdf5Writer> {
    return std::make_unique<checkpoint::Writer>(path);
  };
}
