"""Attention to kept keys with upper bounds on the scores of the others, plain and moved to the centre of the values."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from theory.bounds.attention.rows import exact_output, exact_weights, host, kernel_over_mass
from theory.bounds.attention.sparse import causal_window, dropped_mass, far_apart
from theory.bounds.certificate.value_ball import ball_of, distance_of_rows
from theory.statement import errors
from theory.statement.bound import require
from theory.statement.errors import Error
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.arrays import eps
from tnattn.attention.approximation import Approximation
from tnattn.attention.kept_keys import centred_error, centred_output, dropped_share, kept_keys_error
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.sliding_window import SlidingWindow
from tnattn.attention.sparse.top_k import TopK

_MASSES: WeakKeyDictionary[Approximation, WeakKeyDictionary[AttentionProblem, Values]] = WeakKeyDictionary()


def _mass(problem: AttentionProblem, result: Approximation) -> Values:
    """Return the exact weight of the dropped keys of every row, computed once: both sides of both statements use it."""
    known = _MASSES.setdefault(result, WeakKeyDictionary())
    if problem not in known:
        known[problem] = dropped_mass(problem, result)
    return known[problem]


def share(problem: AttentionProblem, result: Approximation, excess: float = 0.0) -> Values:
    """Return the bound x on the dropped weight of every row, (..., H, n_q), from scores ``excess`` too large."""
    mass = _mass(problem, result)
    with np.errstate(divide="ignore"):
        return np.asarray(dropped_share(np.log(np.maximum(1 - mass, 0.0)), np.log(mass) + excess))


def _moved(problem: AttentionProblem, result: Approximation) -> Values:
    centre = host(ball_of(problem).centre)
    moved = centred_output(host(result.output), share(problem, result), centre=centre)
    return np.asarray(np.linalg.norm(moved - exact_output(problem), axis=-1))


moved_rows = Error(
    "distance of every row, moved to the centre by its dropped share, from the exact output",
    _moved,
    errors.output_rows.trivial,
    errors.output_rows.norm,
)


own = Paper(
    "re-derived",
    method=(TopK, SlidingWindow),
    instances=(far_apart, causal_window),
    guarantee=Deterministic(condition=8.0),
    statement="from the mass of the dropped keys and the ball of the values",
)


def _require_kept(problem: AttentionProblem, result: Approximation) -> None:
    kernel = kernel_over_mass(problem, result)
    allowance = 64 * problem.n_k * eps(problem.q)
    moved = np.where(kernel > 0, kernel - exact_weights(problem), 0.0)
    require(bool(moved.max() <= allowance and moved.min() >= -allowance), "kept keys have their exact kernel")


@own(error=distance_of_rows)
def kept_keys_envelope(
    method: TopK | SlidingWindow, problem: AttentionProblem, result: Approximation, *, excess: float = 0.0
) -> Values:
    """||o'_i - o_i|| <= x_i (||o'_i - c|| + rho), x_i = M_i / (Z_i + M_i).

    Z is the mass of the kept keys and M the sum of exp(u) over the others, with upper bounds u of their scores; here
    u is the score itself plus ``excess``.

    Letters: M the bound on the mass of the dropped keys; Z the mass of the kept keys; x the bound on their share.
    Hypotheses: the result has weights over the keys; the denominator is the row sum of the approximate kernel; every
    query sees a key; every denominator is positive; kept keys have their exact kernel; excess >= 0.
    """
    _require_kept(problem, result)
    require(excess >= 0, "excess >= 0")
    ball = ball_of(problem)
    return np.asarray(
        kept_keys_error(
            host(result.output),
            share(problem, result, excess),
            centre=host(ball.centre),
            radius=host(ball.radius)[..., 0],
        )
    )


@own(error=moved_rows)
def kept_keys_centred(method: TopK | SlidingWindow, problem: AttentionProblem, result: Approximation) -> Values:
    """||(1 - x_i) o'_i + x_i c - o_i|| <= x_i rho, x_i = M_i / (Z_i + M_i).

    With the true share in place of x the difference is x (o_T - c), o_T the exact attention to the dropped keys.

    Letters: x the bound on the dropped share; M the bound on the mass of the dropped keys; Z the mass of the kept keys.
    Hypotheses: the result has weights over the keys; the denominator is the row sum of the approximate kernel; every
    query sees a key; every denominator is positive; kept keys have their exact kernel.
    """
    _require_kept(problem, result)
    return np.asarray(centred_error(share(problem, result), radius=host(ball_of(problem).radius)[..., 0]))
