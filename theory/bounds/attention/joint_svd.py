"""Errors of jointly truncated key and value weights, with and without calibration."""

from __future__ import annotations

import numpy as np

from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error, dense
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.attention.conversion.joint_truncation import JointTruncation, joint_weights, second_moment_factor
from tnattn.attention.projections import Projections


def _difference(target: Projections, result: Projections) -> Values:
    return dense(joint_weights(target)) - dense(joint_weights(result))


def _size(target: Projections) -> Values:
    return np.asarray(np.sum(dense(joint_weights(target)) ** 2))


joint_weights_squared = Error(
    "squared Frobenius distance of the key and value weights of all heads",
    lambda t, r: np.asarray(np.sum(_difference(t, r) ** 2)),
    _size,
    _size,
)


def _layer(rng: np.random.Generator) -> Projections:
    w_q, w_k, w_v = (rng.standard_normal((heads, 12, width)) for heads, width in ((4, 3), (2, 3), (2, 5)))
    return Projections(w_q, w_k, w_v)


def _plain(rng: np.random.Generator) -> Instance:
    return JointTruncation(rank=4), _layer(rng)


def _calibrated(rng: np.random.Generator) -> Instance:
    activations = rng.standard_normal((40, 12)) * np.geomspace(2.0, 0.2, 12)
    return JointTruncation(rank=4, activations=activations), _layer(rng)


eckart = Paper(
    "Eckart & Young 1936",
    method=JointTruncation,
    instances=(_plain, _plain),
    guarantee=Deterministic(condition=64.0),
    statement="in the norm of the activations, re-derived",
)


@eckart(error=joint_weights_squared, guarantee=Deterministic(condition=8.0))
def joint_svd_plain(method: JointTruncation, target: Projections, result: Projections) -> tuple[Values, Values]:
    """||W - W'||_F^2 = sum_{j>r} s_j(W)^2 for W = [W_K W_V], truncated without activations.

    Letters: W the key and value weights of all heads, [W_K W_V], and W' those of the result; r the rank.
    Hypotheses: no activations calibrate the truncation.
    """
    require(method.activations is None, "no activations calibrate the truncation")
    s = errors.spectrum_of(joint_weights(target))
    return joint_weights_squared(target, result), np.asarray(errors.tail(s, method.rank) ** 2)


@eckart(error=joint_weights_squared, instances=(_calibrated, _calibrated))
def joint_svd_calibrated(method: JointTruncation, target: Projections, result: Projections) -> tuple[Values, Values]:
    """E |x (W - W')|^2 = sum_{j>r} s_j(L^T W)^2 over the calibration rows x, L L^T = E x^T x, E the mean.

    Letters: x the rows of the activations; W the key and value weights of all heads, [W_K W_V], and W' those of the
    result; r the rank; L a factor of the second moment of the activations.
    Hypotheses: activations calibrate the truncation.
    """
    require(method.activations is not None, "activations calibrate the truncation")
    x = dense(method.activations)
    # the mean over the rows is the expectation of the statement
    observed = np.sum((x @ _difference(target, result)) ** 2) / x.shape[0]
    # ||L^T M||_F^2 = E |x M|^2, so that the truncation is one in this norm
    s = errors.spectrum_of(dense(second_moment_factor(x)).T @ dense(joint_weights(target)))
    return np.asarray(observed), np.asarray(errors.tail(s, method.rank) ** 2)


@eckart(error=joint_weights_squared, side="lower", instances=(_plain, _calibrated))
def joint_svd_floor(method: JointTruncation, target: Projections) -> Values:
    """||W - W'||_F^2 >= sum_{j>r} s_j(W)^2: calibration never fits the weights themselves better.

    Letters: W the key and value weights of all heads, [W_K W_V], and W' those of the result; r the rank.
    Hypotheses: none; W' is any matrix of rank r.
    """
    s = errors.spectrum_of(joint_weights(target))
    return np.asarray(errors.tail(s, method.rank) ** 2)
