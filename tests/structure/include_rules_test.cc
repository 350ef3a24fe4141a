#include "tests/structure/include_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

namespace cohort::structure {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A tree in a temporary folder, removed at the end.
class IncludeRulesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "cohort_tree_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
    write("core/error.h", "#pragma once\n");
    write("nn/layer.h", "#include \"core/error.h\"\n");
    write("distribute/strategy.h", "#include <vector>\n");
    write("distribute/mirrored.h", "#include \"distribute/strategy.h\"\n");
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const fs::path& file, const std::string& text) {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }

  fs::path root_;
};

TEST(StructureTest, TheTreeKeepsTheRules) {
  EXPECT_THAT(forbidden_includes(COHORT_SOURCE_DIR), IsEmpty());
}

TEST_F(IncludeRulesTest, AllowedTreeHasNoFindings) {
  write("nn/model.cc", "#include \"nn/layer.h\"\n#include \"distribute/strategy.h\"\n");
  write("kernels/cpu/onednn/matmul.cc", "#include <oneapi/dnnl/dnnl.hpp>\n");
  write("kernels/cuda/add.cu", "#include <cuda_runtime.h>\n#include <nccl.h>\n");
  write("data/gzip.cc", "#include <zlib.h>\n");
  write("cohort/builtin.cc", "#include \"nn/layer.h\"\n#include \"distribute/mirrored.h\"\n");
  EXPECT_THAT(forbidden_includes(root_), IsEmpty());
}

TEST_F(IncludeRulesTest, IncludeAgainstTheTableIsFound) {
  write("core/tensor.cc", "#include \"core/error.h\"\n#include \"nn/layer.h\"\n");
  write("nn/model.cc", "  #  include \"distribute/mirrored.h\"\n");
  write("data/batch.cc", "#include \"distribute/strategy.h\"\n");
  EXPECT_THAT(forbidden_includes(root_),
              ElementsAre(HasSubstr("core/tensor.cc:2: core/ may not include \"nn/layer.h\""),
                          HasSubstr("data/batch.cc:1: data/ may not"),
                          HasSubstr("nn/model.cc:1: nn/ may not")));
}

TEST_F(IncludeRulesTest, IncludeNotFromTheRootIsFound) {
  write("core/tensor.cc", "#include \"error.h\"\n#include <core/error.h>\n");
  EXPECT_THAT(forbidden_includes(root_),
              ElementsAre(HasSubstr("tensor.cc:1: \"error.h\": no such file"),
                          HasSubstr("tensor.cc:2: <core/error.h>")));
}

TEST_F(IncludeRulesTest, VendorHeaderOutsideItsFenceIsFound) {
  write("core/device.cc", "#include <cuda_runtime.h>\n");
  write("kernels/cpu/matmul.cc", "#include <oneapi/dnnl/dnnl.hpp>\n");
  write("nn/dense.cc", "#include <gtest/gtest.h>\n");
  EXPECT_THAT(forbidden_includes(root_),
              ElementsAre(HasSubstr("CUDA is fenced"), HasSubstr("oneDNN is fenced"),
                          HasSubstr("GoogleTest is fenced")));
}

TEST_F(IncludeRulesTest, SecondFileWithNcclIsFound) {
  write("distribute/cuda/a.cc", "#include <nccl.h>\n");
  write("distribute/cuda/b.cc", "#include <nccl.h>\n");
  EXPECT_THAT(forbidden_includes(root_), ElementsAre(HasSubstr("a.cc:0: NCCL belongs in one file"),
                                                     HasSubstr("b.cc:0: NCCL")));
}

TEST_F(IncludeRulesTest, SlowHeaderInsideAHeaderIsFound) {
  write("nn/slow.h", "#include <nlohmann/json.hpp>\n#include <iostream>\n");
  write("nn/slow.cc", "#include <nlohmann/json.hpp>\n#include <iostream>\n");
  EXPECT_THAT(forbidden_includes(root_),
              ElementsAre(HasSubstr("slow.h:1: "), HasSubstr("slow.h:2: ")));
}

}  // namespace
}  // namespace cohort::structure
