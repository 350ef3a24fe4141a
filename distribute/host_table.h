#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cohort::distribute {

/// Which workers are on one host, and which of them may use the same cores there, by number. The
/// chief makes it of what each has said of itself and publishes it, so that a job of W workers
/// reads W values and not W * W.
struct HostTable {
  std::vector<int> host_of, cores_of;  ///< of every worker; equal numbers: the same

  /// `told`: of every worker, its host, a line's end, and its cores.
  static HostTable of(std::span<const std::string> told);
  /// As text, and back. Throws DataLoss for one that is not of `count` workers.
  std::string to_string() const;
  static HostTable parse(std::string_view text, int count);

  /// Workers on the host of `worker` with its cores, itself included.
  int sharing_cores(int worker) const;
};

}  // namespace cohort::distribute
