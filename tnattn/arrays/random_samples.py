"""Random samples: normal and uniform numbers, signs, integers and choices, from a generator on the host or the device.

A NumPy generator samples in float64 on the host, so that a seed gives the same sample in every library and dtype.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import array_api_compat
import numpy as np

from tnattn.arrays.dtypes import accumulator_dtype, eps, require_floating
from tnattn.arrays.libraries import Array, Shape, array_namespace, device, type_name
from tnattn.arrays.transfers import from_host, to_host
from tnattn.scalars import Parameters, as_integer

_SORTED = 1 << 24  # values of which a device samples by sorting keys for all of them; the host needs no such memory


@dataclass(frozen=True)
class DeviceDraws(Parameters):
    """A source of random samples from the generator of the array library itself, on the device.

    Samples differ between libraries and devices; a NumPy generator, which samples on the host and moves the result
    once, gives the same ones everywhere. Libraries without a generator sample on the host. Like a generator, it
    advances with each sample.

    Parameters
    ----------
    seed : int
        Non-negative.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.arrays import DeviceDraws, signs
    >>> signs(DeviceDraws(0), (6,), like=np.zeros(1))
    array([ 1.,  1.,  1., -1., -1., -1.])
    >>> first, second = DeviceDraws(0).spawn(2)  # independent children
    >>> first == DeviceDraws(0).spawn(1)[0], first == second
    (True, False)
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
        # PyTorch takes seeds below 2^63
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
        # a number next to one rounds to one in a narrower dtype; 1 - eps / 2 is the largest below it
        below = 1 - eps(_floating_dtype(like, dtype)) / 2
        xp = array_namespace(drawn)
        return self._cast(like, dtype, xp.minimum(drawn, xp.full_like(drawn, below)))

    def _drawn(self, torch_name: str, cupy_name: str, generator: Any, shape: Shape, like: Array) -> Array:
        """Sample on the device, in float64 where it has it, so that the seed decides whatever the dtype."""
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

    def choice(self, n: int, size: int, *, replace: bool, like: Array) -> Array:
        """Return ``size`` of the integers 0, ..., n - 1, all equally likely, on a device; ``like`` is floating."""
        xp = array_namespace(like)
        if replace:
            return xp.astype(self.integers(0, n, (size,), like=like), xp.int64, copy=False)
        # the order of independent keys is a uniform permutation
        keys = self._drawn("rand", "random", self._generator(like)[1], (n,), like)
        return xp.astype(xp.argsort(keys)[:size], xp.int64, copy=False)

    def on_device(self, like: Array) -> bool:
        """Return true where the library of an array has a generator of its own."""
        return self._generator(like)[0] != "host"

    def _generator(self, like: Array) -> tuple[str, Any]:
        """Return the library's name and its generator for the device of an array, made on first use."""
        torch, cupy = array_api_compat.is_torch_array(like), array_api_compat.is_cupy_array(like)
        kind = "torch" if torch else "cupy" if cupy else "host"
        # one generator for each device: a generator of CUDA device 0 cannot sample on device 1
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
    """Return a source of random samples, or raise TypeError if it is none (a seed, or None)."""
    if isinstance(rng, (np.random.Generator, DeviceDraws)):
        return rng
    got = "" if rng is None else f" (got {type_name(rng)})"
    raise TypeError(f"{who} is randomized; pass rng=numpy.random.default_rng(seed){got}")


def require_host(rng: Any) -> np.random.Generator:
    """Return a NumPy generator, or raise TypeError if it is none."""
    if not isinstance(rng, np.random.Generator):
        require_rng(rng, "a random draw")
    generator: np.random.Generator = rng
    return generator


def seeded(seed: int) -> np.random.Generator:
    """Return a new generator on the host, for values that hold a seed because their draw is a part of them."""
    return np.random.default_rng(as_integer(seed, "seed", least=0))


def normal(rng: Rng, shape: Shape, *, like: Array, dtype: Any = None) -> Array:
    """Return independent standard normal numbers in the library, dtype and device of ``like``.

    Sampled in float64, then cast, so that a seed gives the same sample in every dtype; with a NumPy generator on the
    host, and moved once.
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
    # as on the device: rounding to a narrower dtype must not reach one
    return from_host(np.minimum(require_host(rng).random(tuple(shape)), 1 - eps(dtype) / 2), like=like, dtype=dtype)


def signs(rng: Rng, shape: Shape, *, like: Array) -> Array:
    """Return independent fair signs, plus or minus one, in the library, dtype and device of ``like``."""
    if isinstance(rng, DeviceDraws):
        return rng.signs(shape, like=like)
    drawn = require_host(rng).integers(0, 2, tuple(shape), dtype=np.int8)  # one byte per sign, an eighth of int64
    return from_host(2 * drawn - 1, like=like, dtype=_floating_dtype(like, None))


def integers(rng: Rng, low: int, high: int, shape: Shape, *, like: Array) -> Array:
    """Return independent integers (int64) uniform on low, ..., high - 1, in the library and device of ``like``."""
    if isinstance(rng, DeviceDraws):
        return rng.integers(low, high, shape, like=like)
    return from_host(require_host(rng).integers(low, high, tuple(shape), dtype=np.int64), like=like)


def multi_indices(rng: Rng, sizes: Sequence[int], shape: Shape, *, like: Array) -> Array:
    """Return independent indices (*shape, d), int64, the j-th uniform on 0, ..., sizes[j] - 1.

    The samples are those of ``integers`` for one size after the other; from the host they are moved once.
    """
    if isinstance(rng, DeviceDraws):
        return array_namespace(like).stack([rng.integers(0, n, shape, like=like) for n in sizes], axis=-1)
    host = require_host(rng)
    return from_host(np.stack([host.integers(0, n, tuple(shape), dtype=np.int64) for n in sizes], axis=-1), like=like)


def choice(rng: Rng, n: int, size: int, *, p: Array | None = None, replace: bool, like: Array) -> Array:
    """Return ``size`` of the integers 0, ..., n - 1, drawn with probabilities p, in the library of ``like``.

    Parameters
    ----------
    rng : numpy.random.Generator or DeviceDraws
        Weighted samples, and those from more than sixteen million values, are taken on the host in both cases.
    n, size : int
        ``size <= n`` without replacement.
    p : Array, (n,), optional
        Non-negative weights, normalised here; uniform if None.
    replace : bool
        True if a value may be drawn more than once.
    like : Array
        Of the library and device of the result.

    Returns
    -------
    Array, (size,), int64
    """
    host = rng._generators.setdefault("host", np.random.default_rng(rng.seed)) if isinstance(rng, DeviceDraws) else rng
    if not replace and size > n:
        raise ValueError(f"size {size} exceeds the {n} values to choose from; reduce size or pass replace=True")
    if isinstance(rng, DeviceDraws) and rng.on_device(like) and p is None and n <= _SORTED:
        return rng.choice(n, size, replace=replace, like=like)
    weights = None if p is None else _probabilities(p, n)
    if weights is not None and not replace and np.count_nonzero(weights) < size:
        raise ValueError(f"p has {np.count_nonzero(weights)} positive entries, fewer than size {size}; reduce size")
    drawn = require_host(host).choice(n, size=size, replace=replace, p=weights)
    return from_host(np.asarray(drawn, dtype=np.int64), like=like)


def _probabilities(p: Array, n: int) -> np.ndarray:
    """Return weights as probabilities in float64; NumPy refuses those whose sum is not one."""
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
    """Return the dtype asked for, or else the floating dtype of the model."""
    if dtype is not None:
        return dtype
    require_floating(like, "like")
    return like.dtype
