#include "cohort/distribute/split_ranks.h"

namespace cohort::distribute {

std::vector<int> ranks_of_color(Communicator& communicator, int color) {
  int32_t mine = color;
  std::vector<int32_t> all(static_cast<size_t>(communicator.size()));
  void* buffer = &mine;
  void* output = all.data();
  const auto request = communicator.prepare({.kind = CollectiveKind::kAllGather,
                                             .dtype = DType::kI32,
                                             .count = 1,
                                             .axis = communicator.axis(),
                                             .buffer = &buffer,
                                             .output = &output});
  request->start();
  request->wait();
  std::vector<int> members;
  for (size_t rank = 0; rank < all.size(); ++rank)
    if (all[rank] == mine) members.push_back(static_cast<int>(rank));
  return members;
}

}  // namespace cohort::distribute
