"""Errors of every method before and after a projection on a ball around the values, on real heads and on the gallery.

``python tests/benchmarks/projection.py [METHOD ...]``.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
from paired import markdown

from tnattn import AttentionProblem
from tnattn.attention.ball import Ball
from tnattn.attention.method import AttentionMethod
from tnattn.attention.wrappers.projected import Projected
from tnattn.discovery import subclasses
from tnattn.gallery import problems
from tnattn.models.sample import load_sample, sample_layers

HEADS = slice(0, 12, 4)  # of the twelve of a layer
BUDGETS = (16, 64)
TOKENS, WIDTH = 128, 16  # of a problem of the gallery


def methods(names: list[str]) -> dict[str, AttentionMethod]:
    found = {name: cls() for name, cls in sorted(subclasses("tnattn.attention", AttentionMethod).items())}
    return {
        name: method
        for name, method in found.items()
        if name not in ("Exact", "FullCache", Projected.__name__) and (not names or name in names)
    }


def real() -> dict[str, AttentionProblem]:
    samples = {f"layer {layer}": load_sample(layer) for layer in sample_layers()}
    return {name: AttentionProblem(*(x[HEADS] for x in (s.q, s.k, s.v))) for name, s in samples.items()}


def generated() -> dict[str, AttentionProblem]:
    return {name: family(TOKENS, WIDTH, rng=np.random.default_rng(0)) for name, family in problems().items()}


class Reference:
    """A problem with its exact output and its ball."""

    def __init__(self, problem: AttentionProblem) -> None:
        self.problem, self.ball, self.exact = problem, Ball.for_rows(problem), problem.output

    def errors(self, output: Any) -> np.ndarray:
        """Relative errors of the heads; infinite where a row is not finite."""
        norms = (np.linalg.norm(x, axis=(-2, -1)) for x in (output - self.exact, self.exact))
        return np.nan_to_num(np.divide(*norms), nan=np.inf)


def measured(method: AttentionMethod, reference: Reference) -> tuple[np.ndarray, np.ndarray, float, int]:
    """Return errors of the heads before and after, the share of rows outside the ball, and the number of bad rows."""
    found = method(reference.problem, rng=np.random.default_rng(0))
    outside = float(np.mean(reference.ball.shares(found.output) < 1))
    raw, moved = (reference.errors(x) for x in (found.output, found.projected(reference.ball)))
    return raw, moved, outside, int(np.sum(found.bad_rows))


def cell(raw: np.ndarray, moved: np.ndarray, outside: float, bad: int) -> str:
    """Return "median raw to median projected", with the rows outside and the bad ones where there are any."""
    if outside == 0:
        return f"{np.median(raw):.3g}"
    return f"{np.median(raw):.3g} to {np.median(moved):.3g} ({outside:.1%}{f', {bad} bad' if bad else ''})"


def main(names: list[str]) -> None:
    warnings.simplefilter("ignore")
    print(
        "Median over heads of the relative output error, and what a projection on the ball of the values makes of it; "
        "in brackets the share of rows outside the ball, bad rows among them. One number: no row is outside.\n"
    )
    for title, targets in ((f"Real sample, heads {list(range(12))[HEADS]}", real()), ("Gallery", generated())):
        references = {name: Reference(problem) for name, problem in targets.items()}
        rows, untouched = [], []
        for name, method in methods(names).items():
            for budget in BUDGETS if method.budget_field else (0,):
                fitted = method.with_budget(budget) if budget else method
                found = [measured(fitted, reference) for reference in references.values()]
                if any(outside > 0 for _, _, outside, _ in found):
                    rows.append([name, str(budget or ""), *(cell(*x) for x in found)])
                else:
                    untouched.append(f"{name} {budget or ''}".strip())
        print(f"## {title}\n\n{markdown(['method', 'budget', *references], rows)}\n")
        if untouched:
            print(f"No row outside on any of them: {', '.join(untouched)}.\n", flush=True)


if __name__ == "__main__":
    with np.errstate(all="ignore"):
        main(sys.argv[1:])
