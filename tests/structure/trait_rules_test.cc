#include "tests/structure/trait_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/structure/temporary_tree.h"

namespace cohort::structure {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::vector<std::string> findings(const std::string& text) {
  const TemporaryTree tree;
  tree.write("core/runtime/pass.cc", text);
  return comparisons_of_names(tree.root());
}

TEST(StructureTest, TheCompilerAsksForTraits) {
  EXPECT_THAT(comparisons_of_names(COHORT_SOURCE_DIR), IsEmpty());
}

TEST(TraitRulesTest, TraitsErrorsLookUpsAndRecordingsAreAllowed) {
  EXPECT_THAT(findings(R"(
    if (node.op().kind == OpKind::kSource) return;           // not op_name() == "Placeholder"
    throw InvalidArgument("{}: got {}", node->name(), node.op_name());
    if (kernels.has(node.op_name(), type)) return;
    const auto it = entries_.find({request.node.op_name(), type});
    graph.add("Copy", {value});
    event.op = lane.nodes[i]->op_name();
    if (attrs.has("bucket") || device.name().matches(wanted)) return;
    if (entry.name == name || text == "relu") return;
    std::string key = node.op_name() + "|";)"),
              IsEmpty());
}

TEST(TraitRulesTest, EveryWayOfComparingNamesIsFound) {
  for (const char* line : {
           R"(if (node.op_name() == "Add") return;)",
           "if (node.op_name()\n    != other) return;",
           R"(if (other == node->op().name) return;)",
           R"(if ("Add" == op) return;)",
           R"(if (op != "Add") return;)",
           R"(if (op.name == kAdd) return;)",
           R"(const std::string& op = node.op_name();)",
           R"(if (kOps.count(node.op_name())) return;)",
           R"(if (kOps.contains(value.node()->op().name)) return;)",
           R"(if (node.op_name().starts_with("Fused")) return;)",
           R"(if (op.starts_with("Fused")) return;)",
           R"(if (node->name().find("gradients/") == std::string::npos) return;)",
       })
    EXPECT_THAT(findings(line), Not(IsEmpty())) << line;
  EXPECT_THAT(findings("\n\nif (op == \"Add\") return;\n"),
              ::testing::ElementsAre(HasSubstr("core/runtime/pass.cc:3: == \"Add\"")));
}

}  // namespace
}  // namespace cohort::structure
