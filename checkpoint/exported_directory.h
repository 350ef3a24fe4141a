#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cohort/checkpoint/data_file.h"
#include "cohort/checkpoint/function_file.h"

/// A directory with functions and their weights, which needs no program's classes. It has the files
/// of a checkpoint's step (step_directory.h), "manifest" and "model.safetensors", and "functions".
namespace cohort::checkpoint {

/// Writes one, beside its place, synced, and gives it its name by one rename: a crash leaves it
/// whole or what was there before. `weights` are all variables of the functions. Where one is there
/// already, it is replaced if `overwrite` and AlreadyExists if not; FailedPrecondition where what
/// is there is not a directory with such files alone.
void write_functions(const std::string& directory, std::vector<StoredFunction> functions,
                     const std::vector<PieceSource>& weights, bool overwrite);

/// Reads one; load_functions() says what it throws.
std::vector<StoredFunction> read_functions(const std::string& directory, const OpRegistry& ops);

}  // namespace cohort::checkpoint
