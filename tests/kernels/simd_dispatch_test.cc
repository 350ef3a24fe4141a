#include <cfenv>
#include <thread>

#include "cohort/core/error.h"
#include "tests/kernels/simd_support.h"

namespace cohort::cpu {
namespace {

TEST(SimdDispatchTest, BaselineIsAlwaysThereAndTheBestIsSupported) {
  EXPECT_TRUE(isa_supported(Isa::kBaseline));
  EXPECT_TRUE(isa_supported(best_isa()));
}

TEST(SimdDispatchTest, TablesNameTheirInstructionSet) {
  for (Isa isa : available_isas()) {
    const Simd table = select_simd(isa);
    EXPECT_EQ(table.isa, isa);
    EXPECT_EQ(table.vector_bytes, isa == Isa::kAvx512 ? 64u : isa == Isa::kAvx2 ? 32u : 16u);
  }
}

TEST(SimdDispatchTest, AnInstructionSetThatIsNotThereIsRefused) {
  for (Isa isa : {Isa::kAvx2, Isa::kAvx512}) {
    if (isa_supported(isa)) continue;
    EXPECT_THROW(select_simd(isa), Error);
  }
}

float half_of_smallest_normal() {
  volatile float x = 1.17549435e-38f;
  x = x * 0.5f;
  return x;
}

TEST(SimdDispatchTest, DenormalsAreFlushedInTheThreadThatAsks) {
  std::fesetenv(FE_DFL_ENV);  // an earlier test may have asked
  std::thread([] {
    EXPECT_NE(half_of_smallest_normal(), 0.0f);
    const bool flushed = flush_denormals();
    EXPECT_EQ(half_of_smallest_normal() == 0.0f, flushed);
  }).join();
  EXPECT_NE(half_of_smallest_normal(), 0.0f);
}

}  // namespace
}  // namespace cohort::cpu
