"""The array layer: NumPy, PyTorch, CuPy and strict array API libraries behind one set of functions.

Every layer above is written once against the array API standard and names no array library. A function of it begins
with ``xp = array_namespace(x)``; library, device and dtype of a result follow its arguments. Functions that the
standard lacks are collected here; factorizations of matrices are in :mod:`tnattn.linalg`.

Three conventions hold on every library:

* float32 stays float32. float16 and bfloat16 are computed in float32 and cast back, or refused by name.
* Random samples come from a NumPy generator in float64, are cast and moved once: a seed gives the same sample in every
  library and dtype. ``DeviceDraws`` samples on the device instead and moves nothing.
* ``to_host`` and ``from_host`` are the only transfers. ``float(x)`` and ``bool(x)`` wait for the device.

Libraries and dtypes
    ``array_namespace``, ``is_array``, ``device``; ``dtype_name``, ``eps`` (rounding unit), ``is_floating``,
    ``require_floating``, ``require_integer``, ``accumulator_dtype``; ``Array`` and ``Shape`` in annotations.
Half precision
    ``is_half``, ``widened`` (to float32), ``computed_in_single`` (decorator).
Entries and memory
    ``check_finite``, ``clipped``, ``quiet_overflow``; ``plain_array``, ``owned``, ``expanded``, ``broadcast_shape``,
    ``row_windows`` (views of consecutive rows).
Transfers
    ``to_host``, ``from_host``, ``synchronize``.
Order
    ``upper_median``, by a partial sort.
Products and sums
    ``contract`` (einsum, pairwise along opt_einsum's path), ``stacked_matmul``, ``sums_of_rows``,
    ``squared_column_norms``, ``scatter_rows``, ``scatter_products``, ``scattered_entries``, ``fused_attention``
    (PyTorch's kernel); ``with_entries``, ``exp_in_place``, ``scaled_exponential``, ``matmul_into``,
    ``subtract_product`` overwrite an argument.
Random samples
    ``normal``, ``uniform``, ``signs``, ``integers``, ``multi_indices``, ``choice``; ``Rng``, ``DeviceDraws``,
    ``require_rng``, ``require_host``, ``seeded``.
Threads
    ``blas_threads`` (limit of a block), ``host_threads``, ``parallel_map``, ``prefers_host_tiles``,
    ``runs_on_host``; ``each_matrix`` of a stack, by its ``Part``.
Reports
    ``library_info``.
"""

from tnattn.arrays.clipping import clipped
from tnattn.arrays.contraction import contract
from tnattn.arrays.dtypes import (
    accumulator_dtype,
    dtype_name,
    eps,
    is_floating,
    require_floating,
    require_integer,
)
from tnattn.arrays.finiteness import check_finite, quiet_overflow
from tnattn.arrays.fused_attention import fused_attention
from tnattn.arrays.half_precision import computed_in_single, is_half, widened
from tnattn.arrays.in_place import exp_in_place, matmul_into, scaled_exponential, subtract_product
from tnattn.arrays.layout import broadcast_shape, expanded, owned, plain_array, row_windows
from tnattn.arrays.libraries import Array, Shape, array_namespace, device, is_array
from tnattn.arrays.matrix_products import squared_column_norms, stacked_matmul, sums_of_rows
from tnattn.arrays.order_statistics import upper_median
from tnattn.arrays.random_samples import (
    DeviceDraws,
    Rng,
    choice,
    integers,
    multi_indices,
    normal,
    require_host,
    require_rng,
    seeded,
    signs,
    uniform,
)
from tnattn.arrays.scatter import scatter_products, scatter_rows, scattered_entries, with_entries
from tnattn.arrays.stacks import Part, each_matrix
from tnattn.arrays.threads import blas_threads, host_threads, parallel_map, prefers_host_tiles, runs_on_host
from tnattn.arrays.transfers import from_host, synchronize, to_host
from tnattn.arrays.versions import library_info

__all__ = [
    "Array",
    "DeviceDraws",
    "Part",
    "Rng",
    "Shape",
    "accumulator_dtype",
    "array_namespace",
    "blas_threads",
    "broadcast_shape",
    "check_finite",
    "choice",
    "clipped",
    "computed_in_single",
    "contract",
    "device",
    "dtype_name",
    "each_matrix",
    "eps",
    "exp_in_place",
    "expanded",
    "from_host",
    "fused_attention",
    "host_threads",
    "integers",
    "is_array",
    "is_floating",
    "is_half",
    "library_info",
    "matmul_into",
    "multi_indices",
    "normal",
    "owned",
    "parallel_map",
    "plain_array",
    "prefers_host_tiles",
    "quiet_overflow",
    "require_floating",
    "require_host",
    "require_integer",
    "require_rng",
    "row_windows",
    "runs_on_host",
    "scaled_exponential",
    "scatter_products",
    "scatter_rows",
    "scattered_entries",
    "seeded",
    "signs",
    "squared_column_norms",
    "stacked_matmul",
    "subtract_product",
    "sums_of_rows",
    "synchronize",
    "to_host",
    "uniform",
    "upper_median",
    "widened",
    "with_entries",
]
