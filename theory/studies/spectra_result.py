"""Singular values and statistics of every head of a problem, and the ranks that follow from them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from theory.comparison.table import table
from theory.records.store import export
from theory.studies.tensor_spectra import MODES, TensorSpectra

__all__ = ["MATRICES", "SpectraResult"]

Values = npt.NDArray[np.float64]
Row = dict[str, Any]

MATRICES = ("queries", "keys", "values", "scores", "kernel", "weights", "gaussian")

ENERGIES = (0.9, 0.99, 0.999)
"""Shares of ||A||_F^2 of which the table gives the ranks."""

NESTED = ("singular_values", "tensor")
"""Fields that are written array by array."""


@dataclass(frozen=True, eq=False)
class SpectraResult:
    """Singular values and statistics of every head of a problem, float64 on the host; batch axes count as heads.

    Parameters
    ----------
    name : str
        Of the problem.
    content : str
        Hash of the problem.
    n_q, n_k : int
    singular_values : mapping from name to (H, r) or (G, r)
        Descending. ``queries``, ``keys`` and ``values`` as they are; ``scores``: scale Q K^T, capped, before the mask;
        ``kernel``: exp(S - max S) with the mask; ``weights``: its rows normalised; ``gaussian``:
        exp(-scale ||q - k||^2 / 2) with the mask, the kernel without its row and column factors
        (absent with a softcap or a bias).
    tensor : TensorSpectra
        Of the weights of all heads as one tensor (head, query, key).
    entropy, perplexity, peak : (H,)
        Means over the rows that see a key of the entropy in nats, its exponential, and the largest weight.
    column_mass : (H, n_k)
        Mean weight that a key receives; sums to 1. A sink is a key that receives much more than 1 / n_k.
    corner : (H, c, c)
        The first rows and columns of the weights, c at most 20.
    empty_rows : (H,)
        Number of rows that see no key.

    Examples
    --------
    >>> from theory.studies import ProblemSource, head_spectra, load_problem
    >>> problem = load_problem(ProblemSource("gallery", "needle", n=16, d=4, heads=2, dtype="float64"))
    >>> result = head_spectra(problem, "needle")
    >>> result.heads, result.numerical_rank("scores").tolist()  # at most the width of a head
    (2, [4, 4])
    """

    name: str
    content: str
    n_q: int
    n_k: int
    singular_values: Mapping[str, Values]
    tensor: TensorSpectra
    entropy: Values
    perplexity: Values
    peak: Values
    column_mass: Values
    corner: Values
    empty_rows: npt.NDArray[np.int64]

    def __repr__(self) -> str:
        ranks = ", ".join(f"{m} {np.median(self.numerical_rank(m, 1e-2)):g}" for m in self.singular_values)
        return (
            f"<spectra of {self.name}: {self.heads} heads, {self.n_q} x {self.n_k} tokens\n"
            f" median number of singular values above 1 % of the largest: {ranks}>"
        )

    def _repr_html_(self) -> str:
        """Return the weights head by head as a table, for notebooks."""
        rows = [row for row in self.table() if row["matrix"] == "weights"]
        columns = [name for name in rows[0] if name not in ("problem", "matrix")]
        caption = f"Weights of {self.name}, head by head"
        return table(columns, [[row[name] for name in columns] for row in rows], caption=caption)

    @property
    def heads(self) -> int:
        """Number of query heads, batch entries counted apart."""
        return int(self.peak.shape[0])

    def relative(self, matrix: str) -> Values:
        """Return sigma_k / sigma_1 of every head, (H, r); zero for a matrix that is zero."""
        values = self._of(matrix)
        largest = values[:, :1]  # descending
        return np.asarray(values / np.where(largest > 0, largest, 1.0))

    def numerical_rank(self, matrix: str, tolerance: float | None = None) -> npt.NDArray[np.int64]:
        """Return how many singular values exceed ``tolerance`` times the largest, (H,); None: eps n, rounding."""
        if tolerance is None:
            tolerance = float(np.finfo(np.float64).eps) * max(self.n_q, self.n_k)
        if not 0 <= tolerance < 1:
            raise ValueError(f"tolerance is {tolerance}; it is relative to the largest value and lies in [0, 1)")
        return np.asarray(np.sum(self.relative(matrix) > tolerance, axis=-1), dtype=np.int64)

    def stable_rank(self, matrix: str) -> Values:
        """Return ||A||_F^2 / ||A||^2 of every head, (H,)."""
        return np.asarray(np.sum(self.relative(matrix) ** 2, axis=-1))

    def energy_rank(self, matrix: str, share: float) -> npt.NDArray[np.int64]:
        """Return the least k whose leading k singular values hold a share of ||A||_F^2, (H,)."""
        if not 0 < share < 1:
            raise ValueError(f"share is {share}; it lies strictly between 0 and 1")
        # relative values, whose squares neither overflow nor vanish
        energy = np.cumsum(self.relative(matrix) ** 2, axis=-1)
        return np.asarray(1 + np.sum(energy < share * energy[:, -1:], axis=-1), dtype=np.int64)

    def table(self) -> list[Row]:
        """Return one row per matrix and head; the statistics of rows and columns stand with the weights."""
        return [row for matrix in self.singular_values for row in self._rows(matrix)]

    def _rows(self, matrix: str) -> Iterator[Row]:
        values = self._of(matrix)
        columns: dict[str, npt.NDArray[Any]] = {
            "largest": values[:, 0],
            "rank_1e-1": self.numerical_rank(matrix, 1e-1),
            "rank_1e-2": self.numerical_rank(matrix, 1e-2),
            "rank_eps": self.numerical_rank(matrix),
            "stable_rank": self.stable_rank(matrix),
            **{f"rank_{100 * share:g}%": self.energy_rank(matrix, share) for share in ENERGIES},
        }
        if matrix == "weights":
            columns |= {
                "entropy": self.entropy,
                "perplexity": self.perplexity,
                "peak": self.peak,
                "heaviest_column": self.column_mass.max(axis=-1),
                "empty_rows": self.empty_rows,
            }
        for head in range(values.shape[0]):
            entries = {name: column[head].item() for name, column in columns.items()}
            yield {"problem": self.name, "matrix": matrix, "head": head, **entries}

    def _of(self, matrix: str) -> Values:
        if matrix not in self.singular_values:
            raise ValueError(f"no matrix {matrix!r}; this result has {', '.join(self.singular_values)}")
        return self.singular_values[matrix]

    @property
    def stem(self) -> str:
        """The problem's name as the beginning of the names of files."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-") or "problem"

    def save(self, folder: str | Path) -> list[Path]:
        """Write arrays (.npz) and two tables (.csv); ``theory.reports.saved_spectra`` adds figures.

        Parameters
        ----------
        folder : path-like
            Created if missing.

        Returns
        -------
        list of Path
            The arrays first; ``SpectraResult.load`` reads them.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        written = [folder / f"{self.stem}.npz"]
        arrays: Any = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in NESTED}
        arrays |= {f"sigma_{name}": sigma for name, sigma in self.singular_values.items()}
        arrays |= {f"tensor_{mode}": sigma for mode, sigma in self.tensor.singular_values.items()}
        np.savez_compressed(written[0], **arrays)
        written.append(export(self.table(), folder / f"{self.stem}.csv"))
        written.append(export(self.tensor.table(), folder / f"{self.stem}-tensor.csv"))
        return written

    @classmethod
    def load(cls, path: str | Path) -> SpectraResult:
        """Read a result written by ``save``.

        Raises
        ------
        ValueError
            If the file is no such result.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
            sigma = {name: arrays[f"sigma_{name}"] for name in MATRICES if f"sigma_{name}" in arrays}
            modes = {mode: arrays[f"tensor_{mode}"] for mode in MODES}
            names = [f.name for f in fields(cls) if f.name not in NESTED]
            plain: dict[str, Any] = {n: arrays[n].item() if arrays[n].ndim == 0 else arrays[n] for n in names}
            tensor = TensorSpectra((int(plain["peak"].size), plain["n_q"], plain["n_k"]), modes)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{Path(path).name} holds no spectra; delete it and run `tnattn spectra` again") from error
        return cls(singular_values=sigma, tensor=tensor, **plain)
