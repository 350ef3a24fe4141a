/* Preloaded into PyTorch: tells the MKL inside it that the processor is one whose AVX-512 kernels it
   may use. MKL asks this of the vendor's name, not of the instructions that are there. */
int mkl_serv_intel_cpu_true(void) { return 1; }
int mkl_serv_intel_cpu(void) { return 1; }
