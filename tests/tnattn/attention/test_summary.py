"""Key sets and summaries refuse what a problem would refuse, and answer in the dtype of the queries."""

import math
from dataclasses import FrozenInstanceError, dataclass, replace

import numpy as np
import pytest

from tnattn.attention.approximation import Approximation
from tnattn.attention.masks import CausalMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.summary import KeySet, Summary
from tnattn.display import Displayed
from tnattn.structured import Dense

G, D, E = 2, 4, 3


@dataclass(frozen=True, eq=False)
class Everything(Summary):
    """All keys: the answers are exact."""

    keys: np.ndarray
    values: np.ndarray
    scale: float = 0.5

    @property
    def nbytes(self):
        return self.keys.nbytes + self.values.nbytes

    @property
    def like(self):
        return self.values

    @property
    def width(self):
        return self.keys.shape[-1]

    def approximate(self, queries):
        assert queries.dtype == self.keys.dtype
        scores = queries * np.asarray(self.scale, queries.dtype) @ np.swapaxes(self.keys, -1, -2)
        return Approximation(Dense(np.exp(scores)), np.zeros_like(scores[..., 0]), self.values)


class Growing(Everything):
    def _extended(self, k, v, *, rng):
        assert k.dtype == v.dtype == self.keys.dtype
        keys, values = (
            np.concatenate(x, axis=-2) for x in ((self.keys, k[..., None, :, :]), (self.values, v[..., None, :, :]))
        )
        return replace(self, keys=keys, values=values)


def arrays(n=6, dtype="f8", batch=(), heads=G):
    rng = np.random.default_rng(0)
    return tuple(rng.standard_normal((*batch, heads, n, d)).astype(dtype) for d in (D, E))


def summary(cls=Growing, dtype="f8", batch=()):
    keys = KeySet.from_arrays(*arrays(dtype=dtype, batch=batch), scale=0.5)
    return cls(keys.keys, keys.values)


def queries(heads=4, dtype="f8", batch=(), n=5, d=D):
    return np.random.default_rng(1).standard_normal((*batch, heads, n, d)).astype(dtype)


# --- key sets ----------------------------------------------------------------------------------------------------


def test_a_key_set_has_the_grouped_layout_and_the_default_scale():
    k, v = arrays()
    keys = KeySet.from_arrays(k, v)
    assert keys.keys.shape == (G, 1, 6, D)
    assert keys.values.shape == (G, 1, 6, E)
    assert keys.scale == 1 / math.sqrt(D)
    assert keys.n == 6
    assert type(KeySet.from_arrays(k, v, scale=np.float32(0.25)).scale) is float


def test_the_keys_of_a_problem():
    k, v = arrays()
    keys = KeySet.of(AttentionProblem(queries(), k, v, scale=0.3, mask=CausalMask()))
    np.testing.assert_array_equal(keys.keys[:, 0], k)
    np.testing.assert_array_equal(keys.values[:, 0], v)
    assert keys.scale == 0.3
    with pytest.raises(ValueError, match="softcap=2.0 makes the scores no inner products"):
        KeySet.of(AttentionProblem(queries(), k, v, softcap=2.0))


def test_halves_become_float32():
    keys = KeySet.from_arrays(*arrays(dtype="f2"))
    assert keys.keys.dtype == keys.values.dtype == np.float32
    np.testing.assert_array_equal(keys.keys[:, 0], arrays(dtype="f2")[0])


def change(k=None, v=None, **others):
    """Return k and v with one of them replaced by a function of it."""
    given = arrays()
    return (k(given[0]) if k else given[0], v(given[1]) if v else given[1]), others


REFUSED = {
    "other numbers of tokens": (change(k=lambda x: x[:, :5]), ValueError, "must agree in every axis but the last"),
    "other numbers of heads": (change(v=lambda x: x[:1]), ValueError, "must agree in every axis but the last"),
    "no head axis in k": (change(k=lambda x: x[0]), ValueError, "k has shape .* add a head axis"),
    "no head axis in v": (change(v=lambda x: x[0]), ValueError, "v has shape .* add a head axis"),
    "no keys": (change(k=lambda x: x[:, :0], v=lambda x: x[:, :0]), ValueError, "no axis may be empty"),
    "keys of no width": (change(k=lambda x: x[..., :0]), ValueError, "no axis may be empty"),
    "values of no width": (change(v=lambda x: x[..., :0]), ValueError, "no axis may be empty"),
    "an empty batch": (
        change(k=lambda x: x[None][:0], v=lambda x: x[None][:0]),
        ValueError,
        "no axis may be empty",
    ),
    "integers": (change(k=lambda x: x.astype(int)), TypeError, "keys has dtype int64"),
    "integer values": (change(v=lambda x: x.astype(int)), TypeError, "values has dtype int64"),
    "other dtypes": (change(v=lambda x: x.astype("f4")), TypeError, "keys and values have dtypes float64, float32"),
    "NaN": (change(k=lambda x: x * np.nan), ValueError, "keys holds 48 NaN"),
    "infinite values": (change(v=lambda x: x * math.inf), ValueError, "values holds 0 NaN and 36 infinite"),
    "scale zero": (change(scale=0.0), ValueError, "scale must be a positive number; got 0.0"),
    "scale infinite": (change(scale=math.inf), ValueError, "scale must be a positive number; got inf"),
    "scale boolean": (change(scale=True), TypeError, "a real number is needed"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_key_sets_refuse_what_a_problem_refuses(case):
    ((k, v), others), error, words = REFUSED[case]
    with pytest.raises(error, match=words):
        KeySet.from_arrays(k, v, **others)


@pytest.mark.parametrize("layout", [lambda x: x, lambda x: x[None, :, None].swapaxes(1, 2)[0, 0]])
def test_key_sets_need_the_grouped_layout(layout):
    k, v = arrays()
    with pytest.raises(ValueError, match="keys has shape .*; the grouped layout"):
        KeySet(layout(k), v[:, None], 0.5)
    with pytest.raises(ValueError, match="keys has shape .*; the grouped layout"):
        KeySet(np.repeat(k[:, None], 2, axis=1), v[:, None], 0.5)


def test_finiteness_need_not_be_checked():
    k, v = arrays()
    assert KeySet.from_arrays(k * np.nan, v, check_finite=False).n == 6
    assert KeySet.of(AttentionProblem(queries(), k * np.nan, v, check_finite=False)).n == 6
    with pytest.raises(ValueError, match="keys holds 48 NaN"):
        KeySet(k[:, None] * np.nan, v[:, None], 0.5)


@pytest.mark.parametrize("batch", [(3,), (3, 2)], ids=str)
def test_keys_are_counted_behind_all_axes_of_the_batch(batch):
    assert KeySet.from_arrays(*arrays(batch=batch)).n == 6


def test_keys_of_width_one_have_scale_one():
    k, v = arrays()
    assert KeySet.from_arrays(k[..., :1], v).scale == 1


def test_keys_values_queries_and_summaries_belong_to_one_library():
    strict = pytest.importorskip("array_api_strict")
    k, v = arrays()
    with pytest.raises(TypeError, match="arrays of different libraries cannot be mixed"):
        KeySet.from_arrays(k, strict.asarray(v))
    with pytest.raises(TypeError, match="arrays of different libraries cannot be mixed"):
        summary().attend(strict.asarray(queries()))


# --- summaries ---------------------------------------------------------------------------------------------------


def test_answers_are_those_of_the_grouped_problem():
    k, v = arrays()
    found = summary().attend(queries())
    np.testing.assert_allclose(found.output, AttentionProblem(queries(), k, v, scale=0.5).output, atol=1e-14)
    assert found.dtype is None
    assert summary().groups == G


@pytest.mark.parametrize("dtype", ["f2", "f4"])
def test_answers_have_the_dtype_of_the_queries(dtype):
    found = summary(dtype="f2").attend(queries(dtype=dtype))
    assert found.output.dtype == np.dtype(dtype)
    assert found.kernel.dtype == np.float32


def test_a_grown_summary_answers_for_all_keys():
    k, v = arrays(9)
    keys = KeySet.from_arrays(k[:, :6], v[:, :6], scale=0.5)
    grown = Growing(keys.keys, keys.values).extend(k[:, 6:], v[:, 6:])
    np.testing.assert_allclose(
        grown.attend(queries()).output, AttentionProblem(queries(), k, v, scale=0.5).output, atol=1e-14
    )


def test_halves_are_appended_in_float32():
    assert summary(dtype="f2").extend(*arrays(2, dtype="f2")).keys.dtype == np.float32


def test_a_summary_that_cannot_grow_says_so():
    with pytest.raises(TypeError, match="Everything cannot grow; summarise all keys again"):
        summary(Everything).extend(*arrays(1))
    with pytest.raises(NotImplementedError):
        summary(Everything)._extended(*arrays(1), rng=None)


@pytest.mark.parametrize(
    ("q", "error", "words"),
    [
        (queries()[0], ValueError, "q has shape .* add a head axis"),
        (queries(heads=3), ValueError, "3 query heads cannot be shared among 2 key heads"),
        (queries(heads=1), ValueError, "1 query heads cannot be shared among 2 key heads"),
        (queries(heads=0), ValueError, "0 query heads cannot be shared"),
        (queries(d=3), ValueError, "q has width 3 and the summary 4"),
        (queries(n=0), ValueError, "no axis of tokens may be empty"),
        (queries(batch=(2,)), ValueError, r"q has shape .*; the axes before the heads must be \(\)"),
        (queries(dtype="f4"), TypeError, "q has dtype float32 and the summary float64; convert q"),
        (queries(dtype="f2"), TypeError, "q has dtype float16 and the summary float64; convert q"),
        (queries().astype(int), TypeError, "q has dtype int64"),
        (queries() * np.nan, ValueError, "q holds 80 NaN"),
    ],
)
def test_queries_that_do_not_fit_are_refused(q, error, words):
    with pytest.raises(error, match=words):
        summary().attend(q)


def test_groups_are_not_broadcast():
    with pytest.raises(ValueError, match="the axes before the heads"):
        summary(batch=(2,)).attend(queries())
    with pytest.raises(ValueError, match="k has 1 heads and the summary 2"):
        summary().extend(*(x[:1] for x in arrays(1)))


@pytest.mark.parametrize(
    ("k", "v", "error", "words"),
    [
        (lambda x: x[:, :1], lambda x: x, ValueError, "must agree in every axis but the last"),
        (lambda x: x[..., :2], lambda x: x, ValueError, "k has width 2 and the summary 4"),
        (lambda x: x, lambda x: x[..., :2], ValueError, "v has width 2 and the summary 3"),
        (lambda x: x[0], lambda x: x[0], ValueError, "k has shape .* add a head axis"),
        (lambda x: x[:, :0], lambda x: x[:, :0], ValueError, "k has shape .*no axis of tokens may be empty"),
        (lambda x: x.astype("f4"), lambda x: x, TypeError, "k has dtype float32"),
        (lambda x: x, lambda x: x.astype("f4"), TypeError, "v has dtype float32"),
        (lambda x: x * np.nan, lambda x: x, ValueError, "k holds 16 NaN"),
        (lambda x: x, lambda x: x * np.nan, ValueError, "v holds 12 NaN"),
        (lambda x: x[None], lambda x: x[None], ValueError, "k has shape .*the axes before the heads"),
    ],
)
def test_keys_that_do_not_fit_are_refused(k, v, error, words):
    more = arrays(2)
    with pytest.raises(error, match=words):
        summary().extend(k(more[0]), v(more[1]))


def test_finiteness_of_queries_and_keys_need_not_be_checked():
    with np.errstate(invalid="ignore"):
        found = summary().attend(queries() * np.nan, check_finite=False)
        assert found.bad_rows.tolist() == [5] * 4
        grown = summary().extend(arrays(1)[0] * np.nan, arrays(1)[1], check_finite=False)
    assert np.isnan(grown.keys[..., -1, :]).all()


def test_key_sets_are_compared_by_identity_and_stay_as_they_are():
    keys = KeySet.from_arrays(*arrays())
    assert keys != KeySet.from_arrays(*arrays())
    assert repr(KeySet.from_arrays(*arrays(), check_finite=False)) == repr(keys)
    assert "check_finite" not in repr(keys)
    assert KeySet.__repr__ is Displayed.__repr__
    assert hash(keys) == hash(keys)
    with pytest.raises(FrozenInstanceError):
        keys.scale = 2.0


def test_a_stack_of_stacks_is_answered():
    k, v = arrays(batch=(3, 2))
    found = summary(batch=(3, 2)).attend(queries(batch=(3, 2)))
    expected = AttentionProblem(queries(batch=(3, 2)), k, v, scale=0.5).output
    np.testing.assert_allclose(found.output, expected, atol=1e-14)


def test_the_heads_of_further_keys_are_counted():
    with pytest.raises(ValueError, match="k has 1 heads and the summary 2; they must agree"):
        summary().extend(*(x[:1] for x in arrays(3)))


def test_keys_to_keep_are_a_copy_unless_they_are_shared():
    k, v = arrays()
    own, shared = KeySet.from_arrays(k, v), replace(KeySet.from_arrays(k, v), shared=True)
    assert not np.shares_memory(own.owned, k)
    assert np.shares_memory(shared.owned, k)
    np.testing.assert_array_equal(own.owned, shared.owned)
    assert not np.shares_memory(own.owned_values, v)
    assert np.shares_memory(shared.owned_values, v)
    np.testing.assert_array_equal(own.owned_values, shared.owned_values)
