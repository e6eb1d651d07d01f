"""The laws of structured matrices: sound ones pass, and each law has a matrix that breaks it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tnattn.arrays import array_namespace, require_floating
from tnattn.structured import Dense, Diagonal, Kronecker, LowRank, Selection, Sparse
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.tensor_train import TensorTrain
from tnattn.structured.tucker import TuckerTensor
from tnattn.testing.report import ConformanceError
from tnattn.testing.structure_laws import LAWS
from tnattn.testing.structures import check_structured


@dataclass(frozen=True, eq=False, repr=False)
class Plain(StructuredMatrix):
    """A matrix held as an array, from which the controls differ in one method."""

    array: Any

    @property
    def shape(self):
        return tuple(self.array.shape)

    @property
    def like(self):
        return self.array

    @property
    def storage(self):
        return int(np.prod(self.shape))

    def _matmul(self, x):
        return self.array @ x

    def _rmatmul(self, y):
        return self.array.mT @ y

    def to_dense(self):
        return self.array.copy()

    def matmul_flops(self, columns):
        return 2 * columns * self.storage


class SharesItsArray(Plain):
    def to_dense(self):
        return self.array


class CannotBeWritten(Plain):
    def _matmul(self, x):
        product = self.array @ x
        product.flags.writeable = False
        return product


class SquaresTheFactor(Plain):
    """The product by way of a norm whose squares overflow."""

    def _matmul(self, x):
        with np.errstate(all="ignore"):
            length = np.sqrt((x * x).sum(axis=-2, keepdims=True))
            return (self.array @ (x / length)) * length


class ReadsMemory(Plain):
    def _matmul(self, x):
        return self.array @ (x if x.flags.c_contiguous else x[::-1])


class Overwrites(Plain):
    def _matmul(self, x):
        product = self.array @ x
        if x.flags.writeable and not x.flags.c_contiguous:
            x *= 2
        return product


class TakesAnyKind(Plain):
    __matmul__ = Plain._matmul


class DividesByTheBatch(Plain):
    def _matmul(self, x):
        return self.array @ x + 0 // int(np.prod(x.shape[:-2]))


class SumsInHalf(Plain):
    def _matmul(self, x):
        total = np.zeros((*x.shape[:-2], self.shape[-2], x.shape[-1]), self.array.dtype)
        for j in range(self.shape[-1]):
            total = (total + self.array[:, j, None] * x[..., j, None, :]).astype(self.array.dtype)
        return total


# what the base class would widen
SumsInHalf._matmul = SumsInHalf.__dict__["_matmul"].__wrapped__


def array(dtype="float64", shape=(5, 4)):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


CONTROLS = {
    "writable": [SharesItsArray(array()), CannotBeWritten(array())],
    "scale": [SquaresTheFactor(array())],
    "layouts": [ReadsMemory(array()), Overwrites(array())],
    "kinds": [TakesAnyKind(array())],
    "empty": [DividesByTheBatch(array())],
    "half": [SumsInHalf(np.abs(array("float16", (3, 2000))))],
}


def test_every_law_has_a_control():
    assert set(CONTROLS) == set(LAWS)


@pytest.mark.parametrize("law, matrix", [(law, m) for law, ms in CONTROLS.items() for m in ms], ids=str)
def test_a_matrix_that_breaks_a_law_is_rejected(law, matrix):
    with pytest.raises(ConformanceError, match=rf"\b{law} on"):
        check_structured(matrix)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_sound_matrix_is_accepted(dtype):
    check_structured(Plain(array(dtype)))


def _half_structures(xp, kind):
    namespace = array_namespace(xp.asarray(np.ones(1)))

    def moved(*shape):
        host = np.abs(np.random.default_rng(0).standard_normal(shape)) / 4
        return namespace.astype(xp.asarray(host), getattr(namespace, kind))

    indices = xp.asarray(np.random.default_rng(1).integers(0, 300, (6, 200)))
    train = TensorTrain((moved(1, 6, 3), moved(3, 40, 3), moved(3, 50, 1)))
    return {
        "dense": Dense(moved(6, 2000)),
        "low rank": LowRank(moved(6, 300), moved(300, 20)),
        "sparse": Sparse(moved(6, 200), indices, 300),
        "diagonal": Diagonal(moved(9)),
        "Kronecker": Kronecker((moved(2, 30), moved(3, 40))),
        "selection": Selection(indices[:, 0], 300, moved(1)),
        "transposed": LowRank(moved(6, 30), moved(30, 200)).mT,
        "train": train.as_matrix((0,), (1, 2)),
        "Tucker": TuckerTensor(moved(3, 3, 3), tuple(moved(n, 3) for n in (6, 30, 40))).as_matrix((1,), (0, 2)),
    }


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", [
    "dense", "low rank", "sparse", "diagonal", "Kronecker", "selection", "transposed", "train", "Tucker",
])  # fmt: skip
@pytest.mark.parametrize("xp", ["numpy", "torch"], indirect=True)
def test_structures_in_half_precision_are_summed_in_float32(xp, kind, name):
    if not hasattr(xp.namespace, kind):
        pytest.skip("not in this library")
    matrix = _half_structures(xp, kind)[name]
    LAWS["half"](matrix, np.random.default_rng(0))
    assert matrix.to_dense().dtype == matrix.dtype


def test_an_array_of_another_kind_is_refused_by_name():
    with pytest.raises(TypeError, match="longdouble|float128|complex"):
        require_floating(np.ones(2, np.clongdouble), "x")
