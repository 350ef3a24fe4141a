// Our options beside the arguments of Keras' classes (tests/golden/keras_signatures.txt).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "cohort/cohort.h"
#include "cohort/nn/saving/keras_classes.h"

namespace cohort::nn {
namespace {

struct Argument {
  std::string name, value;  ///< value: the default as Python writes it; "": none
};
using Signatures = std::map<std::string, std::vector<Argument>>;

/// At commas outside of brackets and quotes.
std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts{""};
  int depth = 0;
  bool quoted = false;
  for (const char c : list) {
    if (c == '\'') quoted = !quoted;
    if (!quoted && (c == '(' || c == '[')) ++depth;
    if (!quoted && (c == ')' || c == ']')) --depth;
    if (c == ',' && depth == 0 && !quoted)
      parts.emplace_back();
    else if (c != ' ' || quoted)
      parts.back() += c;
  }
  return parts;
}

Signatures read_signatures() {
  std::ifstream file(COHORT_SOURCE_DIR "/tests/golden/keras_signatures.txt");
  Signatures signatures;
  for (std::string line; std::getline(file, line);) {
    const size_t open = line.find('(');
    if (line.empty() || line[0] == '#' || open == line.npos) continue;
    std::vector<Argument>& arguments = signatures[line.substr(0, open)];
    for (const std::string& each : split(line.substr(open + 1, line.size() - open - 2))) {
      if (each.empty() || each[0] == '*') continue;
      const size_t equals = each.find('=');
      arguments.push_back(
          {each.substr(0, equals), equals == each.npos ? "" : each.substr(equals + 1)});
    }
  }
  return signatures;
}

/// What Keras has and Cohort lacks, or has at one value for good.
const std::map<std::string, std::vector<std::string>>& lacking() {
  static const std::map<std::string, std::vector<std::string>> table{
      {"Dense", {"lora_rank", "lora_alpha", "quantization_config"}},
      {"Embedding", {"weights", "lora_rank", "lora_alpha", "quantization_config"}},
      {"BatchNormalization", {"renorm", "renorm_clipping", "renorm_momentum"}},
      {"Conv2D", {"data_format"}},
      {"MaxPooling2D", {"data_format"}},
      {"AveragePooling2D", {"data_format"}},
      {"GlobalMaxPooling2D", {"data_format"}},
      {"GlobalAveragePooling2D", {"data_format"}},
      {"Flatten", {"data_format"}},
      {"Dropout", {"noise_shape"}},
      {"BinaryCrossentropy", {"axis"}},
      {"CategoricalCrossentropy", {"axis"}},
      {"SparseCategoricalCrossentropy", {"axis"}},
  };
  return table;
}
/// Every layer's, of which Keras' signatures say **kwargs; and arguments that no class has here.
const std::vector<std::string> kOfAllLayers{"trainable", "dtype", "name", "activity_regularizer"};
const std::vector<std::string> kOfNone{"dtype", "input_axes", "output_axes"};

bool contains(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

TEST(SignaturesTest, FieldsAreTheArgumentsOfKerasClassesInTheirOrder) {
  const Signatures signatures = read_signatures();
  for (const internal::SavedClass& known : internal::keras_classes()) {
    const std::string name = known.module + "." + known.name;
    SCOPED_TRACE(name);
    ASSERT_TRUE(signatures.contains(name));
    const bool is_layer = known.module == "keras.layers";
    const auto lacks = lacking().find(known.name);
    std::vector<std::string> theirs, ours;
    for (const Argument& argument : signatures.at(name)) {
      const bool left_out =
          (lacks != lacking().end() && contains(lacks->second, argument.name)) ||
          (is_layer && contains(kOfAllLayers, argument.name)) || contains(kOfNone, argument.name) ||
          (known.module == "keras.optimizers.schedules" && argument.name == "name");
      if (!left_out) theirs.push_back(argument.name);
    }
    for (const std::string_view field : known.fields)
      if (const std::string each(field);
          !internal::is_of_cohort_alone(field) && (!is_layer || !contains(kOfAllLayers, each)))
        ours.push_back(each);
    // Of a LossScaleOptimizer the inner one has what all optimizers have.
    if (known.name == "LossScaleOptimizer")
      std::erase_if(theirs, [&](const std::string& each) { return !contains(ours, each); });
    EXPECT_THAT(ours, ::testing::ElementsAreArray(theirs));
  }
}

}  // namespace
}  // namespace cohort::nn
