"""Singular values of the problem, in figures and numbers."""

from __future__ import annotations

import numpy as np

from theory.reports import html
from theory.reports.figures import corner, spectra, style, tensor_spectra
from theory.reports.results import Results, attempt
from theory.reports.saved_spectra import save_spectra
from theory.studies.head_spectra import head_spectra
from theory.studies.problems import problem_hash
from theory.studies.spectra_result import SpectraResult

__all__ = ["section"]


def section(results: Results, name: str) -> tuple[str, str]:
    """Return the spectra, saved or computed."""
    title = "Spectra of the problem"
    found, reason = attempt(lambda: _saved_spectra(results, name))
    if found is None:
        why = reason or "the folder does not record how to make the problem; `tnattn spectra` writes them"
        return html.section(title, html.paragraph(f"Not drawn: {why}.", missing=True))
    return html.section(title, *_figures(found, name), *_tables(found))


def _figures(found: SpectraResult, name: str) -> list[str]:
    """Return the drawings with their captions."""
    pictures = (
        (spectra.draw(found, spectra.INPUTS), "inputs", f"Singular values of Q, K and V of all {found.heads} heads.",
         f"Singular values of queries, keys and values of every head of {name}"),
        (spectra.draw(found, spectra.ATTENTION), "attention", "Scores have rank at most the width of a head; "
         "exp makes them "
         "full, normalisation of the rows slows the decay. Gaussian part: the kernel without its row and column "
         "factors.",
         f"Singular values of scores, kernel and weights of every head of {name}"),
        (tensor_spectra.draw(found), "tensor", "The weights of all heads as one tensor. Lines: ranks with which the "
         "truncated Tucker decomposition and the tensor train are within the tolerance; shaded: down to ranks that "
         "every approximation needs. The bonds of a train of order 3 have the spectra of the head and of the key mode.",
         f"Singular values along head, query and key, and ranks against tolerance, of the weights of {name}"),
        (corner.draw(found), "corner", "Bright columns are sinks: keys that every query reads.",
         f"First rows and columns of the weights of every head of {name}"),
    )  # fmt: skip
    return [
        html.figure(style.svg(drawn, name=html.identifier(kind, name), label=label), caption)
        for drawn, kind, caption, label in pictures
    ]


def _tables(found: SpectraResult) -> list[str]:
    """Return the ranks and the spectra in numbers."""
    table = found.table()
    headers = list(dict.fromkeys(key for row in table for key in row if key not in ("problem", "head", "matrix")))
    rows = [(f"{row['matrix']}, head {row['head']}", *(row.get(key) for key in headers)) for row in table]
    sigma = [
        (f"{matrix}, k = {k}", *(float(x) for x in np.quantile(found.relative(matrix)[:, k - 1], (0.5, 0.1, 0.9))))
        for matrix, values in found.singular_values.items()
        # powers of two: a decay is read on a logarithmic scale
        for k in (2**i for i in range(int(np.log2(values.shape[-1])) + 1))
    ]
    ranks = found.tensor.table()
    rank_headers = [name.replace("_", " ") for name in ranks[0]]
    rank_rows = [(f"{row['rtol']:g}", *list(row.values())[1:]) for row in ranks]
    modes = [
        (f"{mode}, k = {k}", float(found.tensor.relative(mode)[k - 1]))
        for mode, values in found.tensor.singular_values.items()
        for k in (2**i for i in range(int(values.size).bit_length()))
    ]
    return [
        html.details("ranks and statistics of every head", html.table(("matrix", *headers), rows)),
        html.details("σₖ / σ₁ over the heads", html.table(("matrix", "median", "10 %", "90 %"), sigma)),
        html.details("ranks of the tensor (head, query, key) of the weights", html.table(rank_headers, rank_rows)),
        html.details("σₖ / σ₁ of the unfoldings of that tensor", html.table(("mode", "σₖ / σ₁"), modes)),
    ]


def _saved_spectra(results: Results, name: str) -> SpectraResult | None:
    """Return spectra saved before for the same problem, or compute and save them."""
    problem, reason = attempt(lambda: results.problem(name))
    saved: SpectraResult | None = None
    for path in sorted((results.folder / "spectra").glob("*.npz")):
        candidate, _ = attempt(lambda path=path: SpectraResult.load(path))  # type: ignore[misc]
        if candidate is not None and candidate.name == name:
            saved = candidate
    if problem is None:
        if saved is None and reason:
            raise ValueError(reason)
        return saved
    if saved is None or saved.content != problem_hash(problem):
        saved = head_spectra(problem, name)
        save_spectra(saved, results.folder / "spectra")
    return saved
