"""Certified error of one run: 256 fresh rows bound the relative error of nearly all rows of a head."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.statement import errors
from tnattn.arrays import to_host
from tnattn.attention.problem import AttentionProblem
from tnattn.certificate import Quantile, RowErrors, drawn_rows, exceeding_rows

__all__ = ["FAILURE", "ROWS", "certified_errors"]

FAILURE = 1e-3
"""Probability that the certificate of a head is wrong."""
ROWS = 256
"""Rows computed exactly: enough for 97.3 % of the rows of any length, and more of a short one."""


def certified_errors(problem: AttentionProblem, output: Any, rng: np.random.Generator) -> dict[str, Any]:
    """Return the certificate of every head by itself, the share of the rows that it covers, and its cost.

    Parameters
    ----------
    problem : AttentionProblem
        Its exact output, of which the study knows all rows, gives those that are drawn.
    output : array, (..., H, n_q, d_v)
    rng : numpy.random.Generator
        Of a stream of its own: the rows must not be those that the method has drawn.

    Returns
    -------
    dict
        ``certified``: relative error of every head; ``covered``: share of its rows; ``certified_cost``: share of exact
        attention that the rows take where they are not known.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.studies.certified import certified_errors
    >>> from tnattn import AttentionProblem
    >>> problem = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 1, 1024, 4)))
    >>> found = certified_errors(problem, 1.01 * problem.output, np.random.default_rng(0))
    >>> [round(error, 6) for error in found["certified"]], round(found["covered"], 3), found["certified_cost"]
    ([0.01], 0.978, 0.25)
    """
    indices, n = drawn_rows(problem, ROWS, rng=rng), problem.n_q
    exact = errors.exact_output(problem)[..., indices, :]
    found = np.asarray(to_host(output), dtype=np.float64)[..., indices, :]
    shape = (-1, len(indices))
    differences, sizes = (np.linalg.norm(x, axis=-1).reshape(shape) for x in (found - exact, exact))
    differences = np.where(np.isfinite(differences), differences, np.inf)
    certified = []
    for error, size in zip(differences, sizes, strict=True):  # each by itself: the failure is that of one head
        measured = RowErrors(error[None], size[None], np.asarray([np.inf]), n)
        certified.append(Quantile(relative=True).certify(measured, FAILURE).value)
    covered = 1 - exceeding_rows(n, len(indices), FAILURE) / n
    return {"certified": certified, "covered": covered, "certified_cost": len(indices) / n}
