"""Laws about the form of the input: half precision, powers of two, memory layouts, empty batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tnattn.arrays import to_host
from tnattn.attention.method import KeyMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.summary import KeySet
from tnattn.testing.report import NotApplicable, Violation
from tnattn.testing.trial import Trial, changed, require_close, require_counted

# exponents whose squares overflow or vanish, and exponents near the ends of the range
_EXPONENTS = {"float32": ((-80, 80), (-120, 110)), "float64": ((-600, 600), (-1000, 1000))}


def halves_are_widened(trial: Trial) -> None:
    """Float16 gives float16, and the bits of float32 arithmetic on the same numbers, cast once."""
    drawn = trial.problem(dtype="float32")
    # both problems hold the same numbers: the float32 one is the half-precision one, widened exactly
    half = changed(drawn, **{name: getattr(drawn, name).astype("f2") for name in ("q", "k", "v")})
    wide = changed(half, **{name: getattr(half, name).astype("f4") for name in ("q", "k", "v")})
    method = trial.fitted(half)
    found, expected = trial.run(half, method=method), trial.run(wide, method=method)
    _require_bits(found.output, expected.output.astype("f2"))
    require_counted(found)
    if found.expand is not None:
        _require_bits(found.weights.to_dense(), expected.weights.to_dense().astype("f2"), "the weights: ")
    if isinstance(method, KeyMethod) and not method.probes:
        rng = np.random.default_rng(trial.seed)
        with np.errstate(all="ignore"):
            summary = method.summarise(KeySet.from_arrays(half.k, half.v, scale=half.score_scale), rng=rng)
            _require_bits(summary.attend(half.q).output, expected.output.astype("f2"), "a summary: ")


def _require_bits(found: Any, expected: np.ndarray, where: str = "") -> None:
    if found.dtype != np.float16:
        raise Violation(f"{where}{found.dtype} comes back for float16; cast results to the dtype of the input")
    if not np.array_equal(found, expected, equal_nan=True):
        gap = float(np.nanmax(np.abs(found.astype("f8") - expected.astype("f8"))))
        raise Violation(f"{where}float16 differs from float32 cast to float16 by {gap:.2g}; widen before any sum")


def values_scale(trial: Trial) -> None:
    """Values times 2^k give the output times 2^k; near the ends of the range, or a counted row."""
    for dtype, (inner, outer) in _EXPONENTS.items():
        problem = trial.problem(dtype=dtype)
        method, before = trial.fitted(problem), trial.output(problem)
        for exponent in (*inner, *outer):
            scaled = changed(problem, v=problem.v * np.asarray(2.0**exponent, dtype=dtype))
            result = trial.run(scaled, method=method)
            with np.errstate(all="ignore"):
                output = to_host(result.output).astype(np.longdouble)
            require_counted(result, f"{dtype}, values times 2^{exponent}: ")
            # scaled back in long double, where neither factor over- nor underflows
            after = np.asarray(output * np.longdouble(2.0) ** -exponent, dtype=np.float64)
            # near the ends of the range a row may fail, if it is counted
            allowed = before if exponent in inner else np.where(np.isnan(after), np.nan, before)
            said = f"{dtype}: values times 2^{exponent} do not give the output times as much; scale before squaring"
            require_close(after, allowed, problem, said)


def balance_is_free(trial: Trial) -> None:
    """Queries times 2^k and keys times 2^-k have the same scores, and give the same output."""
    for dtype, (inner, _) in _EXPONENTS.items():
        problem = trial.problem(dtype=dtype)
        method, before = trial.fitted(problem), trial.output(problem)
        for exponent in inner:
            factor = np.asarray(2.0**exponent, dtype=dtype)
            after = trial.output(changed(problem, q=problem.q * factor, k=problem.k / factor), method=method)
            said = (
                f"{dtype}: queries times 2^{exponent} and keys times 2^{-exponent} change the output; balance them, or "
                "waive it where the method reads their sizes"
            )
            require_close(after, before, problem, said)


def layouts_agree(trial: Trial) -> None:
    """Read-only, Fortran-ordered, strided, reversed and big-endian arrays give the same output, or a named refusal."""
    problem = trial.problem()
    before = trial.output(problem)
    for layout, arrays in _layouts(problem):
        try:
            after = trial.output(changed(problem, **arrays))
        except (TypeError, ValueError) as refusal:
            if layout == "big-endian" and str(refusal):  # a named refusal is admitted
                continue
            raise Violation(f"{layout} arrays are refused: {refusal}") from refusal
        require_close(after, before, problem, f"{layout} arrays change the output")


def _layouts(problem: AttentionProblem) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    plain = {name: np.array(getattr(problem, name)) for name in ("q", "k", "v")}
    read_only = {name: x.copy() for name, x in plain.items()}
    for x in read_only.values():
        x.flags.writeable = False
    yield "read-only", read_only
    yield "Fortran-ordered", {name: np.asfortranarray(x) for name, x in plain.items()}
    # every third row and every second column of a larger array
    yield "strided", {name: np.repeat(np.repeat(x, 2, axis=-1), 3, axis=-2)[..., ::3, ::2] for name, x in plain.items()}
    yield "reversed", {name: x[..., ::-1, ::-1].copy()[..., ::-1, ::-1] for name, x in plain.items()}
    yield "big-endian", {name: x.astype(x.dtype.newbyteorder(">")) for name, x in plain.items()}


def empty_batches_work(trial: Trial) -> None:
    """A batch axis of length zero gives an output of length zero, or a named refusal."""
    problem = trial.problem()
    arrays = {name: getattr(problem, name)[None][:0] for name in ("q", "k", "v")}
    try:
        result = trial.run(changed(problem, **arrays), method=trial.fitted(problem))
    except (TypeError, ValueError) as refusal:
        raise NotApplicable(f"refused: {refusal}") from refusal
    expected = (0, problem.heads, problem.n_q, problem.value_width)
    if tuple(result.output.shape) != expected or tuple(result.bad_rows.shape) != expected[:2]:
        raise Violation(
            f"an empty batch gives an output of shape {tuple(result.output.shape)} and bad_rows of shape "
            f"{tuple(result.bad_rows.shape)}, not {expected} and {expected[:2]}"
        )
