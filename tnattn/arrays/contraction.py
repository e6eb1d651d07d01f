"""Contractions of tensors: an einsum expression evaluated pairwise along a planned path."""

from __future__ import annotations

import functools
import math
import string
import sys
from dataclasses import dataclass
from typing import Any

import array_api_compat
import opt_einsum

from tnattn.arrays.half_precision import computed_in_single
from tnattn.arrays.libraries import Array, array_namespace


@computed_in_single
def contract(subscripts: str, *operands: Array) -> Array:
    """Return the sum of products that an einsum expression denotes, evaluated pairwise along a planned path.

    Parameters
    ----------
    subscripts : str
        With an explicit output, ``"...ij,...jk->...ik"``. The axes under an ellipsis are aligned at the right and
        broadcast; letters must agree in length. No letter may occur twice in one term (no traces).
    operands : Array
        One per term, of one library.

    Returns
    -------
    Array
        Dtype, library and device of the operands.

    Raises
    ------
    ValueError
        If the expression is malformed, has a trace, or does not fit the shapes.

    Notes
    -----
    The path is opt_einsum's, planned once per expression and shapes. A pair becomes one batched matrix product, or an
    elementwise product if it shares no summed letter; PyTorch's own einsum is faster than that and is used instead.
    """
    xp = array_namespace(*operands)
    plan = _plan(subscripts, tuple(tuple(x.shape) for x in operands))
    terms = [xp.reshape(x, shape) for x, shape in zip(operands, plan.shapes, strict=True)]
    if array_api_compat.is_torch_array(operands[0]):
        return sys.modules["torch"].einsum(plan.expression, *terms)
    for positions, inputs, output in plan.steps:
        # opt_einsum lists positions in descending order, so that popping one leaves the others where they are
        chosen = [terms.pop(i) for i in positions]
        if len(chosen) == 1:
            terms.append(_arranged(xp, chosen[0], inputs[0], output))
        else:
            terms.append(_pair(xp, chosen[0], inputs[0], chosen[1], inputs[1], output))
    return terms[0]


@dataclass(frozen=True)
class _Plan:
    expression: str  # without ellipses; axes of length 1 that are broadcast are dropped from their term
    shapes: tuple[tuple[int, ...], ...]
    steps: tuple[tuple[tuple[int, ...], tuple[str, ...], str], ...]  # positions, their letters, letters of the result


# planning takes longer than a small contraction, and the sweeps of an iteration ask for the same few plans
@functools.lru_cache(maxsize=4096)
def _plan(subscripts: str, shapes: tuple[tuple[int, ...], ...]) -> _Plan:
    terms, output, shapes = _expanded(subscripts, shapes)
    expression = f"{','.join(terms)}->{output}"
    if len(terms) == 1:
        return _Plan(expression, shapes, (((0,), (terms[0],), output),))
    _, info = opt_einsum.contract_path(expression, *shapes, shapes=True)
    steps = []
    for step in info.contraction_list:
        inputs, result = step[2].split("->")
        steps.append((tuple(step[0]), tuple(inputs.split(",")), result))
    return _Plan(expression, shapes, tuple(steps))


def _expanded(
    subscripts: str, shapes: tuple[tuple[int, ...], ...]
) -> tuple[list[str], str, tuple[tuple[int, ...], ...]]:
    """Spell out the ellipses of an expression and check it against the shapes."""
    name = f"contract {subscripts!r}"
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if not arrow:
        raise ValueError(f"{name} names no output; add '->' and the letters to keep")
    if len(terms) != len(shapes):
        raise ValueError(f"{name} has {len(terms)} terms for {len(shapes)} operands; give one operand per term")
    widths = [_ellipsis_width(term, shape, name) for term, shape in zip(terms, shapes, strict=True)]
    free = [c for c in string.ascii_letters if c not in subscripts]
    ellipsis = "".join(free[: max(widths)])
    # axes under an ellipsis are aligned at the right, as in broadcasting
    spelled = [t.replace("...", ellipsis[len(ellipsis) - w :]) for t, w in zip(terms, widths, strict=True)]
    sizes = _sizes(spelled, shapes, ellipsis, name)
    bare = output.replace("...", "", 1)
    if len(set(bare)) < len(bare) or not all(c in sizes and c in inputs for c in bare):
        raise ValueError(f"{name} has the output {output!r}; its letters must be distinct and occur in a term")
    if "..." not in output and any("..." in t and w for t, w in zip(terms, widths, strict=True)):
        raise ValueError(f"{name} drops the axes under the ellipsis; add '...' to the output")
    # a pairwise product broadcasts by letters: an axis of length one of a longer letter is dropped from its term
    kept = [[i for i, c in enumerate(t) if s[i] == sizes[c]] for t, s in zip(spelled, shapes, strict=True)]
    return (
        ["".join(t[i] for i in k) for t, k in zip(spelled, kept, strict=True)],
        output.replace("...", ellipsis),
        tuple(tuple(s[i] for i in k) for s, k in zip(shapes, kept, strict=True)),
    )


def _ellipsis_width(term: str, shape: tuple[int, ...], name: str) -> int:
    """Return the number of axes under the ellipsis of a term, zero if it has none."""
    letters = term.replace("...", "", 1)
    if not all(c in string.ascii_letters for c in letters):
        raise ValueError(f"{name} holds the term {term!r}; use ASCII letters and at most one ellipsis")
    if len(set(letters)) < len(letters):
        raise ValueError(f"{name} repeats a letter within {term!r}; traces and diagonals are not supported")
    width = len(shape) - len(letters)
    if width < 0 or (width > 0 and "..." not in term):
        raise ValueError(f"{name} does not fit: the term {term!r} stands for an operand of shape {shape}")
    return width


def _sizes(terms: list[str], shapes: tuple[tuple[int, ...], ...], ellipsis: str, name: str) -> dict[str, int]:
    """Return the length of the axis of every letter; only axes under an ellipsis broadcast."""
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for letter, length in zip(term, shape, strict=True):
            known = sizes.setdefault(letter, length)
            if known != length and not (letter in ellipsis and 1 in (known, length)):
                raise ValueError(f"{name} does not fit shapes {shapes}: an axis is both {known} and {length} long")
            sizes[letter] = length if known == 1 else known
    return sizes


def _arranged(xp: Any, x: Array, letters: str, output: str) -> Array:
    """Sum out the letters that the output lacks and put the others in its order."""
    summed = tuple(i for i, c in enumerate(letters) if c not in output)
    if summed:
        x = xp.sum(x, axis=summed)
        letters = "".join(c for c in letters if c in output)
    return x if letters == output else xp.permute_dims(x, tuple(letters.index(c) for c in output))


def _pair(xp: Any, a: Array, a_letters: str, b: Array, b_letters: str, output: str) -> Array:
    """Return the product of two operands, summed over the letters that the output lacks."""
    shared = [c for c in a_letters if c in b_letters]
    a_own = "".join(c for c in a_letters if c not in shared and c in output)
    b_own = "".join(c for c in b_letters if c not in shared and c in output)
    batch = "".join(c for c in output if c in shared)
    inner = "".join(c for c in shared if c not in output)
    a = _arranged(xp, a, a_letters, batch + a_own + inner)
    b = _arranged(xp, b, b_letters, batch + b_own + inner)
    size = dict(zip(batch + a_own + inner, a.shape, strict=True)) | dict(
        zip(batch + b_own + inner, b.shape, strict=True)
    )
    heads, rows, columns, depth = (tuple(size[c] for c in part) for part in (batch, a_own, b_own, inner))
    if not inner:  # nothing is summed: an elementwise product with broadcasting
        product = xp.reshape(a, heads + rows + (1,) * len(columns)) * xp.reshape(b, heads + (1,) * len(rows) + columns)
    elif not rows and not columns:  # inner products of the vectors of a batch
        product = xp.vecdot(xp.reshape(a, (*heads, math.prod(depth))), xp.reshape(b, (*heads, math.prod(depth))))
    else:
        # one batched matrix product (batch, rows, inner) times (batch, inner, columns)
        lead = (math.prod(heads),) if heads else ()
        left = xp.reshape(a, (*lead, math.prod(rows), math.prod(depth)))
        right = xp.reshape(b, (*lead, math.prod(columns), math.prod(depth)))
        product = xp.reshape(xp.matmul(left, xp.matrix_transpose(right)), heads + rows + columns)
    return _arranged(xp, product, batch + a_own + b_own, output)
