#include "tests/structure/include_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/structure/temporary_tree.h"

namespace cohort::structure {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class IncludeRulesTest : public ::testing::Test {
 protected:
  IncludeRulesTest() {
    write("core/error.h", "#pragma once\n");
    write("nn/layer.h", "#include \"cohort/core/error.h\"\n");
    write("distribute/strategy.h", "#include <vector>\n");
    write("distribute/mirrored.h", "#include \"cohort/distribute/strategy.h\"\n");
  }
  void write(const std::string& file, const std::string& text) { tree_.write(file, text); }
  std::vector<std::string> findings() { return forbidden_includes(tree_.root()); }

 private:
  TemporaryTree tree_;
};

TEST(StructureTest, TheTreeKeepsTheRules) {
  EXPECT_THAT(forbidden_includes(COHORT_SOURCE_DIR), IsEmpty());
}

TEST_F(IncludeRulesTest, AllowedTreeHasNoFindings) {
  write("nn/model.cc",
        "#include \"cohort/nn/layer.h\"\n#include \"cohort/distribute/strategy.h\"\n");
  write("kernels/cpu/onednn/matmul.cc", "#include <oneapi/dnnl/dnnl.hpp>\n");
  write("kernels/cuda/add.cu", "#include <cuda_runtime.h>\n");
  write("kernels/cuda/nccl/group.h", "#include <nccl.h>\n");
  write("data/gzip.cc", "#include <zlib.h>\n");
  write("cohort/builtin.cc",
        "#include \"cohort/nn/layer.h\"\n#include \"cohort/distribute/mirrored.h\"\n");
  EXPECT_THAT(findings(), IsEmpty());
}

TEST_F(IncludeRulesTest, IncludeAgainstTheTableIsFound) {
  write("core/tensor.cc", "#include \"cohort/core/error.h\"\n#include \"cohort/nn/layer.h\"\n");
  write("nn/model.cc", "  #  include \"cohort/distribute/mirrored.h\"\n");
  write("data/batch.cc", "#include \"cohort/distribute/strategy.h\"\n");
  EXPECT_THAT(
      findings(),
      ElementsAre(HasSubstr("core/tensor.cc:2: core/ may not include \"cohort/nn/layer.h\""),
                  HasSubstr("data/batch.cc:1: data/ may not"),
                  HasSubstr("nn/model.cc:1: nn/ may not")));
}

TEST_F(IncludeRulesTest, CoresLayersPointOneWay) {
  write("core/graph/op.h", "#include \"cohort/core/error.h\"\n");
  write("core/ops/add.h", "#include \"cohort/core/graph/op.h\"\n");
  write("core/runtime/kernel.h", "#include \"cohort/core/ops/add.h\"\n");
  EXPECT_THAT(findings(), IsEmpty());
  write("core/tensor.cc", "#include \"cohort/core/graph/op.h\"\n");
  write("core/graph/op.cc", "#include \"cohort/core/ops/add.h\"\n");
  write("core/ops/add.cc", "\n#include \"cohort/core/runtime/kernel.h\"\n");
  EXPECT_THAT(
      findings(),
      ElementsAre(HasSubstr("core/graph/op.cc:1: core/graph/ may not include \"cohort/core/ops/"),
                  HasSubstr("core/ops/add.cc:2: core/ops/ may not include"),
                  HasSubstr("core/tensor.cc:1: core/ may not include")));
}

TEST_F(IncludeRulesTest, ACollectiveInNnIsFound) {
  write("core/ops/collective.h", "#pragma once\n");
  write("core/runtime/communicator.h", "#include \"cohort/core/ops/collective.h\"\n");
  write("distribute/mirrored.h", "#include \"cohort/core/ops/collective.h\"\n");
  write("nn/optimizer.cc", "#include \"cohort/core/ops/collective.h\"\n");
  write("nn/internal/trainer.cc", "#include \"cohort/core/runtime/communicator.h\"\n");
  EXPECT_THAT(findings(), ElementsAre(HasSubstr("nn/internal/trainer.cc:1: nn/ may not include"),
                                      HasSubstr("nn/optimizer.cc:1: nn/ may not include "
                                                "\"cohort/core/ops/collective.h\"")));
}

TEST_F(IncludeRulesTest, IncludeNotFromTheRootIsFound) {
  write("core/tensor.cc", "#include \"error.h\"\n#include <cohort/core/error.h>\n");
  EXPECT_THAT(findings(), ElementsAre(HasSubstr("tensor.cc:1: \"error.h\": no such file"),
                                      HasSubstr("tensor.cc:2: <cohort/core/error.h>")));
}

TEST_F(IncludeRulesTest, AProgramsOwnFolderHidesNoHeaderOfOurs) {
  write("nn/model.cc", "#include \"nn/layer.h\"\n");
  EXPECT_THAT(findings(), ElementsAre(HasSubstr("write \"cohort/nn/layer.h\"")));
}

TEST_F(IncludeRulesTest, VendorHeaderOutsideItsFenceIsFound) {
  write("core/device.cc", "#include <cuda_runtime.h>\n");
  write("kernels/cpu/matmul.cc", "#include <oneapi/dnnl/dnnl.hpp>\n");
  write("nn/dense.cc", "#include <gtest/gtest.h>\n");
  EXPECT_THAT(findings(), ElementsAre(HasSubstr("CUDA is fenced"), HasSubstr("oneDNN is fenced"),
                                      HasSubstr("GoogleTest is fenced")));
}

TEST_F(IncludeRulesTest, NcclOutsideItsFolderIsFound) {
  write("kernels/cuda/device.cc", "#include <nccl.h>\n");
  EXPECT_THAT(findings(), ElementsAre(HasSubstr("device.cc:1: <nccl.h>: NCCL is fenced")));
}

TEST_F(IncludeRulesTest, SecondFileWithMpiIsFound) {
  write("distribute/a.cc", "#include <mpi.h>\n");
  write("distribute/b.cc", "#include <mpi.h>\n");
  EXPECT_THAT(findings(),
              ElementsAre(HasSubstr("a.cc:0: MPI belongs in one file"), HasSubstr("b.cc:0: MPI")));
}

TEST_F(IncludeRulesTest, SlowHeaderInsideAHeaderIsFound) {
  write("nn/slow.h", "#include <nlohmann/json.hpp>\n#include <iostream>\n");
  write("nn/slow.cc", "#include <nlohmann/json.hpp>\n#include <iostream>\n");
  EXPECT_THAT(findings(), ElementsAre(HasSubstr("slow.h:1: "), HasSubstr("slow.h:2: ")));
}

}  // namespace
}  // namespace cohort::structure
