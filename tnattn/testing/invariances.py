"""Laws about changes of a problem that must not show in the output, or must: P2 to P5, P9, P11."""

from __future__ import annotations

import numpy as np

from tnattn.arrays import to_host
from tnattn.attention.masks import CausalMask, PaddingMask
from tnattn.attention.method import KeyMethod
from tnattn.attention.wrappers.causal import Causal
from tnattn.testing.report import NotApplicable, Violation
from tnattn.testing.trial import Trial, changed, difference, require_close, require_counted, tolerance


def past_ignores_future(trial: Trial) -> None:
    """P2: with CausalMask, replacing q, k and v of all later positions changes no earlier output."""
    problem = trial.problem(mask=CausalMask())
    method = trial.fitted(problem)
    if not method.honours(CausalMask()):
        if not isinstance(method, KeyMethod) or method.probes:
            raise NotApplicable(
                "neither does the method honour CausalMask nor is it a key method that a wrapper makes causal"
            )
        method = Causal(method, leaf=4)
    other = trial.problem(mask=CausalMask(), key=1)
    before = trial.output(problem, method=method)
    # early, in the middle where halves are cut, and at the last position
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
    seeds = range(40) if trial.is_random() else range(1)  # a key sampled with probability 1/3 is missed with 1e-7
    before: dict[int, np.ndarray] = {}
    for key in readable[:: max(1, len(readable) // 6)]:  # six or so, over the whole range
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
    sizes = [(2, 2), (3, 3), (37, 37), (1, 13), (5, 24)]  # tiny, prime, one query as in decoding, fewer queries
    for n_q, n_k in sizes:
        problem = trial.problem(n_k)
        problem = changed(problem, q=problem.q[..., n_k - n_q :, :])
        approximation = trial.run(problem)
        require_counted(approximation, f"{n_q} queries and {n_k} keys: ")
    problem = trial.problem(2)
    one = changed(problem, **{name: getattr(problem, name)[..., :1, :] for name in ("q", "k", "v")})
    require_counted(trial.run(one), "one query and one key: ")
    if trial.fitted(trial.problem()).honours(PaddingMask(1)):
        _padding_is_invisible(trial)


def _padding_is_invisible(trial: Trial) -> None:
    problem, extra = trial.problem(), 5
    method = trial.fitted(problem)
    outputs = []
    for fill in (0.0, 3.0):  # zeros, and values that would move every mean
        padding = {
            name: np.concatenate(
                [getattr(problem, name), np.full_like(getattr(problem, name)[..., :extra, :], fill)], -2
            )
            for name in ("q", "k", "v")
        }
        padded = changed(problem, **padding, mask=PaddingMask(problem.n_k))
        outputs.append(trial.output(padded, method=method)[..., : problem.n_k, :])
    require_close(outputs[0], outputs[1], problem, "the content of masked padding changes the output")
    if not trial.is_random():
        require_close(outputs[0], trial.output(problem, method=method), problem, "padded and unpadded outputs differ")


def shifts_cancel(trial: Trial) -> None:
    """P9: one vector added to all keys changes nothing."""
    problem = trial.problem()
    vector = np.random.default_rng(trial.seed).standard_normal((problem.groups, 1, problem.width))
    before, after = trial.output(problem), trial.output(changed(problem, k=problem.k + vector))
    require_close(
        after, before, problem, "one vector added to all keys changes the output; centre the keys, or waive P9"
    )


def order_does_not_matter(trial: Trial) -> None:
    """P11: keys permuted together with values change nothing; for random methods, not the distribution."""
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
