#include "cohort/nn/learning_rate_schedules.h"

#include <algorithm>
#include <numbers>

#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/runtime/function.h"

namespace cohort::nn {

double LearningRateSchedule::at(int64_t step) const {
  const LearningRateSchedule self = *this;
  const Function rate = function([self](Value s) { return self(s); }, "learning_rate");
  return rate(Tensor::scalar<int64_t>(step)).front().item<double>();
}

namespace schedules {
namespace {

Value f32(Value step) { return ops::cast(step, DType::kF32); }
Value number(double value, Value like) { return ops::scalar(value, like.dtype()); }

void check_rate(std::string_view where, std::string_view what, double rate) {
  if (!(rate >= 0)) throw InvalidArgument("{}: got {} {}; want 0 or more", where, what, rate);
}

void check(std::string_view where, double initial_learning_rate, double decay_steps) {
  check_rate(where, "initial_learning_rate", initial_learning_rate);
  if (!(decay_steps > 0))
    throw InvalidArgument("{}: got decay_steps {}; want more than 0", where, decay_steps);
}

Value periods(Value step, double decay_steps, bool staircase) {
  const Value p = f32(step) / decay_steps;
  return staircase ? ops::floor(p) : p;
}

class ExponentialDecayImpl : public LearningRateScheduleImpl {
 public:
  explicit ExponentialDecayImpl(const ExponentialDecay& o) : o_(o) {
    check("ExponentialDecay", o.initial_learning_rate, o.decay_steps);
    check_rate("ExponentialDecay", "decay_rate", o.decay_rate);
  }
  Value rate(Value step) const override {
    const Value p = periods(step, o_.decay_steps, o_.staircase);
    return ops::pow(number(o_.decay_rate, p), p) * o_.initial_learning_rate;
  }

 private:
  ExponentialDecay o_;
};

class PiecewiseConstantDecayImpl : public LearningRateScheduleImpl {
 public:
  explicit PiecewiseConstantDecayImpl(PiecewiseConstantDecay o) : o_(std::move(o)) {
    if (o_.boundaries.empty() || o_.boundaries.size() + 1 != o_.values.size())
      throw InvalidArgument(
          "PiecewiseConstantDecay: got {} boundaries and {} values; want one boundary or more and "
          "one value more than boundaries",
          o_.boundaries.size(), o_.values.size());
    if (std::adjacent_find(o_.boundaries.begin(), o_.boundaries.end(), std::greater_equal<>()) !=
        o_.boundaries.end())
      throw InvalidArgument(
          "PiecewiseConstantDecay: got boundaries that do not grow; want growing");
    for (const double value : o_.values) check_rate("PiecewiseConstantDecay", "value", value);
  }
  Value rate(Value step) const override {
    Value rate = ops::scalar(o_.values.back(), DType::kF32);
    for (size_t i = o_.boundaries.size(); i-- > 0;)
      rate = ops::where(ops::less_equal(step, number(static_cast<double>(o_.boundaries[i]), step)),
                        ops::scalar(o_.values[i], DType::kF32), rate);
    return rate;
  }

 private:
  PiecewiseConstantDecay o_;
};

class PolynomialDecayImpl : public LearningRateScheduleImpl {
 public:
  explicit PolynomialDecayImpl(const PolynomialDecay& o) : o_(o) {
    check("PolynomialDecay", o.initial_learning_rate, o.decay_steps);
    check_rate("PolynomialDecay", "end_learning_rate", o.end_learning_rate);
  }
  Value rate(Value step) const override {
    Value now = f32(step), all = number(o_.decay_steps, now);
    if (o_.cycle) {
      const Value cycles = ops::where(ops::equal(now, number(0, now)), number(1, now),
                                      ops::ceil(now / o_.decay_steps));
      all = all * cycles;
    } else {
      now = ops::minimum(now, all);
    }
    const Value left = ops::pow(1.0 - now / all, number(o_.power, now));
    return left * (o_.initial_learning_rate - o_.end_learning_rate) + o_.end_learning_rate;
  }

 private:
  PolynomialDecay o_;
};

class InverseTimeDecayImpl : public LearningRateScheduleImpl {
 public:
  explicit InverseTimeDecayImpl(const InverseTimeDecay& o) : o_(o) {
    check("InverseTimeDecay", o.initial_learning_rate, o.decay_steps);
    check_rate("InverseTimeDecay", "decay_rate", o.decay_rate);
  }
  Value rate(Value step) const override {
    const Value p = periods(step, o_.decay_steps, o_.staircase);
    return o_.initial_learning_rate / (p * o_.decay_rate + 1.0);
  }

 private:
  InverseTimeDecay o_;
};

class CosineDecayImpl : public LearningRateScheduleImpl {
 public:
  explicit CosineDecayImpl(const CosineDecay& o) : o_(o) {
    check("CosineDecay", o.initial_learning_rate, o.decay_steps);
    if (o.warmup_target) check_rate("CosineDecay", "warmup_target", *o.warmup_target);
    if (o.warmup_steps < 0 || (o.warmup_steps > 0 && !o.warmup_target))
      throw InvalidArgument(
          "CosineDecay: got warmup_steps {}; want 0 or more, and a warmup_target beside them",
          o.warmup_steps);
  }
  Value rate(Value step) const override {
    const Value now = f32(step);
    if (!o_.warmup_target) return cosine(now, o_.initial_learning_rate);
    const auto warmup = static_cast<double>(o_.warmup_steps);
    const Value decayed = cosine(now - warmup, *o_.warmup_target);
    if (o_.warmup_steps == 0) return decayed;
    const Value line =
        now / warmup * (*o_.warmup_target - o_.initial_learning_rate) + o_.initial_learning_rate;
    return ops::where(ops::less(now, number(warmup, now)), line, decayed);
  }

 private:
  Value cosine(Value now, double from) const {
    const Value done = ops::minimum(now, number(o_.decay_steps, now)) / o_.decay_steps;
    const Value cosine = (ops::cos(done * std::numbers::pi) + 1.0) * 0.5;
    return (cosine * (1 - o_.alpha) + o_.alpha) * from;
  }

  CosineDecay o_;
};

}  // namespace

ExponentialDecay::operator LearningRateSchedule() const {
  return make<ExponentialDecayImpl>(*this);
}
PiecewiseConstantDecay::operator LearningRateSchedule() const {
  return make<PiecewiseConstantDecayImpl>(*this);
}
PolynomialDecay::operator LearningRateSchedule() const { return make<PolynomialDecayImpl>(*this); }
InverseTimeDecay::operator LearningRateSchedule() const {
  return make<InverseTimeDecayImpl>(*this);
}
CosineDecay::operator LearningRateSchedule() const { return make<CosineDecayImpl>(*this); }

}  // namespace schedules
}  // namespace cohort::nn
