"""Sketched least squares: near the best, exact where they must be, honest about convergence."""

import numpy as np
import pytest
import scipy.sparse
from fixtures import rng

from tnattn.arrays import to_host
from tnattn.gallery import matrix_with_spectrum
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.sketches.sparse_sign import SparseSign
from tnattn.randnla.solvers.least_squares import LeastSquaresProblem
from tnattn.randnla.solvers.sketch_and_solve import SampleAndSolve, SketchAndSolve
from tnattn.randnla.solvers.sketch_preconditioned import SketchPreconditioned
from tnattn.structured.low_rank import LowRank

METHODS = [
    SketchAndSolve(),
    SketchAndSolve(size=60, sketch=Gaussian()),
    SampleAndSolve(),
    SketchPreconditioned(),
    SketchPreconditioned(size=30, sketch=Gaussian(), iterations=50),
]
every_method = pytest.mark.parametrize("method", METHODS, ids=repr)
exact_methods = pytest.mark.parametrize("method", METHODS[3:], ids=repr)


def problem(m=200, n=6, k=2, *, condition=1e3, noise=0.1, seed=0, batch=()):
    count = int(np.prod(batch))
    spectrum = np.geomspace(1, 1 / condition, n)
    a = np.stack([matrix_with_spectrum(spectrum, (m, n), rng(seed + i)) for i in range(count)]).reshape(*batch, m, n)
    b = a @ rng(seed + 50).standard_normal((*batch, n, k))
    return a, b + noise * rng(seed + 60).standard_normal((*batch, m, k)) / m**0.5


def best(a, b):
    return np.linalg.pinv(a) @ b


def fit_error(a, b, x):
    return np.linalg.norm(a @ (x - best(a, b)), axis=(-2, -1)) / np.linalg.norm(b, axis=(-2, -1))


@exact_methods
@pytest.mark.parametrize("condition", [1, 1e4, 1e8])
def test_preconditioned_steps_find_the_best_solution(method, condition):
    a, b = problem(condition=condition)
    solution = method(a, b, rng=rng(1))
    assert np.all(solution.converged)
    assert fit_error(a, b, solution.x) < 100 * np.finfo(float).eps * (20 + condition)
    np.testing.assert_allclose(solution.residual_norm, np.linalg.norm(a @ best(a, b) - b, axis=0), rtol=1e-9)


@exact_methods
def test_the_number_of_steps_does_not_depend_on_the_condition(method):
    easy, hard = (method(*problem(condition=c), rng=rng(1)).iterations.max() for c in (1, 1e6))
    assert hard <= 1.5 * easy <= 60


@every_method
def test_every_library_solves_a_consistent_problem_exactly(xp, method):
    a, b = problem(noise=0.0, condition=5, batch=(2,))
    for dtype in xp.dtypes:
        given = xp.asarray(a, dtype), xp.asarray(b, dtype)
        solution = method(*given, rng=rng(2))
        assert fit_error(a, b, to_host(solution.x)).max() < 100 * float(np.finfo(dtype).eps)
        assert solution.x.dtype == solution.residual_norm.dtype == given[0].dtype
        assert np.all(to_host(solution.converged))


@exact_methods
def test_dependent_columns_give_the_shortest_solution_on_every_library(xp, method, assert_close):
    a = rng().standard_normal((2, 90, 2)) @ rng(1).standard_normal((2, 2, 5))
    b = rng(2).standard_normal((2, 90, 3))
    x = method(xp.asarray(a), xp.asarray(b), rng=rng(3)).x
    assert_close(x, best(a, b), rtol=0, atol=2000 * xp.eps())


@every_method
def test_the_residual_reported_is_that_of_the_solution(method):
    a, b = problem(batch=(3,))
    solution = method(a, b, rng=rng(1))
    desired = np.linalg.norm(a @ solution.x - b, axis=-2)
    np.testing.assert_allclose(solution.residual_norm, desired, rtol=1e-9)


@every_method
def test_the_solution_is_near_the_best(method, seed):
    a, b = problem(seed=10 * seed)
    least = np.linalg.norm(a @ best(a, b) - b, axis=0)
    assert np.all(method(a, b, rng=rng(seed)).residual_norm < 1.6 * least)


def test_more_rows_bring_the_sketched_solution_nearer():
    a, b = problem(m=600)
    errors = [np.mean([fit_error(a, b, SketchAndSolve(s)(a, b, rng=rng(i)).x) for i in range(10)]) for s in (24, 384)]
    assert errors[1] < 0.4 * errors[0]


def test_too_few_steps_are_admitted():
    a, b = problem()
    solution = SketchPreconditioned(iterations=2)(a, b, rng=rng())
    assert not np.any(solution.converged)
    assert solution.iterations.max() == 2
    assert np.all(SketchPreconditioned(iterations=0)(a, b, rng=rng()).iterations == 0)


def test_a_loose_tolerance_saves_steps_and_is_kept():
    a, b = problem(m=400, n=30)
    loose, tight = (SketchPreconditioned(tolerance=t)(a, b, rng=rng()) for t in (1e-3, None))
    assert loose.iterations.max() < tight.iterations.min() / 2
    assert np.all(loose.converged)
    assert 1e-9 < fit_error(a, b, loose.x) < 5e-3


def test_a_tolerance_of_zero_ends_where_rounding_does():
    a, b = problem()
    solution = SketchPreconditioned(tolerance=0.0, iterations=1000)(a, b, rng=rng())
    assert solution.iterations.max() < 100
    assert np.all(solution.converged)


def test_each_side_stops_by_itself():
    a, b = problem(k=3)
    b[:, 1] = a @ np.ones(6)
    steps = SketchPreconditioned(tolerance=1e-10)(a, b, rng=rng()).iterations
    assert steps[1] <= 1 < steps[0]


@every_method
def test_a_vector_of_sides_gives_a_vector(method):
    a, b = problem(k=1)
    solution = method(a, b[:, 0], rng=rng(1))
    assert (solution.x.shape, solution.residual_norm.shape, solution.iterations.shape) == ((6,), (), ())
    np.testing.assert_allclose(solution.x, method(a, b, rng=rng(1)).x[:, 0], rtol=1e-9)


@every_method
def test_each_problem_of_a_stack_is_solved_as_if_alone(method):
    a, b = problem(batch=(2, 2))
    together = method(a, b, rng=rng(5)).x.reshape(4, 6, 2)
    pairs = zip(a.reshape(4, 200, 6), b.reshape(4, 200, 2), strict=True)
    alone = np.stack([method(x, y, rng=rng(5)).x for x, y in pairs])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-8)


@every_method
def test_one_matrix_serves_a_stack_of_sides(method):
    a, b = problem(batch=(3,))
    solution = method(a[0], b, rng=rng(1))
    assert solution.x.shape == (3, 6, 2)
    assert np.all(solution.residual_norm < 1.6 * np.linalg.norm(a[0] @ best(a[0], b) - b, axis=-2))


@every_method
def test_a_zero_matrix_gives_zero(xp, method):
    b = xp.asarray(rng().standard_normal((2, 40, 1)))
    solution = method(xp.asarray(np.zeros((2, 40, 3))), b, rng=rng())
    assert np.all(to_host(solution.x) == 0)
    assert np.all(to_host(solution.converged))


@every_method
def test_zero_sides_give_zero(method):
    solution = method(problem()[0], np.zeros((200, 1)), rng=rng())
    assert np.all(solution.x == 0)
    assert np.all(solution.converged)


@exact_methods
def test_a_single_row_is_solved(method):
    x = method(np.array([[2.0]]), np.array([[6.0]]), rng=rng()).x
    np.testing.assert_allclose(x, [[3.0]])


@exact_methods
@pytest.mark.parametrize("make", [scipy.sparse.csr_array, scipy.sparse.linalg.aslinearoperator, None])
def test_implicit_matrices_are_solved_as_dense_ones(method, make):
    a, b = problem()
    given = LowRank(a, np.eye(6)) if make is None else make(a)
    assert fit_error(a, b, method(given, b, rng=rng()).x) < 1e-10


@every_method
def test_a_problem_is_solved_as_its_parts(method):
    a, b = problem()
    one, two = method(LeastSquaresProblem(a, b), rng=rng(1)).x, method(a, b, rng=rng(1)).x
    assert np.array_equal(one, two)


@exact_methods
def test_float32_is_as_good_as_float32_allows(method):
    a, b = problem(condition=100)
    solution = method(a.astype(np.float32), b.astype(np.float32), rng=rng())
    assert np.all(solution.converged)
    assert fit_error(a, b, solution.x) < 100 * np.finfo(np.float32).eps * 10


def test_the_rows_drawn_are_returned():
    a, b = problem()
    sample = SampleAndSolve(samples=50)(a, b, rng=rng()).sample
    assert sample.shape == (50, 200)
    assert SketchAndSolve()(a, b, rng=rng()).sample is None


@pytest.mark.parametrize(
    "call, kind, words",
    [
        (lambda: SketchAndSolve(size=0), ValueError, "size is 0"),
        (lambda: SketchAndSolve(sketch="sparse"), TypeError, "a Sketch such as"),
        (lambda: SampleAndSolve(samples=1.5), TypeError, "an integer is needed"),
        (lambda: SketchPreconditioned(tolerance=1.0), ValueError, "tolerance is 1.0"),
        (lambda: SketchPreconditioned(iterations=-1), ValueError, "iterations is -1"),
        (lambda: SketchAndSolve(size=3)(*problem(), rng=rng()), ValueError, "size 3 is less than the 6 columns"),
        (lambda: SampleAndSolve(samples=3)(*problem(), rng=rng()), ValueError, "samples 3 is less"),
        (lambda: SketchAndSolve()(np.eye(3), np.ones(4), rng=rng()), ValueError, "b has shape"),
        (lambda: SketchAndSolve()(np.eye(3), np.full(3, np.nan), rng=rng()), ValueError, "b holds 3 NaN"),
        (lambda: SketchAndSolve()(np.eye(3), [1.0, 2, 3], rng=rng()), TypeError, "b is a list"),
        (lambda: SketchAndSolve()(np.eye(3), np.ones(3, dtype=np.float32), rng=rng()), TypeError, "convert one"),
        (lambda: SketchAndSolve()(np.eye(3), rng=rng()), TypeError, "b is missing"),
        (lambda: SketchPreconditioned()(np.eye(3), np.ones(3)), TypeError, "pass rng"),
        (lambda: SampleAndSolve()(np.eye(3), np.ones(3)), TypeError, "pass rng"),
    ],
)
def test_bad_input_is_refused(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def test_a_bad_preconditioner_is_seen():
    """A sketch of a single sign per row with too few rows whitens badly: steps do not suffice, and it is said."""
    a, b = problem(m=400, n=20)
    solution = SketchPreconditioned(size=20, sketch=SparseSign(nonzeros=1), iterations=15)(a, b, rng=rng())
    assert not np.all(solution.converged)
    assert fit_error(a, b, solution.x) > 1e-10
