"""Print the BLAS kernels that run in this environment, as one word."""

from tnattn.arrays.threads import blas_kernels

print("+".join(blas_kernels()).replace(" ", "_"))
