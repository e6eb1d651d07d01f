"""``tnattn suggest``: the cheapest method of every head that is certified to have an error."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import typer

from theory.commands.console import print_json, progress, say, show, table
from theory.commands.options import Causal, Device, Dtype, Heads, Json, Problem, Seed, Tokens, Width, listed
from theory.studies.candidates import label, select
from theory.studies.problems import ProblemSource, load_problem
from tnattn.attention.method import AttentionMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.certificate import (
    CertificateKind,
    HeadMethod,
    MeanError,
    Quantile,
    RelativeMeanError,
    Suggestion,
    for_error,
)
from tnattn.certificate.candidates import at_first_budget

HELP = """
  tnattn suggest --error 0.05

  tnattn suggest heads.npz --error 0.1 --kind mean

  tnattn suggest needle --n 4096 --heads 2 --error 0.1 --methods SlidingWindow,PivotedCoreset

Few rows computed exactly screen methods at doubling budgets, in the order of their cost; fresh rows certify. Where a
method and its certificate cost as much as exact attention, the answer is that exact attention is best, with the
reason. The default kind says that 97 % of the rows err by no more than the given share of their size.
"""

KINDS: dict[str, CertificateKind] = {
    "quantile": Quantile(relative=True),
    "mean": RelativeMeanError(),
    "absolute-quantile": Quantile(),
    "absolute-mean": MeanError(),
}


Methods = Annotated[
    str | None,
    typer.Option(
        "--methods",
        metavar="NAMES",
        help="Comma-separated names, or path/to/file.py:MyMethod. Default: all that are no oracles.",
        show_default=False,
    ),
]


def command(
    problem: Problem = None,
    error: Annotated[
        float, typer.Option("--error", help="Error to be certified, relative unless the kind is absolute.")
    ] = 0.05,
    failure: Annotated[float, typer.Option("--failure", help="Probability that any certificate is wrong.")] = 1e-3,
    kind: Annotated[str, typer.Option("--kind", metavar="|".join(KINDS), help="What is certified.")] = "quantile",
    methods: Methods = None,
    effort: Annotated[
        float, typer.Option("--effort", help="Limit of what the search may cost, relative to exact attention.")
    ] = 1.0,
    rows: Annotated[int | None, typer.Option("--rows", help="Rows that certify. Default: as many as needed.")] = None,
    seed: Seed = 0,
    dtype: Dtype = "float32",
    device: Device = "cpu",
    n: Tokens = None,
    d: Width = None,
    heads: Heads = None,
    causal: Causal = False,
    json: Json = False,
) -> None:
    """Suggest methods."""
    sizes = {"n": n, "d": d, "heads": heads}
    source = ProblemSource.parse(problem, sizes=sizes, causal=causal, seed=seed, dtype=dtype, device=device)
    target = load_problem(source)
    with progress("suggest", target.heads) as tick:
        found = for_error(
            target,
            error,
            failure=failure,
            kind=_kind(kind),
            methods=_named(methods),
            rows=rows,
            effort=effort,
            rng=np.random.default_rng(seed),
            on_head=lambda head: tick(label(head.method)),
        )
    if json:
        print_json({"problem": source.label, "kind": kind} | found.as_dict())
    else:
        _tell(source, target, found)


def _kind(name: str) -> CertificateKind:
    """Return the kind of a name, or raise ValueError with the names there are."""
    if name not in KINDS:
        raise ValueError(f"--kind is {name!r}; choose one of {', '.join(KINDS)}")
    return KINDS[name]


def _named(text: str | None) -> list[AttentionMethod] | None:
    """Return the methods that an option names at the first budget of a search, None for the default."""
    names = listed(text)
    if names in ([], ["all"]):
        return None
    return [at_first_budget(candidate.method) for candidate in select(names, baselines=False)]


def _tell(source: ProblemSource, target: AttentionProblem, found: Suggestion) -> None:
    """Print one row per head, what is certified, and the total."""
    columns = ("head", "method", "budget", "flops", "certified", "exact rows", "search", "why exact")
    title = f"{source.label}: methods for an error of {found.error:g}"
    caption = "flops of the method and cost of the search, relative to exact attention; certified: the error"
    show(table(title, columns, [_row(head) for head in found.heads], caption=caption))
    certified = [head.certificate for head in found.heads if head.certificate is not None]
    for claim in dict.fromkeys(certificate.kind for certificate in certified):
        say(f"certified: {claim.format('the error in the table')}")
    if certified:
        say(f"with confidence {1 - found.failure:g} all of these certificates hold")
    left_out = {skipped.label: skipped.reason for head in found.heads for skipped in head.skipped}
    for name, reason in left_out.items():
        say(f"left out: {name}: {reason}")
    exact = target.heads - len(certified)
    say(
        f"total: {found.share:.3g} of the flops of exact attention, {exact} of {target.heads} heads exact; "
        f"the search cost {found.spent:.3g} of it"
    )


def _row(head: HeadMethod) -> list[Any]:
    certificate = head.certificate
    return [
        head.head,
        label(head.method),
        head.method.budget,
        head.share,
        None if certificate is None else certificate.value,
        None if certificate is None else certificate.rows,
        head.spent,
        head.reason,
    ]
