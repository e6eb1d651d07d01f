"""Problems by name: the shipped sample, the gallery, a file. A worker loads its problem once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from theory.records.store import content_hash
from tnattn import gallery
from tnattn.arrays import to_host
from tnattn.attention import masks
from tnattn.attention.problem import AttentionProblem
from tnattn.models import load_qkv, load_sample, sample_layers

__all__ = ["ProblemSource", "load_problem", "nearest", "problem_hash", "source_problem_hash"]

DTYPES = ("float32", "float64")
DEVICES = ("cpu", "cuda")
# a few seconds for all methods on one core
SIZES = {"n": 512, "d": 64, "heads": 4}


@dataclass(frozen=True)
class ProblemSource:
    """Origin of a problem; small enough to send to every worker.

    Parameters
    ----------
    kind : "sample", "gallery" or "file"
    name : str
        Layer of the sample, name in the gallery, or path.
    n, d, heads, groups : int
        Sizes of a generated problem; without meaning for the other kinds.
    causal : bool
        Forbid later keys, in addition to the mask of the source.
    seed : int
        Of a generated problem.
    dtype : "float32" or "float64"
    device : "cpu" or "cuda"

    Examples
    --------
    >>> from theory.studies import ProblemSource, load_problem
    >>> source = ProblemSource.parse("gallery:needle?n=32&d=8&heads=2")
    >>> source.label, load_problem(source).q.shape
    ('needle', (2, 32, 8))
    """

    kind: str
    name: str
    n: int = SIZES["n"]
    d: int = SIZES["d"]
    heads: int = SIZES["heads"]
    groups: int | None = None
    causal: bool = False
    seed: int = 0
    dtype: str = "float32"
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype is {self.dtype!r}; choose {' or '.join(DTYPES)}")
        if self.device not in DEVICES:
            raise ValueError(f"device is {self.device!r}; choose {' or '.join(DEVICES)}")
        for name in ("n", "d", "heads", "groups"):
            size = getattr(self, name)
            if size is not None and size < 1:
                raise ValueError(f"{name} is {size}; it must be a positive integer")
        if self.groups is not None and self.heads % self.groups:
            raise ValueError(f"heads {self.heads} must be a multiple of groups {self.groups}")

    @classmethod
    def parse(
        cls,
        reference: str | None,
        *,
        sizes: dict[str, int | None] | None = None,
        causal: bool = False,
        seed: int = 0,
        dtype: str = "float32",
        device: str = "cpu",
    ) -> ProblemSource:
        """Read a reference such as ``sample:5``, ``needle``, ``gallery:needle?n=256&heads=2`` or ``heads.npz``.

        Parameters
        ----------
        reference : str, optional
            None is the typical layer of the shipped sample.
        sizes : dict, optional
            Sizes n, d, heads, groups given apart; None where not given.

        Raises
        ------
        ValueError
            If nothing is meant by the reference; the message names the nearest.
        """
        common: dict[str, Any] = {"seed": seed, "dtype": dtype, "device": device}
        text, _, query = (reference or "sample").partition("?")
        given = {name: size for name, size in (sizes or {}).items() if size is not None}
        options: dict[str, Any] = _options(query, reference) | given
        causal = bool(options.pop("causal", causal))
        if text == "sample" or text.startswith("sample:"):
            _refuse(options, text)
            return cls("sample", _layer(text), causal=causal, **common)
        name = text.removeprefix("gallery:")
        if name in gallery.problems():
            return cls("gallery", name, causal=causal, **options, **common)
        path = Path(text)
        if path.suffix in (".npz", ".safetensors") or path.exists():
            _refuse(options, text)
            return cls("file", text, causal=causal, **common)
        known = [*gallery.problems(), *(f"sample:{layer}" for layer in sample_layers())]
        raise ValueError(
            f"no problem {text!r}{nearest(name, known)}; known are {', '.join(known)}, "
            "and files that end in .npz or .safetensors"
        )

    @property
    def label(self) -> str:
        """Name of the problem in tables."""
        if self.kind == "sample":
            return f"MiniLM layer {self.name}"
        return self.name if self.kind == "gallery" else Path(self.name).stem


def _options(query: str, reference: str | None) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if name not in ("n", "d", "heads", "groups", "causal") or not value.isdigit():
            raise ValueError(f"{reference!r}: {part!r} is no option; write n=512, d=64, heads=4, groups=2 or causal=1")
        found[name] = int(value)
    return found


def _refuse(options: dict[str, int], text: str) -> None:
    if options:
        raise ValueError(f"{text} has its own sizes; {', '.join(sorted(options))} are for generated problems only")


def _layer(text: str) -> str:
    layers = [str(layer) for layer in sample_layers()]
    layer = text.partition(":")[2] or layers[len(layers) // 2]
    if layer not in layers:
        raise ValueError(f"the sample has no layer {layer!r}; choose {', '.join(f'sample:{name}' for name in layers)}")
    return layer


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a clause that suggests the nearest known word, or nothing."""
    folded = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), list(folded), n=1, cutoff=0.5)
    return f"; did you mean {folded[close[0]]}?" if close else ""


def load_problem(source: ProblemSource) -> AttentionProblem:
    """Return the problem, loaded once per process: its exact output is computed once, too.

    A file that has been written again is read again.
    """
    return _load(source, _stamp(source))


def source_problem_hash(source: ProblemSource) -> str:
    """Return `problem_hash` of a source's problem, computed once per process and state of its file."""
    return _hash(source, _stamp(source))


def _stamp(source: ProblemSource) -> tuple[int, ...]:
    """Return the state of a source's file in the file system; empty for a source that is no file."""
    path = Path(source.name)
    if source.kind != "file" or not path.is_file():
        return ()
    state = path.stat()
    return state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


@lru_cache(maxsize=2)
def _hash(source: ProblemSource, stamp: tuple[int, ...]) -> str:
    return problem_hash(_load(source, stamp))


@lru_cache(maxsize=2)
def _load(source: ProblemSource, stamp: tuple[int, ...]) -> AttentionProblem:
    if source.kind == "gallery":
        problem = gallery.problems()[source.name](
            source.n,
            source.d,
            source.heads,
            source.groups,
            # a stream of its own: methods with the same seed do not share the numbers of the problem
            rng=np.random.default_rng([source.seed, 1]),
            dtype=source.dtype,
        )
    else:
        qkv = load_sample(int(source.name)) if source.kind == "sample" else load_qkv(source.name)
        problem = qkv.problem(dtype=np.dtype(source.dtype))
    if source.causal and not any(isinstance(part, masks.CausalMask) for part in problem.mask.conjuncts):
        problem = replace(problem, mask=problem.mask & masks.CausalMask())
    _require_sight(problem, source)
    return problem if source.device == "cpu" else _on_device(problem)


def _require_sight(problem: AttentionProblem, source: ProblemSource) -> None:
    """Refuse a problem whose mask hides every key from every query: there is nothing to approximate."""
    arrays = any(
        isinstance(part, (masks.ExplicitMask, masks.BiasMask, masks.PaddingMask)) for part in problem.mask.conjuncts
    )
    if arrays and np.all(np.isneginf(to_host(problem.weights.log_mass))):
        raise ValueError(
            f"{source.name}: the mask hides every key from every query of all {problem.heads} heads; "
            "True, or a number above minus infinity, lets a query read a key"
        )


def problem_hash(problem: AttentionProblem) -> str:
    """Return a hash of everything that defines a problem: arrays, mask, scale and softcap."""
    arrays = [to_host(array) for array in (problem.q, problem.k, problem.v)]
    rest = [repr([type(part).__name__ for part in problem.mask.conjuncts]), repr((problem.scale, problem.softcap))]
    for part in problem.mask.conjuncts:
        # fields of a mask: widths, paddings, arrays
        for value in vars(part).values():
            array = np.asarray(value if isinstance(value, (bool, int, float)) else to_host(value))
            arrays.append(array)
    return content_hash(*arrays, np.asarray(rest))


def _on_device(problem: AttentionProblem) -> AttentionProblem:
    if any(isinstance(part, (masks.ExplicitMask, masks.BiasMask)) for part in problem.mask.conjuncts):
        raise ValueError("a mask that is an array stays on the cpu; run with --device cpu")
    cupy = _cupy()
    q, k, v = (cupy.asarray(array) for array in (problem.q, problem.k, problem.v))
    return replace(problem, q=q, k=k, v=v, check_finite=False)


def _cupy() -> Any:
    try:
        import cupy
    except ImportError as error:
        raise ValueError('device cuda needs CuPy; install it with: pip install "tnattn[cuda12]" (or cuda13)') from error
    if not cupy.is_available():
        raise ValueError("device cuda: CuPy finds no device; run with --device cpu")
    return cupy
