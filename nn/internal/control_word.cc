#include "cohort/nn/internal/control_word.h"

#include "cohort/core/wire/protobuf.h"

namespace cohort::nn::internal {
namespace {

constexpr int kControlOutput = 0;

std::string serialize(const Wishes& wishes) {
  wire::Writer out;
  out.write_uint(1, wishes.stop ? 1 : 0);
  if (wishes.learning_rate) out.write_double(2, *wishes.learning_rate);
  out.write_uint(3, static_cast<uint64_t>(wishes.signal));
  return out.take();
}

Wishes parse_wishes(std::string_view bytes) {
  Wishes wishes;
  wire::Reader in(bytes, "wishes");
  while (in.next())
    if (in.field() == 1)
      wishes.stop = in.read_uint() != 0;
    else if (in.field() == 2)
      wishes.learning_rate = in.read_double();
    else
      wishes.signal = static_cast<int>(in.read_uint());
  return wishes;
}

/// Of all workers.
Wishes together(distribute::Workers& workers, const Wishes& mine) {
  const std::vector<std::string> all = workers.all_gather("wishes", serialize(mine));
  Wishes together;
  for (const std::string& bytes : all) {
    const Wishes one = parse_wishes(bytes);
    together.stop |= one.stop;
    if (together.signal == 0) together.signal = one.signal;
  }
  together.learning_rate = parse_wishes(all.front()).learning_rate;
  return together;
}

}  // namespace

ControlWord::ControlWord(ModelImpl& model, Trainer& trainer, distribute::StepRunner& step,
                         const CallbackList& callbacks)
    : model_(model),
      workers_(model.strategy().workers()),
      trainer_(trainer),
      optimizer_(trainer.options().optimizer),
      step_(step),
      callbacks_(callbacks),
      is_alone_(workers_.count() == 1),
      defers_(!is_alone_ && workers_.any("callbacks", !callbacks.same_on_all_workers())),
      watches_(!is_alone_ && workers_.any("signals", callbacks.watch_signals())) {}

/// Absent where a schedule gives it, the same to all.
std::optional<double> ControlWord::rate() const {
  if (optimizer_->options().learning_rate.is_scheduled()) return {};
  return optimizer_.learning_rate();
}

void ControlWord::begin_epoch() {
  if (defers_) exchange();
  if (restored_.stop) model_.stop_training = true;
  wished_rate_ = restored_.learning_rate;
  restored_ = {};
}

void ControlWord::hold() {
  if (!defers_ || !agreed_rate_) return;
  const std::optional<double> now = rate();
  if (now == agreed_rate_) return;
  if (workers_.is_chief()) wished_rate_ = now;
  optimizer_.set_learning_rate(*agreed_rate_);
}

void ControlWord::tell() {
  if (!defers_ && !watches_) return;
  hold();
  const bool wishes = defers_ && (model_.stop_training || wished_rate_);
  trainer_.set_control(wishes || callbacks_.signal() != 0);
}

void ControlWord::listen() {
  if (!defers_ && wished_rate_) {
    optimizer_.set_learning_rate(*wished_rate_);
    wished_rate_.reset();
  }
  if (!defers_ && !watches_) return;
  if (step_.output(0, kControlOutput).item<float>() != 0) exchange();
}

void ControlWord::exchange() {
  if (is_alone_) return;
  hold();
  const std::optional<double> mine = wished_rate_ ? wished_rate_ : rate();
  const Wishes all = together(
      workers_,
      {.stop = model_.stop_training, .learning_rate = mine, .signal = callbacks_.signal()});
  model_.stop_training = stops_ = all.stop;
  signal_ = all.signal;
  agreed_rate_ = all.learning_rate;
  wished_rate_.reset();
  if (agreed_rate_ && agreed_rate_ != rate()) optimizer_.set_learning_rate(*agreed_rate_);
}

Wishes ControlWord::pending() {
  if (!defers_) return {.stop = false, .learning_rate = wished_rate_};
  hold();
  Wishes wishes = together(workers_, {.stop = model_.stop_training, .learning_rate = wished_rate_});
  wishes.stop = wishes.stop && !stops_;
  return wishes;
}

}  // namespace cohort::nn::internal
