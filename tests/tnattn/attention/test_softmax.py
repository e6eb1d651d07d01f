"""Streamed exact attention against extended precision: random problems on every library, with tiles that tests set."""

import importlib.util
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tnattn.arrays import dtype_name, runs_on_host, to_host
from tnattn.attention.few_queries import QUERIES
from tnattn.attention.masked_scores import Scores
from tnattn.attention.masks import BiasMask, CausalMask, ExplicitMask, FullMask, PaddingMask, SlidingWindowMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.softmax import SoftmaxOperator


def load_oracle():
    """Load the oracle beside this file; the tests are no package."""
    name = "attention_oracle"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("oracle.py"))
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


oracle = load_oracle()
PROBLEMS = 300  # for every library


def rule(given, as_):
    name, *values = given
    makers = {
        "causal": CausalMask,
        "window": SlidingWindowMask,
        "padding": lambda n: PaddingMask(as_(n) if isinstance(n, np.ndarray) else n),
        "explicit": lambda allowed: ExplicitMask(as_(allowed)),
        "bias": lambda bias: BiasMask(as_(bias)),
    }
    return makers[name](*values)


def posed(case, as_=np.asarray, **options):
    """Return the problem of the package that a case of the oracle is."""
    mask = FullMask()
    for given in case.rules:
        mask = mask & rule(given, as_)
    options = {"tile": case.tile, "scale": case.scale, "softcap": case.softcap, **options}
    return AttentionProblem(*(as_(x) for x in (case.q, case.k, case.v)), mask=mask, **options)


def regrouped(problem, array):
    """Split the heads of an array (..., H, ...) of the oracle into groups, (..., G, R, ...)."""
    lead = len(problem.batch) - 1
    return array.reshape(*problem.batch, *array.shape[lead:])


def hold_against_oracle(case, problem, as_, eps):
    """Compare everything that a problem answers with the oracle."""
    truth = oracle.answer(case)
    n_k = problem.n_k
    # a score has the errors of d products and sums, of the scale, the cap and the mask, all in units of the largest
    error = eps * (problem.width + 6) * truth.size
    # softmax at most doubles the error of the scores; its sums of n_k terms add n_k roundings
    relative = min(1.0, 2 * error + eps * (n_k + 8))
    log_error = error + eps * (n_k + 8 + truth.size)
    rng = np.random.default_rng(0)
    x, y = (rng.uniform(-1, 1, (*problem.batch, n, 2)).astype(case.v.dtype) for n in (n_k, problem.n_q))
    picked = rng.integers(-problem.n_q, problem.n_q, size=3)

    def close(found, desired, atol):
        np.testing.assert_allclose(to_host(found).astype("f8"), desired.astype("f8"), rtol=0, atol=atol)

    weights, dense = problem.weights, regrouped(problem, truth.weights)
    close(replace(problem).weights.log_mass, regrouped(problem, truth.log_mass), log_error)  # without values
    close(problem.output, truth.output, relative * np.abs(case.v).max())
    close(weights.log_mass, regrouped(problem, truth.log_mass), log_error)
    assert problem.empty_rows == truth.empty.sum()
    assert not to_host(problem.bad_rows).any()
    close(problem.dense_scores(), truth.scores, error)
    close(problem.dense_weights(), truth.weights, relative)
    close(problem.rows(as_(picked)), truth.weights[..., picked, :], relative)
    close(weights @ as_(x), dense @ x, relative)
    close(weights.mT @ as_(y), np.swapaxes(dense, -1, -2) @ y, relative * problem.n_q)


SEEDS = [pytest.param(seed, marks=[pytest.mark.slow] * (seed >= 75)) for seed in range(PROBLEMS)]


@pytest.mark.parametrize("seed", SEEDS)
def test_random_problems_have_the_results_of_extended_precision(xp, seed):
    dtype = xp.dtypes[seed % len(xp.dtypes)]
    case = oracle.random_case(seed, dtype)
    hold_against_oracle(case, posed(case, xp.asarray), xp.asarray, float(np.finfo(dtype).eps))


def test_random_problems_cover_what_they_claim():
    cases = [oracle.random_case(seed, "float64") for seed in range(PROBLEMS)]
    problems = [posed(case) for case in cases]
    names = [{given[0] for given in case.rules} for case in cases]
    for name in ("causal", "window", "padding", "explicit", "bias"):
        assert sum(name in found for found in names) > 20
    assert sum(len(found) == 0 for found in names) > 20
    assert sum(len(case.rules) > 1 for case in cases) > 50
    assert {p.heads // p.groups for p in problems} == {1, 2, 4}
    assert {p.q.ndim - 3 for p in problems} == {0, 1, 2}
    for relation in (np.less, np.equal, np.greater):
        assert sum(bool(relation(p.n_q, p.n_k)) for p in problems) > 40
    assert sum(p.weights.blocks.bounded for p in problems) > 60
    assert sum(not p.weights.blocks.bounded for p in problems) > 60
    assert sum(oracle.answer(case).size > 1000 for case in cases) > 40
    assert sum(p.n_q > p.tile and p.n_k > 2 * p.tile for p in problems) > 80
    assert sum(p.softcap is not None for p in problems) > 60
    assert sum(p.empty_rows > 0 for p in problems) > 40


@pytest.mark.parametrize(
    "rules", [(), (("causal",),), (("padding", 2100), ("bias", None))], ids=["full", "causal", "bias"]
)
@pytest.mark.parametrize("size", [1.0, 30.0], ids=["small scores", "large scores"])
@pytest.mark.parametrize("n_q", [20, pytest.param(1100, marks=pytest.mark.slow)])  # one block of queries, or two
def test_the_default_tiles_join_too(rules, size, n_q):
    rng, n_k = np.random.default_rng(3), 2500  # three chunks of keys
    q, k, v = (rng.standard_normal((1, n, 4)) for n in (n_q, n_k, n_k))
    rules = tuple(("bias", rng.standard_normal((1, n_k))) if rule[0] == "bias" else rule for rule in rules)
    case = oracle.Case(size * q, k, v, rules, None, None, tile=None)
    hold_against_oracle(case, posed(case), np.asarray, float(np.finfo("float64").eps))


@pytest.mark.parametrize("bounded", [True, False])
def test_tiles_change_results_by_rounding_only(bounded):
    rng = np.random.default_rng(4)
    q, k, v = rng.standard_normal((3, 2, 33, 4)) * (1.0 if bounded else 12.0)
    whole = AttentionProblem(q, k, v, tile=64)
    assert whole.weights.blocks.bounded is bounded
    for tile in (1, 7, 32):
        np.testing.assert_allclose(replace(whole, tile=tile).output, whole.output, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("tile", [0, -1, 2.0, True])
def test_a_tile_is_a_positive_integer(tile):
    q = np.ones((1, 3, 2))
    with pytest.raises((TypeError, ValueError), match="tile"):
        AttentionProblem(q, q, q, tile=tile)


# half precision


@pytest.mark.parametrize(
    "xp, name",
    [("numpy", "float16"), ("cupy-standin", "float16"), ("torch", "float16"), ("torch", "bfloat16")],
    indirect=["xp"],
)
@pytest.mark.parametrize("seed", range(10))
def test_half_precision_is_computed_in_single(xp, name, seed):
    case = oracle.random_case(seed, "float32")

    def as_(x):
        if x.dtype.kind != "f":
            return xp.asarray(x)
        return xp.asarray(x, "float32").to(getattr(xp.namespace, name)) if xp.name == "torch" else xp.asarray(x, name)

    problem = posed(case, as_)
    rounded = replace(
        case,
        **{n: to_host(getattr(problem, n)).astype("float32") for n in "qkv"},
        rules=tuple(("bias", to_host(as_(r[1])).astype("float32")) if r[0] == "bias" else r for r in case.rules),
    )
    truth = oracle.answer(rounded)
    assert dtype_name(problem.output.dtype) == dtype_name(problem.dense_weights().dtype) == name
    eps, half_eps = float(np.finfo("float32").eps), {"float16": 2.0**-10, "bfloat16": 2.0**-7}[name]
    relative = min(1.0, 2 * eps * (problem.width + 6) * truth.size + eps * (problem.n_k + 8))
    atol = relative * np.abs(rounded.v).max() + half_eps * np.abs(truth.output) + 2.0**-24
    np.testing.assert_array_less(
        np.abs(to_host(problem.output).astype("f8") - truth.output.astype("f8")), atol.astype("f8")
    )
    np.testing.assert_allclose(
        to_host(problem.dense_weights()).astype("f8"),
        truth.weights.astype("f8"),
        rtol=half_eps,
        atol=relative + 2.0**-24,
    )
    y = as_(np.ones((*problem.batch, problem.n_q, 1), "float32"))
    found = problem.weights.mT @ y
    assert dtype_name(found.dtype) == name
    sums = regrouped(problem, truth.weights).sum(axis=-2)[..., None]
    np.testing.assert_allclose(
        to_host(found).astype("f8"), sums.astype("f8"), rtol=half_eps, atol=relative * problem.n_q + 2.0**-24
    )


def test_many_half_precision_values_do_not_saturate_their_sum():
    q, k, v = (np.zeros((1, n, 2), "float16") for n in (1, 8192, 8192))
    output = AttentionProblem(q, k, v + np.float16(1)).output
    np.testing.assert_array_equal(output, 1)


def test_the_operator_counts_what_it_stores_and_computes():
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal(shape) for shape in ((2, 4, 9, 5), (2, 2, 13, 5), (2, 2, 13, 3)))
    weights = AttentionProblem(q, k, v).weights
    assert weights.shape == (2, 2, 2, 9, 13)
    assert weights.like is q
    assert weights.storage == 2 * 4 * 9 * 5 + 2 * 2 * 13 * 5
    assert weights.matmul_flops(3) == 2 * (2 * 4) * 9 * 13 * (5 + 3)


@pytest.mark.parametrize("size", [1.0, 30.0])
@pytest.mark.parametrize(
    "mask, masked",
    [(CausalMask(), [(0, 0)]), (CausalMask() & PaddingMask(11), [(0, 0), (4, 4), (8, 8)])],
    ids=["one for a diagonal", "all that differ"],
)
def test_only_tiles_that_the_mask_cuts_are_masked(monkeypatch, mask, masked, size):
    seen, additive = [], CausalMask.additive

    def record(self, i, j, **sizes):
        seen.append((int(i.min()), int(j.min())))
        return additive(self, i, j, **sizes)

    q, k, v = np.random.default_rng(0).standard_normal((3, 1, 12, 4)) * size
    monkeypatch.setattr(CausalMask, "additive", record)
    problem = AttentionProblem(q, k, v, mask=mask, tile=4)
    _ = problem.output
    assert sorted(seen) == masked
    blocks, block = [], Scores.block
    monkeypatch.setattr(
        Scores,
        "block",
        lambda self, q, h, r, c, spare=None: blocks.append((r.start, c.start)) or block(self, q, h, r, c, spare),
    )
    _ = replace(problem).output
    assert sorted(blocks) == [(0, 0), (4, 0), (4, 4), (8, 0), (8, 4), (8, 8)]  # tiles in the future are skipped


def test_one_sweep_gives_the_output_and_the_log_mass(monkeypatch):
    calls, sweep = [], SoftmaxOperator._sweep
    monkeypatch.setattr(SoftmaxOperator, "_sweep", lambda self, *given: calls.append(1) or sweep(self, *given))
    problem = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 1, QUERIES + 1, 4)))
    for _ in range(2):
        _ = problem.output, problem.weights.log_mass, problem.empty_rows, problem.bad_rows
    assert len(calls) == 1


@pytest.mark.parametrize("size", [1.0, 30.0])
@pytest.mark.parametrize("stack", [1, 60, 200])
def test_a_device_holds_no_more_scores_than_it_may(xp, monkeypatch, stack, size):
    monkeypatch.setattr("tnattn.attention.score_tiles._DEVICE", stack)
    held, block = [], Scores.block

    def record(self, *given, **options):
        scores = block(self, *given, **options)
        held.append(scores.size if xp.name != "torch" else scores.numel())
        return scores

    monkeypatch.setattr(Scores, "block", record)
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((h, n, 3)).astype(xp.dtype) for h, n in ((4, 18), (2, 21), (2, 21)))
    case = oracle.Case(q * np.asarray(size, xp.dtype), k, v, (("padding", 17),), None, None, tile=None)
    problem = posed(case, xp.asarray)
    _ = problem.output
    if not runs_on_host(problem.q):  # there, tiles of few heads fit a cache
        assert max(held) <= max(stack, problem.weights.count)
    hold_against_oracle(case, problem, xp.asarray, xp.eps())


@pytest.mark.parametrize("mask", ["causal", "window"])
def test_tiles_that_the_mask_leaves_empty_are_skipped_on_every_library(xp, monkeypatch, mask):
    for name, side in (("_ROWS", 8), ("_COLUMNS", 16), ("_CUT", 8), ("_DEVICE", 2 * 8 * 8), ("_TOGETHER", 64)):
        monkeypatch.setattr(f"tnattn.attention.score_tiles.{name}", side)
    pairs, block = [], Scores.block

    def record(self, query, head, rows, columns, spare=None):
        scores = block(self, query, head, rows, columns, spare)
        pairs.append(math.prod(scores.shape))
        return scores

    monkeypatch.setattr(Scores, "block", record)
    q, k, v = np.random.default_rng(0).standard_normal((3, 2, 64, 3)).astype(xp.dtype)
    rule = {"causal": ("causal",), "window": ("window", 8, 0)}[mask]
    case = oracle.Case(q, k, v, (rule,), None, None, tile=None)
    problem = posed(case, xp.asarray)
    _ = problem.output
    # blocks of 8 queries see 1, 2, ..., 8 blocks of 8 keys, or two at most
    assert sum(pairs) == 2 * 64 * {"causal": 36, "window": 1 + 7 * 2}[mask]
    hold_against_oracle(case, problem, xp.asarray, xp.eps())
