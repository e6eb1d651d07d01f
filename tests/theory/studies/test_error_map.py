"""Entry-wise errors of one head, and their root mean squares over blocks."""

from dataclasses import replace

import numpy as np
import pytest

from theory.studies.error_map import block_root_mean_squares, entrywise_errors
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.sliding_window import SlidingWindow
from tnattn.attention.sparse.top_k import TopK

RNG = np.random.default_rng(2)
PROBLEM = AttentionProblem(*(RNG.standard_normal((m, 20, 6)) for m in (4, 2, 2)))


def made():
    return {"window": SlidingWindow(7)(PROBLEM), "top": TopK(20)(PROBLEM)}


@pytest.mark.parametrize("head", range(4))
def test_errors_are_differences_of_weights(head):
    found = entrywise_errors(PROBLEM, made(), head=head)
    exact = np.asarray(PROBLEM.dense_weights())[head]
    approximate = np.asarray(PROBLEM.ungroup(made()["window"].weights.to_dense()))[head]
    np.testing.assert_allclose(found.errors["window"], np.abs(approximate - exact), atol=1e-14)
    np.testing.assert_allclose(found.weights, exact, atol=1e-14)


def test_all_keys_err_nowhere_and_a_window_does():
    found = entrywise_errors(PROBLEM, made())
    assert found.relative("top") < 1e-12
    assert found.relative("window") > 0.1


def test_the_head_in_the_middle_is_chosen():
    window = {"window": made()["window"]}
    errors = [entrywise_errors(PROBLEM, window, head=h).relative("window") for h in range(4)]
    assert errors[entrywise_errors(PROBLEM, window).head] == sorted(errors)[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(({},), "approximations is empty"), ((made(),), "head 9 does not exist; the problem has heads 0 to 3")],
)
def test_what_cannot_be_compared_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        entrywise_errors(PROBLEM, *arguments, head=9)


def test_an_approximation_without_weights_is_refused_by_name():
    approximation = replace(made()["window"], expand=None)
    with pytest.raises(ValueError, match="window has no weights over the original keys"):
        entrywise_errors(PROBLEM, {"window": approximation})


@pytest.mark.parametrize(("most", "shape"), [(5, (5, 5)), (7, (7, 6)), (30, (20, 18))])
def test_pooling_keeps_the_root_mean_square_of_blocks(most, shape):
    a = RNG.standard_normal((20, 18))
    small = block_root_mean_squares(a, most)
    assert small.shape == shape
    block = [-(-extent // most) for extent in a.shape]
    np.testing.assert_allclose(small[0, 0], np.sqrt(np.mean(a[: block[0], : block[1]] ** 2)))
    last = a[(shape[0] - 1) * block[0] :, (shape[1] - 1) * block[1] :]
    np.testing.assert_allclose(small[-1, -1], np.sqrt(np.mean(last**2)))
