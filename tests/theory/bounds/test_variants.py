"""True theorems stay unrefuted when a field of the method is varied, and on scaled, tied and degenerate targets."""

import pytest

from theory.comparison import catalogue
from theory.studies.robustness import over_methods, over_targets

BOUNDS = catalogue.bounds()
TRIALS = 3  # per variant: a deterministic theorem needs one, an error far above its bound few
pytestmark = pytest.mark.slow


def wrong(outcomes):
    return [str(outcome) for outcome in outcomes if outcome.wrong]


@pytest.mark.parametrize("name", BOUNDS)
def test_no_field_of_the_method_makes_a_theorem_false(name):
    assert not wrong(over_methods(BOUNDS[name], trials=TRIALS, own=True))


@pytest.mark.parametrize("name", BOUNDS)
def test_no_scale_or_degenerate_target_makes_a_theorem_false(name):
    outcomes = list(over_targets(BOUNDS[name], trials=TRIALS, own=True))
    assert not wrong(outcomes)
    # a scan that only meets violated hypotheses would show nothing
    assert {outcome.verdict for outcome in outcomes} & {"supported", "not contradicted", "vacuous"}
