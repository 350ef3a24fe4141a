#include "cohort/core/symbol.h"

#include <algorithm>
#include <charconv>
#include <vector>

namespace cohort {
namespace {

/// The symbols of one product, sorted, repeated for powers.
using Factors = std::vector<std::string>;

/// Longer products first, then by name, the number last.
struct TermOrder {
  bool operator()(const Factors& a, const Factors& b) const {
    return a.size() != b.size() ? a.size() > b.size() : a < b;
  }
};
/// Coefficients by product; no coefficient is 0.
using Polynomial = std::map<Factors, int64_t, TermOrder>;

// Of one dimension: more is nobody's model, and would take memory without bounds.
constexpr size_t kMaxTerms = 1000;
constexpr size_t kMaxFactors = 64;

int64_t checked_product(int64_t a, int64_t b) {
  int64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product))
    throw InvalidArgument("dimension: got {} * {}; want less than 2^63", a, b);
  return product;
}

void accumulate(Polynomial& sum, const Factors& factors, int64_t coefficient) {
  if (coefficient == 0) return;
  if (factors.size() > kMaxFactors || sum.size() > kMaxTerms)
    throw InvalidArgument("dimension: got more than {} terms, or {} factors in one; want fewer",
                          kMaxTerms, kMaxFactors);
  int64_t& slot = sum[factors];
  if (__builtin_add_overflow(slot, coefficient, &slot))
    throw InvalidArgument("dimension: got a sum past 2^63; want less");
  if (slot == 0) sum.erase(factors);
}

/// One term without its sign: "2*N*T", "N", "3".
void parse_term(std::string_view text, int64_t sign, Polynomial& sum) {
  Factors factors;
  int64_t coefficient = sign;
  while (!text.empty()) {
    const size_t end = std::min(text.find('*'), text.size());
    const std::string_view factor = text.substr(0, end);
    int64_t number = 0;
    const auto parsed = std::from_chars(factor.data(), factor.data() + factor.size(), number);
    if (parsed.ec == std::errc() && parsed.ptr == factor.data() + factor.size())
      coefficient = checked_product(coefficient, number);
    else
      factors.emplace_back(factor);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  std::sort(factors.begin(), factors.end());
  accumulate(sum, factors, coefficient);
}

Polynomial parse(const Dim& dim) {
  Polynomial sum;
  if (!dim.is_symbol()) {
    accumulate(sum, {}, dim.number());
    return sum;
  }
  std::string_view text = dim.symbol();
  int64_t sign = 1;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of("+-", 0), text.size());
    if (end > 0) parse_term(text.substr(0, end), sign, sum);
    if (end < text.size()) sign = text[end] == '-' ? -1 : 1;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return sum;
}

std::string to_string(const Factors& factors, int64_t magnitude) {
  std::string text = magnitude != 1 || factors.empty() ? std::to_string(magnitude) : "";
  for (const std::string& factor : factors) text += (text.empty() ? "" : "*") + factor;
  return text;
}

Dim to_dim(const Polynomial& sum) {
  if (sum.empty()) return Dim(0);
  if (sum.size() == 1 && sum.begin()->first.empty()) return Dim(sum.begin()->second);
  std::string text;
  for (const auto& [factors, coefficient] : sum) {
    if (coefficient < 0) text += "-";
    if (coefficient > 0 && !text.empty()) text += "+";
    text += to_string(factors, coefficient < 0 ? -coefficient : coefficient);
  }
  return Dim(std::move(text));
}

/// One term over one term; none when symbols or numbers do not divide.
std::optional<Polynomial::value_type> divide_term(const Polynomial::value_type& a,
                                                  const Polynomial::value_type& b) {
  if (a.second % b.second != 0 ||
      !std::includes(a.first.begin(), a.first.end(), b.first.begin(), b.first.end()))
    return std::nullopt;
  Factors rest;
  std::set_difference(a.first.begin(), a.first.end(), b.first.begin(), b.first.end(),
                      std::back_inserter(rest));
  return Polynomial::value_type(rest, a.second / b.second);
}

Factors merge(const Factors& a, const Factors& b) {
  Factors product;
  std::merge(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(product));
  return product;
}

}  // namespace

Dim add(const Dim& a, const Dim& b) {
  Polynomial sum = parse(a);
  for (const auto& [factors, coefficient] : parse(b)) accumulate(sum, factors, coefficient);
  return to_dim(sum);
}

Dim subtract(const Dim& a, const Dim& b) {
  Polynomial sum = parse(a);
  for (const auto& [factors, coefficient] : parse(b)) accumulate(sum, factors, -coefficient);
  return to_dim(sum);
}

Dim multiply(const Dim& a, const Dim& b) {
  Polynomial product;
  for (const auto& [factors_a, coefficient_a] : parse(a))
    for (const auto& [factors_b, coefficient_b] : parse(b))
      accumulate(product, merge(factors_a, factors_b),
                 checked_product(coefficient_a, coefficient_b));
  return to_dim(product);
}

// Long division by the leading term: the order of terms is by degree first, so each step lowers
// what remains.
std::optional<Dim> divide(const Dim& a, const Dim& b) {
  Polynomial rest = parse(a);
  const Polynomial divisor = parse(b);
  if (divisor.empty()) return std::nullopt;
  Polynomial quotient;
  while (!rest.empty()) {
    const auto term = divide_term(*rest.begin(), *divisor.begin());
    if (!term) return std::nullopt;
    accumulate(quotient, term->first, term->second);
    for (const auto& [factors, coefficient] : divisor)
      accumulate(rest, merge(term->first, factors), checked_product(-term->second, coefficient));
  }
  return to_dim(quotient);
}

Dim num_elements(const Shape& shape) { return num_elements(shape, 0, shape.rank()); }

Dim num_elements(const Shape& shape, int begin, int end) {
  Dim product(1);
  for (int i = begin; i < end; ++i) product = multiply(product, shape[i]);
  return product;
}

Dim bind(const Dim& dim, const SymbolBindings& bindings) {
  if (!dim.is_symbol()) return dim;
  Polynomial sum;
  for (const auto& [factors, coefficient] : parse(dim)) {
    Factors unbound;
    int64_t value = coefficient;
    for (const std::string& factor : factors) {
      const auto it = bindings.find(factor);
      if (it == bindings.end())
        unbound.push_back(factor);
      else
        value = checked_product(value, it->second);
    }
    accumulate(sum, unbound, value);
  }
  if (sum.size() == 1 && sum.begin()->first.empty() && sum.begin()->second < 0)
    throw InvalidArgument("dimension {}: got {}; want 0 or more", dim, sum.begin()->second);
  return to_dim(sum);
}

Shape bind(const Shape& shape, const SymbolBindings& bindings) {
  std::vector<Dim> dims;
  for (const Dim& dim : shape.dims()) dims.push_back(bind(dim, bindings));
  return Shape(std::move(dims));
}

}  // namespace cohort
