import dataclasses

import numpy as np
import pytest
from scipy import special

from tnattn.models.qkv import QKV


def arrays(heads=4, groups=2, n=6, d=3, dtype=np.float32):
    rng = np.random.default_rng(7)
    draw = lambda h: rng.standard_normal((h, n, d)).astype(dtype)  # noqa: E731
    return {"q": draw(heads), "k": draw(groups), "v": draw(groups), "name": "test"}


def test_grouped_keys_are_counted():
    problem = QKV(**arrays(heads=4, groups=2))
    assert (problem.heads, problem.groups) == (4, 2)


def test_it_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        QKV(**arrays()).causal = True


@pytest.mark.parametrize("given, kept", [(np.float16, np.float32), (np.float32, np.float32), (np.float64, np.float64)])
def test_only_half_precision_is_widened(given, kept):
    fields = arrays(dtype=given)
    problem = QKV(**fields)
    assert problem.q.dtype == problem.k.dtype == problem.v.dtype == kept
    np.testing.assert_array_equal(problem.q, fields["q"])


def test_mixed_precision_becomes_the_wider():
    fields = arrays()
    problem = QKV(**{**fields, "v": fields["v"].astype(np.float64)})
    assert problem.q.dtype == problem.v.dtype == np.float64


@pytest.mark.parametrize("field", ["q", "k", "v"])
def test_a_non_finite_number_is_counted_and_located(field):
    fields = arrays()
    fields[field][1, 2, 0] = np.nan
    fields[field][1, 3, 1] = np.inf
    with pytest.raises(ValueError, match=rf"{field} of shape .* holds 2 non-finite numbers \(1 NaN\).*\(1, 2, 0\)"):
        QKV(**fields)


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.complex64, np.longdouble])
def test_other_kinds_of_numbers_are_refused(dtype):
    fields = arrays()
    with pytest.raises(TypeError, match="k has dtype .* must be float16, float32 or float64"):
        QKV(**{**fields, "k": fields["k"].astype(dtype)})


@pytest.mark.parametrize(
    "shapes, message",
    [
        (((4, 6, 3), (3, 6, 3), (3, 6, 3)), "the heads of q must be a multiple"),
        (((4, 6, 3), (2, 6, 3), (4, 6, 3)), "keys and values need equally many heads"),
        (((4, 6, 3), (2, 5, 3), (2, 6, 3)), "k has 5 tokens and v has 6"),
        (((4, 6, 3), (2, 6, 5), (2, 6, 3)), "q has head dimension 3 and k has 5"),
        (((6, 3), (6, 3), (6, 3)), "must all have the axes"),
        (((4, 6, 3), (6, 3), (6, 3)), "must all have the axes"),
        (((2, 4, 6, 3), (3, 4, 6, 3), (3, 4, 6, 3)), "batch axis"),
        (((4, 0, 3), (4, 0, 3), (4, 0, 3)), "an axis is empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_arrays_that_do_not_belong_together_are_refused(shapes, message):
    q, k, v = (np.ones(shape, np.float32) for shape in shapes)
    with pytest.raises(ValueError, match=message):
        QKV(q, k, v, name="test")


def test_values_may_have_a_width_of_their_own_and_queries_a_length_of_their_own():
    problem = QKV(np.ones((4, 2, 3)), np.ones((2, 6, 3)), np.ones((2, 6, 5)), name="test")
    assert problem.v.shape[-1] == 5


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("field", ["scale", "softcap"])
def test_scalars_must_be_positive_and_finite(field, value):
    with pytest.raises(ValueError, match=f"{field} is .*; it must be a finite positive number"):
        QKV(**arrays(), **{field: value})


@pytest.mark.parametrize("shape", [(6, 6), (1, 6), (4, 6, 6), (4, 1, 6)])
def test_masks_that_broadcast_to_the_scores_are_kept(shape):
    assert QKV(**arrays(), mask=np.ones(shape, bool)).mask.shape == shape


@pytest.mark.parametrize("shape", [(5, 6), (2, 6, 6), (1, 4, 6, 6)])
def test_masks_that_do_not_broadcast_are_refused(shape):
    with pytest.raises(ValueError, match="does not broadcast to the scores' shape"):
        QKV(**arrays(), mask=np.ones(shape, bool))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_additive_mask_may_hold_only_minus_infinity(bad):
    mask = np.zeros((6, 6), np.float32)
    mask[0, 1:] = -np.inf
    assert np.isneginf(QKV(**arrays(), mask=mask).mask[0, 1])
    mask[2, 2] = bad
    with pytest.raises(ValueError, match="mask holds 1 entries that are NaN or plus infinity"):
        QKV(**arrays(), mask=mask)


def test_an_integer_mask_is_refused_because_it_could_mean_either():
    with pytest.raises(TypeError, match="mask has dtype int64; it must be boolean"):
        QKV(**arrays(), mask=np.ones((6, 6), np.int64))


def test_a_mask_of_one_entry_per_key_holds_for_every_query():
    assert QKV(**arrays(), mask=np.ones(6, bool)).mask.shape == (1, 6)


def test_more_queries_than_keys_are_refused_under_a_causal_mask_only():
    q, k, v = np.ones((2, 6, 3)), np.ones((2, 4, 3)), np.ones((2, 4, 3))
    assert QKV(q, k, v, name="test").q.shape[-2] == 6
    with pytest.raises(ValueError, match="q has 6 tokens and k only 4"):
        QKV(q, k, v, name="test", causal=True)
    mask = np.zeros((6, 4), bool)
    mask[:, :2] = True  # an array needs no alignment of queries and keys
    rng = np.random.default_rng(0)
    q, k, v = rng.standard_normal((2, 6, 3)), *rng.standard_normal((2, 2, 4, 3))
    masked = QKV(q, k, v, name="test", mask=mask).problem()
    np.testing.assert_allclose(masked.output, QKV(q, k[:, :2], v[:, :2], name="test").problem().output, rtol=1e-12)


@pytest.mark.parametrize("dtype, size", [("float16", 60_000), ("float32", 3e19), ("float64", 1.5e154)])
def test_scores_beyond_the_range_are_refused(dtype, size):
    q = np.full((1, 3, 2), size, dtype)
    if dtype == "float16":  # widened to float32
        assert not QKV(q, q, q, name="test").problem().bad_rows.any()
        return
    with pytest.raises(ValueError, match=rf"largest \|q\| \|k\| scale is .* beyond the range of {dtype}"):
        QKV(q, q, q, name="test")


def test_a_narrower_dtype_is_refused_where_scores_leave_its_range():
    q = np.full((1, 3, 2), 1e25)
    stored = QKV(q, q, q, name="test")
    assert not stored.problem().bad_rows.any()
    with pytest.raises(ValueError, match="beyond the range of float32"):
        stored.problem(dtype=np.float32)


def softmax_attention(q, k, v, scores_changed):
    """Attention with keys repeated for the heads of their group, written out densely."""
    repeats = q.shape[0] // k.shape[0]
    scores = scores_changed(np.einsum("hid,hjd->hij", q, k.repeat(repeats, 0)) / np.sqrt(q.shape[-1]))
    return special.softmax(scores, axis=-1) @ v.repeat(repeats, 0)


LOWER = np.tril(np.ones((6, 6), bool))
EVEN = np.arange(6) % 2 == 0
SLOPE = np.linspace(-2, 2, 36).reshape(6, 6)
SETTINGS = {
    "plain": ({}, lambda s: s),
    "causal": ({"causal": True}, lambda s: np.where(LOWER, s, -np.inf)),
    "scale": ({"scale": 2.0}, lambda s: s * np.sqrt(3) * 2),
    "softcap": ({"softcap": 0.5}, lambda s: 0.5 * np.tanh(s / 0.5)),
    "explicit": ({"mask": EVEN}, lambda s: np.where(EVEN, s, -np.inf)),
    "bias": ({"mask": SLOPE}, lambda s: s + SLOPE),
    "both": ({"causal": True, "mask": EVEN}, lambda s: np.where(LOWER & EVEN, s, -np.inf)),
}


@pytest.mark.parametrize("options, scores_changed", SETTINGS.values(), ids=SETTINGS)
def test_the_problem_posed_is_the_one_described(options, scores_changed):
    fields = arrays(dtype=np.float64)
    expected = softmax_attention(fields["q"], fields["k"], fields["v"], scores_changed)
    output = QKV(**fields, **options).problem().output
    np.testing.assert_allclose(np.asarray(output).reshape(expected.shape), expected, atol=1e-13)


def test_every_setting_changes_the_output():
    fields = arrays(dtype=np.float64)
    outputs = [np.asarray(QKV(**fields, **options).problem().output) for options, _ in SETTINGS.values()]
    gaps = [np.abs(one - other).max() for i, one in enumerate(outputs) for other in outputs[:i]]
    assert min(gaps) > 1e-3


def test_the_problem_follows_the_library_and_dtype_asked_for():
    torch = pytest.importorskip("torch")
    problem = QKV(**arrays(), causal=True, mask=SLOPE).problem(like=torch.zeros(1), dtype=torch.float64)
    assert problem.q.dtype == torch.float64
    reference = QKV(**arrays(dtype=np.float64), causal=True, mask=SLOPE).problem().output
    assert problem.output.shape == reference.shape
    np.testing.assert_allclose(problem.output.numpy(), reference, atol=1e-6)


def test_a_number_too_large_for_the_dtype_asked_for_is_refused():
    fields = arrays(dtype=np.float64)
    fields["v"][0, 0, 0] = 1e300
    assert QKV(**fields).problem().v[0, 0, 0] == 1e300
    with pytest.raises(ValueError, match="v reaches"):  # before the cast, which would warn
        QKV(**fields).problem(dtype=np.float32)


@pytest.mark.parametrize("field", ["q", "k", "v", "mask"])
def test_masked_arrays_that_hide_entries_are_refused(field):
    fields = arrays() | {"mask": np.zeros((6, 6), dtype=np.float32)}
    hidden = np.ma.array(fields[field], mask=np.zeros(fields[field].shape, dtype=bool))
    QKV(**{**fields, field: hidden})  # it hides nothing
    hidden[..., 0, 1] = np.ma.masked
    with pytest.raises(TypeError, match=f"{field} is a masked array that hides"):
        QKV(**{**fields, field: hidden})


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">f2"])
@pytest.mark.parametrize("field", ["q", "k", "v", "mask"])
def test_byte_order_is_no_property_of_numbers(field, dtype):
    fields = arrays() | {"mask": np.zeros((6, 6), dtype=np.float32)}
    native = np.dtype(dtype).newbyteorder("=")
    swapped, plain = (QKV(**{**fields, field: fields[field].astype(d)}) for d in (dtype, native))
    assert getattr(swapped, field).dtype.isnative
    np.testing.assert_array_equal(getattr(swapped, field), getattr(plain, field))
    np.testing.assert_array_equal(swapped.problem().output, plain.problem().output)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, bool, complex, object, np.longdouble])
@pytest.mark.parametrize("field", ["q", "k", "v"])
def test_what_is_no_floating_number_is_refused_by_name(field, dtype):
    fields = arrays()
    with pytest.raises(TypeError, match=f"{field} has dtype"):
        QKV(**{**fields, field: np.ones_like(fields[field], dtype=dtype)})


@pytest.mark.parametrize("dtype", [np.int8, np.int64, complex, object, "U1"])
def test_a_mask_is_boolean_or_floating(dtype):
    with pytest.raises(TypeError, match="mask has dtype"):
        QKV(**arrays(), mask=np.ones((6, 6)).astype(dtype))


@pytest.mark.parametrize("field", ["q", "k", "v"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_empty_axes_are_refused(field, axis):
    fields = arrays()
    with pytest.raises(ValueError, match="an axis is empty"):
        QKV(**{**fields, field: np.take(fields[field], [], axis=axis)})


@pytest.mark.parametrize("mask", [np.zeros((6, 6), dtype=bool), np.full((1, 6), -np.inf), np.zeros((4, 6, 6), bool)])
def test_a_mask_that_hides_every_key_is_refused(mask):
    with pytest.raises(ValueError, match="hides every key from every query"):
        QKV(**arrays(), mask=mask)


def test_a_mask_that_shows_one_key_is_taken():
    """Negative control."""
    mask = np.zeros((6, 6), dtype=bool)
    mask[3, 2] = True
    assert QKV(**arrays(), mask=mask).mask.sum() == 1


SIZES = [
    ("float32", 1e20, 1e20, True),
    ("float32", 1e18, 1e18, False),
    ("float32", 3e19, 3e19, True),
    ("float32", 1e30, 1e-30, False),
    ("float64", 1e20, 1e20, False),
    ("float64", 1e155, 1e155, True),
    ("float64", 1e300, 1e-300, False),
]


@pytest.mark.parametrize(("dtype", "q", "k", "refused"), SIZES)
def test_scores_beyond_the_dtype_are_refused_without_a_warning(dtype, q, k, refused, recwarn):
    fields = arrays(dtype=np.float64)
    fields = {**fields, "q": q * fields["q"], "k": k * fields["k"]}
    if refused:
        with pytest.raises(ValueError, match=rf"\|q\| \|k\| scale is .*beyond the range of {dtype}"):
            QKV(**fields).problem(dtype=np.dtype(dtype))
    else:
        QKV(**fields).problem(dtype=np.dtype(dtype))
    assert not recwarn.list


@pytest.mark.parametrize("field", ["q", "k", "v"])
def test_entries_beyond_the_dtype_are_refused_without_a_warning(field, recwarn):
    fields = arrays(dtype=np.float64)
    made = QKV(**{**fields, field: 1e100 * fields[field]})
    with pytest.raises(ValueError, match=f"{field} reaches .*beyond the range of float32"):
        made.problem(dtype=np.dtype("float32"))
    assert not recwarn.list


def test_the_scale_counts():
    fields = arrays(dtype=np.float64)
    QKV(**{**fields, "q": 1e20 * fields["q"]}, scale=1e-20).problem(dtype=np.dtype("float32"))
    with pytest.raises(ValueError, match="in which scores are computed"):
        QKV(**fields, scale=1e39).problem(dtype=np.dtype("float32"))
