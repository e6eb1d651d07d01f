"""The closed vocabulary of structured matrices."""

from tnattn.structured.base import StructuredMatrix, Transposed
from tnattn.structured.block_sparse import BlockSparse
from tnattn.structured.complement import Complement
from tnattn.structured.composite import BlockDiagonal, Columns, Product, Rows, Sum
from tnattn.structured.dense import Dense
from tnattn.structured.diagonal import Diagonal
from tnattn.structured.khatri_rao import KhatriRao
from tnattn.structured.kronecker import Kronecker, KroneckerSum
from tnattn.structured.low_rank import Factored, LowRank
from tnattn.structured.placed import Placed
from tnattn.structured.selection import Selection
from tnattn.structured.sparse import Sparse
from tnattn.structured.tt_matrix import TTMatrix

__all__ = [
    "BlockDiagonal",
    "BlockSparse",
    "Columns",
    "Complement",
    "Dense",
    "Diagonal",
    "Factored",
    "KhatriRao",
    "Kronecker",
    "KroneckerSum",
    "LowRank",
    "Placed",
    "Product",
    "Rows",
    "Selection",
    "Sparse",
    "StructuredMatrix",
    "Sum",
    "TTMatrix",
    "Transposed",
]
