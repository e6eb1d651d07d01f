"""``tnattn rank``: the least budget of every method for an error."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from theory.commands.console import print_json, progress, show, table
from theory.commands.options import Causal, Device, Dtype, Heads, Json, Methods, Problem, Seed, Tokens, Width, listed
from theory.studies.candidates import select
from theory.studies.least_budget import LeastBudget, least_budgets
from theory.studies.problems import ProblemSource, load_problem

HELP = """
  tnattn rank --error 0.05

  tnattn rank sample:5 --error 0.1 --methods Performer,Nystromformer

  tnattn rank heads.npz --error 0.05 --methods all

Errors are measured, not certified: for methods with a certificate, see tnattn suggest. Budgets are doubled until the
median head errs by no more than the given error, then bisected; a randomized method draws once at every budget.
"""


def command(
    problem: Problem = None,
    error: Annotated[float, typer.Option("--error", help="Relative output error of the median head.")] = 0.05,
    methods: Methods = None,
    seed: Seed = 0,
    dtype: Dtype = "float32",
    device: Device = "cpu",
    n: Tokens = None,
    d: Width = None,
    heads: Heads = None,
    causal: Causal = False,
    json: Json = False,
) -> None:
    """Rank methods by their least budgets."""
    if not error > 0:
        raise ValueError(f"--error is {error}; it must be a positive number, such as 0.05")
    sizes = {"n": n, "d": d, "heads": heads}
    source = ProblemSource.parse(problem, sizes=sizes, causal=causal, seed=seed, dtype=dtype, device=device)
    chosen = select(listed(methods))
    target = load_problem(source)
    with progress("rank", len(chosen)) as tick:
        found = least_budgets(target, chosen, error, seed=seed, on_done=lambda one: tick(one.method))
    if json:
        print_json({"problem": source.label, "error": error, "methods": [dataclasses.asdict(one) for one in found]})
        return
    caption = (
        "least budget at which the median head errs by no more than that; error and worst head: relative, measured "
        "there; flops relative to exact attention; not reached: numbers of the largest budget; oracles read all weights"
    )
    columns = ("method", "budget", "flops", "error", "worst head", "")
    title = f"{source.label}: least budget for an error of {error:g}"
    show(table(title, columns, [_row(one) for one in found], caption=caption))


def _row(one: LeastBudget) -> list[object]:
    name = one.method + (" (oracle)" if one.oracle else " (control)" if one.control else "")
    if one.note:
        return [name, None, None, None, None, one.note]
    return [name, one.budget or None, one.flops, one.error, one.worst, "" if one.reached else "not reached"]
