"""Joint truncation of key and value weights."""

import numpy as np
import pytest

from tnattn.attention.conversion.converted import Converted
from tnattn.attention.conversion.joint_truncation import JointTruncation, joint_weights
from tnattn.attention.projections import LayerProblem, Projections


def layer(seed=0, tokens=30):
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal(s) / 3 for s in ((4, 8, 3), (2, 8, 3), (2, 8, 5))]
    return LayerProblem(rng.standard_normal((tokens, 8)) * np.geomspace(3, 0.1, 8), Projections(*weights))


@pytest.mark.parametrize("calibrated", [False, True])
def test_the_latent_space_has_the_rank(calibrated):
    problem = layer()
    converted = JointTruncation(3, problem.hidden if calibrated else None)(problem.projections)
    assert np.linalg.matrix_rank(joint_weights(converted)) == 3
    assert converted.w_k.shape == (2, 8, 3)
    assert converted.w_v.shape == (2, 8, 5)


@pytest.mark.parametrize("calibrated", [False, True])
def test_full_rank_changes_nothing(calibrated):
    problem = layer()
    converted = JointTruncation(8, problem.hidden if calibrated else None)(problem.projections)
    np.testing.assert_allclose(converted.w_k, problem.projections.w_k, atol=1e-12)
    np.testing.assert_allclose(converted.w_v, problem.projections.w_v, atol=1e-12)


def test_calibration_errs_less_on_its_activations_and_more_in_the_weights():
    problem = layer()
    w = joint_weights(problem.projections)
    plain, calibrated = (joint_weights(JointTruncation(3, x)(problem.projections)) for x in (None, problem.hidden))
    assert np.linalg.norm(problem.hidden @ (w - calibrated)) < 0.9 * np.linalg.norm(problem.hidden @ (w - plain))
    assert np.linalg.norm(w - calibrated) > np.linalg.norm(w - plain)


def test_the_output_converges_with_the_rank():
    problem = layer()
    exact = problem.attention.output
    errors = [
        np.linalg.norm(Converted(JointTruncation(rank, problem.hidden))(problem).output - exact)
        for rank in (2, 4, 6, 8)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 0}, "positive integer"),
        ({"rank": 9}, "exceeds the width 8"),
        ({"rank": 2, "activations": np.ones((4, 8))}, "at least the width"),
        ({"rank": 2, "activations": np.random.default_rng(0).standard_normal((20, 7))}, "must agree"),
        ({"rank": 2, "activations": np.full((20, 8), np.nan)}, "NaN"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        JointTruncation(**arguments)(layer().projections)


@pytest.mark.parametrize("calibrated", [False, True])
def test_weights_in_half_precision_are_factored_in_single(calibrated):
    problem = layer()
    halves = Projections(
        *(w.astype("f2") for w in (problem.projections.w_q, problem.projections.w_k, problem.projections.w_v))
    )
    singles = Projections(*(w.astype("f4") for w in (halves.w_q, halves.w_k, halves.w_v)))
    hidden = problem.hidden.astype("f2")
    found = JointTruncation(3, hidden if calibrated else None)(halves)
    expected = JointTruncation(3, hidden.astype("f4") if calibrated else None)(singles)
    for name in ("w_k", "w_v"):
        assert getattr(found, name).dtype == np.float16
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name).astype("f2"))
