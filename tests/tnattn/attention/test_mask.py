"""The contract of masks: alignment, equality, and values judged in the dtype of the scores."""

import dataclasses

import numpy as np
import pytest

from tnattn.attention.mask import ConjunctionMask, FullMask, Mask
from tnattn.attention.masks import BiasMask, CausalMask, ExplicitMask, PaddingMask, SlidingWindowMask
from tnattn.display import Displayed

ALIGNED = {
    FullMask: False,
    CausalMask: True,
    SlidingWindowMask: True,
    PaddingMask: False,
    ExplicitMask: False,
    BiasMask: False,
}
MASKS = [
    FullMask(),
    CausalMask(),
    SlidingWindowMask(2),
    PaddingMask(2),
    ExplicitMask(np.ones((5, 3), dtype=bool)),
    BiasMask(np.zeros((5, 3))),
]


def test_every_mask_is_in_the_table():
    found, todo = set(), [Mask]
    while todo:
        todo += (children := todo.pop().__subclasses__())
        found |= {cls for cls in children if cls.__module__.startswith("tnattn.attention.mask")}
    assert found == {*ALIGNED, ConjunctionMask}


@pytest.mark.parametrize("mask", MASKS, ids=lambda mask: type(mask).__name__)
@pytest.mark.parametrize("joined", [False, True])
def test_only_masks_with_positions_refuse_more_queries_than_keys(mask, joined):
    rule = mask & PaddingMask(3) if joined else mask
    assert type(mask).aligned is ALIGNED[type(mask)]
    if ALIGNED[type(mask)]:
        with pytest.raises(ValueError, match=rf"{type(mask).__name__} places the queries .* 5 queries are more than 3"):
            rule.validate((), 1, 5, 3)
    else:
        rule.validate((), 1, 5, 3)


def test_a_mask_of_a_user_is_aligned_unless_it_says_otherwise():
    @dataclasses.dataclass(frozen=True)
    class Own(Mask):
        def additive(self, i, j, *, n_q, n_k, like):
            return None

    with pytest.raises(ValueError, match="Own places the queries"):
        Own().validate((), 1, 5, 3)


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (FullMask(), FullMask(), True),
        (CausalMask(), CausalMask(), True),
        (SlidingWindowMask(2), SlidingWindowMask(2), True),
        (SlidingWindowMask(2), SlidingWindowMask(3), False),
        (PaddingMask(3), PaddingMask(3), True),
        (PaddingMask(3), PaddingMask(np.int32(3)), True),
        (PaddingMask(3), PaddingMask(np.asarray(3)), True),
        (PaddingMask(3), PaddingMask(4), False),
        (PaddingMask(3), CausalMask(), False),
        (PaddingMask(3), PaddingMask(np.asarray([3])), False),
        (PaddingMask(np.asarray([3])), PaddingMask(3), False),
        (CausalMask() & PaddingMask(3), CausalMask() & PaddingMask(3), True),
        (CausalMask() & PaddingMask(3), CausalMask() & PaddingMask(2), False),
        (PaddingMask(np.asarray([3])), PaddingMask(np.asarray([3])), False),
        (ExplicitMask(np.ones((2, 2), dtype=bool)), ExplicitMask(np.ones((2, 2), dtype=bool)), False),
    ],
)
def test_scalars_compare_by_value_and_arrays_by_identity(a, b, equal):
    assert (a == b) is equal
    assert (len({a, b}) == 1) is equal


def test_identical_array_masks_are_equal():
    mask = PaddingMask(np.asarray([3, 4]))
    assert {mask & CausalMask(), mask & CausalMask()} == {mask & CausalMask()}


@pytest.mark.parametrize("value", [1e300, -1e300])
def test_a_bias_beyond_the_range_of_the_scores_is_refused(value):
    mask = BiasMask(np.asarray([[0.0, value, -np.inf]]))
    mask.validate((), 1, 2, 3, like=np.ones(1))
    with pytest.raises(ValueError, match=r"size 1e\+300, beyond the range of float32 \(3.4e\+38\)"):
        mask.validate((), 1, 2, 3, like=np.ones(1, "float32"))


def test_biases_that_add_up_beyond_the_range_are_refused():
    half = BiasMask(np.full((2, 3), -2e38, "float32"))
    half.validate((), 1, 2, 3, like=np.ones(1, "float32"))
    with pytest.raises(ValueError, match=r"add up to as much as 4e\+38, beyond the range of float32"):
        (half & half).validate((), 1, 2, 3, like=np.ones(1, "float32"))
    (half & half).validate((), 1, 2, 3, like=np.ones(1))


def test_a_conjunction_has_a_bias_where_a_part_has_one():
    assert (CausalMask() & MASKS[-1]).has_bias
    assert not (CausalMask() & PaddingMask(3)).has_bias


@dataclasses.dataclass(frozen=True)
class Stated(Mask):
    """A mask with a prescribed classification of every block, which adds nothing or a number."""

    said: str
    added: float | None = None

    def additive(self, i, j, *, n_q, n_k, like):
        return None if self.added is None else np.full((1, 1), self.added)

    def coverage(self, rows, columns, *, n_q, n_k):
        return self.said


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("all", "all"), "all"),
        (("all", "some"), "some"),
        (("some", "all"), "some"),
        (("some", "some"), "some"),
        (("none", "all"), "none"),
        (("some", "none"), "none"),
    ],
)
def test_coverage_of_a_conjunction(parts, expected):
    both = ConjunctionMask(tuple(map(Stated, parts)))
    assert both.coverage(slice(0, 1), slice(0, 1), n_q=1, n_k=1) == expected


@pytest.mark.parametrize(
    ("terms", "total"), [((None, None), None), ((1.0, None), 1.0), ((None, 2.0), 2.0), ((1.0, 2.0, 4.0), 7.0)]
)
def test_a_conjunction_adds_every_term(terms, total):
    both = ConjunctionMask(tuple(Stated("some", term) for term in terms))
    found = both.additive(np.zeros((1, 1)), np.zeros((1, 1)), n_q=1, n_k=1, like=np.zeros(1))
    assert found is None if total is None else found.item() == total


def test_a_mask_by_default_knows_nothing_and_adds_no_number():
    mask = Stated("some")
    assert Mask.coverage(mask, slice(0, 1), slice(0, 1), n_q=1, n_k=1) == "some"
    assert (mask.has_bias, mask.largest(), mask.conjuncts) == (False, 0.0, (mask,))
    assert mask.grouped(2) is mask


def test_as_many_queries_as_keys_are_aligned():
    CausalMask().validate((), 1, 3, 3)
    with pytest.raises(ValueError, match="4 queries are more than 3 keys"):
        CausalMask().validate((), 1, 4, 3)


def test_conjunctions_drop_what_admits_everything():
    assert FullMask() & FullMask() == FullMask()
    assert FullMask() & CausalMask() == CausalMask() & FullMask() == CausalMask()
    assert (CausalMask() & PaddingMask(2)).conjuncts == (CausalMask(), PaddingMask(2))


def test_biases_may_add_up_to_the_end_of_the_range():
    most = float(np.finfo("f8").max)
    half = BiasMask(np.full((2, 3), most / 2))
    both = half & half
    assert both.largest() == most
    both.validate((), 1, 2, 3, like=np.ones(1))
    both.validate((), 1, 2, 3)
    with pytest.raises(ValueError, match="add up to as much as"):
        (both & BiasMask(np.full((2, 3), most / 4))).validate((), 1, 2, 3, like=np.ones(1))


def test_a_conjunction_leaves_alignment_to_its_parts():
    assert not ConjunctionMask.aligned
    (PaddingMask(3) & BiasMask(np.zeros((5, 3)))).validate((), 1, 5, 3)


def test_rules_are_displayed_by_what_differs_from_the_default():
    assert FullMask.__repr__ is ConjunctionMask.__repr__ is Displayed.__repr__
