#include "tests/support/built_with.h"

namespace cohort::testing::built_with {

const bool grpc = COHORT_TEST_HAS_GRPC, hdf5 = COHORT_TEST_HAS_HDF5, http = COHORT_TEST_HAS_HTTP,
           mpi = COHORT_TEST_HAS_MPI, tls = COHORT_TEST_HAS_TLS, zip = COHORT_TEST_HAS_ZIP;
const bool sanitizer = COHORT_TEST_IS_SANITIZED;
const char* const mpi_program = COHORT_TEST_MPI_PROGRAM;

}  // namespace cohort::testing::built_with
