#include "cohort/core/runtime/parameter_group.h"

#include <algorithm>

#include "cohort/core/device/device.h"

namespace cohort {
namespace {

int64_t rounded_up(int64_t count, int64_t to) { return (count + to - 1) / to * to; }

/// Where a segment of so many elements begins, with everything before `at` taken.
int64_t begin_of_segment(int64_t at, int64_t elements, DType dtype) {
  constexpr int64_t kLine = ParameterGroup::kLine;
  const int64_t begin = rounded_up(at, 64 / static_cast<int64_t>(size_of(dtype)));
  const bool fits = elements < kLine && begin % kLine + elements <= kLine;
  return fits ? begin : rounded_up(begin, kLine);
}

std::string name_of(const ParameterGroup::Variables& variables) {
  return variables.size() == 1
             ? variables.front()->name()
             : fmt::format("{} to {}", variables.front()->name(), variables.back()->name());
}

}  // namespace

ParameterGroup::ParameterGroup(const Variables& variables, const Mesh& mesh,
                               const std::string& axis)
    : name_(name_of(variables)),
      dtype_(variables.front()->dtype()),
      placement_(mesh, {{axis, Placement::Kind::kSharded, 0}}) {
  int64_t end = 0;
  for (const auto& variable : variables) {
    if (variable->dtype() != dtype_)
      throw InvalidArgument("parameter group: got {} of {} and {} of {}; want one dtype",
                            variables.front()->name(), dtype_, variable->name(), variable->dtype());
    const int64_t elements = variable->shape().num_elements();
    const int64_t begin = begin_of_segment(end, elements, dtype_);
    if (!segments_.empty()) segments_.back().padding = begin - end;
    segments_.push_back({variable, begin, elements, 0});
    end = begin + elements;
  }
  const MeshAxis* along = mesh.find(axis);
  num_elements_ = rounded_up(end, kLine * (along ? along->size : 1));
  segments_.back().padding = num_elements_ - end;
  placement_.check(name_, Shape{num_elements_});
}

bool ParameterGroup::lies_like(const ParameterGroup& other) const {
  return placement_ == other.placement_ && num_elements_ == other.num_elements_ &&
         std::equal(segments_.begin(), segments_.end(), other.segments_.begin(),
                    other.segments_.end(), [](const Segment& a, const Segment& b) {
                      return a.variable == b.variable && a.offset == b.offset;
                    });
}

std::shared_ptr<VariableState> ParameterGroup::slot(const Variables& of_each) {
  COHORT_CHECK(of_each.size() == segments_.size());
  std::shared_ptr<VariableState> whole = of_each.front()->part().whole;
  const bool is_new = !whole;
  if (is_new)
    whole = std::make_shared<VariableState>(
        of_each.front()->dtype(), Shape{num_elements_},
        [dtype = of_each.front()->dtype(), count = num_elements_] {
          return Tensor(dtype, Shape{count});
        },
        VariableOptions{.name = name_of(of_each), .trainable = false, .placement = placement_});
  for (size_t i = 0; i < of_each.size(); ++i) {
    const VariableState::Part part = of_each[i]->part();
    const bool fits = is_new ? !part.whole
                             : part.whole == whole && part.offset == segments_[i].offset &&
                                   whole->options().placement == placement_ &&
                                   whole->shape() == Shape{num_elements_};
    if (!fits || of_each[i]->shape() != segments_[i].variable->shape())
      throw FailedPrecondition(
          "variable {}: got it in a group with {}, {}; it is laid out in another already: want "
          "steps that update the same variables together",
          of_each[i]->name(), of_each.front()->name(), placement_.to_string());
  }
  for (size_t i = 0; is_new && i < of_each.size(); ++i)
    of_each[i]->become_part_of(whole, segments_[i].offset);
  if (std::find(slots_.begin(), slots_.end(), whole) == slots_.end()) slots_.push_back(whole);
  return whole;
}

void* ParameterGroup::address(const Block& block, const Segment& segment) const {
  return static_cast<char*>(*block.parameters()) +
         segment.offset * static_cast<int64_t>(size_of(dtype_));
}

bool ParameterGroup::is_in_place(const Block& block) const {
  return std::all_of(segments_.begin(), segments_.end(), [&](const Segment& segment) {
    return segment.variable->place(block.device()).data == address(block, segment);
  });
}

bool ParameterGroup::is_in_place() const {
  return std::all_of(blocks_.begin(), blocks_.end(),
                     [&](const auto& block) { return is_in_place(*block); });
}

void ParameterGroup::settle() {
  for (const auto& block : blocks_) block->settle();
}

/// Others may still read what it writes: all devices of this process have settled.
void ParameterGroup::fill(const std::shared_ptr<Block>& block) {
  if (is_in_place(*block)) return;
  block->settle_everywhere();
  for (const Segment& segment : segments_) {
    void* const there = address(*block, segment);
    if (segment.variable->place(block->device()).data != there)
      segment.variable->relocate(block->device(), there, block, block);
  }
}

std::shared_ptr<ParameterGroup::Block> ParameterGroup::place_on(Device& device,
                                                                Communicator& communicator) {
  settle();
  auto at = std::find_if(blocks_.begin(), blocks_.end(),
                         [&](const auto& block) { return &block->device() == &device; });
  if (at == blocks_.end() || !(*at)->is_of(communicator)) {
    const auto element = static_cast<int64_t>(size_of(dtype_));
    Block::Memory mine;
    mine.memory = communicator.allocate_bucket(static_cast<size_t>(num_elements_ * element));
    mine.parameters = mine.memory.get();
    mine.own =
        static_cast<char*>(mine.parameters) + communicator.rank() * local_elements() * element;
    const auto memories =
        blocks_.empty() ? std::make_shared<Block::Memories>() : blocks_.front()->memories();
    memories->push_back(std::make_shared<const Block::Memory>(std::move(mine)));
    auto made = std::make_shared<Block>(device, communicator, memories);
    if (at == blocks_.end())
      at = blocks_.insert(at, std::move(made));
    else
      *at = std::move(made);
  }
  fill(*at);
  return *at;
}

void ParameterGroup::put_in_place() {
  if (is_in_place()) return;
  settle();
  for (const auto& block : blocks_) fill(block);
}

ParameterGroup::Block::~Block() {
  try {
    settle();
  } catch (...) {  // nobody will read it
  }
}

void ParameterGroup::Block::publish(const std::shared_ptr<Communicator::Request>& gather) {
  settle();
  gather->start();
  gather_ = gather;
  pending_ = true;
}

void ParameterGroup::Block::finish() {
  gather_->wait();
  pending_ = false;
}

void ParameterGroup::Block::settle_everywhere() {
  settle();
  if (gather_) gather_->wait_for_others();
}

}  // namespace cohort
