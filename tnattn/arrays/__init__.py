"""The array layer: the one place where array libraries differ.

Everything above this file is written once against the array API standard. What the standard lacks (contractions,
random draws, transfers to the host, threads) is here; factorizations are in :mod:`tnattn.linalg`. CuPy and PyTorch are
never imported: whoever passes an array of theirs has done so already.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import math
import operator
import platform
import string
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar, cast

import array_api_compat
import numpy as np
import opt_einsum
import scipy.linalg
import scipy.sparse

from tnattn.arrays.threads import blas_info
from tnattn.arrays.threads import blas_threads as blas_threads  # passed on to the layers above
from tnattn.arrays.threads import host_threads as host_threads
from tnattn.arrays.threads import parallel_map as parallel_map
from tnattn.scalars import Parameters

Array: TypeAlias = Any
Shape: TypeAlias = Sequence[int]

_SMALL = 1 << 22  # operations of a stack of products below which threads do not pay
_SLAB = 64  # columns of a sparse product at a time on the host

Function = TypeVar("Function", bound=Callable[..., Any])

_HALVES = ("float16", "bfloat16")
_DIGITS = {"bfloat16": 7, "float16": 10, "float32": 23, "float64": 52}  # binary, behind the point


# --- namespaces, kinds, devices ----------------------------------------------------------------------------------

# subclasses with another meaning of entries or products
_REFUSED = (np.ma.MaskedArray, np.matrix)
_CURES = ("whose mask would be ignored; fill it with x.filled(...)", "whose * is @; convert it with numpy.asarray(...)")
_HOST: Any = array_api_compat.array_namespace(np.empty(0))


def array_namespace(*arrays: Any) -> Any:
    """Return the array API namespace common to the arrays given; None and Python scalars are ignored.

    Raises
    ------
    TypeError
        If an argument is no array (a list, say), if none is, or if they belong to different libraries.
    """
    if arrays and all(type(x) is np.ndarray for x in arrays):
        return _HOST  # asked for at every step of every algorithm
    for x in arrays:
        if isinstance(x, _REFUSED):
            raise TypeError(f"expected an array, got {_kind(x)}, {_CURES[type(x) is np.matrix]}")
    try:
        return array_api_compat.array_namespace(*arrays)
    except TypeError:
        pass
    for x in arrays:
        if x is not None and not isinstance(x, (bool, int, float, complex)) and not is_array(x):
            raise TypeError(f"expected an array, got {_kind(x)}; convert it with numpy.asarray(...)")
    kinds = sorted({_kind(x) for x in arrays if is_array(x)})
    if not kinds:
        raise TypeError("expected at least one array, got none; convert an argument with numpy.asarray(...)")
    raise TypeError(
        f"arrays of different libraries cannot be mixed: {', '.join(kinds)}; move them to one library first"
    )


def is_array(x: Any) -> bool:
    """Return whether ``x`` is an array of a supported library."""
    return not isinstance(x, type) and bool(array_api_compat.is_array_api_obj(x))


def device(x: Array) -> Any:
    """Return the device on which an array lives."""
    return array_api_compat.device(x)


def is_floating(x: Array) -> bool:
    """Return whether an array holds real floating-point numbers."""
    return bool(array_namespace(x).isdtype(x.dtype, "real floating"))


def require_floating(x: Array, name: str) -> None:
    """Raise TypeError unless an array holds float16, bfloat16, float32 or float64 numbers.

    NumPy's long double is refused: no other library and no BLAS has it.
    """
    array_namespace(x)
    problem = _refusal(x.dtype)
    if problem is not None:
        raise TypeError(f"{name} has dtype {problem}")


def require_integer(x: Array, name: str) -> None:
    """Raise TypeError unless an array holds integers, as indices are."""
    if not array_namespace(x).isdtype(x.dtype, "integral"):
        raise TypeError(f"{name} has dtype {dtype_name(x.dtype)}, but an integer dtype is needed")


def _refusal(dtype: Any) -> str | None:
    """Return what is wrong with a dtype of numbers to compute with, and the cure; None if nothing is."""
    name = dtype_name(dtype)
    if name not in _DIGITS:
        return f"{name}, but a real floating dtype is needed; convert with x.astype(numpy.float32) or the like"
    return None


def quiet_overflow() -> contextlib.AbstractContextManager[Any]:
    """Return a context in which the host does not warn of overflow and invalid operations, for sums that are judged."""
    return np.errstate(over="ignore", invalid="ignore")


def check_finite(x: Array, name: str) -> None:
    """Raise ValueError if a floating array holds NaN or infinity; one synchronisation if it does not."""
    xp = array_namespace(x)
    if dtype_name(x.dtype) in ("float32", "float64"):
        flat = xp.reshape(x, (-1,))
        with quiet_overflow():
            square = xp.vecdot(flat, flat)  # one pass without an array of answers
        if bool(xp.isfinite(square)):
            return
    finite = xp.isfinite(x)
    if bool(xp.all(finite)):
        return
    bad = ~to_host(finite)
    nan = int(np.count_nonzero(to_host(xp.isnan(x))))
    first = tuple(int(i) for i in np.unravel_index(int(np.argmax(bad)), bad.shape))
    raise ValueError(
        f"{name} holds {nan} NaN and {int(bad.sum()) - nan} infinite entries, the first at index {first}; "
        f"all entries must be finite"
    )


def plain_array(x: Array, name: str) -> Array:
    """Return an array of the plain class of its library, in the byte order of the machine; no copy where it is one.

    Raises
    ------
    TypeError
        If it is a masked array, whose mask no algorithm would see.
    """
    if type(x) is np.ndarray and x.dtype.isnative:
        return x
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be lost; fill it first, x.filled(0.0) say")
    if array_api_compat.is_numpy_array(x):
        host = np.asarray(x)
        return host.astype(host.dtype.newbyteorder("="), copy=False)
    return x


def owned(x: Array) -> Array:
    """Return a copy of an array, contiguous and writable, that shares memory with nothing."""
    if array_api_compat.is_numpy_array(x):
        return np.array(x, order="C")
    if array_api_compat.is_torch_array(x):
        return x.clone(memory_format=sys.modules["torch"].contiguous_format)
    return array_namespace(x).asarray(x, copy=True)


def dtype_name(dtype: Any) -> str:
    """Return the bare name of a dtype of any library, such as ``float32``."""
    if isinstance(dtype, (type, np.dtype, str)):
        return np.dtype(dtype).name
    return str(dtype).rsplit(".", 1)[-1]


def eps(x_or_dtype: Any) -> float:
    """Return the distance from 1 to the next number of a floating dtype, or of the dtype of an array."""
    name = dtype_name(x_or_dtype.dtype if is_array(x_or_dtype) else x_or_dtype)
    if name not in _DIGITS:
        raise TypeError(f"dtype {name} has no rounding unit here; one of {', '.join(_DIGITS)} is needed")
    return 2.0 ** -_DIGITS[name]


def accumulator_dtype(x: Array) -> Any:
    """Return float64 where the device of ``x`` has it, else the dtype of ``x``: the dtype in which sums are taken."""
    xp = array_namespace(x)
    if hasattr(xp, "__array_namespace_info__"):
        return xp.__array_namespace_info__().dtypes(device=device(x), kind="real floating").get("float64", x.dtype)
    return xp.float64


# --- half precision ----------------------------------------------------------------------------------------------


def is_half(x: Any) -> bool:
    """Return whether an array holds float16 or bfloat16 numbers."""
    # the size is asked first: names of dtypes are slow, and this runs at every step of every algorithm
    return getattr(getattr(x, "dtype", None), "itemsize", 2) == 2 and is_array(x) and dtype_name(x.dtype) in _HALVES


def widened(x: Array) -> Array:
    """Return a half-precision array as float32, in which its products accumulate, and any other as it is."""
    return array_namespace(x).astype(x, array_namespace(x).float32) if is_half(x) else x


def computed_in_single(function: Function) -> Function:
    """Let a function of arrays compute half-precision arguments in float32 and cast floating results back."""

    @functools.wraps(function)
    def call(*arrays: Any, **options: Any) -> Any:
        # a number of NumPy's is a scalar argument, whatever its dtype, and decides nothing
        half = next((x for x in (*arrays, *options.values()) if is_half(x) and x.ndim > 0), None)
        if half is None:
            return function(*arrays, **options)
        wide = {name: widened(x) if is_half(x) else x for name, x in options.items()}
        return _narrowed(function(*(widened(x) if is_half(x) else x for x in arrays), **wide), half.dtype)

    return cast(Function, call)


def _narrowed(result: Any, dtype: Any) -> Any:
    if isinstance(result, tuple):
        return tuple(_narrowed(x, dtype) for x in result)
    if not is_array(result) or not is_floating(result):
        return result
    with quiet_overflow():  # a norm may exceed what the narrow dtype holds: infinity says so
        return array_namespace(result).astype(result, dtype)


# --- transfers ---------------------------------------------------------------------------------------------------


def to_host(x: Array) -> np.ndarray:
    """Return an array as a NumPy array: the one transfer from a device to the host.

    NumPy arrays pass through uncopied; bfloat16, which NumPy lacks, becomes float32.
    """
    if array_api_compat.is_numpy_array(x):
        return np.asarray(x)
    if array_api_compat.is_torch_array(x):
        detached = x.detach()
        return np.asarray((detached.float() if dtype_name(x.dtype) == "bfloat16" else detached).cpu().numpy())
    if array_api_compat.is_cupy_array(x):
        return np.asarray(x.get())
    xp = array_namespace(x)
    if _is_strict(xp):
        return np.asarray(x.to_device(xp.Device("CPU_DEVICE")))
    return np.asarray(x)


def from_host(x: np.ndarray, *, like: Array, dtype: Any = None) -> Array:
    """Return a NumPy array as an array of the library and on the device of another.

    Parameters
    ----------
    x : numpy.ndarray
        Of any shape.
    like : Array
        Says the library and the device, and the dtype of floating data if it is floating itself.
    dtype : dtype of any library, optional
        Asked for instead. Integers and booleans keep theirs by default.
    """
    xp = array_namespace(like)
    x = np.asarray(x)
    if dtype is None and x.dtype.kind == "f" and is_floating(like):
        dtype = like.dtype
    name = x.dtype.name if dtype is None else dtype_name(dtype)
    host = x.astype(np.float32 if name == "bfloat16" else name, copy=False)
    if array_api_compat.is_numpy_array(like):
        return host
    if array_api_compat.is_torch_array(like):  # shares memory with the host array, which must be plain and writable
        host = np.require(host, requirements=["C", "W"])
        moved = xp.asarray(host, device=device(like))
        return moved.bfloat16() if name == "bfloat16" else moved
    return xp.asarray(host, device=device(like))


def synchronize(x: Array) -> None:
    """Wait until the device of an array has done its work; a timer must call it before it reads the clock."""
    if array_api_compat.is_cupy_array(x):
        x.device.synchronize()
    elif array_api_compat.is_torch_array(x) and x.device.type == "cuda":
        sys.modules["torch"].cuda.synchronize(x.device)


# --- contractions ------------------------------------------------------------------------------------------------


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
    steps: tuple[tuple[tuple[int, ...], tuple[str, ...], str], ...]


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
    said = f"contract {subscripts!r}"
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if not arrow:
        raise ValueError(f"{said} names no output; add '->' and the letters to keep")
    if len(terms) != len(shapes):
        raise ValueError(f"{said} has {len(terms)} terms for {len(shapes)} operands; give one operand per term")
    widths = []
    for term, shape in zip(terms, shapes, strict=True):
        letters = term.replace("...", "", 1)
        if not all(c in string.ascii_letters for c in letters):
            raise ValueError(f"{said} holds the term {term!r}; use ASCII letters and at most one ellipsis")
        if len(set(letters)) < len(letters):
            raise ValueError(f"{said} repeats a letter within {term!r}; traces and diagonals are not supported")
        widths.append(len(shape) - len(letters))
        if widths[-1] < 0 or (widths[-1] > 0 and "..." not in term):
            raise ValueError(f"{said} does not fit: the term {term!r} stands for an operand of shape {shape}")
    free = [c for c in string.ascii_letters if c not in subscripts]
    ellipsis = "".join(free[: max(widths)])
    sizes: dict[str, int] = {}
    spelled = [t.replace("...", ellipsis[len(ellipsis) - w :]) for t, w in zip(terms, widths, strict=True)]
    for term, shape in zip(spelled, shapes, strict=True):
        for letter, length in zip(term, shape, strict=True):
            known = sizes.setdefault(letter, length)
            if known != length and not (letter in ellipsis and 1 in (known, length)):
                raise ValueError(f"{said} does not fit shapes {shapes}: an axis is both {known} and {length} long")
            sizes[letter] = length if known == 1 else known
    kept = [[i for i, c in enumerate(t) if s[i] == sizes[c]] for t, s in zip(spelled, shapes, strict=True)]
    bare = output.replace("...", "", 1)
    if len(set(bare)) < len(bare) or not all(c in sizes and c in subscripts.partition("->")[0] for c in bare):
        raise ValueError(f"{said} has the output {output!r}; its letters must be distinct and occur in a term")
    if "..." not in output and any("..." in t and w for t, w in zip(terms, widths, strict=True)):
        raise ValueError(f"{said} drops the axes under the ellipsis; add '...' to the output")
    return (
        ["".join(t[i] for i in k) for t, k in zip(spelled, kept, strict=True)],
        output.replace("...", ellipsis),
        tuple(tuple(s[i] for i in k) for s, k in zip(shapes, kept, strict=True)),
    )


def _arranged(xp: Any, x: Array, letters: str, output: str) -> Array:
    """Sum out the letters that the output lacks and put the others in its order."""
    summed = tuple(i for i, c in enumerate(letters) if c not in output)
    if summed:
        x = xp.sum(x, axis=summed)
        letters = "".join(c for c in letters if c in output)
    return x if letters == output else xp.permute_dims(x, tuple(letters.index(c) for c in output))


def _pair(xp: Any, a: Array, a_letters: str, b: Array, b_letters: str, output: str) -> Array:
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
    if not inner:
        product = xp.reshape(a, heads + rows + (1,) * len(columns)) * xp.reshape(b, heads + (1,) * len(rows) + columns)
    elif not rows and not columns:
        product = xp.vecdot(xp.reshape(a, (*heads, math.prod(depth))), xp.reshape(b, (*heads, math.prod(depth))))
    else:
        lead = (math.prod(heads),) if heads else ()
        left = xp.reshape(a, (*lead, math.prod(rows), math.prod(depth)))
        right = xp.reshape(b, (*lead, math.prod(columns), math.prod(depth)))
        product = xp.reshape(xp.matmul(left, xp.matrix_transpose(right)), heads + rows + columns)
    return _arranged(xp, product, batch + a_own + b_own, output)


# --- random draws ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DeviceDraws(Parameters):
    """A source of random draws made by the generator of the array library itself, on the device.

    Draws differ between libraries and devices; a NumPy generator, whose draws are made on the host and moved once,
    gives the same ones everywhere. Libraries without a generator draw on the host. Like a generator, it advances with
    each draw.

    Parameters
    ----------
    seed : int
        Non-negative.
    """

    seed: int
    _sequence: np.random.SeedSequence = field(init=False, repr=False, compare=False)
    _generators: dict[str, Any] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Reject a negative seed."""
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; a non-negative integer is needed")
        object.__setattr__(self, "_sequence", np.random.SeedSequence(self.seed))

    def spawn(self, count: int) -> list[DeviceDraws]:
        """Return independent children, new ones at each call."""
        words = [child.generate_state(1, np.uint64) for child in self._sequence.spawn(count)]
        return [DeviceDraws(int(word[0] >> np.uint64(1))) for word in words]

    def normal(self, shape: Shape, *, like: Array, dtype: Any = None) -> Array:
        """Return independent standard normal numbers, drawn in float64 where the device has it, then cast."""
        kind, generator = self._generator(like)
        if kind == "host":
            return normal(generator, shape, like=like, dtype=dtype)
        return self._cast(like, dtype, self._drawn("randn", "standard_normal", generator, shape, like))

    def uniform(self, shape: Shape, *, like: Array, dtype: Any = None) -> Array:
        """Return independent numbers uniform on [0, 1), drawn as those of ``normal``."""
        kind, generator = self._generator(like)
        if kind == "host":
            return uniform(generator, shape, like=like, dtype=dtype)
        drawn = self._drawn("rand", "random", generator, shape, like)
        below = 1 - eps(_floating_dtype(like, dtype)) / 2
        xp = array_namespace(drawn)
        return self._cast(like, dtype, xp.minimum(drawn, xp.full_like(drawn, below)))

    def _drawn(self, torch_name: str, cupy_name: str, generator: Any, shape: Shape, like: Array) -> Array:
        if array_api_compat.is_torch_array(like):
            draw, wide = getattr(sys.modules["torch"], torch_name), accumulator_dtype(like)
            return draw(*shape, generator=generator, dtype=wide, device=like.device)
        return getattr(generator, cupy_name)(tuple(shape))

    @staticmethod
    def _cast(like: Array, dtype: Any, drawn: Array) -> Array:
        return array_namespace(drawn).astype(drawn, _floating_dtype(like, dtype), copy=False)

    def integers(self, low: int, high: int, shape: Shape, *, like: Array) -> Array:
        """Return independent integers uniform on low, ..., high - 1."""
        kind, generator = self._generator(like)
        if kind == "torch":
            return sys.modules["torch"].randint(low, high, tuple(shape), generator=generator, device=like.device)
        if kind == "cupy":
            return generator.integers(low, high, tuple(shape))
        return integers(generator, low, high, shape, like=like)

    def signs(self, shape: Shape, *, like: Array) -> Array:
        """Return independent fair signs, plus or minus one."""
        xp = array_namespace(like)
        return xp.astype(2 * self.integers(0, 2, shape, like=like) - 1, _floating_dtype(like, None))

    def _generator(self, like: Array) -> tuple[str, Any]:
        """Return the library's name and its generator for the device of an array, made on first use."""
        torch, cupy = array_api_compat.is_torch_array(like), array_api_compat.is_cupy_array(like)
        kind = "torch" if torch else "cupy" if cupy else "host"
        key = f"{kind} {device(like)}" if kind != "host" else kind
        if key not in self._generators:
            if torch:
                made = sys.modules["torch"].Generator(device=like.device).manual_seed(self.seed % 2**63)
            elif cupy:
                with like.device:
                    made = sys.modules["cupy"].random.default_rng(self.seed)
            else:
                made = np.random.default_rng(self.seed)
            self._generators[key] = made
        return kind, self._generators[key]


Rng: TypeAlias = np.random.Generator | DeviceDraws


def require_rng(rng: Any, who: str) -> Rng:
    """Return a source of random draws, or raise TypeError if it is none (a seed, or None)."""
    if isinstance(rng, (np.random.Generator, DeviceDraws)):
        return rng
    got = "" if rng is None else f" (got {_kind(rng)})"
    raise TypeError(f"{who} is randomized; pass rng=numpy.random.default_rng(seed){got}")


def normal(rng: Rng, shape: Shape, *, like: Array, dtype: Any = None) -> Array:
    """Return independent standard normal numbers in the library, dtype and device of ``like``.

    Drawn in float64, then cast, so that a seed means the same draw in every dtype; by a NumPy generator on the host,
    and moved once.
    """
    if isinstance(rng, DeviceDraws):
        return rng.normal(shape, like=like, dtype=dtype)
    dtype = _floating_dtype(like, dtype)
    return from_host(require_host(rng).standard_normal(tuple(shape)), like=like, dtype=dtype)


def uniform(rng: Rng, shape: Shape, *, like: Array, dtype: Any = None) -> Array:
    """Return independent numbers uniform on [0, 1) in the library, dtype and device of ``like``; see :func:`normal`."""
    if isinstance(rng, DeviceDraws):
        return rng.uniform(shape, like=like, dtype=dtype)
    dtype = _floating_dtype(like, dtype)
    # rounding to a narrower dtype must not reach one
    return from_host(np.minimum(require_host(rng).random(tuple(shape)), 1 - eps(dtype) / 2), like=like, dtype=dtype)


def signs(rng: Rng, shape: Shape, *, like: Array) -> Array:
    """Return independent fair signs, plus or minus one, in the library, dtype and device of ``like``."""
    if isinstance(rng, DeviceDraws):
        return rng.signs(shape, like=like)
    drawn = require_host(rng).integers(0, 2, tuple(shape), dtype=np.int8)
    return from_host(2 * drawn - 1, like=like, dtype=_floating_dtype(like, None))


def integers(rng: Rng, low: int, high: int, shape: Shape, *, like: Array) -> Array:
    """Return independent integers (int64) uniform on low, ..., high - 1, in the library and device of ``like``."""
    if isinstance(rng, DeviceDraws):
        return rng.integers(low, high, shape, like=like)
    return from_host(require_host(rng).integers(low, high, tuple(shape), dtype=np.int64), like=like)


def choice(rng: Rng, n: int, size: int, *, p: Array | None = None, replace: bool, like: Array) -> Array:
    """Return ``size`` of the integers 0, ..., n - 1, drawn with probabilities p, in the library of ``like``.

    Parameters
    ----------
    rng : numpy.random.Generator or DeviceDraws
        The draw is made on the host in both cases.
    n, size : int
        ``size <= n`` without replacement.
    p : Array, (n,), optional
        Non-negative weights, normalised here; uniform if None.
    replace : bool
        Whether a value may be drawn more than once.
    like : Array
        Says the library and the device.

    Returns
    -------
    Array, (size,), int64
    """
    host = rng._generators.setdefault("host", np.random.default_rng(rng.seed)) if isinstance(rng, DeviceDraws) else rng
    if not replace and size > n:
        raise ValueError(f"size {size} exceeds the {n} values to choose from; reduce size or pass replace=True")
    weights = None if p is None else _probabilities(p, n)
    if weights is not None and not replace and np.count_nonzero(weights) < size:
        raise ValueError(f"p has {np.count_nonzero(weights)} positive entries, fewer than size {size}; reduce size")
    drawn = require_host(host).choice(n, size=size, replace=replace, p=weights)
    return from_host(np.asarray(drawn, dtype=np.int64), like=like)


def require_host(rng: Any) -> np.random.Generator:
    """Return a NumPy generator, or raise TypeError if it is none."""
    if not isinstance(rng, np.random.Generator):
        require_rng(rng, "a random draw")
    generator: np.random.Generator = rng
    return generator


def _probabilities(p: Array, n: int) -> np.ndarray:
    weights = to_host(p).astype(np.float64)
    if weights.shape != (n,):
        raise ValueError(f"p has shape {weights.shape}; one weight for each of the {n} values is needed")
    total = weights.sum()
    if not (np.isfinite(total) and total > 0 and weights.min() >= 0):
        raise ValueError(
            f"p has minimum {weights.min()} and sum {total}; weights must be finite, >= 0 and not all zero"
        )
    return np.asarray(weights / total)


def _floating_dtype(like: Array, dtype: Any) -> Any:
    if dtype is not None:
        return dtype
    require_floating(like, "like")
    return like.dtype


# --- products ----------------------------------------------------------------------------------------------------


@computed_in_single
def stacked_matmul(a: Array, b: Array) -> Array:
    """Return the matrix products of two stacks, (..., m, k) and (..., k, n).

    Notes
    -----
    On the host, threads with one BLAS thread each share the stack: BLAS would split every small product by itself, and
    wait for all its threads each time.
    """
    batch = broadcast_shape(a.shape[:-2], b.shape[:-2])
    operations = math.prod(batch) * a.shape[-2] * a.shape[-1] * b.shape[-1]
    workers = host_threads()
    if not array_api_compat.is_numpy_array(a) or operations < _SMALL or max(batch, default=1) < workers or workers < 2:
        return a @ b
    longest = batch.index(max(batch)) - len(batch) - 2  # counted from the end
    out = np.empty((*batch, a.shape[-2], b.shape[-1]), np.result_type(a, b))

    def cut(x: Array, part: slice) -> Array:
        where = x.ndim + longest
        return x if where < 0 or x.shape[where] == 1 else x[(slice(None),) * where + (part,)]

    def work(part: slice) -> None:
        np.matmul(cut(a, part), cut(b, part), out=cut(out, part))

    step = -(-batch[longest + 2] // (4 * workers))
    parallel_map(work, [slice(i, i + step) for i in range(0, batch[longest + 2], step)], like=a)
    return out


def matmul_into(a: Array, b: Array, spare: Array | None) -> Array:
    """Return a @ b, written over ``spare`` where the library can and its shape and dtype fit.

    Fresh memory costs the host a page fault every few kilobytes, which for tiles is a third of the product.
    """
    if spare is None or not array_api_compat.is_numpy_array(a) or a.ndim != 2 or b.ndim != 2:
        return stacked_matmul(a, b)
    if spare.shape != (a.shape[0], b.shape[1]) or not a.dtype == b.dtype == spare.dtype:
        return a @ b
    return np.matmul(a, b, out=spare)


def subtract_product(x: Array, a: Array, b: Array) -> Array:
    """Return x - a @ b, written over ``x`` where the library can.

    Parameters
    ----------
    x : Array, (..., m, n)
    a, b : Array, (..., m, k) and (..., k, n)
        Nothing of ``b`` may lie in the memory of ``x``.

    Notes
    -----
    On the host a single matrix takes one call of BLAS, without the product as an array of its own.
    """
    if array_api_compat.is_numpy_array(x):
        plain = x.flags.c_contiguous and x.flags.writeable and x.dtype == a.dtype == b.dtype
        if plain and x.ndim == a.ndim == b.ndim == 2 and dtype_name(x.dtype) in ("float32", "float64"):
            update: Any = scipy.linalg.get_blas_funcs("gemm", (x,))
            made = update(-1.0, b.T, a.T, beta=1.0, c=x.T, overwrite_c=1).T  # BLAS sees rows as columns
            if not np.may_share_memory(made, x):
                x[...] = made
            return x
    elif not (array_api_compat.is_torch_array(x) or array_api_compat.is_cupy_array(x)):
        return x - a @ b
    x -= stacked_matmul(a, b)
    return x


@computed_in_single
def squared_column_norms(x: Array) -> Array:
    """Return the sums of the squares of the columns, (..., n), of matrices (..., m, n) stored by rows."""
    if array_api_compat.is_numpy_array(x):
        squares: Array = np.einsum("...ij,...ij->...j", x, x)  # without an array of squares
        return squares
    return array_namespace(x).sum(x * x, axis=-2)


# --- indexing and in-place work that the standard lacks ----------------------------------------------------------


def broadcast_shape(*shapes: Shape) -> tuple[int, ...]:
    """Return the shape to which all shapes broadcast."""
    return tuple(int(n) for n in np.broadcast_shapes(*(tuple(shape) for shape in shapes)))


def expanded(x: Array, shape: Shape) -> Array:
    """Return a fresh array broadcast to a shape, or the array itself if it has that shape: writable in both cases."""
    xp = array_namespace(x)
    return x if tuple(x.shape) == tuple(shape) else xp.asarray(xp.broadcast_to(x, tuple(shape)), copy=True)


@computed_in_single
def scatter_rows(updates: Array, indices: Array, size: int) -> Array:
    """Return stacks of ``size`` rows in which row ``indices[..., i]`` is the sum of the updates i sent to it.

    Parameters
    ----------
    updates : Array, (..., m, c)
        Rows to be added up.
    indices : Array, (..., m), integer
        In 0, ..., size - 1; not checked. The batch shape is that of ``updates``.
    size : int
        Number of rows of the result.

    Returns
    -------
    Array, (..., size, c)
    """
    xp, updates = array_namespace(updates), plain_array(updates, "updates")
    *batch, m, c = updates.shape
    count = math.prod(batch)
    offset = xp.reshape(xp.arange(count, dtype=indices.dtype, device=device(indices)) * size, (count, 1))
    flat = xp.reshape(xp.reshape(indices, (count, m)) + offset, (count * m,))
    rows = xp.reshape(updates, (count * m, c))
    out = xp.zeros((count * size, c), dtype=updates.dtype, device=device(updates))
    if array_api_compat.is_numpy_array(updates):
        one = np.ones(count * m, dtype=updates.dtype)
        picker = scipy.sparse.csr_array((one, (flat, np.arange(count * m))), shape=(count * size, count * m))
        out = np.asarray(picker @ rows)
    elif array_api_compat.is_torch_array(updates):
        out.index_add_(0, flat, rows)
    elif array_api_compat.is_cupy_array(updates):
        xp.add.at(out, flat, rows)
    else:
        target = xp.arange(count * size, dtype=flat.dtype, device=device(updates))
        out = xp.astype(target[:, None] == flat[None, :], updates.dtype) @ rows
    return xp.reshape(out, (*batch, size, c))


@computed_in_single
def scatter_products(values: Array, indices: Array, y: Array, size: int) -> Array:
    """Return the product of the transpose of a sparse matrix with a block, ``sum_i sum_w values[i, w] y[i]``.

    Parameters
    ----------
    values, indices : Array, (m, w)
        One sparse matrix of m rows and ``size`` columns: the w stored entries of every row and their columns.
    y : Array, (..., m, c)
        Stored in any order.
    size : int

    Returns
    -------
    Array, (..., size, c)

    Notes
    -----
    O(m w c). On the host in slabs of columns whose results stay in a core's cache while ``y`` is read once; threads
    share the slabs. Elsewhere one scatter per stored entry of a row.
    """
    xp = array_namespace(values, y)
    if not array_api_compat.is_numpy_array(values):
        batch = tuple(y.shape[:-2])
        out = None
        for slot in range(values.shape[-1]):
            rows = xp.broadcast_to(indices[:, slot], (*batch, indices.shape[0]))
            part = scatter_rows(values[:, slot, None] * y, rows, size)
            out = part if out is None else out + part
        return out
    values, y = plain_array(values, "values"), plain_array(y, "y")  # SciPy knows one byte order only
    m, width = values.shape
    # the stored rows of the matrix are the stored columns of its transpose
    starts = np.arange(0, m * width + 1, width)
    entries = (np.ascontiguousarray(values).reshape(-1), np.ascontiguousarray(indices).reshape(-1), starts)
    transposed = scipy.sparse.csc_array(entries, shape=(size, m))
    columns = y.shape[-1]
    out = np.empty((*y.shape[:-2], size, columns), np.result_type(values, y))
    slabs = [slice(i, min(i + _SLAB, columns)) for i in range(0, columns, _SLAB)]

    def work(place: tuple[tuple[int, ...], slice]) -> None:
        batch, slab = place
        block: Any = transposed @ np.ascontiguousarray(y[batch][:, slab])
        out[batch][:, slab] = block

    parallel_map(work, [(batch, slab) for batch in np.ndindex(*y.shape[:-2]) for slab in slabs], like=values)
    return out


def exp_in_place(x: Array) -> Array:
    """Return exp(x), overwriting ``x`` where the library can."""
    if array_api_compat.is_numpy_array(x) or array_api_compat.is_cupy_array(x):
        return array_namespace(x).exp(x, out=x)
    if array_api_compat.is_torch_array(x):
        return x.exp_()
    return array_namespace(x).exp(x)


def prefers_host_tiles(x: Array) -> bool:
    """Return whether work on ``x`` is best cut into tiles of one head each, which threads of the host share."""
    return bool(array_api_compat.is_numpy_array(x))


# --- for reports -------------------------------------------------------------------------------------------------


def library_info() -> dict[str, str]:
    """Return names and versions of the libraries, BLAS and devices in use, for bug reports and results."""
    info = {"python": platform.python_version(), "platform": platform.platform(), "threads": str(host_threads())}
    for name in ("numpy", "scipy", "array-api-compat", "array-api-extra", "opt-einsum", "threadpoolctl", "tensorly"):
        info[name] = _version(name)
    blas = [lib for lib in blas_info() if lib["user_api"] == "blas"]
    info["blas"] = (
        "; ".join(f"{b['internal_api']} {b['version']}, {b['num_threads']} threads" for b in blas) or "unknown"
    )
    info["torch"] = _version("torch")
    torch, cupy = sys.modules.get("torch"), sys.modules.get("cupy")
    if torch is not None:
        cuda = torch.cuda.is_available()
        info["torch device"] = torch.cuda.get_device_name() if cuda else f"cpu, {torch.get_num_threads()} threads"
    info["cupy"] = str(cupy.__version__) if cupy is not None else _version("cupy-cuda13x", "cupy-cuda12x", "cupy")
    if cupy is not None:
        info["cupy device"] = "none"
        if cupy.is_available():
            info["cupy device"] = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    return info


def _version(*distributions: str) -> str:
    for name in distributions:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    return "not installed"


def _kind(x: Any) -> str:
    return f"{type(x).__module__}.{type(x).__qualname__}".removeprefix("builtins.")


def _is_strict(xp: Any) -> bool:
    return str(operator.attrgetter("__name__")(xp)) == "array_api_strict"
