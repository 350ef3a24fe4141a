#pragma once

/// What this build has. One file is compiled with it, so that all others are alike in every build:
/// a compiler's cache has them from the first.
namespace cohort::testing::built_with {

extern const bool grpc, hdf5, http, mpi, tls, zip;
extern const bool sanitizer;
extern const char* const mpi_program;  ///< one process of the jobs of mpirun; empty without MPI

}  // namespace cohort::testing::built_with
