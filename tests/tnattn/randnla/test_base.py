"""Properties of every matrix method, found by scanning: kinds of input, stacks, precision, seeds, refusals."""

import dataclasses
import warnings

import numpy as np
import pytest
import scipy.sparse as sparse
from fixtures import rng
from scipy.sparse.linalg import aslinearoperator

from tnattn.arrays import array_namespace, to_host
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.wrappers.low_rank_weights import LowRankWeights
from tnattn.discovery import subclasses
from tnattn.randnla.accuracy import ToleranceWarning
from tnattn.randnla.base import MatrixMethod
from tnattn.randnla.low_rank.qb import QB
from tnattn.randnla.low_rank.range_finder import RangeFinder
from tnattn.structured.gaussian_kernel import GaussianKernel
from tnattn.structured.low_rank import LowRank
from tnattn.testing.matrix_trial import MatrixTrial

FOUND = subclasses("tnattn.randnla", MatrixMethod)
SEMIDEFINITE = [name for name, cls in FOUND.items() if cls.domain == "semidefinite"]
SYMMETRIC = [name for name, cls in FOUND.items() if cls.domain != "any"]
RANKED = {name: cls for name, cls in FOUND.items() if MatrixTrial(cls(), 0).ranked}
METHODS = {name: cls().with_rank(6) if name in RANKED else cls() for name, cls in FOUND.items()}
every_method = pytest.mark.parametrize("name", METHODS)
every_ranked_method = pytest.mark.parametrize("name", RANKED)
N = 12

pytestmark = pytest.mark.filterwarnings("ignore::tnattn.randnla.accuracy.ToleranceWarning")


def semidefinite(*batch, n=N, decay=0.5):
    q = np.linalg.qr(rng(1).standard_normal((*batch, n, n)))[0]
    a = (q * decay ** np.arange(n)) @ np.swapaxes(q, -1, -2)
    return (a + np.swapaxes(a, -1, -2)) / 2


def made(name, a, seed=3):
    return METHODS[name](a, rng=rng(seed))


def relative_error(result, a):
    return np.max(np.linalg.norm(to_host(result.to_dense()) - a, axis=(-2, -1)) / np.linalg.norm(a, axis=(-2, -1)))


def test_methods_are_found():
    assert {"RandomizedSVD", "CUR"} <= set(FOUND)
    assert 0 < len(SEMIDEFINITE) < len(SYMMETRIC) < len(FOUND)


@every_method
def test_each_matrix_of_a_stack_is_approximated_as_if_alone(name):
    stack = semidefinite(2, 3)
    together = made(name, stack).to_dense()
    alone = np.stack([np.stack([made(name, a).to_dense() for a in row]) for row in stack])
    np.testing.assert_allclose(together, alone, atol=1e-12)
    assert relative_error(made(name, stack), stack) < 0.5


@every_method
def test_precision_is_kept_and_single_is_as_good_as_it_can_be(xp, name):
    a = semidefinite(2, decay=0.3)
    for dtype in xp.dtypes:
        result = made(name, xp.asarray(a, dtype))
        dense = result.to_dense()
        assert array_namespace(dense) is array_namespace(xp.asarray(a, dtype))
        fields = [getattr(result, f.name) for f in dataclasses.fields(result)]
        kinds = {str(x.dtype).split(".")[-1] for x in (dense, *fields) if hasattr(x, "dtype")}
        assert kinds <= {dtype, "int64", "bool"}
        assert relative_error(result, a) < 0.1  # the best rank six leaves 7e-4


@every_method
def test_a_seed_gives_the_same_bits_twice(name):
    one, two = (made(name, semidefinite(2)).to_dense() for _ in range(2))
    assert np.array_equal(one, two)


@every_method
@pytest.mark.parametrize("kind", ["operator", "sparse", "factors", "entries"])
def test_implicit_matrices_are_taken(name, kind):
    x = rng().standard_normal((N, 2))
    kernel = GaussianKernel(x)
    dense = np.exp(-np.sum((x[:, None] - x) ** 2, axis=-1) / 2) if kind == "entries" else semidefinite()
    given = {
        "operator": aslinearoperator,
        "sparse": sparse.csr_array,
        "factors": lambda a: LowRank(a, np.eye(N)),
        "entries": lambda a: kernel,
    }[kind](dense)
    result = made(name, given)
    assert result.shape == (N, N)
    assert relative_error(result, dense) < 0.5


@every_method
@pytest.mark.parametrize(
    "a, error, words",
    [
        (np.where(np.eye(N) > 0, np.nan, 1.0), ValueError, "12 NaN"),
        (np.full((N, N), np.inf), ValueError, "144 infinite"),
        (np.ones((0, N)), ValueError, "length 0"),
        (np.ones(N), ValueError, "at least two axes"),
        (np.ones((N, N), dtype=int), TypeError, "floating"),
        ([[1.0]], TypeError, "list"),
    ],
    ids=["NaN", "infinite", "empty", "vector", "integers", "list"],
)
def test_bad_input_is_refused(name, a, error, words):
    with pytest.raises(error, match=words):
        made(name, a)


@every_method
def test_a_zero_matrix_gives_zero_or_is_refused(name):
    if FOUND[name].needs_full_rank:
        with pytest.raises(ValueError, match="rank below 6"):
            made(name, np.zeros((2, N, N)))
    else:
        assert np.all(made(name, np.zeros((2, N, N))).to_dense() == 0)


@every_method
def test_a_zero_matrix_does_not_disturb_others(name):
    if FOUND[name].needs_full_rank:
        return
    stack = semidefinite(2)
    stack[0] = 0
    result = made(name, stack).to_dense()
    assert np.all(result[0] == 0)
    np.testing.assert_allclose(result[1], made(name, stack[1]).to_dense(), atol=1e-12)


@every_ranked_method
@pytest.mark.parametrize("rank, error", [(0, ValueError), (-1, ValueError), (2.5, TypeError)])
def test_an_impossible_rank_is_refused(name, rank, error):
    with pytest.raises(error, match=r"(rank|size) is"):
        RANKED[name]().with_rank(rank)


@every_ranked_method
def test_a_rank_above_the_dimension_is_refused_or_spends_what_there_is(name):
    method, a = RANKED[name]().with_rank(N + 1), semidefinite(2)
    if FOUND[name].rank_is_limit:
        assert relative_error(method(a, rng=rng()), a) < 0.05
    else:
        with pytest.raises(ValueError, match=f"rank {N + 1} exceeds"):
            method(a, rng=rng())


@every_ranked_method
def test_full_rank_is_exact(name):
    a = semidefinite(2, decay=0.8)
    method = RANKED[name]().with_rank(N)
    if name == "AdaptiveQB":
        method = dataclasses.replace(method, rtol=1e-7)
    if FOUND[name].exact_at_full_rank:
        assert relative_error(method(a, rng=rng()), a) < 1e-6


@every_ranked_method
@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (1, 1)])
def test_a_single_row_or_column_is_exact_at_rank_one_or_refused(name, shape):
    cls, a = RANKED[name], 1 + rng().random(shape)
    if name == "SelfAssessedQB":
        method = cls(2)  # leaves out one probe of two
    elif name == "LeverageColumns":
        method = cls(1, subspace=1)
    else:
        method = cls().with_rank(1)
    if (name in SYMMETRIC and shape != (1, 1)) or name == "SelfAssessedQB":
        with pytest.raises(ValueError, match=r"square|rank 2 exceeds"):
            method(a, rng=rng())
    else:
        np.testing.assert_allclose(method(a, rng=rng()).to_dense(), a, rtol=1e-12)


@pytest.mark.parametrize("name", SYMMETRIC)
@pytest.mark.parametrize("kind", ["array", "operator", "softmax"])
def test_what_is_not_symmetric_is_refused(name, kind):
    problem = AttentionProblem(*(2 * rng(2).standard_normal((3, 1, N, 4))))
    a = {
        "array": lambda: rng().random((2, N, N)),
        "operator": lambda: aslinearoperator(rng().random((N, N))),
        "softmax": lambda: problem.weights,
    }[kind]()
    with pytest.raises(ValueError, match=r"not (symmetric|positive semidefinite)"):
        made(name, a)


@pytest.mark.parametrize("name", SYMMETRIC)
def test_what_is_not_square_is_refused(name):
    with pytest.raises(ValueError, match="square"):
        made(name, np.ones((N + 1, N)))


@pytest.mark.parametrize("name", SEMIDEFINITE)
@pytest.mark.parametrize("operator", [False, True])
def test_what_is_indefinite_is_refused(name, operator):
    a = semidefinite(decay=0.8) - 0.5 * np.eye(N)
    with pytest.raises(ValueError, match="not positive semidefinite"):
        made(name, aslinearoperator(a) if operator else a)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in SYMMETRIC])
def test_weights_of_attention_are_truncated(name):
    """Default options, at half the rank; rows whose approximate sum is not positive are counted."""
    problem = AttentionProblem(*(rng(4).standard_normal((3, 2, 16, 4))))
    piece = LowRankWeights(FOUND[name]()).with_budget(8)(problem, rng=rng())
    bad = np.sum(piece.bad_rows)
    assert bad <= 2
    assert np.sum(~np.isfinite(piece.output).all(axis=-1)) <= bad
    assert piece.kernel.shape == problem.weights.shape


@pytest.mark.parametrize("name", [name for name, m in METHODS.items() if hasattr(m, "rtol")])
def test_a_tolerance_out_of_reach_is_admitted(name):
    a = semidefinite(2, decay=0.9)
    method = dataclasses.replace(RANKED[name]().with_rank(3), rtol=1e-3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = method(a, rng=rng())
    assert [w.category for w in caught] == [ToleranceWarning]
    assert not np.any(result.converged)
    assert np.all(result.ranks == 3)
    assert relative_error(result, a) > 1e-3


def test_the_rank_of_an_inner_method_is_found():
    method = QB(RangeFinder(3)).with_rank(5)
    assert method.budget == method.range_finder.rank == 5


def test_a_method_without_a_rank_says_so():
    with pytest.raises(ValueError, match="RidgeNystrom has no rank field"):
        FOUND["RidgeNystrom"]().with_rank(3)
