"""Every law of column selections catches a rule that breaks it, and lets honest ones pass."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from tnattn.discovery import subclasses
from tnattn.randnla.columns.pivoted_qr import QRColumns
from tnattn.randnla.columns.selection import ColumnSelection, GivenColumns, admissible_columns
from tnattn.testing import ConformanceError
from tnattn.testing.selections import SELECTION_LAWS, check_selection

SELECTIONS = subclasses("tnattn", ColumnSelection)


@pytest.mark.parametrize("name", SELECTIONS)
def test_a_selection_obeys_the_laws(name, seed):
    check_selection(SELECTIONS[name](), seed=seed)


def test_a_list_of_columns_is_checked_at_its_length():
    assert check_selection(GivenColumns((3, 1, 8))).of("not applicable")


def norms(a):
    return np.sum(a.to_dense() ** 2, axis=-2)


@dataclass(frozen=True)
class Longest(ColumnSelection):
    """The longest columns; the others change one thing."""

    def select(self, a, size, *, rng):
        size = admissible_columns(size, a.shape[-1])
        return self.changed(np.argsort(-norms(a), axis=-1)[..., :size], a, rng)

    def changed(self, chosen, a, rng):
        return chosen


class Value(Longest):
    __hash__ = None


class Doubled(Longest):
    def changed(self, chosen, a, rng):
        return chosen.astype(np.float64)


class Twice(Longest):
    def changed(self, chosen, a, rng):
        return np.repeat(chosen[..., :1], chosen.shape[-1], axis=-1)


class SaysItRepeats(Longest):
    repeats: ClassVar = True


class Clips(ColumnSelection):
    def select(self, a, size, *, rng):
        return np.argsort(-norms(a), axis=-1)[..., :size]


class Unseeded(Longest):
    def changed(self, chosen, a, rng):
        return np.random.default_rng().permuted(chosen, axis=-1)


class DrawsWithoutGenerator(Longest):
    def changed(self, chosen, a, rng):
        return chosen if rng is None else rng.permuted(chosen, axis=-1)


class LooksAtTheStack(Longest):
    def changed(self, chosen, a, rng):
        return np.roll(chosen, int(norms(a).max() > 1e3), axis=-1)


class InUnits(Longest):
    def changed(self, chosen, a, rng):
        return (chosen + (norms(a).max() > 1e6)) % a.shape[-1]


class Shortest(Longest):
    def changed(self, chosen, a, rng):
        return np.argsort(norms(a), axis=-1)[..., : chosen.shape[-1]]


class SaysItIsOblivious(Longest):
    reads_matrix: ClassVar = False


class Overwrites(Longest):
    def changed(self, chosen, a, rng):
        a.array[...] = 0
        return chosen


BROKEN = {
    "value": Value,
    "indices": Doubled,
    "repeats": SaysItRepeats,
    "demand": Clips,
    "scalars": Clips,
    "rng": DrawsWithoutGenerator,
    "batch": LooksAtTheStack,
    "scale": InUnits,
    "support": Shortest,
    "oblivious": SaysItIsOblivious,
    "buffers": Overwrites,
}


def test_an_honest_rule_passes():
    check_selection(Longest())


@pytest.mark.parametrize("law", SELECTION_LAWS)
def test_a_rule_that_breaks_a_law_is_caught(law):
    with pytest.raises(ConformanceError, match=f"  {law} on "):
        check_selection(BROKEN[law](), laws=[law])


@pytest.mark.parametrize(("law", "cls"), [("indices", Twice), ("rng", Unseeded)])
def test_repeated_columns_and_hidden_draws_are_caught(law, cls):
    with pytest.raises(ConformanceError, match=f"  {law} on "):
        check_selection(cls(), laws=[law])


TRAITS = {"repeats": (False, "indices"), "reads_matrix": (True, "support"), "domain": ("any", "indices")}
"""A trait, the promise of those that do not have it, and the law that this breaks."""


@pytest.mark.parametrize("trait", TRAITS)
@pytest.mark.parametrize("name", SELECTIONS)
def test_a_selection_that_promises_less_than_others_needs_to(name, trait):
    cls, (promise, law) = SELECTIONS[name], TRAITS[trait]
    if getattr(cls, trait) == promise:
        return
    more = type(name, (cls,), {trait: promise, "__module__": __name__})
    reports = [violated(more(), law, seed) for seed in range(6)]
    assert any(reports), f"remove {trait} of {name}"


def violated(selection, law, seed):
    try:
        return check_selection(selection, laws=[law], seed=seed).of("violated")
    except ConformanceError as error:
        return error.report.of("violated")


def test_something_else_is_refused():
    with pytest.raises(TypeError, match="instance of ColumnSelection"):
        check_selection(QRColumns)
    with pytest.raises(ValueError, match="no law other; there are value"):
        check_selection(QRColumns(), laws=["other"])
