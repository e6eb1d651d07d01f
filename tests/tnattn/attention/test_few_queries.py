"""One pass for few queries against extended precision, and against the sweep over tiles where it hands over."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from fixtures import beside

from tnattn.arrays import to_host
from tnattn.attention import few_queries as module
from tnattn.attention.few_queries import QUERIES, few_queries
from tnattn.attention.masks import BiasMask, CausalMask, ExplicitMask, FullMask, PaddingMask, SlidingWindowMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.softmax import SoftmaxOperator

random = beside(__file__, "test_softmax.py")


def decoding(n_q=1, n_k=50, *, heads=4, groups=2, batch=(), dtype="float64", size=1.0):
    rng = np.random.default_rng(0)
    shapes = ((heads, n_q, 3), (groups, n_k, 3), (groups, n_k, 2))
    q, k, v = (rng.standard_normal((*batch, *shape)).astype(dtype) for shape in shapes)
    return (q * size).astype(dtype), k, v


@pytest.fixture
def sweeps(monkeypatch):
    """Sweeps over tiles that run from here on."""
    found, sweep = [], SoftmaxOperator._sweep
    monkeypatch.setattr(SoftmaxOperator, "_sweep", lambda self, *given: found.append(given) or sweep(self, *given))
    return found


@pytest.mark.parametrize("seed", range(30))
def test_random_problems_have_the_results_of_extended_precision(xp, seed):
    dtype = xp.dtypes[seed % len(xp.dtypes)]
    case = random.oracle.random_case(seed, dtype)
    case = replace(case, q=case.q[..., -QUERIES:, :], tile=None, rules=_shortened(case))
    random.hold_against_oracle(case, random.posed(case, xp.asarray), xp.asarray, float(np.finfo(dtype).eps))


def _shortened(case):
    """Rules for the last queries only."""

    def shortened(rule):
        if rule[0] in ("explicit", "bias") and rule[1].shape[-2] == case.q.shape[-2]:
            return rule[0], rule[1][..., -QUERIES:, :]
        return rule

    return tuple(shortened(rule) for rule in case.rules)


MASKS = {
    "full": FullMask(),
    "causal": CausalMask(),
    "window": SlidingWindowMask(5),
    "padding": PaddingMask(40),
    "explicit": ExplicitMask(np.random.default_rng(1).random((4, 1, 50)) < 0.5),
    "bias": BiasMask(np.random.default_rng(2).standard_normal((4, 1, 50)) * 30),
    "both": CausalMask() & PaddingMask(48),
}


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("n_q", [1, 3, QUERIES])
@pytest.mark.parametrize("name", MASKS)
def test_one_pass_agrees_with_the_sweep(sweeps, name, n_q, softcap):
    problem = AttentionProblem(*decoding(n_q), mask=MASKS[name], softcap=softcap)
    found = problem.output, problem.weights.log_mass
    assert not sweeps
    tiled = replace(problem, tile=8)
    np.testing.assert_allclose(found[0], tiled.output, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found[1], tiled.weights.log_mass, rtol=1e-12)
    assert sweeps


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)], ids=str)
def test_log_masses_need_no_values(sweeps, batch):
    problem = AttentionProblem(*decoding(2, batch=batch))
    expected = replace(problem, tile=8).weights.log_mass
    sweeps.clear()
    np.testing.assert_allclose(problem.weights.log_mass, expected, rtol=1e-12)
    assert not sweeps


@pytest.mark.parametrize("x", [(2, 2, 50, 3), (2, 1, 50, 3), (1, 50, 3), (50, 3)], ids=str)
def test_factors_may_differ_between_the_heads(sweeps, x):
    problem, x = AttentionProblem(*decoding(2)), np.random.default_rng(1).standard_normal(x)
    found = problem.weights @ x
    assert not sweeps
    np.testing.assert_allclose(found, replace(problem, tile=8).weights @ x, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("size", [1.0, 30.0])
def test_transposed_products_take_the_shifts_of_the_pass(size):
    problem, y = AttentionProblem(*decoding(2, size=size)), np.random.default_rng(1).standard_normal((2, 2, 2, 3))
    _ = problem.output
    dense = problem.dense_weights().reshape(2, 2, 2, 50)
    np.testing.assert_allclose(problem.weights.mT @ y, dense.mT @ y, atol=1e-14)


def many(problem):
    return replace(problem, q=np.repeat(problem.q, QUERIES + 1, axis=-2))


@pytest.mark.parametrize(
    "change",
    [many, lambda p: replace(p, tile=8), lambda p: replace(p, **{n: getattr(p, n).astype("float16") for n in "qkv"})],
    ids=["many queries", "given tile", "half precision"],
)
def test_other_problems_are_swept(sweeps, change):
    problem = change(AttentionProblem(*decoding()))
    assert few_queries(problem, problem.values) is None
    assert np.isfinite(problem.output).all()
    assert sweeps


def test_scores_of_all_heads_are_held_only_while_they_are_few(monkeypatch, sweeps):
    monkeypatch.setattr(module, "_SCORES", 4 * 50 - 1)
    expected = replace(AttentionProblem(*decoding()), tile=8).output
    sweeps.clear()
    np.testing.assert_allclose(AttentionProblem(*decoding()).output, expected, rtol=1e-12)
    assert sweeps


HUGE = float(np.finfo("float32").max)


def beyond(name):
    """Return a problem in float32 in which something leaves the range."""
    q, k, v = decoding(dtype="float32")
    options = {}
    if name == "scores":
        q, k = q * np.float32(3e19), k * np.float32(3e19)
    if name == "values":
        v = np.full_like(v, HUGE)
    if name == "tiny values":
        v = v * np.float32(2.0**-140)
    if name == "infinite values":
        v[:, 3] = np.inf
    if name == "no key":
        options["mask"] = PaddingMask(0)
    if name == "a head without keys":
        options["mask"] = ExplicitMask((np.arange(4) > 0)[:, None, None] & np.ones((4, 1, 50), bool))
    if name == "forbidden overflow":
        q, k[:, 5] = np.abs(q) * np.float32(1e19), 3e19
        options["mask"] = ExplicitMask(np.arange(50)[None] != 5)
    return AttentionProblem(q, k, v, check_finite=False, **options)


@pytest.mark.parametrize(
    "name",
    ["scores", "values", "tiny values", "infinite values", "no key", "a head without keys", "forbidden overflow"],
)
def test_what_leaves_the_range_is_left_to_the_sweep(sweeps, name):
    problem = beyond(name)
    tiled = replace(problem, tile=8)
    expected = tiled.output, tiled.weights.log_mass, tiled.bad_rows, tiled.empty_rows
    sweeps.clear()
    found = problem.output, problem.weights.log_mass, problem.bad_rows, problem.empty_rows
    assert sweeps
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_values_of_very_different_size_need_no_sweep(sweeps):
    q, k, v = decoding(dtype="float32")
    problem = AttentionProblem(q, k, v * np.asarray([2.0**100, 2.0**-80], "float32"))
    found = problem.output
    assert not sweeps
    np.testing.assert_allclose(found, replace(problem, tile=8).output, rtol=1e-5)


def peak(run):
    tracemalloc.start()
    run()
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


@pytest.mark.parametrize("n_q", [1, 4])
def test_neither_keys_nor_values_are_copied(n_q):
    q, k, v = decoding(n_q, 8192, dtype="float32")
    wide = np.repeat(k, 20, axis=-1), np.repeat(v, 20, axis=-1)
    problem = AttentionProblem(np.repeat(q, 20, axis=-1), *wide, check_finite=False)
    scores = 4 * n_q * 8192 * 4  # four heads in float32
    assert peak(lambda: replace(problem).output) < 1.5 * scores + 100_000 < wide[0].nbytes
    # negative control: a copy is seen
    assert peak(lambda: replace(problem, k=wide[0].copy()).output) > wide[0].nbytes


def test_a_window_reads_its_keys_only(monkeypatch):
    problem, seen, stacked = AttentionProblem(*decoding(1, 5000), mask=SlidingWindowMask(9)), [], module._stacked
    expected = problem.dense_weights()
    monkeypatch.setattr(module, "_stacked", lambda a, b: seen.append(b.shape) or stacked(a, b))
    found = problem.output
    assert all(max(shape[-2:]) <= 512 for shape in seen)
    np.testing.assert_allclose(found, expected @ np.repeat(problem.v, 2, axis=0), atol=1e-14)


def test_the_pass_runs_on_every_library(xp, sweeps):
    problem = AttentionProblem(*(xp.asarray(x) for x in decoding(3)), mask=CausalMask())
    found = to_host(problem.output)
    assert not sweeps
    np.testing.assert_allclose(found, to_host(replace(problem, tile=8).output), rtol=0, atol=50 * xp.eps())
