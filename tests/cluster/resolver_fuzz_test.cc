// Random and mutated bytes where a launcher's variables are read: every one is an Error or a
// success. The seeds are fixed; the limits on what the parsers build keep each attempt short.
#include <gtest/gtest.h>

#include <random>

#include "cohort/cluster/address.h"
#include "cohort/cluster/job.h"
#include "cohort/cluster/slurm_lists.h"
#include "cohort/cluster/tf_config_cluster_resolver.h"
#include "cohort/core/error.h"

namespace cohort::cluster {
namespace {

constexpr int kAttempts = 20'000;

class Mutator {
 public:
  Mutator(uint32_t seed, std::string alphabet) : random_(seed), alphabet_(std::move(alphabet)) {}

  std::string random_text() {
    std::string text(below(64), '\0');
    for (char& c : text) c = character();
    return text;
  }

  // `text` with a few characters or pieces changed, taken out, doubled or put in.
  std::string mutate(std::string text) {
    for (size_t i = 0, count = 1 + below(4); i < count; ++i) {
      const size_t at = below(text.size() + 1), length = below(text.size() - at + 1);
      switch (below(4)) {
        case 0:
          if (at < text.size()) text[at] = character();
          break;
        case 1:
          text.erase(at, length);
          break;
        case 2:
          if (text.size() < 4096) text.insert(at, text.substr(at, length));
          break;
        default:
          text.insert(at, 1, character());
      }
    }
    return text;
  }

 private:
  size_t below(size_t end) { return random_() % end; }
  char character() {
    const size_t pick = below(alphabet_.size() + 16);
    return pick < alphabet_.size() ? alphabet_[pick] : static_cast<char>(random_());
  }

  std::mt19937 random_;
  std::string alphabet_;
};

// Runs `parse` on mutations of `seeds`, and counts those it accepts.
template <class Parse>
int accepted(uint32_t seed, const std::string& alphabet, const std::vector<std::string>& seeds,
             Parse&& parse) {
  Mutator mutator(seed, alphabet);
  int count = 0;
  for (int i = 0; i < kAttempts; ++i) {
    const std::string text =
        i % 4 == 0 ? mutator.random_text() : mutator.mutate(seeds[i % seeds.size()]);
    try {
      parse(text);
      ++count;
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == Code::kInvalidArgument ||
                  error.code() == Code::kFailedPrecondition)
          << error.what() << " for " << text;
    }
  }
  return count;
}

TEST(ResolverFuzzTest, TfConfigIsReadOrRefused) {
  const std::vector<std::string> seeds = {
      R"({"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 0}})",
      R"({"cluster": {"chief": ["a:1"], "worker": {"0": "b:1", "3": "c:1"}},
          "task": {"type": "chief", "index": "0"}, "rpc_layer": "grpc", "session_master": "m:1"})"};
  const int count =
      accepted(1, R"({}[]":,0123456789 eEtruefalsnabck\-+.)", seeds, [](const std::string& text) {
        const Environment environment({{"TF_CONFIG", text}});
        const TFConfigClusterResolver resolver(environment);
        resolver.cluster_spec();
        resolver.environment();
        resolver.master();
        resolve_job(environment);
      });
  EXPECT_GT(count, 0);
  EXPECT_LT(count, kAttempts);
}

TEST(ResolverFuzzTest, DeeplyNestedTfConfigIsRefused) {
  for (const std::string open : {"[", "{\"cluster\":"}) {
    std::string text;
    for (int i = 0; i < 100'000; ++i) text += open;
    EXPECT_THROW(resolve_job(Environment({{"TF_CONFIG", text}})), Error);
  }
  const std::string closed =
      "{\"cluster\": {\"worker\": " + std::string(100'000, '[') + std::string(100'000, ']') + "}}";
  EXPECT_THROW(resolve_job(Environment({{"TF_CONFIG", closed}})), Error);
}

TEST(ResolverFuzzTest, HostlistsAreReadOrRefused) {
  const int count =
      accepted(2, "0123456789[]-,n.()x", {"n[1-2],m5,o[3-4,6,7-9]", "r[08-12]n[1-64]"},
               [](const std::string& text) { expand_hostlist(text); });
  EXPECT_GT(count, 0);
  EXPECT_LT(count, kAttempts);
}

TEST(ResolverFuzzTest, TaskCountsAreReadOrRefused) {
  const int count = accepted(3, "0123456789(x),", {"3(x2),2,11(x4)", "13(x10)"},
                             [](const std::string& text) { expand_tasks_per_node(text); });
  EXPECT_GT(count, 0);
  EXPECT_LT(count, kAttempts);
}

TEST(ResolverFuzzTest, AddressesAreReadOrRefused) {
  const int count =
      accepted(4, "0123456789:[].a", {"[::1]:2222", "worker0:2222"}, [](const std::string& text) {
        EXPECT_EQ(parse_address(parse_address(text).to_string()), parse_address(text));
      });
  EXPECT_GT(count, 0);
  EXPECT_LT(count, kAttempts);
}

TEST(ResolverFuzzTest, SlurmStepsAreReadOrRefused) {
  const int count = accepted(
      5, "0123456789[]-,n(x)", {"2(x2)|n[1-2]", "1,2,3|a[1-3]"}, [](const std::string& text) {
        const size_t bar = std::min(text.find('|'), text.size());
        resolve_job(
            Environment({{"SLURM_STEP_ID", "0"},
                         {"SLURM_PROCID", "0"},
                         {"SLURM_STEP_NUM_TASKS", "4"},
                         {"SLURM_DISTRIBUTION", "cyclic"},
                         {"SLURM_STEP_TASKS_PER_NODE", text.substr(0, bar)},
                         {"SLURM_STEP_NODELIST", text.substr(std::min(bar + 1, text.size()))}}));
      });
  EXPECT_GT(count, 0);
  EXPECT_LT(count, kAttempts);
}

}  // namespace
}  // namespace cohort::cluster
