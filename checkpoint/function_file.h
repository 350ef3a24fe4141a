#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cohort/checkpoint/load_function.h"
#include "cohort/core/graph/serialize.h"

namespace cohort::checkpoint {

inline constexpr std::string_view kFunctionsName = "functions";

/// A function as a file has it. Its variables are called as the tensors with their values.
struct StoredFunction {
  LoadedFunction::Description description;
  std::shared_ptr<Graph> graph;  ///< its placeholders are the inputs, in order
  std::vector<Value> results;
};

/// The bytes of file "functions", functions.proto: in ascending order of names. InvalidArgument
/// where two have one name, or what parse_functions() would refuse.
std::string serialize_functions(std::vector<StoredFunction> functions);

/// Reads them; `variables` is asked for each variable of each graph. Throws, beginning with
/// `where`, DataLoss on bytes that are no whole file of functions or do not hold, Unimplemented for
/// a later version, NotFound for an op that `ops` lacks, and what `variables` throws.
std::vector<StoredFunction> parse_functions(std::string_view bytes, std::string_view where,
                                            const OpRegistry& ops, const VariableSource& variables);

}  // namespace cohort::checkpoint
