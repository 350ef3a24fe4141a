#include "cohort/nn/saving/save_job.h"

#include <fmt/format.h>

#include <chrono>

#include "cohort/checkpoint/data_file.h"
#include "cohort/checkpoint/step_directory.h"
#include "cohort/core/wire/protobuf.h"
#include "cohort/nn/saving/variable_value.h"

namespace cohort::nn::internal {
namespace {

uint64_t now_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

/// A file and the offsets in it, for the chief.
std::string serialize(const checkpoint::WrittenFile& file) {
  wire::Writer out;
  out.write_bytes(1, checkpoint::serialize(file.record));
  out.write_packed_uint(2, file.offsets);
  return out.take();
}

checkpoint::WrittenFile parse_written_file(std::string_view bytes) {
  checkpoint::WrittenFile file;
  wire::Reader in(bytes, "checkpoint files");
  while (in.next())
    if (in.field() == 1)
      file.record = checkpoint::parse_file_record(in.read_bytes(), "checkpoint files");
    else
      in.read_uints(file.offsets);
  return file;
}

}  // namespace

void SaveJob::take_values() {
  for (size_t i = 0; i < values.size(); ++i) {
    SavedValue& value = values[i];
    if (writers[i] != index) {
      value.value = {};
    } else if (const auto* of = value.value.target<VariableValue>(); of && !value.is_of_all()) {
      DepartingValue departing = depart(*of->state);
      value.value = [taken = departing.value] { return taken; };
      if (departing.departure) departures.push_back(std::move(departing.departure));
    } else {
      value.value = [taken = value.value()] { return taken; };
    }
    value.assign = {};
    value.is_of_all = {};
    value.optimizer.reset();
  }
}

void SaveJob::copy_values() {
  for (const auto& departure : departures) departure->finish();
  departures.clear();
}

std::string SaveJob::write_mine() const {
  std::vector<checkpoint::PieceSource> pieces;
  for (size_t i = 0; i < values.size(); ++i)
    if (writers[i] == index)
      pieces.push_back({.name = values[i].name,
                        .dtype = values[i].dtype,
                        .shape = values[i].shape.numbers(),
                        .begin = 0,
                        .end = values[i].shape.num_elements(),
                        .value = values[i].value});
  if (pieces.empty()) return "";
  const std::string name = fmt::format("data-{:05}-of-{:05}.safetensors", index + 1, count);
  return serialize(checkpoint::write_data_file(*storage, saving, name, pieces, {{"format", "pt"}}));
}

std::string SaveJob::commit(const std::vector<std::string>& files) const {
  checkpoint::Manifest manifest{.step = step,
                                .created_ms = now_ms(),
                                .metric = metric,
                                .trace_hash = trace_hash,
                                .facts = facts};
  std::vector<std::vector<uint64_t>> offsets(files.size());
  std::vector<uint32_t> number_of_file(files.size());
  for (size_t worker = 0; worker < files.size(); ++worker) {
    if (files[worker].empty()) continue;
    checkpoint::WrittenFile file = parse_written_file(files[worker]);
    number_of_file[worker] = static_cast<uint32_t>(manifest.files.size());
    manifest.files.push_back(std::move(file.record));
    offsets[worker] = std::move(file.offsets);
  }
  std::vector<size_t> next(files.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const auto worker = static_cast<size_t>(writers[i]);
    const int64_t elements = values[i].shape.num_elements();
    checkpoint::TensorRecord tensor{
        .name = values[i].name, .dtype = values[i].dtype, .shape = values[i].shape.numbers()};
    const uint64_t offset = offsets[worker].at(next[worker]++);
    if (elements > 0)
      tensor.pieces = {
          {.begin = 0, .end = elements, .file = number_of_file[worker], .offset = offset}};
    manifest.tensors.push_back(std::move(tensor));
  }
  lock->lock->check();
  return checkpoint::commit_save(*storage, directory, manifest);
}

/// Removes what the attempt left, as far as that goes.
void SaveJob::abandon() const {
  if (index != 0) return;
  try {
    lock->lock->check();
    checkpoint::abandon_save(*storage, saving);
  } catch (const Error&) {
    // The next save does it.
  }
}

}  // namespace cohort::nn::internal
