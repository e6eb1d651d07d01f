"""Problems of some heads of a problem: queries, keys, values and masks are views, nothing is copied."""

from __future__ import annotations

from dataclasses import replace

from tnattn.attention.problem import AttentionProblem


def head_problem(problem: AttentionProblem, heads: slice) -> AttentionProblem:
    """Return the problem of consecutive heads, with the key heads that they read.

    Parameters
    ----------
    problem : AttentionProblem
    heads : slice
        From ``start`` to ``stop``: heads of one group, or all heads of some groups.

    Raises
    ------
    ValueError
        If heads of one group and a part of another are asked for, or there is no such head.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem
    >>> from tnattn.attention.head_problems import head_problem
    >>> q, k = np.random.default_rng(0).standard_normal((4, 9, 2)), np.ones((2, 9, 2))
    >>> problem = head_problem(AttentionProblem(q, k, k), slice(3, 4))
    >>> problem.q.shape, np.shares_memory(problem.k, k)
    ((1, 9, 2), True)
    """
    ratio, start, stop = problem.heads // problem.groups, heads.start, heads.stop
    if not 0 <= start < stop <= problem.heads:
        raise ValueError(f"heads {start} to {stop} are not among the {problem.heads} heads of the problem")
    first, last = start // ratio, (stop - 1) // ratio + 1
    if last - first > 1 and (start % ratio or stop % ratio):
        raise ValueError(f"heads {start} to {stop} cut a group of {ratio}; take whole groups, or heads of one group")
    return replace(
        problem,
        q=problem.q[..., start:stop, :, :],
        k=problem.k[..., first:last, :, :],
        v=problem.v[..., first:last, :, :],
        mask=problem.mask.of_heads(slice(start, stop)),
        scale=problem.score_scale,
        check_finite=False,
    )


def runs_of_equal(items: tuple[object, ...], ratio: int) -> list[slice]:
    """Return runs of consecutive heads with equal items, each in one group of ``ratio`` heads or of whole groups.

    Examples
    --------
    >>> from tnattn.attention.head_problems import runs_of_equal
    >>> [(run.start, run.stop) for run in runs_of_equal(("a", "b", "b", "b", "b", "b"), 2)]
    [(0, 1), (1, 2), (2, 6)]
    """
    found: list[slice] = []
    start, count = 0, len(items)
    while start < count:
        stop = start + 1
        while stop < count and items[stop] == items[start]:
            stop += 1
        end = (start // ratio + 1) * ratio  # of the group of the first head
        if start % ratio:
            stop = min(stop, end)
        elif stop > end:
            stop -= stop % ratio
        found.append(slice(start, stop))
        start = stop
    return found
