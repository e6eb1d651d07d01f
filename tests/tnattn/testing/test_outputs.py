"""Laws about one output hold where they should, and raise where they should."""

import numpy as np
import pytest
from fixtures.laws import changed, trial

from tnattn.attention.baseline.exact import Exact
from tnattn.attention.sampling.value_sampling import ValueSampling
from tnattn.testing.outputs import constants_stay, output_fits, seeds_decide, single_precision_agrees
from tnattn.testing.report import Violation


@pytest.mark.parametrize("law", [constants_stay, output_fits, seeds_decide, single_precision_agrees])
@pytest.mark.parametrize("method", [Exact(), ValueSampling()])
def test_laws_hold_for_sound_methods(law, method):
    assert law(trial(method)) is None


@pytest.mark.parametrize(
    ("law", "factor", "words"),
    [
        (constants_stay, lambda p: 1.01, "values of 1 do not give 1"),
        (output_fits, lambda p: np.ones((), "f8") if p.v.dtype == "f8" else np.ones(1, "f8"), "float64 for float32"),
        (seeds_decide, lambda p: np.random.default_rng().random(), "two runs with one seed differ"),
        (single_precision_agrees, lambda p: 1.0 if p.v.dtype == "f8" else np.float32(30), "errors"),
    ],
)
def test_laws_do_not_hold_for_others(law, factor, words):
    with pytest.raises(Violation, match=words):
        law(changed(factor))
