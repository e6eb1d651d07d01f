"""Exact attention against softmax written out, and the refusals of the constructor."""

import threading
import tracemalloc

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.masks import BiasMask, CausalMask, ExplicitMask, FullMask, PaddingMask, SlidingWindowMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.softmax import SoftmaxOperator

RNG = np.random.default_rng(7)
ALLOWED = RNG.random((4, 9, 13)) > 0.4
ALLOWED[:, 3] = False
BIAS = RNG.standard_normal((9, 13))
BIAS[2, 5] = -np.inf


def arrays(seed=0, *, n_q=9, n_k=13, heads=4, groups=2, batch=(2,), d=5, dtype="float64"):
    rng = np.random.default_rng(seed)
    shapes = [(*batch, heads, n_q, d), (*batch, groups, n_k, d), (*batch, groups, n_k, 3)]
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def naive(q, k, v, *, allowed=True, bias=0.0, scale=None, softcap=None):
    """Softmax attention in float64, key heads repeated, one formula after the other."""
    q, k, v = (x.astype("float64") for x in (q, k, v))
    ratio = q.shape[-3] // k.shape[-3]
    k, v = (np.repeat(x, ratio, axis=-3) for x in (k, v))
    scores = q @ np.swapaxes(k, -1, -2) * (scale or q.shape[-1] ** -0.5)
    scores = softcap * np.tanh(scores / softcap) if softcap else scores
    scores = np.where(allowed, scores + bias, -np.inf)
    top = scores.max(-1, keepdims=True)
    kernel = np.exp(scores - np.where(np.isfinite(top), top, 0))
    mass = kernel.sum(-1, keepdims=True)
    return kernel @ v / np.where(mass > 0, mass, 1)


def position(n_q=9, n_k=13):
    return np.arange(n_q)[:, None] + n_k - n_q - np.arange(n_k)[None, :]


CASES = {
    "full": (FullMask(), True, 0.0),
    "causal": (CausalMask(), position() >= 0, 0.0),
    "window": (SlidingWindowMask(3, 1), (position() <= 3) & (position() >= -1), 0.0),
    "padding": (PaddingMask(6), np.arange(13) < 6, 0.0),
    "explicit": (ExplicitMask(ALLOWED), ALLOWED, 0.0),
    "bias": (BiasMask(BIAS), True, BIAS),
    "conjunction": (CausalMask() & PaddingMask(9) & BiasMask(BIAS), (position() >= 0) & (np.arange(13) < 9), BIAS),
}


@pytest.mark.parametrize("softcap", [None, 1.5])
@pytest.mark.parametrize("case", CASES)
def test_output_is_softmax_written_out(case, softcap):
    mask, allowed, bias = CASES[case]
    q, k, v = arrays()
    found = AttentionProblem(q, k, v, mask=mask, softcap=softcap).output
    np.testing.assert_allclose(found, naive(q, k, v, allowed=allowed, bias=bias, softcap=softcap), rtol=0, atol=1e-14)


def test_padding_may_differ_within_the_batch():
    q, k, v = arrays()
    found = AttentionProblem(q, k, v, mask=PaddingMask(np.array([4, 13]))).output
    allowed = np.arange(13) < np.array([4, 13])[:, None, None, None]
    np.testing.assert_allclose(found, naive(q, k, v, allowed=allowed), rtol=0, atol=1e-14)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_head_h_reads_key_head_h_over_the_ratio(groups):
    q, k, v = arrays(groups=groups)
    np.testing.assert_allclose(AttentionProblem(q, k, v).output, naive(q, k, v), rtol=0, atol=1e-14)


def test_another_assignment_of_heads_gives_another_output():
    q, k, v = arrays()
    assert np.abs(AttentionProblem(q, k, v).output - naive(q, k[:, ::-1], v[:, ::-1])).max() > 0.1


def test_output_is_that_of_every_ring(xp, assert_close):
    q, k, v = arrays()
    found = AttentionProblem(*(xp.asarray(x) for x in (q, k, v)), mask=CausalMask()).output
    assert_close(found, xp.asarray(naive(q, k, v, allowed=position() >= 0)), rtol=0, atol=30 * xp.eps())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1.0, 1e2, 1e4])
def test_large_scores_neither_overflow_nor_lose_the_row(size, dtype):
    q, k, v = arrays(dtype=dtype)
    q = (q * np.asarray(size / np.abs(q).max(), dtype=dtype)).astype(dtype)
    found = AttentionProblem(q, k, v, scale=1.0).output
    # a score of this size carries an error of size * eps, and softmax passes it on with a factor of two at most
    atol = 20 * np.finfo(dtype).eps * max(1.0, size) * np.abs(k).max()
    assert found.dtype == dtype
    np.testing.assert_allclose(found, naive(q, k, v, scale=1.0), rtol=0, atol=min(atol, 0.05))


def test_rows_without_keys_are_zero_and_counted():
    q, k, v = arrays(batch=())
    problem = AttentionProblem(q, k, v, mask=ExplicitMask(ALLOWED))
    assert problem.empty_rows == 4
    np.testing.assert_array_equal(problem.output[:, 3], 0)
    assert np.abs(problem.output[:, 2]).min() > 0


def test_adjoint_products_are_those_of_the_transpose():
    q, k, v = arrays()
    problem = AttentionProblem(q, k, v, mask=CausalMask())
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 2, 2, 13, 4)), rng.standard_normal((2, 2, 2, 9, 4))
    left = np.sum((problem.weights @ x) * y)
    np.testing.assert_allclose(left, np.sum(x * (problem.weights.mT @ y)), rtol=1e-13)


def test_rows_on_demand_are_rows_of_the_weights():
    problem = AttentionProblem(*arrays(), mask=CausalMask())
    picked = np.array([7, 0, 3])
    np.testing.assert_allclose(problem.rows(picked), problem.dense_weights()[..., picked, :], atol=1e-15)


def test_gathered_scores_are_entries_of_the_scores():
    problem = AttentionProblem(*arrays(), mask=CausalMask(), softcap=2.0)
    indices = np.random.default_rng(0).integers(0, 13, (2, 2, 2, 9, 6))
    expected = np.take_along_axis(problem.dense_scores().reshape(2, 2, 2, 9, 13), indices, axis=-1)
    np.testing.assert_allclose(problem.gathered_scores(indices), expected, atol=1e-14)


def test_memory_of_the_output_does_not_grow_like_the_square():
    q, k, v = arrays(n_q=4096, n_k=4096, heads=2, groups=2, batch=(), d=16, dtype="float32")
    problem = AttentionProblem(q, k, v)
    tracemalloc.start()
    assert problem.output.shape == (2, 4096, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.25 * 2 * 4096**2 * 4


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda q, k, v: (q.astype(int), k, v), TypeError, "q has dtype int64"),
        (lambda q, k, v: (q, k[..., :4], v), ValueError, "width"),
        (lambda q, k, v: (q, k, v[..., :5, :]), ValueError, "must agree"),
        (lambda q, k, v: (q[:, :3], k, v), ValueError, "3 query heads"),
        (lambda q, k, v: (q.astype("float32"), k, v), TypeError, "dtypes"),
        (lambda q, k, v: (q[0, 0], k[0, 0], v[0, 0]), ValueError, "add a head axis"),
        (lambda q, k, v: (q, np.where(k > 2, np.nan, k), v), ValueError, "k holds"),
        (lambda q, k, v: (q[..., :0, :], k, v), ValueError, "empty"),
    ],
)
def test_the_door_says_what_is_wrong(change, error, words):
    with pytest.raises(error, match=words):
        AttentionProblem(*change(*arrays()))


def test_a_word_in_place_of_a_mask_is_refused():
    with pytest.raises(TypeError, match="such as CausalMask"):
        AttentionProblem(*arrays(), mask="causal")


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_scale_must_be_positive(scale):
    with pytest.raises(ValueError, match="scale must be a positive number"):
        AttentionProblem(*arrays(), scale=scale)


def test_finiteness_may_be_left_unchecked():
    q, k, v = arrays()
    v[0, 0, 0, 0] = np.inf
    problem = AttentionProblem(q, k, v, check_finite=False)
    assert not np.isfinite(to_host(problem.output)).all()


def test_a_row_with_one_infinite_entry_is_bad():
    q, k, v = arrays(batch=())
    v[0, 5, 2] = np.inf  # one column of one key of the first group, two heads of which read it
    problem = AttentionProblem(q, k, v, check_finite=False)
    assert np.isfinite(problem.output[..., :2]).all()
    assert problem.bad_rows.tolist() == [9, 9, 0, 0]


# cross-attention with more queries than keys

CROSS = {
    "padding": PaddingMask(6),
    "padding of every entry": PaddingMask(np.array([4, 8])),
    "explicit": ExplicitMask(RNG.random((4, 13, 8)) > 0.3),
    "bias": BiasMask(RNG.standard_normal((13, 8))),
    "conjunction": PaddingMask(7) & ExplicitMask(RNG.random((13, 8)) > 0.3) & BiasMask(RNG.standard_normal((1, 8))),
}


@pytest.mark.parametrize("name", CROSS)
def test_masks_without_positions_serve_more_queries_than_keys(name):
    q, k, v = arrays(n_q=13, n_k=8)
    allowed, bias = np.ones((2, 1, 1, 8), dtype=bool), 0.0
    for part in CROSS[name].conjuncts:
        match part:
            case PaddingMask(lengths):
                allowed = allowed & (np.arange(8) < np.reshape(np.broadcast_to(lengths, 2), (2, 1, 1, 1)))
            case ExplicitMask(array):
                allowed = allowed & array
            case BiasMask(array):
                bias = bias + array
    found = AttentionProblem(q, k, v, mask=CROSS[name]).output
    np.testing.assert_allclose(found, naive(q, k, v, allowed=allowed, bias=bias), rtol=0, atol=1e-14)


@pytest.mark.parametrize("mask", [CausalMask(), SlidingWindowMask(2), PaddingMask(3) & CausalMask()])
def test_masks_with_positions_need_as_many_keys_as_queries(mask):
    with pytest.raises(ValueError, match="places the queries at the last positions of the keys, but 13 queries"):
        AttentionProblem(*arrays(n_q=13, n_k=8), mask=mask)


# dtypes and scalars

DTYPES = ["float16", "float32", "float64"]


@pytest.mark.parametrize("bias", DTYPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_dtype_of_results_is_that_of_the_queries(dtype, bias):
    mask = BiasMask(np.zeros((1, 13), bias)) & PaddingMask(np.asarray([3, 9], "uint8"))
    q, k, v = arrays(dtype=dtype)
    problem = AttentionProblem(q, k, v, mask=mask, scale=np.float64(0.3), softcap=np.float64(5))
    assert type(problem.scale) is type(problem.softcap) is float
    assert problem.output.dtype == dtype
    assert problem.dense_weights().dtype == problem.rows(np.asarray([0])).dtype == dtype
    assert (problem.weights @ problem.values).dtype == (problem.weights.mT @ problem.queries).dtype == dtype
    inner = "float32" if dtype == "float16" else dtype
    assert problem.dense_scores().dtype == problem.weights.log_mass.dtype == inner


@pytest.mark.parametrize("name", ["scale", "softcap"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("value", [1e-60, 1e-40, 1e39, float("inf"), float("nan"), 0.0])
def test_scalars_are_judged_in_the_dtype_of_the_scores(name, dtype, value):
    q, k, v = arrays(dtype=dtype)
    with pytest.raises(ValueError, match=rf"{name} must be a positive number, between 1.18e-38 and 3.4e\+38"):
        AttentionProblem(q, k, v, **{name: value})
    AttentionProblem(q, k, v, **{name: 1e-37})


@pytest.mark.parametrize("dtype", [">f8", ">f4"])
def test_foreign_byte_order_gives_native_results(dtype):
    q, k, v = arrays()
    found = AttentionProblem(*(x.astype(dtype) for x in (q, k, v)), mask=BiasMask(BIAS.astype(">f8"))).output
    assert found.dtype.isnative
    np.testing.assert_allclose(found, AttentionProblem(q, k, v, mask=BiasMask(BIAS)).output, atol=1e-5)


LAYOUTS = {
    "fortran": np.asfortranarray,
    "negative stride": lambda x: x[..., ::-1, :].copy()[..., ::-1, :],
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "read-only": lambda x: np.broadcast_to(x, x.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_in_memory_does_not_matter(layout):
    q, k, v = arrays()
    problem = AttentionProblem(*(LAYOUTS[layout](x) for x in (q, k, v)), mask=BiasMask(LAYOUTS[layout](BIAS)), tile=4)
    np.testing.assert_allclose(problem.output, naive(q, k, v, bias=BIAS), rtol=0, atol=1e-14)


# results belong to the caller

RESULTS = {
    "output": lambda p, as_: p.output,
    "product with the values": lambda p, as_: p.weights @ p.values,
    "product": lambda p, as_: p.weights @ as_(np.ones((13, 2))),
    "adjoint product": lambda p, as_: p.weights.mT @ as_(np.ones((9, 2))),
    "log mass": lambda p, as_: p.weights.log_mass,
    "rows": lambda p, as_: p.rows(as_(np.asarray([1, 4]))),
    "dense weights": lambda p, as_: p.dense_weights(),
    "dense scores": lambda p, as_: p.dense_scores(),
    "bad rows": lambda p, as_: p.bad_rows,
    "one array for all heads": lambda p, as_: p.ungroup(as_(np.ones((13, 2)))),
}


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("groups, batch", [(2, (2,)), (1, ()), (4, ())])
def test_results_are_the_callers(xp, name, groups, batch):
    q, k, v = arrays(groups=groups, batch=batch)
    problem = AttentionProblem(*(xp.asarray(x) for x in (q, k, v)), mask=CausalMask())
    read = RESULTS[name]
    first = read(problem, xp.asarray)
    before = to_host(first).copy()
    first += 1
    np.testing.assert_array_equal(to_host(read(problem, xp.asarray)), before)
    np.testing.assert_array_equal(to_host(first), before + 1)
    for given, kept in zip((problem.q, problem.k, problem.v), (q, k, v), strict=True):
        np.testing.assert_array_equal(to_host(given), kept.astype(xp.dtype))


# empty batches, and indices from the end


@pytest.mark.parametrize("batch", [(0,), (3, 0), (0, 2)])
@pytest.mark.parametrize("mask", ["full", "causal", "padding", "explicit", "bias"])
def test_an_empty_batch_has_empty_results(xp, batch, mask):
    masks = {
        "full": FullMask(),
        "causal": CausalMask(),
        "padding": PaddingMask(xp.asarray(np.ones(batch, dtype=int))),
        "explicit": ExplicitMask(xp.asarray(np.ones((*batch, 4, 9, 13), dtype=bool))),
        "bias": BiasMask(xp.asarray(np.ones((*batch, 1, 9, 1)))),
    }
    problem = AttentionProblem(*(xp.asarray(x) for x in arrays(batch=batch)), mask=masks[mask])
    assert problem.output.shape == (*batch, 4, 9, 3)
    assert problem.weights.log_mass.shape == (*batch, 2, 2, 9)
    assert problem.dense_weights().shape == problem.dense_scores().shape == (*batch, 4, 9, 13)
    assert (problem.weights.mT @ xp.asarray(np.ones((*batch, 1, 1, 9, 2)))).shape == (*batch, 2, 2, 13, 2)
    assert (problem.weights @ xp.asarray(np.ones((*batch, 1, 1, 13, 2)))).shape == (*batch, 2, 2, 9, 2)
    assert problem.empty_rows == 0
    assert problem.bad_rows.shape == (*batch, 4)


def test_negative_indices_of_rows_count_from_the_end(xp):
    problem = AttentionProblem(*(xp.asarray(x) for x in arrays()), mask=CausalMask())
    last, first = (problem.rows(xp.asarray(np.asarray([i]))) for i in (-1, -9))
    dense = to_host(problem.dense_weights())
    np.testing.assert_allclose(to_host(last), dense[..., 8:, :], atol=10 * xp.eps())
    np.testing.assert_allclose(to_host(first), dense[..., :1, :], atol=10 * xp.eps())


@pytest.mark.parametrize("indices", [np.asarray([0.5]), np.asarray([[0, 1]]), np.asarray([True])])
def test_rows_need_a_vector_of_integers(indices):
    with pytest.raises(TypeError, match="indices must be a vector of integers"):
        AttentionProblem(*arrays()).rows(indices)


@pytest.mark.parametrize("batch", [(), (2,), (3, 1, 1), (3, 1, 2), (5, 2, 1, 1)])
def test_factors_broadcast_against_the_heads(xp, batch):
    problem = AttentionProblem(*(xp.asarray(x) for x in arrays(batch=(1,))), mask=CausalMask(), tile=4)
    dense = to_host(problem.dense_weights()).reshape(1, 2, 2, 9, 13)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((*batch, 13, 3)), rng.standard_normal((*batch, 9, 3))
    tolerance = {"rtol": 0, "atol": 60 * xp.eps()}
    np.testing.assert_allclose(to_host(problem.weights @ xp.asarray(x)), dense @ x, **tolerance)
    np.testing.assert_allclose(to_host(problem.weights.mT @ xp.asarray(y)), dense.mT @ y, **tolerance)


# threads


def two_threads(*jobs):
    results = [None] * len(jobs)

    def run(slot):
        results[slot] = jobs[slot]()

    threads = [threading.Thread(target=run, args=(slot,)) for slot in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    return results


@pytest.mark.parametrize("shared", [False, True])
def test_two_threads_compute_at_the_same_time(monkeypatch, shared):
    q, k, v = arrays(n_q=20, n_k=24)
    problems = [AttentionProblem(q, k, v) for _ in range(2)]
    if shared:
        problems[1] = problems[0]
    expected = AttentionProblem(q, k, v).output
    meeting, sweep, met = threading.Barrier(2), SoftmaxOperator._sweep, set()

    def wait(self, *arguments):
        if threading.get_ident() not in met:
            met.add(threading.get_ident())
            meeting.wait(timeout=3)  # broken if the other thread is kept from its own sweep
        return sweep(self, *arguments)

    monkeypatch.setattr(SoftmaxOperator, "_sweep", wait)
    monkeypatch.setattr("tnattn.attention.softmax.parallel_map", lambda f, items, like, work: list(map(f, items)))
    for found in two_threads(lambda: problems[0].output, lambda: problems[1].output):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("mask", [FullMask(), CausalMask(), BiasMask(BIAS)], ids=["full", "causal", "bias"])
def test_many_threads_may_share_a_problem(mask):
    q, k, v = arrays()
    expected = AttentionProblem(q, k, v, mask=mask)
    shared = AttentionProblem(q, k, v, mask=mask)
    jobs = [lambda: shared.output, lambda: shared.weights.log_mass, lambda: shared.dense_weights()] * 4
    reads = [expected.output, expected.weights.log_mass, expected.dense_weights()] * 4
    for found, right in zip(two_threads(*jobs), reads, strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-14)
