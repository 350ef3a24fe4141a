// Our side of keras_models.py:
//   keras_models FILE DATA STEPS RESULT SAVED
// loads the model FILE (.keras), predicts from DATA (.npz: x0, x1, …, y0, y1, …), trains so many
// steps on it, predicts again, writes both predictions (before0, …, after0, …) to RESULT and the
// model to SAVED.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "cohort/cohort.h"
#include "cohort/data/npz.h"
#include "cohort/nn/saving/saved_model.h"

namespace nn = cohort::nn;
using Arrays = std::map<std::string, cohort::Tensor>;

namespace {

std::vector<cohort::Tensor> numbered(const Arrays& arrays, const std::string& name) {
  std::vector<cohort::Tensor> found;
  for (auto at = arrays.find(name + "0"); at != arrays.end();
       at = arrays.find(name + std::to_string(found.size())))
    found.push_back(at->second);
  return found;
}

void predict(const nn::Model& model, const std::vector<cohort::Tensor>& x, const std::string& name,
             Arrays& result) {
  const std::vector<cohort::Tensor> y = model.predict_all(x, {.verbose = 0});
  for (size_t i = 0; i < y.size(); ++i) result[name + std::to_string(i)] = y[i];
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 6) return 2;
  const nn::Model model = nn::load_model(argv[1]);
  const Arrays data = cohort::data::load_npz(argv[2]);
  const std::vector<cohort::Tensor> x = numbered(data, "x"), y = numbered(data, "y");
  Arrays result;
  predict(model, x, "before", result);
  for (int step = 0; step < std::atoi(argv[3]); ++step) model.train_on_batch(x, y);
  predict(model, x, "after", result);
  cohort::data::save_npz(argv[4], result);
  model.save(argv[5]);
} catch (const cohort::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
