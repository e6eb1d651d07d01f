"""Decompositions of tensors: Tucker, block terms, canonical polyadic, tensor trains and their quantised form.

A decomposition is a value: its fields are its parameters, ``decomposition(tensor, rng=rng)`` runs it on a stack, and
``with_rank(rank, sizes)`` gives it one number as its budget. The result multiplies, has norms and a dense form,
unpacks as TensorLy's tuple of its kind does, and states its accuracy: ``ranks``, ``residual``, ``converged``, and for
iterations ``stationary``. Tensors are scaled by powers of two where squares of their entries would leave the range of
the dtype.

Three chapters, each with the algorithms that it holds and the one to take first:

``tnattn.decomposition.tucker``
    A core and a factor for every mode. Take it first: truncations are fast, and their errors exact.
``tnattn.decomposition.cp``
    Sums of outer products: the fewest numbers where the tensor has low rank, by iterations that may stop in a minimum.
``tnattn.decomposition.tensor_train``
    Chains of cores: for order four and more, for tensors that are never formed, and for long axes in binary digits.

There is no hierarchical Tucker form. Tensors of attention have order three or four: (head, query, key), (token, head,
feature), (layer, head, feature, model). Over three modes a binary tree has no matricisation that Tucker lacks, since
that of two modes is the transpose of that of the third: the form is the Tucker form. Over four modes it adds one, that
of the first two modes against the last two, and this is the middle bond of a tensor train: a train whose cores are
compressed along their modes (a train, then Tucker of its cores) holds the same tensors in the same storage. Only from
order five on is the tree a form of its own, and there the digits of a quantised train are what long axes need.

Beside the chapters:

``Decomposition``
    Base of all; a decomposition of one's own is one file with one class.
``Truncation``
    Base of those by truncated singular value decompositions: ranks, or a relative error.
``EntryTensor``
    An implicit tensor, given by its entries, for ``TTCross``.
``ArrayEntries``
    The entries of an array.
``NearestKronecker``
    The nearest sum of Kronecker products to a matrix, by a singular value decomposition. Van Loan and Pitsianis 1993.
``NearestKroneckerSum``
    Its result.
"""

from tnattn.decomposition.base import Decomposition
from tnattn.decomposition.entries import ArrayEntries, EntryTensor
from tnattn.decomposition.kronecker_sum import NearestKronecker, NearestKroneckerSum
from tnattn.decomposition.truncation import Truncation

__all__ = [
    "ArrayEntries",
    "Decomposition",
    "EntryTensor",
    "NearestKronecker",
    "NearestKroneckerSum",
    "Truncation",
]
