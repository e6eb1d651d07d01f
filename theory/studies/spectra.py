"""How fast do the singular values of real heads decay, and how are their rows and columns filled?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from theory.records.store import export
from theory.studies.problems import problem_hash
from theory.studies.tensor_spectra import MODES, TensorSpectra, mode_spectra
from tnattn.arrays import array_namespace, device, to_host
from tnattn.attention.problem import AttentionProblem

try:
    from theory.reports.figures import corner, spectra, tensor_spectra
except ModuleNotFoundError as error:  # Matplotlib is an extra
    if "theory" in str(error.name):
        raise
    corner = spectra = tensor_spectra = None  # type: ignore[assignment]

__all__ = ["DENSE", "SpectraResult", "study"]

Values = npt.NDArray[np.float64]
Row = dict[str, Any]

DENSE = 2048
"""Largest number of tokens up to which the n-by-n matrices of a head are formed."""

CORNER = 20
MATRICES = ("queries", "keys", "values", "scores", "kernel", "weights", "gaussian")
ENERGIES = (0.9, 0.99, 0.999)
NESTED = ("singular_values", "tensor")


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
        exp(-scale ||q - k||^2 / 2) with the mask, what is left of the kernel without its row and column factors
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

    @property
    def heads(self) -> int:
        """Number of query heads, batch entries counted apart."""
        return int(self.peak.shape[0])

    def relative(self, matrix: str) -> Values:
        """Return sigma_k / sigma_1 of every head, (H, r); zero for a matrix that is zero."""
        values = self._of(matrix)
        largest = values[:, :1]
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
        """Write arrays (.npz), two tables (.csv) and, where Matplotlib is installed, four figures (.svg, .png).

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
        if spectra is not None:
            drawn = {
                "corner": corner.draw(self),
                "inputs": spectra.draw(self, spectra.INPUTS),
                "attention": spectra.draw(self, spectra.ATTENTION),
                "tensor": tensor_spectra.draw(self),
            }
            for name, figure in drawn.items():
                for suffix in ("svg", "png"):
                    written.append(folder / f"{self.stem}-{name}.{suffix}")
                    spectra.save(figure, written[-1])
        return written

    @classmethod
    def load(cls, path: str | Path) -> SpectraResult:
        """Read what ``save`` wrote.

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


def study(problem: AttentionProblem, name: str) -> SpectraResult:
    """Return the singular values and statistics of every head of a problem.

    Parameters
    ----------
    problem : AttentionProblem
        At most 2048 queries and keys.
    name : str

    Raises
    ------
    ValueError
        If the problem is larger.

    Notes
    -----
    Four SVDs of n-by-n matrices per head, O(n^3), one head at a time; the weights of all heads are kept for their
    tensor, O(H n^2) memory. Everything is computed in float64 from the given numbers. Reproduces Figures 5, 7 and 8 of
    the survey that `methods.md` calls A.
    """
    if max(problem.n_q, problem.n_k) > DENSE:
        raise ValueError(
            f"{problem.n_q} queries and {problem.n_k} keys; spectra need dense matrices of at most {DENSE} tokens: "
            f"take a part, such as problem.rectangle(slice(-{DENSE}, None), slice(-{DENSE}, None), problem.mask)"
        )
    heads = [_head(*arrays) for arrays in _scores(problem)]
    names = [matrix for matrix in MATRICES[3:] if matrix in heads[0]]
    tensor = mode_spectra(np.stack([head.pop("tensor") for head in heads]))
    return SpectraResult(
        name=name,
        content=problem_hash(problem),
        n_q=problem.n_q,
        n_k=problem.n_k,
        singular_values={
            "queries": _singular_values(_flat(problem.q)),
            "keys": _singular_values(_flat(problem.k)),
            "values": _singular_values(_flat(problem.v)),
            **{matrix: np.stack([head[matrix] for head in heads]) for matrix in names},
        },
        **{n: np.stack([h[n] for h in heads]) for n in ("entropy", "perplexity", "peak", "column_mass", "corner")},
        empty_rows=np.stack([head["empty_rows"] for head in heads]),
        tensor=tensor,
    )


def _flat(array: Any) -> Values:
    """Return a stack of matrices, float64 on the host, with one leading axis."""
    host = np.asarray(to_host(array), dtype=np.float64)
    return host.reshape(-1, *host.shape[-2:])


def _singular_values(a: Values) -> Values:
    return np.asarray(np.linalg.svd(a, compute_uv=False))


def _scores(problem: AttentionProblem) -> Iterator[tuple[Values, Values, Values | None]]:
    """Yield unmasked scores, what the mask adds, and squared scaled distances (or None), head by head."""
    q, k = _flat(problem.q), _flat(problem.k)
    ratio = problem.heads // problem.groups
    xp, where = array_namespace(problem.q), device(problem.q)
    i = xp.arange(problem.n_q, device=where)[:, None]
    j = xp.arange(problem.n_k, device=where)
    added = problem.grouped_mask.additive(i, j, n_q=problem.n_q, n_k=problem.n_k, like=problem.q)
    barrier = np.zeros((1, 1)) if added is None else np.asarray(to_host(added), dtype=np.float64)
    shape = (*problem.batch, problem.n_q, problem.n_k)
    barriers = np.broadcast_to(barrier, shape)
    gaussian = problem.softcap is None and not problem.mask.has_bias
    for head, index in enumerate(np.ndindex(*problem.batch)):
        query, key = q[head], k[head // ratio]
        scores = problem.score_scale * query @ key.T
        distance = None
        if gaussian:
            square = problem.score_scale * (np.sum(query**2, axis=-1)[:, None] + np.sum(key**2, axis=-1))
            distance = np.maximum(square - 2 * scores, 0.0)
        if problem.softcap is not None:
            scores = problem.softcap * np.tanh(scores / problem.softcap)
        yield scores, barriers[index], distance


def _head(scores: Values, added: Values, distance: Values | None) -> dict[str, Any]:
    """Return the spectra and statistics of one head."""
    masked = scores + added
    top = masked.max()
    kernel = np.exp(masked - top) if np.isfinite(top) else np.zeros_like(scores)
    # rows are normalised by their own maximum, so that none underflows
    row_top = masked.max(axis=-1, keepdims=True)
    seen = np.isfinite(row_top[:, 0])
    rows = np.exp(masked - np.where(np.isfinite(row_top), row_top, 0.0))
    mass = rows.sum(axis=-1, keepdims=True)
    weights = rows / np.where(mass > 0, mass, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.sum(np.where(weights > 0, weights * np.log(weights), 0.0), axis=-1)[seen]
    count = max(1, entropy.size)
    found = {
        "scores": _singular_values(scores),
        "kernel": _singular_values(kernel),
        "weights": _singular_values(weights),
        "entropy": entropy.sum() / count,
        "perplexity": np.exp(entropy).sum() / count,
        "peak": weights.max(axis=-1)[seen].sum() / count,
        "column_mass": weights.sum(axis=0) / count,
        "corner": weights[:CORNER, :CORNER],
        "tensor": weights,
        "empty_rows": np.asarray(int(np.sum(~seen))),
    }
    if distance is not None:
        found["gaussian"] = _singular_values(np.where(np.isfinite(added), np.exp(-distance / 2), 0.0))
    return found
