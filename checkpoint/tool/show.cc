#include <fmt/chrono.h>
#include <fmt/format.h>

#include <iterator>

#include "cohort/checkpoint/newest.h"
#include "cohort/checkpoint/step_directory.h"
#include "cohort/checkpoint/tool/commands.h"
#include "cohort/core/error.h"

namespace cohort::checkpoint::tool {
namespace {

std::string facts_of(const SavedState& state) {
  const Manifest& manifest = state.manifest();
  std::string text;
  const auto add = [&](std::string_view name, const std::string& value) {
    fmt::format_to(std::back_inserter(text), "{:<12}{}\n", name, value);
  };
  add("checkpoint", state.directory());
  add("step", std::to_string(manifest.step));
  add("saved", fmt::format("{:%Y-%m-%d %H:%M:%S} UTC",
                           fmt::gmtime(static_cast<std::time_t>(manifest.created_ms / 1000))));
  if (manifest.metric) add("metric", fmt::format("{}", *manifest.metric));
  if (!manifest.trace_hash.empty()) add("trace", manifest.trace_hash);
  for (const auto& [name, value] : manifest.facts) add(name, value);
  add("tensors", fmt::format("{}, {} bytes", manifest.tensors.size(), manifest.num_bytes()));
  for (const FileRecord& file : manifest.files)
    add("file", fmt::format("{}, {} bytes", file.name, file.bytes));
  return text;
}

std::string line_of(const TensorRecord& tensor, const Manifest& manifest) {
  std::string text =
      fmt::format("{} {} [{}]", tensor.name, tensor.dtype, fmt::join(tensor.shape, ", "));
  for (const Piece& piece : tensor.pieces) {
    text += fmt::format(" {}+{}", manifest.files[piece.file].name, piece.offset);
    if (tensor.pieces.size() > 1) text += fmt::format("@{}:{}", piece.begin, piece.end);
  }
  return text + "\n";
}

}  // namespace

Outcome show(const std::shared_ptr<Storage>& storage, const std::string& path, bool tensors) {
  NewestFirst steps(storage, path);
  const auto state =
      is_step(*storage, path) ? std::make_unique<SavedState>(storage, path) : steps.next();
  Outcome outcome{steps.report(), steps.skipped().empty() ? 0 : 1};
  if (!state)
    throw NotFound("show: {}: got {}; want a directory with a checkpoint", path,
                   outcome.text.empty() ? "no checkpoint" : "\n" + outcome.text);
  outcome.text += facts_of(*state);
  if (tensors)
    for (const TensorRecord& tensor : state->manifest().tensors)
      outcome.text += line_of(tensor, state->manifest());
  return outcome;
}

Outcome verify(const std::shared_ptr<Storage>& storage, const std::string& path) {
  std::vector<std::string> paths;
  if (is_step(*storage, path)) {
    paths.push_back(path);
  } else {
    for (const uint64_t step : steps_in(*storage, path))
      paths.push_back(join_path(path, step_name(step)));
  }
  if (paths.empty())
    throw NotFound("verify: {}: got no checkpoint; want a directory with one", path);
  Outcome outcome;
  for (const std::string& step : paths) try {
      const SavedState state(storage, step);
      state.verify();
      state.verify_headers();
      outcome.text += fmt::format("{}: whole, {} tensors, {} bytes\n", step,
                                  state.manifest().tensors.size(), state.manifest().num_bytes());
    } catch (const Error& error) {
      outcome.text += fmt::format("{}: damaged: {}\n", step, error.what());
      outcome.status = 1;
    }
  return outcome;
}

}  // namespace cohort::checkpoint::tool
