"""The check of structured matrices refuses what is wrong: for every law a matrix that breaks it."""

import numpy as np
import pytest

from tnattn.structured.base import StructuredMatrix
from tnattn.testing.report import ConformanceError
from tnattn.testing.structures import check_structured

A = np.random.default_rng(0).standard_normal((4, 5))


class Plain(StructuredMatrix):
    """A dense matrix; the others change one thing."""

    storage = A.size

    @property
    def shape(self):
        return A.shape

    @property
    def like(self):
        return A

    def to_dense(self):
        return A.copy()

    def _matmul(self, x):
        return A @ x

    def _rmatmul(self, y):
        return A.T @ y

    def matmul_flops(self, columns):
        return 2 * A.size * columns


class WrongProduct(Plain):
    def _matmul(self, x):
        return 2 * A @ x


class WrongAdjoint(Plain):
    def _rmatmul(self, y):
        return A[::-1].T @ y


class WrongShape(Plain):
    @property
    def shape(self):
        return (4, 6)


class WrongType(Plain):
    def to_dense(self):
        return A.astype(np.float32)


class WrongFlops(Plain):
    def matmul_flops(self, columns):
        return -1


def test_a_matrix_that_is_right_passes():
    assert check_structured(Plain(), storage=A.size).of("violated") == ()


@pytest.mark.parametrize(
    ("matrix", "law"),
    [(WrongProduct(), "product"), (WrongAdjoint(), "adjoint"), (WrongShape(), "dense"), (WrongType(), "dense"),
     (WrongFlops(), "flops")],
    ids=lambda value: type(value).__name__ if isinstance(value, StructuredMatrix) else value,
)  # fmt: skip
def test_a_broken_matrix_is_refused_by_the_name_of_the_law(matrix, law):
    with pytest.raises(ConformanceError) as caught:
        check_structured(matrix)
    assert law in {finding.law for finding in caught.value.report.of("violated")}


def test_storage_is_held_against_the_count():
    with pytest.raises(ConformanceError, match="storage"):
        check_structured(Plain(), storage=A.size + 1)
