"""Scalar arguments of public functions: NumPy's give what Python's give, and other kinds are refused."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tnattn import attend, discovery, linalg
from tnattn.arrays import is_array, to_host
from tnattn.attention.low_rank.nystromformer import segment_means
from tnattn.decomposition import multilinear, subspace
from tnattn.structured import Dense, Diagonal, LowRank, ShiftedBlocks, Sparse, band, block_sparse, shifted_blocks
from tnattn.structured.cp import CPTensor
from tnattn.structured.tensor_train import TensorTrain
from tnattn.structured.tucker import TuckerTensor

RNG = np.random.default_rng(0)


def drawn(*shape):
    return RNG.standard_normal(shape).astype("float32")  # a scalar of float64 would make the result float64


@dataclass(frozen=True)
class Case:
    """A small call of a function: its arrays, and its scalars by name."""

    function: Callable
    arrays: tuple[Any, ...]
    scalars: dict[str, Any]
    rest: dict[str, Any] = field(default_factory=dict)

    def __call__(self, **changed):
        return self.function(*self.arrays, **{**self.scalars, **self.rest, **changed})


TENSOR, MATRIX, PLACES = drawn(3, 4, 5), drawn(6, 4), np.arange(6)
CP = CPTensor(drawn(2), (drawn(3, 2), drawn(4, 2), drawn(5, 2)))
TUCKER = TuckerTensor(drawn(2, 2, 2), (drawn(3, 2), drawn(4, 2), drawn(5, 2)))
TRAIN = TensorTrain((drawn(1, 3, 2), drawn(2, 4, 2), drawn(2, 5, 1)))
SPAN = {"size": 2, "reach": 3, "columns": 12, "fixed": 1}
QKV = tuple(drawn(2, 7, 4) for _ in range(3))

CASES = {
    "multilinear.mode_sizes": Case(multilinear.mode_sizes, (TENSOR,), {"order": 3}),
    "multilinear.unfold": Case(multilinear.unfold, (TENSOR,), {"mode": 1, "order": 3}),
    "multilinear.fold": Case(multilinear.fold, (drawn(4, 15),), {"mode": 1, "sizes": (3, 4, 5)}),
    "multilinear.mode_product": Case(multilinear.mode_product, (TENSOR, drawn(2, 4)), {"mode": 1, "order": 3}),
    "multilinear.mode_gram": Case(multilinear.mode_gram, (TENSOR,), {"mode": 2, "order": 3}),
    "subspace.mode_subspace": Case(subspace.mode_subspace, (TENSOR,), {"mode": 1, "order": 3, "rank": 2}),
    "subspace.leading_subspace": Case(subspace.leading_subspace, (MATRIX,), {"rank": 2}),
    "pseudo_inverse.pseudo_inverse_apply": Case(linalg.pseudo_inverse_apply, (MATRIX, drawn(6, 2)), {"rtol": 0.5}),
    "column_pivoting.pivoted_qr": Case(linalg.pivoted_qr, (MATRIX,), {"steps": 2, "rtol": 0.5}),
    "column_pivoting.with_unused": Case(linalg.with_unused, (np.array([1, -1]),), {"n": 4}),
    "eigenvalues.leading_eigh": Case(linalg.leading_eigh, (MATRIX.T @ MATRIX,), {"keep": 2}),
    "singular_values.leading_svd": Case(linalg.leading_svd, (MATRIX,), {"keep": 2}),
    "norms.rank_for_tolerance": Case(linalg.rank_for_tolerance, (np.float32([4, 2, 1]),), {"rtol": 0.5}),
    "block_sparse.in_blocks": Case(block_sparse.in_blocks, (MATRIX,), {"size": 4}),
    "block_sparse.sampled_tiles": Case(
        block_sparse.sampled_tiles, (MATRIX, drawn(9, 4), np.array([[0, 1], [4, 8]])), {"size": 3}
    ),
    "band.band_entries": Case(band.band_entries, (), {**SPAN, "rows": 6}),
    "block_sparse.block_parts": Case(block_sparse.block_parts, (), {"blocks": 5, "weight": 1 << 17}, {"like": MATRIX}),
    "shifted_blocks.to_stack": Case(shifted_blocks.to_stack, (MATRIX,), {"count": 2}),
    "CPTensor.slices": Case(CP.slices, (), {"mode": 1}),
    "TuckerTensor.slices": Case(TUCKER.slices, (), {"mode": 1}),
    "TensorTrain.slices": Case(TRAIN.slices, (), {"mode": 1}),
    "StructuredTensor.as_matrix": Case(CP.as_matrix, (), {"rows": (0, 2), "columns": (1,)}),
    "Dense.matmul_flops": Case(Dense(MATRIX).matmul_flops, (), {"columns": 3}),
    "Diagonal.matmul_flops": Case(Diagonal(drawn(4)).matmul_flops, (), {"columns": 3}),
    "LowRank.matmul_flops": Case(LowRank(drawn(4, 2), drawn(2, 5)).matmul_flops, (), {"columns": 3}),
    "Sparse.matmul_flops": Case(Sparse(drawn(4, 2), PLACES[:4, None] + [0, 1], 6).matmul_flops, (), {"columns": 3}),
    "ShiftedBlocks.matmul_flops": Case(
        ShiftedBlocks(Dense(drawn(2, 3, 2)), (0, 1), 5).matmul_flops, (), {"columns": 3}
    ),
    "nystromformer.segment_means": Case(segment_means, (MATRIX,), {"segments": 4}),
    "attend.attend": Case(attend, QKV, {"scale": 0.5, "softcap": 2.0}),
}

# whose functions are all in the table
SCOPE = (
    r"tnattn\.(linalg\.(eigenvalues|singular_values|norms|pseudo_inverse|column_pivoting)|decomposition\.multilinear"
    r"|structured\.(band|block_sparse|shifted_blocks))"
)


def plain(result):
    """A result as a nest of types, dtypes and numbers that can be compared."""
    if is_array(result):
        return type(result), result.dtype, result.shape, to_host(result).tolist()
    if isinstance(result, (tuple, list)):
        return [plain(part) for part in result]
    if hasattr(result, "to_dense"):
        return type(result), plain(result.to_dense())
    if hasattr(result, "__dataclass_fields__"):
        return {name: plain(getattr(result, name)) for name in result.__dataclass_fields__}
    return type(result), result


def numpy_forms(value):
    """The same number, or tuple of numbers, of NumPy's types."""
    if isinstance(value, tuple):
        return [tuple(np.int64(n) for n in value), np.array(value)]
    kinds = [np.int64, np.uint8, np.array] if isinstance(value, int) else [np.float64, np.float32, np.float16, np.array]
    return [kind(value) for kind in kinds if kind is not np.uint8 or value < 256]


def other_kinds(value):
    """Values near a number, or a tuple of numbers, that are of another kind."""
    if isinstance(value, tuple):
        return [tuple(float(n) for n in value), tuple(bool(n) for n in value)]
    return [True, np.True_, float(value), np.float32(value), str(value)] if isinstance(value, int) else [True, "1", 1j]


def unequal(case):
    """The scalars of a case for which a NumPy number gives another result than a Python one."""
    expected = plain(case())
    return [
        (name, form)
        for name, value in case.scalars.items()
        for form in numpy_forms(value)
        if plain(case(**{name: form})) != expected
    ]


def accepted(case):
    """The scalars of a case, with the values of other kinds that it does not refuse by TypeError."""
    found = []
    for name, value in case.scalars.items():
        for other in other_kinds(value):
            try:
                case(**{name: other})
            except TypeError:
                continue
            found.append((name, other))
    return found


@pytest.mark.parametrize("name", CASES)
def test_numpy_scalars_give_what_python_scalars_give(name):
    assert not unequal(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_scalars_of_another_kind_are_refused(name):
    assert not accepted(CASES[name])


def test_every_function_in_scope_is_in_the_table():
    scalar = re.compile(r"\b(int|float|bool)\b")
    found = set()
    for module in discovery.modules("tnattn"):
        if re.fullmatch(SCOPE, module.__name__):
            for name, function in vars(module).items():
                if inspect.isfunction(function) and function.__module__ == module.__name__ and name[0] != "_":
                    annotations = inspect.get_annotations(inspect.unwrap(function))
                    if any(scalar.search(str(kind)) for key, kind in annotations.items() if key != "return"):
                        found.add(f"{module.__name__.rpartition('.')[2]}.{name}")
    assert len(found) > 10
    assert found - set(CASES) == set()


def test_a_function_that_takes_scalars_as_they_are_is_found():
    wrong = Case(lambda x, *, scale, steps: (scale * x, x[:steps]), (MATRIX,), {"scale": 0.5, "steps": 1})
    assert {name for name, _ in unequal(wrong)} == {"scale"}
    assert {name for name, _ in accepted(wrong)} == {"scale", "steps"}
