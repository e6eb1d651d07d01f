"""Every result has a text of at most three lines, without the entries of arrays, and a table for notebooks."""

import dataclasses
import importlib
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from tnattn import discovery, display
from tnattn.attention.cost import exact_cost
from tnattn.attention.masks import BiasMask, CausalMask, ExplicitMask, FullMask, PaddingMask, SlidingWindowMask
from tnattn.attention.method import AttentionMethod, KeyMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.summary import KeySet, Summary
from tnattn.models.qkv import QKV

RNG = np.random.default_rng(0)
Q, K, V = RNG.standard_normal((3, 2, 40, 4))
PROBLEM = AttentionProblem(Q, K, V)
METHODS = discovery.subclasses("tnattn", AttentionMethod)
MASKS = [
    FullMask(),
    CausalMask(),
    SlidingWindowMask(3, 1),
    PaddingMask(3),
    PaddingMask(np.arange(900) % 7),
    ExplicitMask(np.ones((40, 40), bool)),
    BiasMask(np.zeros((40, 40))),
    CausalMask() & BiasMask(np.zeros((40, 40))) & PaddingMask(np.arange(900)),
]


def assert_short(value):
    """Text of three lines of 120 columns without entries, that no default writes, and a table that is well formed."""
    text = repr(value)
    assert len(text.splitlines()) <= 3, text
    assert max(map(len, text.splitlines())) <= 120, text
    assert text.startswith(type(value).__name__), text
    assert "array(" not in text
    assert "[[" not in text
    table = ElementTree.fromstring(value._repr_html_())
    assert table.tag == "table"
    assert table.find("caption").text == type(value).__name__


@pytest.mark.parametrize("name", METHODS)
def test_results_of_every_method_are_shown_in_short(name):
    method = METHODS[name]()
    result = method(PROBLEM, rng=np.random.default_rng(0))
    assert_short(result)
    assert_short(result.kernel)
    assert_short(method.cost(PROBLEM))
    assert_short(result + result if not result.unmergeable else result)
    if isinstance(method, KeyMethod) and not method.probes:
        assert_short(method.summarise(KeySet.of(PROBLEM), rng=np.random.default_rng(0)))


@pytest.mark.parametrize("mask", MASKS, ids=lambda mask: type(mask).__name__)
def test_masks_are_shown_in_short(mask):
    assert_short(mask)


def masked():
    return AttentionProblem(Q, K, V, mask=CausalMask() & BiasMask(np.zeros((40, 40))), scale=0.3, softcap=5.0)


@pytest.mark.parametrize(
    "value", [PROBLEM, masked(), KeySet.of(PROBLEM), exact_cost(PROBLEM), QKV(Q, K, V, "a & b < c" * 50)]
)
def test_problems_and_costs_are_shown_in_short(value):
    assert_short(value)


def test_every_dataclass_of_attention_that_holds_arrays_is_displayed():
    held = []
    for module in discovery.modules("tnattn.attention"):
        for cls in vars(module).values():
            own = isinstance(cls, type) and cls.__module__ == module.__name__ and dataclasses.is_dataclass(cls)
            if own and any("Array" in str(f.type) for f in dataclasses.fields(cls)):
                held.append(cls)
    assert len(held) > 10
    generated = [cls for cls in held if cls.__dataclass_params__.repr]
    assert generated == []


def test_every_summary_is_displayed():
    assert all(issubclass(cls, display.Displayed) for cls in discovery.subclasses("tnattn", Summary).values())


def test_the_control_a_generated_text_is_noticed():
    @dataclasses.dataclass
    class Generated:
        entries: np.ndarray

        def _repr_html_(self):
            return display.as_html(self)

    with pytest.raises(AssertionError):
        assert_short(Generated(np.ones((3, 3))))


def test_only_what_differs_from_the_default_is_named():
    assert repr(FullMask()) == "FullMask()"
    assert repr(SlidingWindowMask(3)) == "SlidingWindowMask(left=3)"
    assert repr(SlidingWindowMask(3, 1)) == "SlidingWindowMask(left=3, right=1)"
    assert repr(PaddingMask(np.array([1, 2]))) == "PaddingMask(lengths=int64 (2,))"


def test_arrays_of_every_library_are_shown_with_dtype_and_shape(xp):
    assert repr(BiasMask(xp.asarray(np.zeros((3, 4))))).startswith(f"BiasMask(bias={xp.dtype} (3, 4))")


@dataclasses.dataclass(repr=False)
class Long(display.Displayed):
    first: str
    second: float = 1.0
    rest: tuple[str, ...] = ()


def test_long_fields_are_cut_and_long_texts_end_at_three_lines():
    assert repr(Long("x" * 200)) == f"Long(first='{'x' * 56}...)"
    fields = [(f"f{i}", str) for i in range(40)]
    many = dataclasses.make_dataclass("Many", fields, bases=(display.Displayed,), repr=False)
    assert_short(many(*("words " * 5 for _ in range(40))))
    assert repr(many(*("words " * 5 for _ in range(40)))).endswith("...)")


def test_numbers_and_slices_are_shown_in_short():
    assert display.parts(Long("a", 1 / 3, ("b",))) == [("first", "'a'"), ("second", "0.333333"), ("rest", "('b',)")]
    piece = importlib.import_module("tnattn.attention.baseline.exact").Exact()(PROBLEM)
    assert ("keys", "all") in display.parts(piece)
    assert ("keys", "3:43") in display.parts(piece.placed(slice(3, 43), 50))


def test_tables_escape_what_html_reserves():
    assert "<td>&#x27;a &amp; &lt;b&gt;&#x27;</td>" in display.as_html(Long("a & <b>"))
