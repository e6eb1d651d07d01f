"""Families of problems: sizes are checked, and a property that does not hold is named."""

import numpy as np
import pytest

from tnattn.gallery.family import ProblemFamily, Property, Sizes


def ones(sizes, rng):
    assert isinstance(sizes, Sizes)
    shapes = ((sizes.heads, sizes.n, sizes.d), *[(sizes.groups, sizes.n, sizes.d)] * 2)
    return tuple(np.ones(shape) for shape in shapes)


FAMILY = ProblemFamily("ones", "all ones", ones, (Property("the values are one", lambda p: bool(np.all(p.v == 1))),))


def test_a_problem_has_the_sizes_asked_for():
    problem = FAMILY(6, 4, 4, 2, rng=np.random.default_rng(0), dtype="float32")
    assert (problem.heads, problem.groups, problem.n_k, problem.width) == (4, 2, 6, 4)
    assert problem.q.dtype == np.float32
    FAMILY.check(problem)


@pytest.mark.parametrize(
    ("sizes", "said"), [((1, 4), "at least 2 tokens"), ((6, 3), "width 4"), ((6, 4, 3, 2), "shared")]
)
def test_sizes_out_of_range_are_refused(sizes, said):
    with pytest.raises(ValueError, match=said):
        FAMILY(*sizes, rng=np.random.default_rng(0))


def test_a_property_that_does_not_hold_is_named():
    twice = ProblemFamily("twice", "twos", lambda s, r: tuple(2 * x for x in ones(s, r)), FAMILY.properties)
    with pytest.raises(AssertionError, match="twice is not as declared: the values are one"):
        twice.check(twice(6, 4, rng=np.random.default_rng(0)))
