#include "cohort/cluster/failure_record.h"

#include <nlohmann/json.hpp>

namespace cohort::cluster {

std::string to_line(const FailureRecord& record) {
  const nlohmann::json json = {{"task", record.task},
                               {"own", record.own},
                               {"code", static_cast<int>(record.code)},
                               {"text", record.text.substr(0, FailureRecord::kMaxText)},
                               {"time_ns", record.time_ns}};
  return json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

std::optional<FailureRecord> parse_failure_record(std::string_view line) {
  const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  try {
    FailureRecord record{.task = json.at("task"),
                         .own = json.at("own"),
                         .text = json.at("text"),
                         .time_ns = json.at("time_ns")};
    const int code = json.at("code");
    const bool known =
        code >= static_cast<int>(Code::kCancelled) && code <= static_cast<int>(Code::kDataLoss);
    record.code = known ? static_cast<Code>(code) : Code::kUnknown;
    return record;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

}  // namespace cohort::cluster
