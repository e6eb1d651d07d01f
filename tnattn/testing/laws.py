"""The laws of attention methods, each a function of a trial that raises where it does not hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np

from tnattn.arrays import Array, array_namespace, to_host
from tnattn.attention.masks import Causal, Padding
from tnattn.attention.method import KeyMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.softmax import SoftmaxOperator
from tnattn.attention.wrappers.causal import Causal as CausalWrapper
from tnattn.testing.budgets import converges, has_temperature, merges
from tnattn.testing.fields import fields_matter
from tnattn.testing.report import NotApplicable, Violation
from tnattn.testing.trial import Trial, changed, difference, exact, require_close, tolerance

_MANY = ("gauss", "clustered", "sink", "low_rank_plus_sparse")
_FEW = ("gauss", "smooth")


@dataclass(frozen=True)
class Law:
    """A law of the kit.

    Parameters
    ----------
    name : str
        As in ``waives``.
    statement : str
    check : callable
        Raises Violation or NotApplicable.
    problems : tuple of str
        The families that it is checked on by default.
    slow : bool
        Whether it takes many runs.
    """

    name: str
    statement: str
    check: Callable[[Trial], None]
    problems: tuple[str, ...] = _MANY
    slow: bool = False


def output_fits(trial: Trial) -> None:
    """Shape, dtype and library are those of the problem, with batch axes and a value width of its own."""
    problem = trial.problem()
    wide = changed(problem, v=np.concatenate([problem.v, problem.v[..., :3]], axis=-1))
    batched = changed(wide, **{name: np.stack([getattr(wide, name)] * 2) for name in ("q", "k", "v")})
    for case in (
        wide,
        batched,
        changed(batched, q=batched.q.astype("f4"), k=batched.k.astype("f4"), v=batched.v.astype("f4")),
    ):
        approximation = trial.run(case)
        output = approximation.output
        expected = (*case.q.shape[:-1], case.v.shape[-1])
        if tuple(output.shape) != expected:
            raise Violation(f"the output has shape {tuple(output.shape)}, not {expected}")
        if output.dtype != case.q.dtype:
            raise Violation(f"the output is {output.dtype} for {case.q.dtype} inputs; keep the dtype of the problem")
        if array_namespace(output) is not array_namespace(case.q):
            raise Violation("the output belongs to another array library than the problem")
        _require_counted(approximation.bad_rows, output)


def weights_agree(trial: Trial) -> None:
    """Where weights exist, weights times values are the output."""
    problem = trial.problem()
    approximation = trial.run(problem)
    if approximation.expand is None:
        raise NotApplicable("the approximation has no weights over the original keys")
    weights = approximation.weights
    expected = (*problem.batch, problem.n_q, problem.n_k)
    if tuple(weights.shape) != expected:
        raise Violation(f"the weights have shape {tuple(weights.shape)}, not {expected}")
    output = to_host(approximation.output)
    product = to_host(problem.ungroup(weights.to_dense() @ problem.values))
    require_close(np.where(np.isnan(output), np.nan, product), output, problem, "weights @ values is not the output")
    streamed = to_host(problem.ungroup(weights @ problem.values))
    require_close(streamed, product, problem, "a product with the weights differs from that with their dense form")


def reads_no_dense_weights(trial: Trial) -> None:
    """A method that is no oracle runs although nobody may form the dense scores or weights."""
    if trial.method.reads_weights:
        raise NotApplicable("reads_weights: the method is an oracle")
    problem = trial.problem()

    def refuse(*_: object, **__: object) -> Array:
        raise Violation("it forms the dense scores or weights; stream them, or declare reads_weights = True")

    few_rows = SoftmaxOperator.rows

    def rows(self: SoftmaxOperator, indices: Array) -> Array:
        return refuse() if indices.shape[0] >= problem.n_q else few_rows(self, indices)

    with (
        patch.object(AttentionProblem, "dense_weights", refuse),
        patch.object(AttentionProblem, "dense_scores", refuse),
        patch.object(SoftmaxOperator, "to_dense", refuse),
        patch.object(SoftmaxOperator, "rows", rows),
    ):
        trial.output(problem)


def constants_stay(trial: Trial) -> None:
    """P1: V = 1 gives 1."""
    problem = trial.problem()
    output = trial.output(changed(problem, v=np.ones_like(problem.v)))
    require_close(np.where(np.isnan(output), np.nan, 1.0), output, problem, "values of 1 do not give 1: normalise rows")


def past_ignores_future(trial: Trial) -> None:
    """P2: with Causal, replacing q, k and v of all later positions changes no earlier output."""
    problem = trial.problem(mask=Causal())
    method = trial.fitted(problem)
    if not method.honours(Causal()):
        if not isinstance(method, KeyMethod) or method.probes:
            raise NotApplicable("the method does not honour Causal, and is no key method that a wrapper makes causal")
        method = CausalWrapper(method, leaf=4)
    other = trial.problem(mask=Causal(), key=1)
    before = trial.output(problem, method=method)
    for now in (problem.n_k // 3, problem.n_k // 2, problem.n_k - 1):
        mixed = {
            name: np.concatenate(
                [getattr(problem, name)[..., :now, :], 3 * getattr(other, name)[..., now:, :]], axis=-2
            )
            for name in ("q", "k", "v")
        }
        after = trial.output(changed(problem, **mixed), method=method)
        said = f"outputs before position {now} change when later queries, keys and values do"
        require_close(after[..., :now, :], before[..., :now, :], problem, said)


def keys_matter(trial: Trial) -> None:
    """P3: moving a key that the method says it reads changes something, for some seed."""
    problem = trial.problem()
    claimed = trial.run(problem).keys
    readable = np.arange(problem.n_k)[claimed if isinstance(claimed, slice) else to_host(claimed).ravel()]
    seeds = range(40) if trial.is_random() else range(1)
    before: dict[int, np.ndarray] = {}
    for key in readable[:: max(1, len(readable) // 6)]:
        moved = problem.k.copy()
        # to where some query looks, so that no sparse rule has a reason to leave it out
        moved[..., key, :] = 2 * problem.q[:: problem.heads // problem.groups, key, :]
        for seed in seeds:
            if seed not in before:
                before[seed] = trial.output(problem, seed=seed)
            if difference(trial.output(changed(problem, k=moved), seed=seed), before[seed]) > tolerance(problem):
                break
        else:
            raise Violation(
                f"moving key {key} changes nothing in {len(seeds)} runs, though the method says it reads it"
            )


def mates_do_not_matter(trial: Trial) -> None:
    """P4: a batch mate changes nothing."""
    problem, mate, other = trial.problem(), trial.problem(key=1), trial.problem(key=2)
    first, second = (
        trial.output(
            changed(
                problem,
                q=np.stack([problem.q, factor * b.q]),
                k=np.stack([problem.k, b.k]),
                v=np.stack([problem.v, factor * b.v]),
            )
        )[0]
        for b, factor in ((mate, 1.0), (other, 5.0))
    )
    require_close(first, second, problem, "the output of a problem depends on the others in its batch")


def any_length_works(trial: Trial) -> None:
    """P5: any number of keys and queries works, and padding that the mask hides changes nothing."""
    sizes = [(2, 2), (3, 3), (37, 37), (1, 13), (5, 24)]
    for n_q, n_k in sizes:
        problem = trial.problem(n_k)
        problem = changed(problem, q=problem.q[..., n_k - n_q :, :])
        approximation = trial.run(problem)
        _require_counted(approximation.bad_rows, approximation.output, f"{n_q} queries and {n_k} keys: ")
    problem = trial.problem(2)
    one = changed(problem, **{name: getattr(problem, name)[..., :1, :] for name in ("q", "k", "v")})
    _require_counted(trial.run(one).bad_rows, trial.run(one).output, "one query and one key: ")
    if trial.fitted(trial.problem()).honours(Padding(1)):
        _padding_is_invisible(trial)


def _padding_is_invisible(trial: Trial) -> None:
    problem, extra = trial.problem(), 5
    method = trial.fitted(problem)
    outputs = []
    for fill in (0.0, 3.0):
        padding = {
            name: np.concatenate(
                [getattr(problem, name), np.full_like(getattr(problem, name)[..., :extra, :], fill)], -2
            )
            for name in ("q", "k", "v")
        }
        padded = changed(problem, **padding, mask=Padding(problem.n_k))
        outputs.append(trial.output(padded, method=method)[..., : problem.n_k, :])
    require_close(outputs[0], outputs[1], problem, "what stands in hidden padding changes the output")
    if not trial.is_random():
        require_close(outputs[0], trial.output(problem, method=method), problem, "padded and unpadded outputs differ")


def seeds_decide(trial: Trial) -> None:
    """P6: the same seed gives the same bits, twice."""
    if not np.array_equal(trial.output(trial.problem()), trial.output(trial.problem()), equal_nan=True):
        raise Violation("two runs with one seed differ; draw from rng only, and keep no state")


def shifts_cancel(trial: Trial) -> None:
    """P9: one vector added to all keys changes nothing."""
    problem = trial.problem()
    vector = np.random.default_rng(trial.seed).standard_normal((problem.groups, 1, problem.width))
    before, after = trial.output(problem), trial.output(changed(problem, k=problem.k + vector))
    require_close(
        after, before, problem, "one vector added to all keys changes the output; centre the keys, or waive P9"
    )


def failures_are_counted(trial: Trial) -> None:
    """P10: with q times 8, every row is finite or counted."""
    for dtype in ("float32", "float64"):
        problem = trial.problem(dtype=dtype)
        approximation = trial.run(changed(problem, q=8 * problem.q))
        with np.errstate(all="ignore"):
            _require_counted(approximation.bad_rows, approximation.output, f"{dtype}: ")


def order_does_not_matter(trial: Trial) -> None:
    """P11: keys permuted together with values change nothing; for random methods, in distribution."""
    problem = trial.problem()
    order = np.random.default_rng(trial.seed).permutation(problem.n_k)
    permuted = changed(problem, k=problem.k[..., order, :], v=problem.v[..., order, :])
    said = "permuting keys together with values changes the output"
    if not trial.is_random():
        require_close(trial.output(permuted), trial.output(problem), problem, said)
        return
    # medians over rows of fixed linear functionals: a few bad rows and heavy tails do no harm
    probe = np.random.default_rng(0).choice([-1.0, 1.0], size=(8, problem.value_width))
    samples = np.array(
        [
            [
                np.nan_to_num(np.nanmedian(trial.output(case, seed=1000 * side + s) @ probe.T, axis=-2)).ravel()
                for s in range(48)
            ]
            for side, case in enumerate((problem, permuted))
        ]
    )
    error = np.sqrt(samples.var(axis=1, ddof=1).sum(axis=0) / samples.shape[1])
    gap = np.abs(samples[0].mean(axis=0) - samples[1].mean(axis=0))
    worst = float(np.max(gap / np.maximum(error, tolerance(problem))))
    if worst > 7:  # 32 comparisons; normal tails at 7 are 3e-12, the excess is for the estimated variance
        raise Violation(f"{said} in the mean over 48 seeds, by {worst:.1f} standard errors")


def single_precision_agrees(trial: Trial) -> None:
    """P12: float32 agrees with float64 to the accuracy that float32 allows."""
    single = trial.problem(dtype="float32")
    double = changed(single, **{name: getattr(single, name).astype(np.float64) for name in ("q", "k", "v")})
    allowed = 1e4 * float(np.finfo(np.float32).eps)
    found = difference(trial.output(single), trial.output(double))
    if found <= allowed:
        return
    # a draw, a pivot or a threshold may fall differently: then at least the errors must be alike
    truth = exact(double)
    errors = [[_error(trial.output(case, seed=seed), truth) for seed in range(12)] for case in (single, double)]
    low, high = np.median(errors[1]), np.median(errors[0])
    if not high <= 1.5 * low + allowed:
        raise Violation(
            f"float32 and float64 outputs differ by {found:.2g} (allowed {allowed:.2g}), and so do the median errors, "
            f"{high:.2g} against {low:.2g}; accumulate in the wider dtype or scale before summing"
        )


def _error(output: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(np.nan_to_num(output - truth, nan=1e6)) / np.linalg.norm(truth))


def _require_counted(bad_rows: Array, output: Array, where: str = "") -> None:
    host, counted = to_host(output), to_host(bad_rows)
    broken = np.sum(~np.all(np.isfinite(host), axis=-1), axis=-1)
    if not np.array_equal(broken, counted):
        raise Violation(
            f"{where}{int(broken.sum())} rows of the output are not finite, but {int(counted.sum())} are counted as "
            "bad; shift before exp, and leave non-positive denominators to Approximation"
        )


LAWS: tuple[Law, ...] = (
    Law("output", "shape, dtype and library of the output are those of the problem", output_fits, _FEW),
    Law("weights", "weights times values are the output, where weights exist", weights_agree),
    Law("implicit", "no dense weights are formed, except by oracles", reads_no_dense_weights, _FEW),
    Law("fields", "every field changes the output, performance fields none", fields_matter, ("gauss",), slow=True),
    Law("P1", "V = 1 gives 1", constants_stay, (*_MANY, "value_outliers", "ties", "needle")),
    Law("P2", "with Causal, the past ignores the future", past_ignores_future, _FEW),
    Law("P3", "moving a key changes something", keys_matter, ("gauss",), slow=True),
    Law("P4", "a batch mate changes nothing", mates_do_not_matter, _FEW),
    Law("P5", "any number of keys works, padding is invisible", any_length_works, ("gauss",)),
    Law("P6", "the same seed gives the same bits", seeds_decide, _MANY),
    Law("P7", "the best-fitting temperature is the requested one", has_temperature, ("gauss",), slow=True),
    Law("P8", "the error vanishes as the budget grows", converges, ("gauss",), slow=True),
    Law("merge", "pieces of disjoint keys merge, and tend to the exact output", merges, ("gauss",), slow=True),
    Law("P9", "one vector added to all keys changes nothing", shifts_cancel, _FEW),
    Law("P10", "q times 8 stays finite or is counted", failures_are_counted, (*_MANY, "huge_logits", "sharp")),
    Law("P11", "keys permuted with their values change nothing", order_does_not_matter, ("gauss",), slow=True),
    Law("P12", "float32 agrees with float64", single_precision_agrees, _MANY),
)
