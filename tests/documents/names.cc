// Prints what can be given by name, as the library's own errors list it: "loss: mse, ...".
#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>

#include "cohort/cohort.h"

namespace nn = cohort::nn;

namespace {

// The names in the error that `use` throws for a name that nothing has.
void print(const char* kind, const std::function<void(const char*)>& use) {
  try {
    use("no such name");
  } catch (const cohort::Error& error) {
    const std::string text = error.what();
    const std::string before = "want one of ";
    const size_t at = text.find(before);
    if (at == std::string::npos) throw std::logic_error(std::string(kind) + ": got " + text);
    std::string names = text.substr(at + before.size());
    std::printf("%s: %s\n", kind, names.substr(0, names.find('\n')).c_str());
    return;
  }
  throw std::logic_error(std::string(kind) + ": takes every name");
}

}  // namespace

int main() {
  print("activation", [](const char* name) { nn::ActivationFunction{name}; });
  print("initializer", [](const char* name) { nn::Initializer{name}; });
  print("regularizer", [](const char* name) { nn::Regularizer{name}; });
  print("constraint", [](const char* name) { nn::Constraint{name}; });
  print("loss", [](const char* name) { nn::Loss{name}; });
  print("metric", [](const char* name) { nn::make_metric(name, {8, 1}, {8, 1}); });
  print("optimizer", [](const char* name) { nn::Optimizer{name}; });
}
