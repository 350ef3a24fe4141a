#include "cohort/cluster/mpi_cluster_resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cluster/resolver_support.h"
#include "tests/support/expect_error.h"

namespace cohort::cluster {
namespace {

using cohort::testing::expect_error;
using cohort::testing::expect_invalid;
using testing::addresses;
using ::testing::ElementsAre;
using Variables = std::map<std::string, std::string>;

// Rank 1 of an Open MPI job of `size` ranks, `local_size` of them on this host.
Variables open_mpi(int size, int local_size) {
  return {{"OMPI_COMM_WORLD_RANK", "1"},
          {"OMPI_COMM_WORLD_SIZE", std::to_string(size)},
          {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
          {"OMPI_COMM_WORLD_LOCAL_SIZE", std::to_string(local_size)},
          {"PMIX_NAMESPACE", "2870083585"},
          {"PMIX_RANK", "1"}};
}

MpiClusterResolver resolver(Variables variables) {
  return MpiClusterResolver(Environment(std::move(variables)));
}

TEST(MpiClusterResolverTest, RanksOfOneHostNeedNoAddresses) {
  const auto mpi = resolver(open_mpi(3, 3));
  EXPECT_THAT(addresses(mpi.cluster_spec(), "worker"),
              ElementsAre("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"));
  EXPECT_TRUE(mpi.one_host());
  EXPECT_EQ(mpi.task_type(), "worker");
  EXPECT_EQ(mpi.task_id(), 1);
  EXPECT_EQ(mpi.launcher(), "Open MPI");
}

TEST(MpiClusterResolverTest, RanksOfSeveralHostsNeedTheCoordinator) {
  expect_error(Code::kFailedPrecondition, {"2 of 4 ranks", "COHORT_COORDINATOR=host:port"},
               [] { resolver(open_mpi(4, 2)); });
  Variables variables = open_mpi(4, 2);
  variables["COHORT_COORDINATOR"] = "node1:2222";
  EXPECT_THAT(addresses(resolver(variables).cluster_spec(), "worker"),
              ElementsAre("node1:2222", "", "", ""));
  EXPECT_EQ(resolver(variables).master("worker", 0), "grpc://node1:2222");
  EXPECT_EQ(resolver(variables).master(), "") << "rank 1 has no address yet";
  variables["COHORT_COORDINATOR"] = "node1";
  expect_invalid({"node1", "port"}, [&] { resolver(variables); });
}

TEST(MpiClusterResolverTest, PmiIsRead) {
  const auto mpich = resolver({{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}, {"MPI_LOCALNRANKS", "2"}});
  EXPECT_EQ(mpich.launcher(), "PMI");
  EXPECT_EQ(mpich.size(), 2);
  EXPECT_TRUE(mpich.one_host());
}

TEST(MpiClusterResolverTest, PmixIsReadWhereTheSizeIsKnown) {
  const auto pmix = resolver({{"PMIX_RANK", "1"}, {"PMIX_SIZE", "2"}, {"PMIX_LOCAL_SIZE", "2"}});
  EXPECT_EQ(pmix.launcher(), "PMIx");
  EXPECT_EQ(pmix.task_id(), 1);
  expect_error(Code::kFailedPrecondition, {"PMIX_RANK=1", "number of ranks"}, [] {
    resolver({{"PMIX_RANK", "1"}});
  });
}

TEST(MpiClusterResolverTest, LauncherThatSaysNothingOfHostsMayHaveSeveral) {
  expect_error(Code::kFailedPrecondition, {"COHORT_COORDINATOR"}, [] {
    resolver({{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}});
  });
  EXPECT_TRUE(resolver({{"PMI_RANK", "0"}, {"PMI_SIZE", "1"}}).one_host());
}

TEST(MpiClusterResolverTest, NumbersThatContradictEachOtherAreErrors) {
  Variables beyond = open_mpi(4, 4);
  beyond["OMPI_COMM_WORLD_RANK"] = "4";
  expect_invalid({"rank 4 of 4"}, [&] { resolver(beyond); });
  expect_invalid({"5 ranks on this host of 4"}, [] { resolver(open_mpi(4, 5)); });
  Variables words = open_mpi(4, 4);
  words["OMPI_COMM_WORLD_SIZE"] = "four";
  expect_invalid({"OMPI_COMM_WORLD_SIZE='four'"}, [&] { resolver(words); });
}

TEST(MpiClusterResolverTest, WithoutALauncherIsAnError) {
  expect_error(Code::kFailedPrecondition, {"OMPI_COMM_WORLD_RANK", "mpirun"}, [] { resolver({}); });
  EXPECT_FALSE(MpiClusterResolver::applies(Environment()));
}

TEST(MpiClusterResolverTest, JobsHaveTheLaunchersIds) {
  Variables other = open_mpi(2, 2);
  other["PMIX_NAMESPACE"] = "2870083586";
  EXPECT_NE(resolver(open_mpi(2, 2)).job_id(), resolver(other).job_id());
  Variables rank0 = open_mpi(2, 2);
  rank0["OMPI_COMM_WORLD_RANK"] = rank0["PMIX_RANK"] = "0";
  EXPECT_EQ(resolver(open_mpi(2, 2)).job_id(), resolver(rank0).job_id());
  Variables beside = open_mpi(2, 2);
  beside["OMPI_MCA_orte_hnp_uri"] = "2870083584.0;tcp://10.0.0.1:4000";
  EXPECT_NE(resolver(open_mpi(2, 2)).job_id(), resolver(beside).job_id());
}

TEST(MpiClusterResolverTest, HostsOfOneJobHaveOneId) {
  Variables here = open_mpi(4, 2), there = open_mpi(4, 2);
  here["COHORT_COORDINATOR"] = there["COHORT_COORDINATOR"] = "node1:2222";
  here["OMPI_MCA_orte_hnp_uri"] = "2870083584.0;tcp://10.0.0.1:4000";
  there["OMPI_MCA_orte_hnp_uri"] = "2870083584.0;tcp://10.1.0.1:4000";
  EXPECT_EQ(resolver(here).job_id(), resolver(there).job_id());
}

}  // namespace
}  // namespace cohort::cluster
