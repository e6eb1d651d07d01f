"""Structured matrices and tensors: stacks that multiply, have a transpose, and store less than their entries.

The vocabulary is closed. Every result of the packages is written in it, algorithms read matrices only through the
methods of ``StructuredMatrix``, and nothing outside this chapter asks of which class a matrix is. A class of your own
that derives from it needs products with it and with its transpose; ``columns``, ``rows``, ``diagonal``,
``trace``, ``squared_norm`` and ``sketch`` follow from products with blocks of unit vectors, and every algorithm gains
from a version of your own. The last two axes are the matrix, all others are batch; ``storage`` counts stored scalars
over the stack, indices included and shared parts once.

Which one to take for an m-by-n matrix:

- any array: ``Dense``, m n; ``as_structured`` wraps arrays, SciPy's sparse matrices, linear operators and kernels
- rank r: ``LowRank``, (m + n) r, and 2 (m + n) r operations per column of a product
- w entries in every row: ``Sparse``, 2 m w; in blocks of rows that share their columns: ``BlockSparse``
- consecutive columns in every row, evaluated in tiles: ``BandTiles``, such as ``BandProduct``, a product on a band
- a product structure of the index: ``Kronecker`` and ``KroneckerSum``, ``KhatriRao``, ``TTMatrix`` (n = 2^d, ranks r:
  O(r^2 log n) stored, O(r^2 n log n) per column)
- symmetric entries from a formula: an object with ``KernelEntries`` such as ``GaussianKernel``, O(n) stored
- exp of inner products of queries and keys: ``ExponentialKernel``, (n + m) d stored, evaluated in tiles
- pieces of one matrix: ``Sum``, ``Product``, ``Columns``, ``Rows``, ``BlockDiagonal``, ``ShiftedBlocks``

Tensors (``tucker``, ``cp``, ``tensor_train``, ``block_term``, ``partial_tucker``) multiply through ``as_matrix``.
"""

from tnattn.structured.band_tiles import (
    BandProduct,  # entries of a product of two on a band
    BandTiles,  # base class of matrices on a band whose entries are evaluated in every product
)
from tnattn.structured.base import (
    StructuredMatrix,  # base class: products, transpose, storage, reads
    Transposed,  # transpose of any other
)
from tnattn.structured.block_sparse import BlockSparse  # dense tiles over columns of their own, one per block of rows
from tnattn.structured.complement import Complement  # ones outside a sparse pattern
from tnattn.structured.composite import (
    Product,  # product of two
    Sum,  # sum of matrices of one shape
)
from tnattn.structured.concatenated import (
    BlockDiagonal,  # blocks along the diagonal
    Columns,  # blocks side by side
    Rows,  # blocks on top of each other
)
from tnattn.structured.conversion import as_structured  # constructor from arrays, SciPy's matrices and kernels
from tnattn.structured.dense import Dense  # one array
from tnattn.structured.diagonal import Diagonal  # n values
from tnattn.structured.evaluated import Evaluated  # base class of stacks evaluated one by one in every product
from tnattn.structured.exponential_kernel import ExponentialKernel  # exp(q . k - shift), multiplied in tiles
from tnattn.structured.gaussian_kernel import GaussianKernel  # kernel entries exp(-|x - y|^2 / 2) among points
from tnattn.structured.host_operator import HostOperator  # SciPy's sparse matrices and linear operators
from tnattn.structured.implicit import (
    EntriesOperator,  # implicit symmetric matrices, known by a formula for their entries
    KernelEntries,  # protocol of such entries
)
from tnattn.structured.khatri_rao import KhatriRao  # Kronecker products column by column
from tnattn.structured.kronecker import (
    Kronecker,  # Kronecker products of small factors
    KroneckerSum,  # sums of Kronecker products of two factors
)
from tnattn.structured.low_rank import (
    LowRank,  # product of a tall and a wide factor
    LowRankMatrix,  # base class of results that are such products
)
from tnattn.structured.row_tiles import RowTiles  # base class of matrices whose rows are evaluated in every product
from tnattn.structured.selection import Selection  # rows that are unit vectors
from tnattn.structured.shifted_blocks import ShiftedBlocks  # equal blocks, each shifted down to rows of its own
from tnattn.structured.sparse import Sparse  # equally many stored entries in every row (ELLPACK)
from tnattn.structured.transform import SubsampledTransform  # columns of a fast orthonormal transform
from tnattn.structured.tt_matrix import TTMatrix  # tensor train over pairs of digits of the row and the column

__all__ = [
    "BandProduct",
    "BandTiles",
    "BlockDiagonal",
    "BlockSparse",
    "Columns",
    "Complement",
    "Dense",
    "Diagonal",
    "EntriesOperator",
    "Evaluated",
    "ExponentialKernel",
    "GaussianKernel",
    "HostOperator",
    "KernelEntries",
    "KhatriRao",
    "Kronecker",
    "KroneckerSum",
    "LowRank",
    "LowRankMatrix",
    "Product",
    "RowTiles",
    "Rows",
    "Selection",
    "ShiftedBlocks",
    "Sparse",
    "StructuredMatrix",
    "SubsampledTransform",
    "Sum",
    "TTMatrix",
    "Transposed",
    "as_structured",
]
