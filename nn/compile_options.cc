#include "cohort/nn/compile_options.h"

namespace cohort::nn {
namespace {

std::string join(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return list;
}

}  // namespace

template <class T>
PerOutput<T>::PerOutput() = default;
template <class T>
PerOutput<T>::PerOutput(const PerOutput&) = default;
template <class T>
PerOutput<T>::PerOutput(PerOutput&&) noexcept = default;
template <class T>
PerOutput<T>& PerOutput<T>::operator=(const PerOutput&) = default;
template <class T>
PerOutput<T>& PerOutput<T>::operator=(PerOutput&&) noexcept = default;
template <class T>
PerOutput<T>::~PerOutput() = default;

template <class T>
PerOutput<T>::PerOutput(ForAll, T value) : values_{std::move(value)} {}

template <class T>
PerOutput<T>::PerOutput(std::initializer_list<T> values) : values_(values), listed_(true) {}

template <class T>
PerOutput<T>::PerOutput(std::initializer_list<Entry> named) : listed_(true) {
  for (const Entry& entry : named) {
    names_.push_back(entry.first);
    values_.push_back(entry.second);
  }
}

template <class T>
PerOutput<T> PerOutput<T>::listed(std::vector<T> values, std::vector<std::string> names) {
  PerOutput made;
  made.values_ = std::move(values);
  made.names_ = std::move(names);
  made.listed_ = true;
  return made;
}

template <class T>
bool PerOutput<T>::empty() const {
  return values_.empty();
}

template <class T>
std::vector<T> PerOutput<T>::resolve(const std::vector<std::string>& outputs,
                                     std::string_view where, bool partial) const {
  if (!names_.empty()) return resolve_names(outputs, where, partial);
  if (!listed_) return std::vector<T>(outputs.size(), values_.front());
  if (values_.size() != outputs.size())
    throw InvalidArgument("{}: got {} entries for {} outputs; want one for each", where,
                          values_.size(), outputs.size());
  return values_;
}

template <class T>
std::vector<T> PerOutput<T>::resolve_names(const std::vector<std::string>& outputs,
                                           std::string_view where, bool partial) const {
  std::vector<T> found(outputs.size());
  std::vector<bool> given(outputs.size());
  for (size_t i = 0; i < names_.size(); ++i) {
    size_t at = 0;
    while (at < outputs.size() && outputs[at] != names_[i]) ++at;
    if (at == outputs.size())
      throw InvalidArgument("{}: got the name \"{}\"; want names of outputs ({})", where, names_[i],
                            join(outputs));
    found[at] = values_[i];
    given[at] = true;
  }
  for (size_t i = 0; i < outputs.size() && !partial; ++i)
    if (!given[i])
      throw InvalidArgument("{}: got nothing for output \"{}\"; want one for each", where,
                            outputs[i]);
  return found;
}

template class PerOutput<Loss>;
template class PerOutput<double>;

MetricSpec::MetricSpec(const char* name) : name_(name) {}
MetricSpec::MetricSpec(std::string name) : name_(std::move(name)) {}
MetricSpec::MetricSpec(Metric metric) : metric_(std::move(metric)) {}
MetricSpec::MetricSpec(const MetricSpec&) = default;
MetricSpec::MetricSpec(MetricSpec&&) noexcept = default;
MetricSpec& MetricSpec::operator=(const MetricSpec&) = default;
MetricSpec& MetricSpec::operator=(MetricSpec&&) noexcept = default;
MetricSpec::~MetricSpec() = default;

Metric MetricSpec::make(const Shape& y_true, const Shape& y_pred) const {
  return metric_.defined() ? metric_ : make_metric(name_, y_true, y_pred);
}

MetricSpecs::MetricSpecs(std::initializer_list<MetricSpec> list) : list_(list) {}
MetricSpecs::MetricSpecs(std::initializer_list<Entry> named) : named_(named) {}
MetricSpecs::MetricSpecs(List list) : list_(std::move(list)) {}
MetricSpecs MetricSpecs::of_outputs(std::vector<Entry> named) {
  MetricSpecs made;
  made.named_ = std::move(named);
  return made;
}
MetricSpecs::MetricSpecs() = default;
MetricSpecs::MetricSpecs(const MetricSpecs&) = default;
MetricSpecs::MetricSpecs(MetricSpecs&&) noexcept = default;
MetricSpecs& MetricSpecs::operator=(const MetricSpecs&) = default;
MetricSpecs& MetricSpecs::operator=(MetricSpecs&&) noexcept = default;
MetricSpecs::~MetricSpecs() = default;

}  // namespace cohort::nn
