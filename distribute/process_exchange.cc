#include "cohort/distribute/process_exchange.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace cohort::distribute {

ProcessExchange::Gather::Gather(Communicator& communicator, size_t bytes)
    : mine(bytes),
      all(bytes * static_cast<size_t>(communicator.size())),
      mine_slot(mine.data()),
      all_slot(all.data()),
      request(communicator.prepare({.kind = CollectiveKind::kAllGather,
                                    .dtype = DType::kU8,
                                    .count = static_cast<int64_t>(bytes),
                                    .buffer = &mine_slot,
                                    .output = &all_slot})) {}

void ProcessExchange::Gather::run() {
  request->start();
  request->wait();
}

ProcessExchange::ProcessExchange(std::unique_ptr<Communicator> communicator)
    : communicator_(std::move(communicator)), headers_(*communicator_, sizeof(Header)) {}

const ProcessExchange::Header& ProcessExchange::header(int rank) const {
  return reinterpret_cast<const Header*>(headers_.all.data())[rank];
}

void ProcessExchange::check_labels() const {
  const std::string_view first(header(0).label, Header::kLabel);
  for (int rank = 1; rank < communicator_->size(); ++rank) {
    if (std::string_view(header(rank).label, Header::kLabel) == first) continue;
    throw FailedPrecondition(
        "processes: got {} about to exchange \"{}\" while process 0 is at \"{}\"; want the same "
        "program on every process",
        rank, header(rank).label, header(0).label);
  }
}

std::vector<std::string> ProcessExchange::all_gather(std::string_view label,
                                                     std::string_view mine) {
  Header own{};
  own.bytes = mine.size();
  label.copy(own.label, Header::kLabel - 1);
  mine.copy(own.contents, Header::kInline);
  std::memcpy(headers_.mine.data(), &own, sizeof own);
  headers_.run();
  check_labels();

  size_t largest = 0;
  for (int rank = 0; rank < size(); ++rank) largest = std::max<size_t>(largest, header(rank).bytes);
  const bool fits = largest <= Header::kInline;
  if (!fits) {
    // Every process knows the sizes of all, so all of them prepare a larger gather together.
    if (!contents_ || contents_->mine.size() < largest)
      contents_ = std::make_unique<Gather>(*communicator_, std::bit_ceil(largest));
    std::memcpy(contents_->mine.data(), mine.data(), mine.size());
    contents_->run();
  }
  std::vector<std::string> all;
  for (int rank = 0; rank < size(); ++rank) {
    const char* from =
        fits ? header(rank).contents
             : contents_->all.data() + static_cast<size_t>(rank) * contents_->mine.size();
    all.emplace_back(from, header(rank).bytes);
  }
  return all;
}

void ProcessExchange::broadcast(std::string_view label, void* data, size_t bytes) {
  constexpr size_t kPiece = size_t{1} << 20;
  auto* at = static_cast<char*>(data);
  for (size_t done = 0; done < bytes; done += kPiece) {
    const size_t piece = std::min(kPiece, bytes - done);
    const bool sends = rank() == 0;
    const auto all = all_gather(label, std::string_view(at + done, sends ? piece : 0));
    if (all.front().size() != piece)
      throw Internal("processes: {}: got {} bytes of process 0; want {}", label, all.front().size(),
                     piece);
    if (!sends) std::memcpy(at + done, all.front().data(), piece);
  }
}

}  // namespace cohort::distribute
