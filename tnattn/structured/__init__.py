"""The closed vocabulary of structured matrices."""

from tnattn.structured.base import StructuredMatrix, Transposed
from tnattn.structured.block_sparse import BlockSparse
from tnattn.structured.composite import BlockDiagonal, Columns, Product, Rows, Sum
from tnattn.structured.dense import Dense
from tnattn.structured.diagonal import Diagonal
from tnattn.structured.low_rank import Factored, LowRank
from tnattn.structured.placed import Placed
from tnattn.structured.selection import Selection
from tnattn.structured.sparse import Sparse

__all__ = [
    "BlockDiagonal",
    "BlockSparse",
    "Columns",
    "Dense",
    "Diagonal",
    "Factored",
    "LowRank",
    "Placed",
    "Product",
    "Rows",
    "Selection",
    "Sparse",
    "StructuredMatrix",
    "Sum",
    "Transposed",
]
