"""True theorems stay unrefuted when a field of the method is varied, and on scaled, tied and degenerate targets."""

import pytest

from theory.comparison import catalogue
from theory.studies.robustness import over_methods, over_targets

BOUNDS = catalogue.bounds()
# one theorem of every module; the slow tests take all of them
FIRST = list({b.module: name for name, b in reversed(BOUNDS.items())}.values())
FEW, MANY = 3, 60  # trials per variant; 60 runs refute a mean that is three times too large


def wrong(outcomes):
    return [str(outcome) for outcome in outcomes if outcome.wrong]


@pytest.mark.parametrize("name", FIRST)
def test_no_field_of_the_method_makes_a_theorem_false(name):
    assert not wrong(over_methods(BOUNDS[name], trials=FEW, own=True))


@pytest.mark.parametrize("name", FIRST)
def test_no_scale_or_degenerate_target_makes_a_theorem_false(name):
    assert not wrong(over_targets(BOUNDS[name], trials=FEW, own=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", BOUNDS)
def test_no_field_of_any_method_makes_a_theorem_false_in_many_runs(name):
    assert not wrong(over_methods(BOUNDS[name], trials=MANY))


@pytest.mark.slow
@pytest.mark.parametrize("name", BOUNDS)
def test_no_scale_or_degenerate_target_makes_a_theorem_false_in_many_runs(name):
    outcomes = list(over_targets(BOUNDS[name], trials=MANY))
    assert not wrong(outcomes)
    # a scan that only meets violated hypotheses would show nothing
    assert {outcome.verdict for outcome in outcomes} & {"supported", "not contradicted", "vacuous"}
