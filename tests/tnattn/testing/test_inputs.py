"""Laws about the form of the input hold where they should, and raise where they should."""

import numpy as np
import pytest
from fixtures.laws import changed, trial

from tnattn.attention.baseline.exact import Exact
from tnattn.attention.sampling.value_sampling import ValueSampling
from tnattn.testing.inputs import balance_is_free, empty_batches_work, halves_are_widened, layouts_agree, values_scale
from tnattn.testing.report import NotApplicable, Violation

LAWS = (balance_is_free, empty_batches_work, halves_are_widened, layouts_agree, values_scale)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("method", [Exact(), ValueSampling()])
def test_laws_hold_for_sound_methods(law, method):
    assert law(trial(method)) is None


@pytest.mark.parametrize(
    ("law", "factor", "words"),
    [
        (values_scale, lambda p: 1 + min(1.0, float(np.abs(p.v).max())), "scale before squaring"),
        (balance_is_free, lambda p: 1 + min(1.0, float(np.abs(p.k).max())), "balance them"),
        (layouts_agree, lambda p: 1.0 + p.v.flags.writeable, "read-only arrays change the output"),
    ],
)
def test_laws_do_not_hold_for_others(law, factor, words):
    with pytest.raises(Violation, match=words):
        law(changed(factor))


def test_a_refusal_of_an_empty_batch_is_no_violation():
    class Refuses(Exact):
        def __call__(self, problem, *, rng=None):
            raise ValueError("no batch")

    with pytest.raises(NotApplicable, match="refused: no batch"):
        empty_batches_work(trial(Refuses()))
