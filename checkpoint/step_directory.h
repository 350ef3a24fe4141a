#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cohort/checkpoint/manifest.h"
#include "cohort/checkpoint/storage.h"

/// A directory of checkpoints has one directory for each step, "step-000000000120". One that is
/// being written or removed is called otherwise: "….saving", "….removing". So what has a step's
/// name was whole when it got the name, whenever a program or the machine stops.
namespace cohort::checkpoint {

inline constexpr std::string_view kManifestName = "manifest";
/// Where other programs look for the file of each tensor; there when every tensor is in one piece.
inline constexpr std::string_view kIndexName = "model.safetensors.index.json";

std::string step_name(uint64_t step);
/// The inverse of step_name.
std::optional<uint64_t> parse_step_name(std::string_view name);
/// Those that a directory has, ascending; none where there is no such directory.
std::vector<uint64_t> steps_in(Storage& storage, const std::string& directory);

/// Makes a directory and those around it that lack, each synced into the one that holds it.
void make_directories(Storage& storage, const std::string& path);

/// Where the files of a step are until it has its name.
std::string saving_path(const std::string& directory, uint64_t step);
/// Makes the place where a step's files are written, and removes what is left of saves and removals
/// that were interrupted. For the only one that writes (DirectoryLock). AlreadyExists where the
/// step is there.
std::string begin_save(Storage& storage, const std::string& directory, uint64_t step);
/// Removes what begin_save made and what is in it.
void abandon_save(Storage& storage, const std::string& saving);
/// Writes index and manifest and gives the step its name; the files must be synced. Afterwards the
/// step survives a crash of the machine. Returns its path.
std::string commit_save(Storage& storage, const std::string& directory, const Manifest& manifest);
void remove_step(Storage& storage, const std::string& directory, uint64_t step);

/// The index's text, or nothing where a tensor is in several pieces.
std::optional<std::string> safetensors_index(const Manifest& manifest);

}  // namespace cohort::checkpoint
