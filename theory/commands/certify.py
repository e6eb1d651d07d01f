"""``tnattn certify``: the error of an output that any code has computed, certified from few rows computed exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from theory.commands.console import print_json, say, show, table
from theory.commands.options import Causal, Json, Seed
from tnattn.attention.masks import CausalMask
from tnattn.attention.problem import AttentionProblem
from tnattn.certificate import Certificate, CertificateKind, MeanError, Quantile, RowErrors
from tnattn.models.files import load_output

HELP = """
The file holds q, k, v and o, the output of your code, of shape (heads, tokens, width); write it with
numpy.savez("mine.npz", q=q, k=k, v=v, o=o), in any precision.

  tnattn certify mine.npz

  tnattn certify mine.npz --causal --error 0.05        exit status 1 unless every head is certified

Rows are drawn at random and computed exactly. A quantile assumes nothing: 256 rows bound the error of 97 % of the
rows of any length. The root mean square error covers rows that were not drawn by their envelope, below whose share,
the floor, nothing can be certified.
"""

KINDS: dict[str, CertificateKind] = {
    "quantile": Quantile(),
    "relative": Quantile(relative=True),
    "mean": MeanError(),
}


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .npz or .safetensors file with q, k, v and o.")],
    error: Annotated[
        float | None, typer.Option("--error", help="Exit with 1 unless every head is certified to this error.")
    ] = None,
    kind: Annotated[
        str, typer.Option("--kind", metavar="|".join(KINDS), help="The certificate that --error is held against.")
    ] = "quantile",
    failure: Annotated[float, typer.Option("--failure", help="Probability that a certificate is wrong.")] = 1e-3,
    rows: Annotated[int, typer.Option("--rows", help="Rows of every head computed exactly.")] = 256,
    seed: Seed = 0,
    causal: Causal = False,
    json: Json = False,
) -> None:
    """Certify an output."""
    if kind not in KINDS:
        raise ValueError(f"--kind is {kind!r}; choose one of {', '.join(KINDS)}")
    if error is not None and not error > 0:
        raise ValueError(f"--error is {error}; it must be a positive number, such as 0.05")
    qkv, output = load_output(file)
    problem = qkv.problem()
    if causal and not qkv.causal:
        problem = AttentionProblem(
            problem.q, problem.k, problem.v, mask=problem.mask & CausalMask(), scale=qkv.scale, softcap=qkv.softcap
        )
    found = np.asarray(output, dtype=np.result_type(problem.q, output))
    measured = RowErrors.measured(found, problem, rows=rows, rng=np.random.default_rng(seed))
    certificates = {name: item.certify(measured, failure) for name, item in KINDS.items()}
    certified = None if error is None else certificates[kind].certifies(error)
    if json:
        everything = {name: certificate.as_dict() for name, certificate in certificates.items()}
        print_json({"file": str(file), "certificates": everything, "error": error, "certified": certified})
    else:
        _tell(file, certificates)
        if error is not None:
            what = "certified" if certified else "NOT certified"
            say(f"{what}: {kind} {certificates[kind].value:.3g}, asked for {error:g}")
    if certified is False:
        raise typer.Exit(1)


def _tell(file: Path, certificates: dict[str, Certificate]) -> None:
    """Print one row per head, and one sentence for each kind."""
    quantile, relative, mean = certificates.values()
    lines = [
        [head, *row]
        for head, row in enumerate(
            zip(quantile.values, relative.values, mean.values, mean.floors, mean.sizes, strict=True)
        )
    ]
    names = ["head", "quantile", "quantile, relative", "root mean square", "its floor", "size of the output"]
    caption = "upper bounds on the error; size: root mean square norm of the rows that were drawn, for orientation"
    show(table(f"{file}: certified errors", names, lines, caption=caption))
    for certificate in certificates.values():
        say(certificate.statement())
    drawn = f"{quantile.rows} of {quantile.population} rows of every head computed exactly"
    say(f"{drawn}: {100 * quantile.cost:.3g} % of exact attention")
