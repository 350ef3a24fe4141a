#include "cohort/data/npz.h"

#include <fmt/format.h>
#include <zip.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "cohort/data/internal/file_reader.h"
#include "cohort/data/internal/npy.h"
#include "cohort/data/zip/zip_archive.h"

namespace cohort::data {
namespace {

constexpr std::string_view kEnding = ".npy";

Tensor read_array(internal::Member& member, uint64_t& left, const std::string& where) {
  std::string begin(std::min<uint64_t>(member.size(), internal::kMaxNpyHeader), '\0');
  member.read(begin.data(), begin.size());
  const internal::NpyHeader header = internal::read_npy_header(begin, where);
  if (member.size() - header.num_bytes != header.data_bytes())
    throw DataLoss("{}: got {} bytes behind the header; want {} for {} of {}", where,
                   member.size() - header.num_bytes, header.data_bytes(), header.dtype,
                   header.shape);
  if (header.data_bytes() > left)
    throw ResourceExhausted("{}: got {} bytes, and {} are left of max_bytes; want less", where,
                            header.data_bytes(), left);
  left -= header.data_bytes();
  Tensor elements(header.dtype, header.shape);
  auto* to = static_cast<char*>(elements.raw());
  const size_t there = begin.size() - header.num_bytes;
  std::copy_n(begin.data() + header.num_bytes, there, to);
  member.read(to + there, elements.num_bytes() - there);
  member.check_sum();
  return internal::to_tensor(header, std::move(elements));
}

/// What the fragments point to is read when the archive is closed.
void add_array(zip_t* archive, const std::string& name,
               const std::array<zip_buffer_fragment_t, 2>& fragments, bool compressed,
               std::string_view where) {
  zip_source_t* source = zip_source_buffer_fragment(archive, fragments.data(), fragments.size(), 0);
  const std::string file = name + std::string(kEnding);
  const zip_int64_t index =
      source ? zip_file_add(archive, file.c_str(), source, ZIP_FL_ENC_UTF_8) : -1;
  if (index < 0) {
    zip_source_free(source);
    throw InvalidArgument("{}: {}: {}", where, name, zip_strerror(archive));
  }
  const auto at = static_cast<zip_uint64_t>(index);
  zip_set_file_compression(archive, at, compressed ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0);
  zip_file_set_dostime(archive, at, 0, (1 << 5) | 1, 0);  // 1980-01-01
}

}  // namespace

std::map<std::string, Tensor> load_npz(const std::string& path, LoadNpzOptions options) {
  const std::string where = "load_npz: " + path;
  FileReader(path, Compression::kNone, "load_npz");  // says why where that fails
  const internal::Archive archive = internal::open_zip(path, ZIP_RDONLY | ZIP_CHECKCONS, where);
  std::map<std::string, Tensor> arrays;
  uint64_t left = options.max_bytes;
  const zip_int64_t count = zip_get_num_entries(archive.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    const char* named = zip_get_name(archive.get(), static_cast<zip_uint64_t>(i), 0);
    std::string name = named ? named : "";
    const std::string here = fmt::format("{}: {}", where, name);
    if (!name.ends_with(kEnding))
      throw Unimplemented("{}: got a file that is no .npy; want arrays alone", here);
    name.resize(name.size() - kEnding.size());
    internal::Member member(archive.get(), static_cast<zip_uint64_t>(i), here);
    if (!arrays.emplace(name, read_array(member, left, here)).second)
      throw DataLoss("{}: got it twice; want it once", here);
  }
  return arrays;
}

void save_npz(const std::string& path, const std::map<std::string, Tensor>& arrays,
              SaveNpzOptions options) {
  const std::string where = "save_npz: " + path;
  if (arrays.empty()) throw InvalidArgument("{}: got no arrays; want one or more", where);
  std::vector<std::string> headers;
  for (const auto& [name, array] : arrays) {
    if (name.empty() || name.find_first_of(std::string_view("/\0", 2)) != name.npos)
      throw InvalidArgument("{}: got an array called \"{}\"; want a name without \"/\"", where,
                            name);
    headers.push_back(internal::npy_header(array, fmt::format("{}: {}", where, name)));
  }
  internal::Archive archive = internal::open_zip(path, ZIP_CREATE | ZIP_TRUNCATE, where);
  size_t i = 0;
  for (const auto& [name, array] : arrays) {
    std::string& header = headers[i++];
    const std::array<zip_buffer_fragment_t, 2> fragments{
        {{reinterpret_cast<zip_uint8_t*>(header.data()), header.size()},
         {static_cast<zip_uint8_t*>(const_cast<void*>(array.raw())), array.num_bytes()}}};
    add_array(archive.get(), name, fragments, options.compressed, where);
  }
  if (zip_close(archive.get()) != 0) {
    const bool no_folder = zip_error_code_system(zip_get_error(archive.get())) == ENOENT;
    throw Error(no_folder ? Code::kNotFound : Code::kResourceExhausted,
                fmt::format("{}: {}", where, zip_strerror(archive.get())));
  }
  static_cast<void>(archive.release());
}

}  // namespace cohort::data
