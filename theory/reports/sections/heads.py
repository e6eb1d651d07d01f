"""Errors of every head, and of one head entry by entry on its attention map."""

from __future__ import annotations

import numpy as np

from theory.reports import html
from theory.reports.curves import ROUNDING, head_errors
from theory.reports.figures import attention_map, heat_map, style
from theory.reports.results import Results, attempt
from theory.studies import error_map

__all__ = ["every_head", "where"]


def where(results: Results, name: str) -> tuple[str, str]:
    """Return the map of errors of a typical head."""
    title, budget = "Where the error sits", results.middle_budget(name)
    if int(results.specification.get("keys") or 0) > error_map.DENSE:
        return html.section(title, html.paragraph(
            f"The map is drawn for at most {error_map.DENSE} keys; this problem has more.", missing=True))  # fmt: skip
    made, reason = attempt(lambda: results.approximations(name, budget))
    problem, _ = attempt(lambda: results.problem(name))
    if not made or problem is None:
        why = (
            reason
            or "the folder does not record how to make the problem, or no method has weights at the middle budget"
        )
        return html.section(title, html.paragraph(f"Not drawn: {why}.", missing=True))
    found = error_map.entrywise_errors(problem, made)
    drawing = style.svg(
        attention_map.draw(found, f"Head {found.head} at budget {budget}: |P′ − P|, with ‖P′ − P‖ / ‖P‖ in the titles"),
        name=html.identifier("map", name),
        label=f"Weights of head {found.head} of {name} and where {', '.join(made)} err on them",
    )
    block = attention_map.step(max(found.weights.shape))
    caption = (
        f"The exact weights of a typical head (the middle one by error), then the entry-wise error of "
        f"{', '.join(made)}, in one logarithmic scale. The first trial of the study, made again."
        + (f" A pixel is the root mean square over {block} × {block} entries." if block > 1 else "")
    )
    rows = [(label, found.relative(label), float(np.nanmax(found.errors[label]))) for label in found.errors]
    numbers = html.table(("method", "‖P′ − P‖ / ‖P‖", "largest entry"), rows)
    return html.section(title, html.figure(drawing, caption), html.details("the numbers of this figure", numbers))


def every_head(results: Results, name: str) -> tuple[str, str]:
    """Return the heat map of errors over methods and heads."""
    budget = results.middle_budget(name)
    errors = {m: e for m, e in head_errors(results.of("trial", name), budget).items() if np.any(e > ROUNDING)}
    if not errors:
        return html.section(
            "Error of every head", html.paragraph("No method has a trial at this budget.", missing=True)
        )
    methods = sorted(errors, key=lambda m: (float(np.quantile(errors[m], 0.5, method="inverted_cdf")), m))
    matrix = np.stack([errors[m] for m in methods])
    heads = [str(h) for h in range(matrix.shape[1])]
    drawing = style.svg(
        heat_map.draw(matrix, methods, heads, f"Relative output error of every head at budget {budget}"),
        name=html.identifier("heads", name),
        label=f"Relative output error of {len(methods)} methods on {len(heads)} heads of {name} at budget {budget}",
    )
    caption = (
        f"Median over trials at budget {budget}, best method on top; methods without a budget have one line. 1 "
        f"is the error "
        "of answering zero; × marks a row that could not be normalised."
    )
    table = html.table(("method", *(f"head {h}" for h in heads)), [(m, *map(float, errors[m])) for m in methods])
    return html.section(
        "Error of every head", html.figure(drawing, caption), html.details("the numbers of this figure", table)
    )
