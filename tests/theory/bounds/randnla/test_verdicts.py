"""Estimators, products and solves: their theorems against data, each with its control."""

import pytest
from fixtures import rng

from theory.bounds.randnla import error_estimate, least_squares, matrix_product, norms, trace
from theory.comparison.compare import compare, control
from theory.statement.bound import Bound
from theory.statistics.verdict import Verdict

MODULES = (error_estimate, least_squares, matrix_product, norms, trace)
BOUNDS = [b for module in MODULES for b in vars(module).values() if isinstance(b, Bound)]
every_bound = pytest.mark.parametrize("theorem", BOUNDS, ids=lambda b: b.name)


@every_bound
@pytest.mark.parametrize("instance", ["extremal", "generic"])
def test_the_data_do_not_refute_a_theorem(theorem, instance):
    method, target = getattr(theorem, instance)(rng(1))
    (comparison,) = compare(method, target, [theorem], trials=200, rng=rng(2))
    assert comparison.verdict in (Verdict.SUPPORTED, Verdict.NOT_CONTRADICTED)


@every_bound
def test_the_scaled_theorem_is_refuted_on_the_extremal_instance(theorem):
    method, target = theorem.extremal(rng(1))
    (comparison,) = compare(method, target, [control(theorem)], trials=200, rng=rng(2))
    assert comparison.verdict is Verdict.REFUTED
