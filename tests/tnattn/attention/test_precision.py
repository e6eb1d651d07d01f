"""Half precision is widened once and cast back once."""

import numpy as np
import pytest

from tnattn.arrays import dtype_name, is_half
from tnattn.attention.masks import BiasMask
from tnattn.attention.precision import InDtype, widened_problem
from tnattn.attention.problem import AttentionProblem
from tnattn.structured import Dense


def problem(dtype):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((h, 5, 3)).astype(dtype) for h in (4, 2, 2))
    return AttentionProblem(q, k, v, mask=BiasMask(rng.standard_normal((5, 5))), scale=0.3, softcap=4.0)


@pytest.mark.parametrize(("dtype", "half"), [("f2", True), ("f4", False), ("f8", False)])
def test_halves_are_known(dtype, half):
    assert is_half(np.zeros(3, dtype)) == half


def test_a_problem_in_half_precision_keeps_everything_but_its_dtype():
    given = problem("f2")
    wide = widened_problem(given)
    assert {x.dtype for x in (wide.q, wide.k, wide.v)} == {np.dtype("f4")}
    assert (wide.scale, wide.softcap, wide.mask) == (given.scale, given.softcap, given.mask)
    for name in ("q", "k", "v"):
        np.testing.assert_array_equal(getattr(wide, name), getattr(given, name))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_other_problems_stay_as_they_are(dtype):
    given = problem(dtype)
    assert widened_problem(given) is given


def test_products_are_formed_in_the_dtype_of_the_matrix():
    matrix = InDtype(Dense(np.ones((2, 4096), "f4")), np.dtype("f2"))
    x = np.full((4096, 1), 0.5, "f2")
    assert matrix.shape == (2, 4096)
    assert matrix.dtype == matrix.like.dtype == np.float16
    assert matrix.storage == 2 * 4096
    assert matrix.matmul_flops(3) == 2 * 2 * 4096 * 3
    for found, expected in ((matrix @ x, 2048.0), (matrix.mT @ np.ones((2, 1), "f2"), 2.0), (matrix.to_dense(), 1.0)):
        assert dtype_name(found.dtype) == "float16"
        np.testing.assert_array_equal(found, expected)


def test_entries_are_not_checked_again():
    given = problem("f2")
    q = np.full_like(given.q, np.inf)
    wide = widened_problem(AttentionProblem(q, given.k, given.v, check_finite=False))
    assert np.isinf(wide.q).all()


def test_arrays_of_the_dtype_that_is_asked_for_are_not_copied():
    entries, asked = np.ones((2, 3), "f4"), []

    class Recording(Dense):
        def _matmul(self, x):
            asked.append(x)
            return super()._matmul(x)

    matrix, x = InDtype(Recording(entries), np.dtype("f4")), np.ones((3, 1), "f4")
    assert np.shares_memory(matrix.like, entries)
    assert (matrix @ x).dtype == np.float32
    assert np.shares_memory(asked[0], x)


def test_a_matrix_is_shown_by_its_class_and_shape():
    assert repr(InDtype(Dense(np.ones((2, 3), "f4")), np.dtype("f2"))) == "InDtype(2, 3)"
