"""Theorems about joint truncation, worked by hand, and their hypotheses."""

import numpy as np
import pytest

from theory.bounds.attention.joint_svd import joint_svd_calibrated, joint_svd_floor, joint_svd_plain
from theory.statement.bound import HypothesisViolated
from tnattn.attention.conversion.joint_truncation import JointTruncation
from tnattn.attention.projections import Projections

# W = diag(1, 2) and second moment diag(100, 1): L^T W = diag(10, 2)
TARGET = Projections(np.ones((1, 2, 1)), np.array([[[1.0], [0.0]]]), np.array([[[0.0], [2.0]]]))
ACTIVATIONS = np.sqrt(2.0) * np.diag([10.0, 1.0])


def test_calibrated_truncation_keeps_what_the_activations_use():
    method = JointTruncation(1, ACTIVATIONS)
    prediction = joint_svd_calibrated(method, TARGET, method(TARGET))
    assert prediction.value == pytest.approx(4.0)
    assert prediction.observed == pytest.approx(4.0)


def test_plain_truncation_keeps_the_larger_weight():
    method = JointTruncation(1)
    prediction = joint_svd_plain(method, TARGET, method(TARGET))
    assert prediction.value == pytest.approx(1.0)
    assert prediction.observed == pytest.approx(1.0)
    assert joint_svd_floor(method, TARGET).value == pytest.approx(1.0)


def test_each_statement_speaks_of_its_own_truncation():
    plain, calibrated = JointTruncation(1), JointTruncation(1, ACTIVATIONS)
    with pytest.raises(HypothesisViolated, match="activations calibrate"):
        joint_svd_calibrated(plain, TARGET, plain(TARGET))
    with pytest.raises(HypothesisViolated, match="no activations"):
        joint_svd_plain(calibrated, TARGET, calibrated(TARGET))
