#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "cohort/core/terminal.h"
#include "cohort/nn/internal/functional.h"
#include "cohort/nn/internal/text_table.h"
#include "cohort/nn/internal/trainer.h"

namespace cohort::nn {
namespace {

using internal::Align;
using internal::FunctionalImpl;
using Columns = std::vector<internal::TextTable::Column>;

std::string with_commas(int64_t number) {
  std::string digits = std::to_string(number);
  for (auto i = static_cast<int64_t>(digits.size()) - 3; i > 0; i -= 3)
    digits.insert(static_cast<size_t>(i), 1, ',');
  return digits;
}

std::string readable_bytes(double bytes) {
  static constexpr const char* kUnits[] = {"B", "KB", "MB", "GB", "TB", "PB"};
  size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < std::size(kUnits)) bytes /= 1024, ++unit;
  return fmt::format("{:.2f} {}", bytes, kUnits[unit]);
}

std::string shape_text(const Shape& shape) {
  std::string text;
  for (const Dim& dim : shape.dims())
    text += (text.empty() ? "" : ", ") + (dim.is_symbol() ? "None" : std::to_string(dim.number()));
  return "(" + text + (shape.rank() == 1 ? ",)" : ")");
}

std::string output_shapes(const LayerImpl& layer) {
  const std::vector<TensorType>& types = layer.output_types();
  if (types.empty()) return "?";
  if (types.size() == 1) return shape_text(types[0].shape);
  std::string text;
  for (const TensorType& type : types) text += (text.empty() ? "" : ", ") + shape_text(type.shape);
  return "[" + text + "]";
}

struct Size {
  int64_t count = 0;
  double bytes = 0;
};

Size size_of_all(const std::vector<Variable>& variables) {
  Size size;
  for (const Variable& variable : variables) {
    size.count += variable.shape().num_elements();
    size.bytes += static_cast<double>(variable.impl().num_bytes());
  }
  return size;
}

/// One summary.
class Summary {
 public:
  Summary(const Model& model, const SummaryOptions& options)
      : model_(model),
        options_(options),
        functional_(dynamic_cast<const FunctionalImpl*>(&model.impl())),
        connected_(functional_ && branches()) {}

  std::vector<std::string> lines() {
    int length = (connected_ ? 108 : 88) + (options_.show_trainable ? 12 : 0);
    length =
        options_.line_length.value_or(std::min(length, static_cast<int>(stdout_columns()) - 4));
    internal::TextTable table(columns(length), length);
    for (const Layer& layer : model_.layers()) add(table, layer, 0);
    std::vector<std::string> lines{"Model: \"" + model_.name() + "\""};
    for (std::string& line : table.lines()) lines.push_back(std::move(line));
    add_totals(lines);
    return lines;
  }

 private:
  /// Whether the layers form anything else than a row: several calls side by side, several inputs
  /// of one call, or a layer called twice.
  bool branches() const {
    std::vector<const LayerImpl*> seen;
    std::vector<const LayerCall*> used;
    for (const auto& call : functional_->calls()) {
      const LayerImpl* layer = call->layer.shared().get();
      if (call->inputs.size() > 1 || std::find(seen.begin(), seen.end(), layer) != seen.end())
        return true;
      seen.push_back(layer);
      for (const SymbolicTensor& input : call->inputs) {
        if (std::find(used.begin(), used.end(), &input.call()) != used.end()) return true;
        used.push_back(&input.call());
      }
    }
    return functional_->num_inputs() > 1;
  }

  Columns columns(int length) const {
    struct Part {
      const char* header;
      Align align;
      double end;
    };
    std::vector<Part> parts{{"Layer (type)", Align::kLeft, 0.45},
                            {"Output Shape", Align::kLeft, 0.80},
                            {"Param #", Align::kRight, 1.0}};
    if (connected_)
      parts = {{"Layer (type)", Align::kLeft, 0.3},
               {"Output Shape", Align::kLeft, 0.56},
               {"Param #", Align::kRight, 0.74},
               {"Connected to", Align::kLeft, 1.0}};
    if (options_.show_trainable) {
      for (Part& part : parts) part.end *= 0.90;
      parts.push_back({"Trainable", Align::kCenter, 1.0});
    }
    Columns columns;
    int begin = 0;
    for (const Part& part : parts) {
      const auto end = static_cast<int>(part.end * length);
      columns.push_back({part.header, part.align, end - begin});
      begin = end;
    }
    return columns;
  }

  std::string connections(const Layer& layer) const {
    std::string text;
    for (const auto& call : functional_->calls()) {
      if (!(call->layer == layer)) continue;
      for (const SymbolicTensor& input : call->inputs)
        text += fmt::format("{}{}[{}][{}]", text.empty() ? "" : ", ", input.layer().name(),
                            input.call().index, input.index());
    }
    return text.empty() ? "-" : text;
  }

  void add(internal::TextTable& table, const Layer& layer, size_t level) const {
    std::string prefix;
    for (size_t i = 0; i < level; ++i) prefix += "   ";
    if (level > 0) prefix += "└ ";
    std::vector<std::string> cells{
        fmt::format("{}{} ({})", prefix, layer.name(), layer.impl().type_name()),
        output_shapes(layer.impl()),
        layer.built() ? with_commas(layer.count_params()) : "0 (unbuilt)"};
    if (connected_) cells.push_back(connections(layer));
    if (options_.show_trainable)
      cells.push_back(layer.weights().empty() ? "-" : layer.trainable() ? "Y" : "N");
    table.add_row(std::move(cells));
    if (!options_.expand_nested || !dynamic_cast<const ModelImpl*>(&layer.impl())) return;
    const Model nested(std::static_pointer_cast<ModelImpl>(layer.shared()));
    for (const Layer& inner : nested.layers()) add(table, inner, level + 1);
  }

  void add_totals(std::vector<std::string>& lines) const {
    const Size trainable = size_of_all(model_.trainable_weights());
    const Size fixed = size_of_all(model_.non_trainable_weights());
    Size optimizer;
    bool optimizer_built = false;
    if (model_.model_impl().compiled()) {
      const Optimizer used = model_.optimizer();
      optimizer_built = used.defined() && used.impl().built();
      if (optimizer_built) optimizer = size_of_all(used.variables());
    }
    const auto line = [&](const char* what, int64_t count, double bytes) {
      lines.push_back(
          fmt::format(" {} params: {} ({})", what, with_commas(count), readable_bytes(bytes)));
    };
    line("Total", trainable.count + fixed.count + optimizer.count,
         trainable.bytes + fixed.bytes + optimizer.bytes);
    line("Trainable", trainable.count, trainable.bytes);
    line("Non-trainable", fixed.count, fixed.bytes);
    if (optimizer_built) line("Optimizer", optimizer.count, optimizer.bytes);
  }

  const Model& model_;
  const SummaryOptions& options_;
  const FunctionalImpl* functional_;
  bool connected_;
};

}  // namespace

std::string Model::summary_text(SummaryOptions options) const {
  std::string text;
  for (const std::string& line : Summary(*this, options).lines()) text += line + "\n";
  return text;
}

void Model::summary(SummaryOptions options) const {
  for (const std::string& line : Summary(*this, options).lines()) {
    if (options.print_fn)
      options.print_fn(line);
    else
      say(stdout, line + "\n");
  }
}

}  // namespace cohort::nn
