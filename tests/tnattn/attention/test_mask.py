"""The contract of masks: alignment, equality, and values judged in the dtype of the scores."""

import dataclasses

import numpy as np
import pytest

from tnattn.attention.mask import Conjunction, Full, Mask
from tnattn.attention.masks import Bias, Causal, Explicit, Padding, SlidingWindow

ALIGNED = {Full: False, Causal: True, SlidingWindow: True, Padding: False, Explicit: False, Bias: False}
MASKS = [
    Full(),
    Causal(),
    SlidingWindow(2),
    Padding(2),
    Explicit(np.ones((5, 3), dtype=bool)),
    Bias(np.zeros((5, 3))),
]


def test_every_mask_is_in_the_table():
    found, todo = set(), [Mask]
    while todo:
        todo += (children := todo.pop().__subclasses__())
        found |= {cls for cls in children if cls.__module__.startswith("tnattn.attention.mask")}
    assert found == {*ALIGNED, Conjunction}


@pytest.mark.parametrize("mask", MASKS, ids=lambda mask: type(mask).__name__)
@pytest.mark.parametrize("joined", [False, True])
def test_only_masks_with_positions_refuse_more_queries_than_keys(mask, joined):
    rule = mask & Padding(3) if joined else mask
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
        (Full(), Full(), True),
        (Causal(), Causal(), True),
        (SlidingWindow(2), SlidingWindow(2), True),
        (SlidingWindow(2), SlidingWindow(3), False),
        (Padding(3), Padding(3), True),
        (Padding(3), Padding(np.int32(3)), True),
        (Padding(3), Padding(np.asarray(3)), True),
        (Padding(3), Padding(4), False),
        (Padding(3), Causal(), False),
        (Causal() & Padding(3), Causal() & Padding(3), True),
        (Causal() & Padding(3), Causal() & Padding(2), False),
        (Padding(np.asarray([3])), Padding(np.asarray([3])), False),
        (Explicit(np.ones((2, 2), dtype=bool)), Explicit(np.ones((2, 2), dtype=bool)), False),
    ],
)
def test_scalars_compare_by_value_and_arrays_by_identity(a, b, equal):
    assert (a == b) is equal
    assert (len({a, b}) == 1) is equal


def test_identical_array_masks_are_equal():
    mask = Padding(np.asarray([3, 4]))
    assert {mask & Causal(), mask & Causal()} == {mask & Causal()}


@pytest.mark.parametrize("value", [1e300, -1e300])
def test_a_bias_beyond_the_range_of_the_scores_is_refused(value):
    mask = Bias(np.asarray([[0.0, value, -np.inf]]))
    mask.validate((), 1, 2, 3, like=np.ones(1))
    with pytest.raises(ValueError, match=r"size 1e\+300, beyond the range of float32 \(3.4e\+38\)"):
        mask.validate((), 1, 2, 3, like=np.ones(1, "float32"))


def test_biases_that_add_up_beyond_the_range_are_refused():
    half = Bias(np.full((2, 3), -2e38, "float32"))
    half.validate((), 1, 2, 3, like=np.ones(1, "float32"))
    with pytest.raises(ValueError, match=r"add up to as much as 4e\+38, beyond the range of float32"):
        (half & half).validate((), 1, 2, 3, like=np.ones(1, "float32"))
    (half & half).validate((), 1, 2, 3, like=np.ones(1))


def test_a_conjunction_has_a_bias_where_a_part_has_one():
    assert (Causal() & MASKS[-1]).has_bias
    assert not (Causal() & Padding(3)).has_bias


@dataclasses.dataclass(frozen=True)
class Stated(Mask):
    """A mask that says of every block what it was told to say, and adds nothing or a number."""

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
    both = Conjunction(tuple(map(Stated, parts)))
    assert both.coverage(slice(0, 1), slice(0, 1), n_q=1, n_k=1) == expected


@pytest.mark.parametrize(
    ("terms", "total"), [((None, None), None), ((1.0, None), 1.0), ((None, 2.0), 2.0), ((1.0, 2.0, 4.0), 7.0)]
)
def test_a_conjunction_adds_every_term(terms, total):
    both = Conjunction(tuple(Stated("some", term) for term in terms))
    found = both.additive(np.zeros((1, 1)), np.zeros((1, 1)), n_q=1, n_k=1, like=np.zeros(1))
    assert found is None if total is None else found.item() == total


def test_a_mask_by_default_knows_nothing_and_adds_no_number():
    mask = Stated("some")
    assert Mask.coverage(mask, slice(0, 1), slice(0, 1), n_q=1, n_k=1) == "some"
    assert (mask.has_bias, mask.largest(), mask.conjuncts) == (False, 0.0, (mask,))
    assert mask.grouped(2) is mask


def test_as_many_queries_as_keys_are_aligned():
    Causal().validate((), 1, 3, 3)
    with pytest.raises(ValueError, match="4 queries are more than 3 keys"):
        Causal().validate((), 1, 4, 3)


def test_conjunctions_drop_what_admits_everything():
    assert Full() & Full() == Full()
    assert Full() & Causal() == Causal() & Full() == Causal()
    assert (Causal() & Padding(2)).conjuncts == (Causal(), Padding(2))


def test_biases_may_add_up_to_the_end_of_the_range():
    most = float(np.finfo("f8").max)
    half = Bias(np.full((2, 3), most / 2))
    both = half & half
    assert both.largest() == most
    both.validate((), 1, 2, 3, like=np.ones(1))
    both.validate((), 1, 2, 3)
    with pytest.raises(ValueError, match="add up to as much as"):
        (both & Bias(np.full((2, 3), most / 4))).validate((), 1, 2, 3, like=np.ones(1))


def test_a_conjunction_leaves_alignment_to_its_parts():
    assert not Conjunction.aligned
    (Padding(3) & Bias(np.zeros((5, 3)))).validate((), 1, 5, 3)
