"""Truncation to the hierarchical Tucker form, a binary tree of modes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from theory.bounds.decomposition.instances import decaying, with_faces
from theory.bounds.decomposition.unfoldings import realised_ranks
from theory.statement import errors
from theory.statement.bound import Instance
from theory.statement.errors import dense, spectrum_of, tail
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.arrays import Array, Rng, from_host
from tnattn.decomposition.truncation import Truncation
from tnattn.structured.tucker import TuckerTensor

Node = tuple[int, ...]


def matricisations(modes: Node) -> list[Node]:
    """Return the sets of modes of a balanced tree from the root down, each of which is the rows of a matrix.

    Those of the root's two sons are transposes of each other, and one is left out: 2 d - 3 for d > 2 modes.
    """
    first, second = _sons(modes)
    return [first, *_below([first, second])]


def _sons(modes: Node) -> tuple[Node, Node]:
    half = len(modes) // 2
    return modes[:half], modes[half:]


def _below(level: list[Node]) -> Iterator[Node]:
    """Yield all descendants of some nodes, level by level."""
    sons = [son for node in level if len(node) > 1 for son in _sons(node)]
    yield from sons
    if sons:
        yield from _below(sons)


def matricised(x: Values, rows: Node) -> Values:
    """Return the matrix whose rows are the indices of some modes."""
    count = math.prod(x.shape[mode] for mode in rows)
    return np.moveaxis(x, rows, range(len(rows))).reshape(count, -1)


@dataclass(frozen=True)
class HierarchicalTruncation(Truncation):
    """Project onto the leading singular vectors of every matricisation of a tree, from the root to the leaves.

    It forms the projected tensor and keeps it in Tucker form: it is here to be compared with theorems. For tensors of
    order three the form is that of Tucker, and for order four a tensor train holds the same; see
    ``tnattn.decomposition``. One tensor, no stack, of order three at least.

    Parameters
    ----------
    ranks : int or tuple of int
        One for each of the ``matricisations``.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.decomposition.hierarchical import HierarchicalTruncation
    >>> from theory.bounds.decomposition.instances import diagonal_example
    >>> x = diagonal_example()  # X_000 = 2, X_111 = 1
    >>> round(float(np.linalg.norm(x - HierarchicalTruncation(ranks=1)(x).to_dense())), 4)
    1.0
    """

    @property
    def _rank_count(self) -> int:
        return len(self.nodes)

    @property
    def nodes(self) -> list[Node]:
        """The matricisations, in the order of the ranks."""
        return matricisations(tuple(range(self.order)))

    def rank_limits(self, sizes: Sequence[int]) -> tuple[int, ...]:
        products = [math.prod(sizes[mode] for mode in node) for node in self.nodes]
        return tuple(min(rows, math.prod(sizes) // rows) for rows in products)

    def _require_consistent(self, ranks: tuple[int, ...], sizes: Sequence[int]) -> None:
        return None  # a projection onto more directions than its sons leave changes nothing

    def decompose(self, tensor: Array, *, rng: Rng | None) -> TuckerTensor:
        x = dense(tensor)
        ranks = self.ranks_for(x.shape) or self.rank_limits(x.shape)
        kept = x
        bases: dict[Node, Values] = {}
        for node, rank in zip(self.nodes, ranks, strict=True):
            # singular vectors of the tensor itself, not of its projection: a root-to-leaves truncation
            bases[node] = np.linalg.svd(matricised(x, node), full_matrices=False)[0][:, :rank]
            kept = _projected(kept, node, bases[node])
        leaves = [bases.get((mode,), np.eye(n)) for mode, n in enumerate(x.shape)]
        core = kept
        for mode, basis in enumerate(leaves):
            # U^T along the mode; leaves without a matricisation keep the identity
            core = np.moveaxis(np.tensordot(basis, core, (0, mode)), 0, mode)
        factors = tuple(from_host(basis, like=tensor, dtype=tensor.dtype) for basis in leaves)
        return TuckerTensor(from_host(core, like=tensor, dtype=tensor.dtype), factors)


def _projected(x: Values, rows: Node, basis: Values) -> Values:
    """Return a tensor whose matricisation is projected onto the range of a basis."""
    shape = [x.shape[mode] for mode in rows] + [n for mode, n in enumerate(x.shape) if mode not in rows]
    projected = (basis @ (basis.T @ matricised(x, rows))).reshape(shape)
    return np.moveaxis(projected, range(len(rows)), rows)


def _faces(rng: np.random.Generator) -> Instance:
    return HierarchicalTruncation(ranks=2), with_faces(rng, (1.0, 2.0, 3.0))


def _order_four(rng: np.random.Generator) -> Instance:
    return HierarchicalTruncation(ranks=(4, 2, 3, 2, 2), order=4), decaying(rng, (4, 5, 3, 4))


grasedyck = Paper("Grasedyck 2010", method=HierarchicalTruncation, instances=(_faces, _order_four))


@grasedyck("Theorem 3.11 and remark", error=errors.tensor_frobenius)
def htucker_truncation(method: HierarchicalTruncation, tensor: Any) -> Values:
    """||X - X'||_F <= (sum_t tau_t^2)^(1/2), tau_t the tails of the 2 d - 3 distinct matricisations of the tree.

    Hence at most sqrt(2 d - 3) times the best error at these ranks. For d = 4 and five tails of 0.1: 0.223607. For
    X_0000 = 2, X_1111 = 1 and ranks 1 all five tails are 1: the bound is sqrt(5), the error 1.

    Letters: t a node of the tree.
    Hypotheses: there is one tensor, no stack; the ranks are given.
    """
    ranks = realised_ranks(method, tensor)
    x = dense(tensor)
    tails = [tail(spectrum_of(matricised(x, node)), rank) for node, rank in zip(method.nodes, ranks, strict=True)]
    return np.asarray(np.linalg.norm(tails))
