/* Open MPI as the peer of benchmarks/collectives.cc, which loads it:
 *   mpicc -O2 -shared -fPIC -o libmpi_peer.so mpi_peer.c */
#include <mpi.h>

void mpi_peer_start(int *rank, int *size) {
  MPI_Init(0, 0);
  MPI_Comm_rank(MPI_COMM_WORLD, rank);
  MPI_Comm_size(MPI_COMM_WORLD, size);
}

void mpi_peer_all_reduce(float *values, int count) {
  MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

void mpi_peer_broadcast(char *bytes, int count) {
  MPI_Bcast(bytes, count, MPI_CHAR, 0, MPI_COMM_WORLD);
}

void mpi_peer_end(void) { MPI_Finalize(); }
