// Another process than the one that exported: it knows no layer and no model.
//   serving_program DIRECTORY FUNCTION INPUTS OUTPUTS
// runs the function on the tensors of file INPUTS (serialize_tensors), once for each line of as
// many tensors as it has inputs, and writes all that it gives to OUTPUTS.
#include <cstdio>
#include <fstream>
#include <iterator>

#include "cohort/checkpoint/load_function.h"
#include "cohort/core/error.h"
#include "cohort/core/graph/serialize.h"

int main(int argc, char** argv) try {
  if (argc != 5) return 2;
  const cohort::LoadedFunction function = cohort::load_function(argv[1], argv[2]);
  std::ifstream in(argv[3], std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  const std::vector<cohort::Tensor> tensors = cohort::deserialize_tensors(bytes, argv[3]);
  const size_t count = function.inputs().size();
  std::vector<cohort::Tensor> results;
  for (size_t i = 0; i + count <= tensors.size(); i += count)
    for (cohort::Tensor& result : function(std::span(tensors).subspan(i, count)))
      results.push_back(std::move(result));
  std::ofstream(argv[4], std::ios::binary) << cohort::serialize_tensors(results);
  return 0;
} catch (const cohort::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
