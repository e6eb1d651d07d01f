"""Random samples from generators of the host and of the device, on every ring."""

import numpy as np
import pytest
from fixtures import rng

from tnattn.arrays import (
    DeviceDraws,
    array_namespace,
    choice,
    device,
    eps,
    integers,
    multi_indices,
    normal,
    require_rng,
    signs,
    to_host,
    uniform,
)

only_standin = pytest.mark.parametrize("xp", ["cupy-standin"], indirect=True)


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
def test_uniform_choices_of_a_device_are_not_moved(xp):
    like, before = xp.asarray(np.ones(1)), xp.transfers.snapshot()
    found = [choice(DeviceDraws(0), 50, 20, replace=replace, like=like) for replace in (False, True)]
    assert (xp.transfers - before).copies == 0
    assert len(set(found[0].tolist())) == 20
    assert all(set(x.tolist()) <= set(range(50)) for x in found)


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


@pytest.mark.parametrize("source", SOURCES)
def test_multi_indices_are_the_integers_of_one_size_after_the_other(xp, assert_close, source):
    like, sizes = xp.asarray(np.ones(1)), (3, 50, 7)
    found, one = multi_indices(SOURCES[source](0), sizes, (2, 9), like=like), SOURCES[source](0)
    for j, n in enumerate(sizes):
        assert_close(found[..., j], integers(one, 0, n, (2, 9), like=like), rtol=0)


@only_standin
@pytest.mark.parametrize("source, copies", [(rng, 1), (lambda: DeviceDraws(0), 0)], ids=["host", "device"])
def test_multi_indices_are_moved_once(xp, source, copies):
    like, before = xp.asarray(np.ones(1)), xp.transfers.snapshot()
    multi_indices(source(), (3, 50, 7), (2, 9), like=like)
    assert (xp.transfers - before).copies == copies
