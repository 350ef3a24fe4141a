#include "cohort/checkpoint/saved_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <map>
#include <thread>

#include "cohort/checkpoint/data_file.h"
#include "cohort/checkpoint/safetensors.h"
#include "cohort/checkpoint/step_directory.h"
#include "cohort/core/error.h"
#include "cohort/core/wire/crc32c.h"

namespace cohort::checkpoint {
namespace {

constexpr uint64_t kMaxManifestBytes = uint64_t{4} << 30;
constexpr size_t kBlocksPerThread = 16;  // for fewer, a thread costs more than it brings
constexpr size_t kMaxThreads = 8;

/// Calls work(i) for i < count on several threads; throws the error of the smallest i.
template <class Work>
void in_parallel(size_t count, Work&& work) {
  const size_t cores = std::max(1u, std::thread::hardware_concurrency());
  const size_t threads =
      std::min({kMaxThreads, cores, (count + kBlocksPerThread - 1) / kBlocksPerThread});
  std::atomic<size_t> next{0};
  std::mutex mutex;
  size_t first_failed = count;
  std::exception_ptr error;
  const auto run = [&] {
    std::vector<char> buffer(kBlockBytes);
    for (size_t i; (i = next++) < count;) try {
        work(i, buffer);
      } catch (...) {
        next = count;
        const std::lock_guard lock(mutex);
        if (i < first_failed) error = std::current_exception();
        first_failed = std::min(i, first_failed);
      }
  };
  {
    std::vector<std::jthread> others;
    for (size_t i = 1; i < threads; ++i) others.emplace_back(run);
    run();
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace

SavedState::SavedState(std::shared_ptr<Storage> storage, std::string directory)
    : storage_(std::move(storage)), directory_(std::move(directory)) {
  const std::string path = join_path(directory_, kManifestName);
  manifest_ = parse_manifest(read_file(*storage_, path, kMaxManifestBytes), path);
  for (const FileRecord& file : manifest_.files) {
    files_.push_back(storage_->open(join_path(directory_, file.name)));
    if (const uint64_t bytes = files_.back()->size(); bytes != file.bytes)
      throw DataLoss("{}: got {} bytes; want {}, as the manifest says",
                     join_path(directory_, file.name), bytes, file.bytes);
  }
  mapped_.resize(files_.size());
}

void SavedState::verify() const {
  std::vector<Block> blocks;
  for (uint32_t file = 0; file < manifest_.files.size(); ++file)
    for (uint64_t block = 0; block < manifest_.files[file].crcs.size(); ++block)
      blocks.push_back({file, block});
  verify(std::move(blocks));
}

void SavedState::verify(std::span<const ElementRange> ranges) const {
  std::vector<Block> blocks;
  for (const PlannedRead& read : ReshardPlan(manifest_).reads(ranges))
    for (uint64_t block = read.offset / kBlockBytes;
         block <= (read.offset + read.bytes - 1) / kBlockBytes; ++block)
      blocks.push_back({read.file, block});
  const auto key = [](const Block& block) { return std::pair(block.file, block.number); };
  std::sort(blocks.begin(), blocks.end(),
            [&](const Block& a, const Block& b) { return key(a) < key(b); });
  blocks.erase(std::unique(blocks.begin(), blocks.end(),
                           [&](const Block& a, const Block& b) { return key(a) == key(b); }),
               blocks.end());
  verify(std::move(blocks));
}

void SavedState::verify(std::vector<Block> blocks) const {
  in_parallel(blocks.size(),
              [&](size_t i, std::vector<char>& buffer) { verify(blocks[i], buffer); });
}

void SavedState::verify(const Block& block, std::vector<char>& buffer) const {
  const FileRecord& file = manifest_.files[block.file];
  const uint64_t begin = block.number * kBlockBytes;
  const uint64_t bytes = std::min(kBlockBytes, file.bytes - begin);
  files_[block.file]->read(begin, buffer.data(), bytes);
  const uint32_t got = wire::crc32c(buffer.data(), bytes), wanted = file.crcs[block.number];
  if (got != wanted)
    throw DataLoss("{}: bytes {} to {} ({}): got checksum {:08x}; want {:08x}",
                   join_path(directory_, file.name), begin, begin + bytes, tensor_in(block), got,
                   wanted);
}

std::string SavedState::tensor_in(const Block& block) const {
  const uint64_t begin = block.number * kBlockBytes, end = begin + kBlockBytes;
  const TensorRecord* first = nullptr;
  uint64_t first_offset = end;
  for (const TensorRecord& tensor : manifest_.tensors)
    for (const Piece& piece : tensor.pieces) {
      const uint64_t bytes = static_cast<uint64_t>(piece.end - piece.begin) * size_of(tensor.dtype);
      if (piece.file != block.file || piece.offset + bytes <= begin) continue;
      if (piece.offset < first_offset) {
        first = &tensor;
        first_offset = piece.offset;
      }
    }
  return first ? "from " + first->name + " on" : "no tensor";
}

void SavedState::verify_headers() const {
  std::vector<std::map<std::string, SafetensorsEntry>> entries(files_.size());
  for (size_t file = 0; file < files_.size(); ++file) {
    SafetensorsHeader header =
        read_safetensors_header(*files_[file], join_path(directory_, manifest_.files[file].name));
    for (SafetensorsEntry& entry : header.entries) {
      entry.begin += header.num_bytes;
      entries[file].emplace(entry.name, std::move(entry));
    }
  }
  for (const TensorRecord& tensor : manifest_.tensors)
    for (const Piece& piece : tensor.pieces) {
      const int64_t whole = tensor.num_elements(), size = piece.end - piece.begin;
      const std::string name = entry_name(tensor.name, piece.begin, piece.end, whole);
      const auto found = entries[piece.file].find(name);
      const std::vector<int64_t> shape = size == whole ? tensor.shape : std::vector{size};
      if (found == entries[piece.file].end() || found->second.begin != piece.offset ||
          found->second.dtype != tensor.dtype || found->second.shape != shape)
        throw DataLoss("{}: got no {} of {} at byte {}; want it there, as the manifest says",
                       join_path(directory_, manifest_.files[piece.file].name), name, tensor.dtype,
                       piece.offset);
    }
}

std::shared_ptr<char> SavedState::mapped(uint32_t file) const {
  const std::lock_guard lock(mutex_);
  if (!mapped_[file]) mapped_[file] = files_[file]->map();
  return mapped_[file];
}

Tensor SavedState::read(const TensorRecord& tensor) const {
  const auto number = static_cast<uint32_t>(&tensor - manifest_.tensors.data());
  return read({number, 0, tensor.num_elements()}, Shape(std::span(tensor.shape)));
}

Tensor SavedState::read(const ElementRange& range) const {
  return read(range, Shape{Dim(std::max<int64_t>(0, range.end - range.begin))});
}

Tensor SavedState::read(const ElementRange& range, Shape shape) const {
  const std::vector<PlannedRead> reads = ReshardPlan(manifest_).reads(std::span(&range, 1));
  const DType dtype = manifest_.tensors[range.tensor].dtype;
  if (reads.size() == 1 && reads[0].offset % kTensorAlignment == 0) {
    const std::shared_ptr<char> file = mapped(reads[0].file);
    auto storage = std::make_shared<cohort::Storage>(file.get() + reads[0].offset, reads[0].bytes,
                                                     [file](void*) {});
    return Tensor(dtype, std::move(shape), std::move(storage));
  }
  Tensor value(dtype, std::move(shape));
  for (const PlannedRead& part : reads)
    std::memcpy(static_cast<char*>(value.raw()) +
                    static_cast<size_t>(part.elements.begin - range.begin) * size_of(dtype),
                mapped(part.file).get() + part.offset, part.bytes);
  return value;
}

}  // namespace cohort::checkpoint
