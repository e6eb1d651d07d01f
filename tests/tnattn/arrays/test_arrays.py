"""The array layer: transfers, contractions, draws and threads, on every ring."""

import sys
import warnings

import numpy as np
import pytest
from fixtures import rng

from tnattn.arrays import (
    DeviceDraws,
    accumulator_dtype,
    array_namespace,
    check_finite,
    choice,
    contract,
    device,
    dtype_name,
    eps,
    exp_in_place,
    from_host,
    integers,
    is_array,
    is_floating,
    library_info,
    matmul_into,
    normal,
    require_floating,
    require_rng,
    scatter_products,
    scatter_rows,
    signs,
    squared_column_norms,
    stacked_matmul,
    subtract_product,
    synchronize,
    to_host,
    uniform,
)

only_standin = pytest.mark.parametrize("xp", ["cupy-standin"], indirect=True)
only_strict = pytest.mark.parametrize("xp", ["strict", "strict-no-float64"], indirect=True)
only_no_float64 = pytest.mark.parametrize("xp", ["strict-no-float64"], indirect=True)


# --- namespaces and kinds ---


def test_namespace_is_that_of_the_arrays_and_scalars_are_ignored(xp):
    x = xp.asarray(np.ones(3))
    assert array_namespace(x, None, 2.0).__name__ == xp.namespace.__name__


@pytest.mark.parametrize("bad", [[1.0, 2.0], "text", {1: 2}])
def test_namespace_refuses_what_is_no_array_and_says_the_cure(bad):
    with pytest.raises(TypeError, match=r"expected an array, got .*numpy\.asarray"):
        array_namespace(np.ones(2), bad)


def test_namespace_refuses_scalars_alone():
    with pytest.raises(TypeError, match="at least one array"):
        array_namespace(1.0, None)


@pytest.mark.parametrize("xp", ["strict", "torch", "cupy-standin"], indirect=True)
def test_namespace_refuses_arrays_of_two_libraries(xp):
    with pytest.raises(TypeError, match="different libraries"):
        array_namespace(np.ones(2), xp.asarray(np.ones(2)))


def test_is_array_tells_arrays_from_lists(xp):
    assert is_array(xp.asarray(np.ones(2)))
    assert not is_array([1.0, 2.0])


@pytest.mark.parametrize(
    "dtype, expected", [("float32", True), ("int64", False), ("bool", False), ("complex64", False)]
)
def test_floating_means_real_floating(xp, dtype, expected):
    assert is_floating(xp.asarray(np.ones(2), dtype)) is expected


@pytest.mark.parametrize("dtype", ["int64", "bool", "complex64"])
def test_other_kinds_are_refused_by_name(xp, dtype):
    with pytest.raises(TypeError, match=rf"q has dtype {dtype}.*astype"):
        require_floating(xp.asarray(np.ones(2), dtype), "q")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_eps_is_the_spacing_at_one(xp, dtype):
    x = xp.asarray(np.ones(2), dtype)  # float64 becomes float32 where there is none
    assert eps(x) == eps(x.dtype) == np.finfo(dtype_name(x.dtype)).eps
    assert eps(np.dtype(dtype).type) == np.finfo(dtype).eps


def test_eps_of_an_integer_dtype_is_refused():
    with pytest.raises(TypeError, match="int64"):
        eps(np.int64)


def test_accumulators_are_as_wide_as_the_device_allows(xp):
    assert dtype_name(accumulator_dtype(xp.asarray(np.ones(2), "float32"))) == xp.dtype


def test_finite_arrays_pass_with_one_synchronisation(xp):
    x = xp.asarray(np.ones((3, 4)))
    if xp.transfers is None:
        check_finite(x, "x")
        return
    xp.transfers.reset()
    check_finite(x, "x")
    assert (xp.transfers.synchronisations, xp.transfers.to_host) == (1, 0)


def test_not_finite_entries_are_counted_and_located(xp):
    x = np.ones((3, 4))
    x[1, 2], x[2, 0], x[2, 1] = np.inf, np.nan, np.nan
    with pytest.raises(ValueError, match=r"k holds 2 NaN and 1 infinite entries, the first at index \(1, 2\)"):
        check_finite(xp.asarray(x), "k")


# --- transfers ---


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_transfer_there_and_back_keeps_values_and_dtype(xp, dtype, assert_close):
    host = (rng().standard_normal((3, 4)) * 5).astype(dtype)
    moved = from_host(host, like=xp.asarray(np.ones(1), "float32"))
    assert type(moved) is type(xp.asarray(host))
    assert device(moved) == device(xp.asarray(host))
    back = to_host(moved)
    assert type(back) is np.ndarray
    assert back.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(back, host)


def test_floating_data_take_the_dtype_of_the_model(xp):
    assert dtype_name(from_host(np.ones(2), like=xp.asarray(np.ones(1), "float32")).dtype) == "float32"
    assert dtype_name(from_host(np.ones(2, np.float32), like=xp.asarray(np.ones(1))).dtype) == xp.dtype


def test_a_dtype_asked_for_wins(xp):
    like = xp.asarray(np.ones(1))
    narrow = from_host(np.arange(3), like=like, dtype=xp.asarray(np.ones(1), "float32").dtype)
    assert dtype_name(narrow.dtype) == "float32"


def test_read_only_and_reversed_host_arrays_can_be_moved(xp):
    host = np.arange(4.0)
    host.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        moved = from_host(host[::-1], like=xp.asarray(np.ones(1)))
    np.testing.assert_array_equal(to_host(moved), host[::-1])


def test_bfloat16_comes_to_the_host_as_float32():
    torch = pytest.importorskip("torch")
    x = torch.ones(3, dtype=torch.bfloat16, requires_grad=True)
    assert to_host(x).dtype == np.float32
    assert from_host(np.ones(2), like=x).dtype == torch.bfloat16
    assert eps(x) == torch.finfo(torch.bfloat16).eps


@only_standin
def test_one_transfer_is_counted_as_one(xp):
    like = xp.asarray(np.ones(1))
    xp.transfers.reset()
    to_host(from_host(np.ones(5), like=like))
    assert (xp.transfers.to_device, xp.transfers.to_host, xp.transfers.synchronisations) == (1, 1, 0)


def test_synchronising_is_possible_on_every_ring(xp):
    assert synchronize(xp.asarray(np.ones(2))) is None


# --- the rings themselves: negative controls ---


@only_standin
def test_standin_refuses_what_a_device_refuses(xp):
    x = xp.asarray(np.ones(3))
    for act in (lambda: np.asarray(x), lambda: x + np.ones(3), lambda: np.ones(3) + x, lambda: np.sum(x)):
        with pytest.raises(TypeError):
            act()
    assert not isinstance(x, np.ndarray)


@only_standin
def test_standin_counts_hidden_waits(xp):
    x = xp.asarray(np.ones(3))
    xp.transfers.reset()
    float(x[0])
    bool(x[0] > 0)
    assert (x[x > 0].shape, xp.transfers.synchronisations) == ((3,), 3)


@pytest.mark.parametrize("xp", ["numpy", "strict"], indirect=True)
def test_standin_does_not_leak_into_other_rings(xp):
    assert getattr(sys.modules.get("cupy"), "__version__", "") != "stand-in on the host"


@only_strict
def test_strict_device_refuses_silent_conversion(xp):
    with pytest.raises(RuntimeError, match="device"):
        np.asarray(xp.asarray(np.ones(3)))


@only_no_float64
def test_a_device_without_float64_refuses_float64(xp):
    with pytest.raises(ValueError, match="float64"):
        xp.namespace.zeros(3, dtype=xp.namespace.float64, device=xp.device)


@only_strict
def test_assert_close_notices_another_dtype(xp, assert_close):
    x = np.ones(3)
    with pytest.raises(AssertionError):
        assert_close(xp.asarray(x, "int64"), xp.asarray(x), rtol=0)


# --- contractions ---

EXPRESSIONS = {
    "ij,jk->ik": [(3, 4), (4, 5)],
    "ij,jk->ki": [(3, 4), (4, 5)],
    "hij,hjk->hik": [(2, 3, 4), (2, 4, 5)],
    "hij,hkj->ikh": [(2, 3, 4), (2, 5, 4)],
    "ij->ji": [(3, 4)],
    "ij->j": [(3, 4)],
    "ij->": [(3, 4)],
    "ij,ij->ij": [(3, 4), (3, 4)],
    "ij,ij->i": [(3, 4), (3, 4)],
    "ij,ij->": [(3, 4), (3, 4)],
    "i,j->ij": [(3,), (4,)],
    "i,j->ji": [(3,), (4,)],
    "ij,kj->": [(3, 4), (5, 4)],
    "hij,i,j->hi": [(2, 3, 4), (3,), (4,)],
    "abc,ia,jb,kc->ijk": [(2, 3, 4), (5, 2), (6, 3), (7, 4)],
    "ir,jr,kr->ijk": [(3, 2), (4, 2), (5, 2)],
    "ir,jr,r->ij": [(3, 2), (4, 2), (2,)],
    "aib,bjc,ckd->aijkd": [(1, 3, 2), (2, 4, 3), (3, 5, 1)],
    "...ij,...jk->...ik": [(2, 3, 4, 5), (2, 3, 5, 6)],
    "...qd,...kd->...qk": [(2, 3, 6, 4, 5), (2, 3, 1, 7, 5)],
    "...ij,j->...i": [(2, 3, 4), (4,)],
    "...ij,...j->...": [(2, 3, 4), (4,)],
    "h...i,hi->h...": [(2, 3, 4), (2, 4)],
}


@pytest.mark.parametrize("subscripts", EXPRESSIONS)
def test_contraction_is_the_sum_of_products(xp, subscripts, assert_close):
    host = [rng(i).standard_normal(shape) for i, shape in enumerate(EXPRESSIONS[subscripts])]
    arrays = [xp.asarray(x) for x in host]
    expected = xp.asarray(np.einsum(subscripts, *(to_host(x).astype(np.float64) for x in arrays)))
    scale = np.einsum(subscripts, *(np.abs(x) for x in host)).max()
    assert_close(contract(subscripts, *arrays), expected, rtol=0, atol=100 * xp.eps() * scale)


def test_contraction_keeps_float32(xp):
    x = xp.asarray(np.ones((3, 3)), "float32")
    assert dtype_name(contract("ij,jk,kl->il", x, x, x).dtype) == "float32"


def test_contraction_of_empty_axes_is_zero(xp):
    product = contract("ij,jk->ik", xp.asarray(np.ones((2, 0))), xp.asarray(np.ones((0, 3))))
    np.testing.assert_array_equal(to_host(product), np.zeros((2, 3)))


def test_contraction_plans_a_chain_from_its_cheap_end(xp):
    """(A B) v would cost n^3; in the planned order a vector is all that is ever made."""
    n = 400
    a, v = xp.asarray(np.ones((n, n)), "float32"), xp.asarray(np.ones(n), "float32")
    np.testing.assert_allclose(to_host(contract("ij,jk,k->i", a, a, v)), np.full(n, float(n) ** 2), rtol=1e-5)
    from tnattn.arrays import _plan

    assert all(len(output) == 1 for _, _, output in _plan("ij,jk,k->i", ((n, n), (n, n), (n,))).steps)


@pytest.mark.parametrize(
    "subscripts, shapes, message",
    [
        ("ii->i", [(3, 3)], "traces"),
        ("ij,jk", [(3, 4), (4, 5)], "names no output"),
        ("ij,jk->ik", [(3, 4)], "2 terms for 1 operands"),
        ("ij,jk->ik", [(3, 4), (3, 5)], "both 4 and 3"),
        ("ij,jk->ik", [(3, 1), (4, 5)], "both 1 and 4"),
        ("ij->ik", [(3, 4)], "output 'ik'"),
        ("ij->ii", [(3, 4)], "output 'ii'"),
        ("ijk->i", [(3, 4)], "does not fit"),
        ("i->i", [(3, 4)], "does not fit"),
        ("...i->i", [(3, 4)], "drops the axes"),
        ("i$->i", [(3, 4)], "ASCII letters"),
    ],
)
def test_malformed_contractions_are_refused_with_the_reason(xp, subscripts, shapes, message):
    with pytest.raises(ValueError, match=message):
        contract(subscripts, *(xp.asarray(np.ones(shape)) for shape in shapes))


# --- scattered sums ---


def test_scattered_rows_are_added_up(xp, assert_close):
    updates, indices = rng().standard_normal((2, 6, 3)), rng().integers(0, 4, (2, 6))
    expected = np.zeros((2, 4, 3))
    for head in range(2):
        np.add.at(expected[head], indices[head], updates[head])
    summed = scatter_rows(xp.asarray(updates), xp.asarray(indices), 4)
    assert_close(summed, xp.asarray(expected), rtol=0, atol=20 * xp.eps())


@pytest.mark.parametrize("batch", [(), (2, 3)])
@pytest.mark.parametrize("columns", [0, 1, 100])
def test_scatter_products_multiplies_with_the_transpose(xp, batch, columns):
    rng = np.random.default_rng(0)
    values, indices, y = (
        rng.standard_normal((7, 2)),
        rng.integers(4, size=(7, 2)),
        rng.standard_normal((*batch, 7, columns)),
    )
    dense = np.zeros((7, 4))
    np.add.at(dense, (np.arange(7)[:, None], indices), values)
    made = scatter_products(xp.asarray(values), xp.asarray(indices), xp.asarray(y), 4)
    np.testing.assert_allclose(to_host(made), dense.T @ y, rtol=0, atol=50 * xp.eps())


def test_exponential_in_place_is_the_exponential(xp, assert_close):
    x = rng().standard_normal(5)
    assert_close(exp_in_place(xp.asarray(x)), xp.asarray(np.exp(x)), rtol=4 * xp.eps())


# --- draws ---

DRAWS = {
    "normal": lambda source, like: normal(source, (50, 4), like=like),
    "uniform": lambda source, like: uniform(source, (50, 4), like=like),
    "signs": lambda source, like: signs(source, (50, 4), like=like),
}
SOURCES = {"host": np.random.default_rng, "device": DeviceDraws}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_follow_library_device_dtype_and_shape(xp, draw, source, dtype):
    like = xp.asarray(np.ones(1), dtype)
    drawn = DRAWS[draw](SOURCES[source](0), like)
    assert type(drawn) is type(like)
    assert (device(drawn), drawn.dtype, tuple(drawn.shape)) == (device(like), like.dtype, (50, 4))


@pytest.mark.parametrize("draw", DRAWS)
def test_a_seed_means_the_same_draw_on_every_library(xp, draw):
    drawn = DRAWS[draw](rng(3), xp.asarray(np.ones(1), "float32"))
    np.testing.assert_array_equal(to_host(drawn), DRAWS[draw](rng(3), np.ones(1, np.float32)))


@pytest.mark.parametrize("draw", DRAWS)
def test_device_draws_repeat_with_the_seed_and_advance_with_use(xp, draw):
    like = xp.asarray(np.ones(1))
    source, again, other = DeviceDraws(5), DeviceDraws(5), DeviceDraws(6)
    first = to_host(DRAWS[draw](source, like))
    np.testing.assert_array_equal(first, to_host(DRAWS[draw](again, like)))
    assert not np.array_equal(first, to_host(DRAWS[draw](source, like)))
    assert not np.array_equal(first, to_host(DRAWS[draw](other, like)))


def _cast_dtypes(xp):
    names = ["float32", "float64"] if xp.dtype == "float64" else ["float32"]
    return names + [name for name in ("float16", "bfloat16") if hasattr(xp.namespace, name) and "strict" not in xp.name]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("draw", DRAWS)
def test_the_seed_decides_whatever_the_dtype(xp, draw, source):
    """The draw of every dtype is that of the widest one, cast; the control draws float32 as NumPy would."""
    wide = DRAWS[draw](SOURCES[source](7), xp.asarray(np.ones(1)))
    for name in _cast_dtypes(xp):
        namespace = array_namespace(wide)
        like = namespace.astype(xp.asarray(np.ones(1)), getattr(namespace, name))
        drawn = DRAWS[draw](SOURCES[source](7), like)
        assert drawn.dtype == like.dtype
        np.testing.assert_allclose(to_host(drawn).astype(float), to_host(wide), rtol=eps(like), atol=eps(like))
    narrow = rng(7).standard_normal((50, 4), dtype=np.float32)
    assert np.abs(narrow - rng(7).standard_normal((50, 4))).max() > 1


@pytest.mark.parametrize("source", SOURCES)
def test_uniform_numbers_stay_below_one_in_narrow_dtypes(xp, source):
    """Of 20,000 numbers about five round to one in float16, and forty in bfloat16."""
    for name in _cast_dtypes(xp):
        namespace = array_namespace(xp.asarray(np.ones(1)))
        like = namespace.astype(xp.asarray(np.ones(1)), getattr(namespace, name))
        assert to_host(uniform(SOURCES[source](0), (20_000,), like=like)).max() < 1


@only_standin
def test_device_draws_move_nothing(xp):
    like, source = xp.asarray(np.ones(1)), DeviceDraws(0)
    xp.transfers.reset()
    for draw in DRAWS.values():
        draw(source, like)
    source.integers(0, 9, (3,), like=like)
    assert (xp.transfers.to_device, xp.transfers.to_host) == (0, 0)


@only_standin
def test_a_host_draw_is_moved_once(xp):
    like = xp.asarray(np.ones(1))
    xp.transfers.reset()
    normal(rng(), (50, 4), like=like)
    assert (xp.transfers.to_device, xp.transfers.to_host, xp.transfers.synchronisations) == (1, 0, 0)


@pytest.mark.parametrize("source", SOURCES)
def test_draws_have_the_moments_they_should(xp, source, seed):
    """20,000 draws: each tolerance is 5.5 standard deviations of the sample mean, level 1e-7 per comparison."""
    like, count, made = xp.asarray(np.ones(1)), 20_000, SOURCES[source](seed)
    z, u, s = (to_host(f(made, (count,), like=like)).astype(np.float64) for f in (normal, uniform, signs))
    margin = 5.5 / count**0.5
    assert abs(z.mean()) < margin
    assert abs((z**2).mean() - 1) < margin * 2**0.5
    assert abs(u.mean() - 0.5) < margin / 12**0.5
    assert u.min() >= 0
    assert u.max() < 1
    assert set(np.unique(s)) == {-1.0, 1.0}
    assert abs(s.mean()) < margin


@pytest.mark.parametrize("source", SOURCES)
def test_integers_cover_their_range_and_no_more(xp, source):
    drawn = integers(SOURCES[source](1), 3, 7, (500,), like=xp.asarray(np.ones(1)))
    assert set(to_host(drawn).tolist()) == {3, 4, 5, 6}


@pytest.mark.parametrize("source", SOURCES)
def test_choice_without_replacement_repeats_nothing_and_avoids_zero_weights(xp, source):
    weights = xp.asarray(np.array([0.0, 1.0, 2.0, 3.0, 0.0, 4.0]))
    drawn = to_host(choice(SOURCES[source](2), 6, 4, p=weights, replace=False, like=weights))
    assert sorted(drawn.tolist()) == [1, 2, 3, 5]
    assert drawn.dtype == np.int64


@pytest.mark.parametrize(
    "options, message",
    [
        ({"size": 7, "replace": False}, "size 7 exceeds the 6"),
        ({"size": 2, "replace": True, "p": np.ones(5)}, r"shape \(5,\)"),
        ({"size": 2, "replace": True, "p": np.zeros(6)}, "not all zero"),
        ({"size": 2, "replace": True, "p": -np.ones(6)}, ">= 0"),
        ({"size": 2, "replace": True, "p": np.full(6, np.nan)}, "finite"),
        ({"size": 2, "replace": False, "p": np.eye(6)[0]}, "1 positive entries"),
    ],
)
def test_impossible_choices_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        choice(rng(), 6, like=np.ones(1), **options)


@pytest.mark.parametrize("bad", [None, 0, "0", np.random.RandomState(0)])
def test_what_is_no_generator_is_refused_with_the_cure(bad):
    with pytest.raises(TypeError, match=r"the range finder is randomized; pass rng=numpy\.random\.default_rng\(seed\)"):
        require_rng(bad, "the range finder")
    with pytest.raises(TypeError, match="default_rng"):
        normal(bad, (2,), like=np.ones(1))


@pytest.mark.parametrize("source", SOURCES)
def test_generators_are_accepted(source):
    made = SOURCES[source](0)
    assert require_rng(made, "it") is made


@pytest.mark.parametrize("bad, error", [(-1, ValueError), (1.5, TypeError), (True, TypeError), (None, TypeError)])
def test_seeds_are_non_negative_integers(bad, error):
    with pytest.raises(error, match="seed"):
        DeviceDraws(bad)


def test_children_of_device_draws_differ_and_repeat():
    like = np.ones(1)
    one, other = DeviceDraws(0).spawn(2)
    assert one == DeviceDraws(0).spawn(1)[0]
    assert not np.array_equal(one.normal((4,), like=like), other.normal((4,), like=like))
    parent = DeviceDraws(0)
    assert parent.spawn(1) != parent.spawn(1)


def test_draws_need_a_floating_model_or_a_dtype(xp):
    with pytest.raises(TypeError, match="like has dtype int64"):
        normal(rng(), (2,), like=xp.asarray(np.ones(1), "int64"))


# --- products and reports ---


def test_library_info_names_versions_and_blas(xp):
    info = library_info()
    assert info["numpy"] == np.__version__
    assert {"python", "scipy", "blas", "threads", "torch", "cupy"} <= set(info)
    assert all(isinstance(value, str) and value for value in info.values())
    assert info.get("cupy device", "none") == "none" or xp.name != "cupy stand-in"


@pytest.mark.parametrize(
    ("left", "right"),
    [((3, 1, 80, 90), (1, 4, 90, 70)), ((12, 90, 80), (80, 90)), ((90, 80), (7, 80, 300)), ((80, 90), (90, 700))],
)
def test_products_of_stacks_are_those_of_their_matrices(xp, assert_close, monkeypatch, left, right):
    for module in ("arrays", "arrays.threads"):
        monkeypatch.setattr(f"tnattn.{module}.host_threads", lambda: 3)
    monkeypatch.setattr("tnattn.arrays._SMALL", 1)
    a, b = (np.random.default_rng(0).standard_normal(shape) for shape in (left, right))
    assert_close(stacked_matmul(xp.asarray(a), xp.asarray(b)), a @ b, rtol=0, atol=1000 * xp.eps())


def test_products_are_written_over_spare_memory_that_fits():
    rng = np.random.default_rng(0)
    a, b, spare = rng.standard_normal((5, 3)), rng.standard_normal((3, 4)), np.empty((5, 4))
    assert matmul_into(a, b, spare) is spare
    np.testing.assert_allclose(spare, a @ b)


@pytest.mark.parametrize("batch", [(), (2, 3)], ids=str)
def test_a_product_is_subtracted(xp, assert_close, batch):
    x, a, b = (np.random.default_rng(0).standard_normal((*batch, *shape)) for shape in ((5, 40), (5, 3), (3, 40)))
    assert_close(
        subtract_product(*(xp.asarray(one) for one in (x.copy(), a, b))), x - a @ b, rtol=0, atol=20 * xp.eps()
    )


@pytest.mark.parametrize("part", [slice(0, 40), slice(3, 30)], ids=["whole rows", "parts of rows"])
def test_a_product_is_subtracted_in_the_memory_of_the_minuend(part):
    rng = np.random.default_rng(0)
    whole, a, b = rng.standard_normal((5, 40)), rng.standard_normal((5, 3)), rng.standard_normal((3, 40))[:, part]
    desired = whole[:, part] - a @ b
    assert np.shares_memory(subtract_product(whole[:, part], a, b), whole)
    np.testing.assert_allclose(whole[:, part], desired, atol=1e-14)


def test_squares_of_columns_add_up(xp, assert_close):
    x = np.random.default_rng(0).standard_normal((2, 7, 30))
    assert_close(squared_column_norms(xp.asarray(x)), np.sum(x**2, axis=-2), rtol=20 * xp.eps())


@pytest.mark.parametrize("spare", [None, np.empty((4, 4)), np.empty((5, 4), dtype=np.float32)])
def test_spare_memory_that_does_not_fit_is_left_alone(spare):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((5, 3)), rng.standard_normal((3, 4))
    product = matmul_into(a, b, spare)
    assert product is not spare
    np.testing.assert_allclose(product, a @ b)
