#include "cohort/distribute/job_devices.h"

#include <algorithm>
#include <map>

namespace cohort::distribute {
namespace {

bool divides_with(const WorkerDevices& a, const WorkerDevices& b) {
  return !a.named && !b.named && !a.identities.empty() && a.identities == b.identities;
}

void check_types(std::string_view strategy, const std::vector<WorkerDevices>& workers,
                 const std::vector<std::string>& names) {
  for (size_t w = 1; w < workers.size(); ++w)
    if (workers[w].type != workers[0].type)
      throw InvalidArgument("{}: got devices of type {} on {} and {} on {}; want one type",
                            strategy, workers[0].type, names[0], workers[w].type, names[w]);
}

/// The part of worker `self` among those that divide its devices with it.
DeviceRange share_of(std::string_view strategy, const std::vector<WorkerDevices>& workers,
                     size_t self, const std::vector<std::string>& names) {
  const size_t here = workers[self].identities.size();
  if (workers[self].named || here == 0) return {0, here};
  size_t sharing = 0, place = 0;
  std::string who;
  for (size_t w = 0; w < workers.size(); ++w) {
    if (w != self && !divides_with(workers[self], workers[w])) continue;
    if (w < self) ++place;
    ++sharing;
    who += (who.empty() ? "" : ", ") + names[w];
  }
  if (here < sharing)
    throw InvalidArgument(
        "{}: got {} {} for {} workers that see the same ({}); want at least one for each: start "
        "fewer workers on this host",
        strategy, here, workers[self].type, sharing, who);
  const size_t each = here / sharing;
  return {place * each, (place + 1) * each};
}

void check_distinct(std::string_view strategy, const std::vector<WorkerDevices>& workers,
                    const std::vector<DeviceRange>& ranges, const std::vector<std::string>& names) {
  std::map<std::string, size_t> user;
  for (size_t w = 0; w < workers.size(); ++w)
    for (size_t d = ranges[w].begin; d < ranges[w].end; ++d) {
      const auto [it, first] = user.emplace(workers[w].identities[d], w);
      if (first) continue;
      if (it->second == w)
        throw InvalidArgument(
            "{}: got several logical devices of the {} {} on {}; want one device for each card in "
            "a job of several workers",
            strategy, workers[w].type, it->first, names[w]);
      throw InvalidArgument(
          "{}: got {} {} on {} and on {}; want one for each worker: name others, or let each "
          "worker see its own",
          strategy, workers[w].type, it->first, names[it->second], names[w]);
    }
}

}  // namespace

std::string WorkerDevices::to_text() const {
  std::string text = type + (named ? "\nnamed" : "\nall");
  for (const std::string& identity : identities) text += "\n" + identity;
  return text;
}

WorkerDevices WorkerDevices::from_text(std::string_view text) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  if (lines.size() < 2) throw Internal("devices of a worker: got \"{}\"; want two lines", text);
  return {lines[0], lines[1] == "named", {lines.begin() + 2, lines.end()}};
}

std::vector<DeviceRange> assign_devices(std::string_view strategy,
                                        const std::vector<WorkerDevices>& workers,
                                        const std::vector<std::string>& names) {
  check_types(strategy, workers, names);
  std::vector<DeviceRange> ranges;
  for (size_t w = 0; w < workers.size(); ++w)
    ranges.push_back(share_of(strategy, workers, w, names));
  check_distinct(strategy, workers, ranges, names);
  return ranges;
}

void check_implementation(std::string_view strategy, CommunicationImplementation implementation,
                          std::string_view device_type) {
  const bool on_gpu = device_type == "gpu";
  const bool nccl = implementation == CommunicationImplementation::kNccl;
  if (nccl && !on_gpu)
    throw InvalidArgument("{}: got the implementation NCCL for {} devices; want GPUs, or AUTO",
                          strategy, device_type);
  if (on_gpu && !nccl && implementation != CommunicationImplementation::kAuto)
    throw InvalidArgument("{}: got an implementation for CPU devices on GPUs; want AUTO or NCCL",
                          strategy);
}

std::vector<std::unique_ptr<Communicator>> make_job_communicators(const JobCommunicators& back_end,
                                                                  Workers& workers,
                                                                  JobGroup group) {
  const std::string mine = workers.is_chief() ? back_end.make_id() : std::string();
  group.id = workers.all_gather("group id", mine).front();
  group.process = workers.index();
  group.num_processes = workers.count();
  group.all_gather = [&workers](std::string_view label, std::string_view value) {
    return workers.all_gather(label, value);
  };
  return back_end.make(group);
}

}  // namespace cohort::distribute
