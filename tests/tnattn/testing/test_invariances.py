"""Laws about changes of a problem hold where they should, and raise where they should."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from fixtures.laws import changed, trial

from tnattn.attention.baseline.exact import Exact
from tnattn.attention.sampling.value_sampling import ValueSampling
from tnattn.testing.invariances import any_length_works, keys_matter, mates_do_not_matter, shifts_cancel
from tnattn.testing.report import Violation


@pytest.mark.parametrize("law", [any_length_works, keys_matter, mates_do_not_matter, shifts_cancel])
def test_laws_hold_for_exact_attention(law):
    assert law(trial(Exact())) is None


@pytest.mark.parametrize(
    ("law", "factor", "words"),
    [
        (mates_do_not_matter, lambda p: 1 + float(np.abs(p.v).max()), "depends on the others in its batch"),
        (shifts_cancel, lambda p: 1 + float(np.abs(p.k).mean()), "one vector added to all keys"),
        (any_length_works, lambda p: 1 + 1e-3 * float(np.abs(p.v[..., -1, :]).max()), "padding changes the output"),
    ],
)
def test_laws_do_not_hold_for_others(law, factor, words):
    with pytest.raises(Violation, match=words):
        law(changed(factor))


def test_a_method_that_reads_no_keys_is_found():
    with pytest.raises(Violation, match="moving key"):
        keys_matter(replace(trial(Blind()), n=12))


@dataclass(frozen=True)
class Blind(Exact):
    """It sees keys of zeros."""

    def approximate(self, problem, *, rng):
        return super().approximate(replace(problem, k=np.zeros_like(problem.k)), rng=rng)


def test_sampling_is_free_of_the_origin_of_the_keys():
    assert shifts_cancel(trial(ValueSampling())) is None
