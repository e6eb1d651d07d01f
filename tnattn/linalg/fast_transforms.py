"""Fast orthonormal transforms of the last axis, on every array library."""

from typing import Any

import array_api_compat
import numpy as np
import scipy.fft
import scipy.linalg

from tnattn.arrays import Array, array_namespace, eps, from_host, widened


def cosine_transform(x: Array, *, inverse: bool = False) -> Array:
    """Return the orthonormal cosine transform (DCT-II, or its inverse) of the last axis of (..., n), real floating.

    Notes
    -----
    O(n log n) for every n. SciPy's transform on the host; elsewhere through one Fourier transform of length n of the
    even entries followed by the odd ones backwards (Makhoul 1980).
    """
    if array_api_compat.is_numpy_array(x):
        transform = scipy.fft.idct if inverse else scipy.fft.dct
        return transform(x, type=2, norm="ortho", axis=-1)
    if 0 in x.shape:  # Fourier transforms of nothing are refused by some libraries
        return x
    xp = array_namespace(x)
    wide = widened(x)
    moved = _inverse_cosine(xp, wide) if inverse else _cosine(xp, wide)
    return xp.astype(moved, x.dtype, copy=False)


def _twiddles(xp: Any, x: Array) -> tuple[Array, Array]:
    """Return exp(-i pi k / 2n) and the lengths of the plain cosines, both (n,)."""
    n = x.shape[-1]
    k = np.arange(n)
    lengths = np.where(k == 0, 2 * n**0.5, (2 * n) ** 0.5)
    angle = from_host(-np.pi * k / (2 * n), like=x)
    imaginary = xp.astype(1j * angle, xp.complex64 if eps(x) > 1e-10 else xp.complex128, copy=False)
    return xp.exp(imaginary), from_host(lengths, like=x)


def _cosine(xp: Any, x: Array) -> Array:
    """Return the DCT-II from one Fourier transform of length n (Makhoul 1980)."""
    n = x.shape[-1]
    twiddles, lengths = _twiddles(xp, x)
    ordered = xp.concat([x[..., 0::2], xp.flip(x[..., 1::2], axis=-1)], axis=-1)
    half = xp.fft.rfft(ordered, axis=-1)
    # the other half of the spectrum of a real vector is its mirrored conjugate
    spectrum = xp.concat([half, xp.conj(xp.flip(half[..., 1 : (n + 1) // 2], axis=-1))], axis=-1)
    return 2 * xp.real(spectrum * twiddles) / lengths


def _inverse_cosine(xp: Any, x: Array) -> Array:
    """Return the inverse of :func:`_cosine`: its steps undone in reverse order."""
    n = x.shape[-1]
    twiddles, lengths = _twiddles(xp, x)
    plain = x * lengths
    mirrored = xp.concat([xp.zeros_like(plain[..., :1]), xp.flip(plain[..., 1:], axis=-1)], axis=-1)
    spectrum = 0.5 * (xp.astype(plain, twiddles.dtype) - 1j * xp.astype(mirrored, twiddles.dtype)) * xp.conj(twiddles)
    ordered = xp.fft.irfft(spectrum[..., : n // 2 + 1], n=n, axis=-1)
    middle = (n + 1) // 2
    even, odd = ordered[..., :middle], xp.flip(ordered[..., middle:], axis=-1)
    if n % 2:  # one even entry more: pad to interleave, and cut at the end
        odd = xp.concat([odd, xp.zeros_like(even[..., :1])], axis=-1)
    return xp.reshape(xp.stack([even, odd], axis=-1), (*x.shape[:-1], 2 * middle))[..., :n]


def hadamard_transform(x: Array) -> Array:
    """Return the orthonormal Walsh-Hadamard transform of the last axis of (..., n), n a power of two; its own inverse.

    Notes
    -----
    O(n log n) up to the radix: the transform of length n is a Kronecker product, whose factors of length up to 32 are
    applied as matrix products, so that memory is passed over log n / 5 times instead of log n.

    Raises
    ------
    ValueError
        If n is no power of two.
    """
    xp = array_namespace(x)
    n = int(x.shape[-1])
    if n < 1 or n & (n - 1):
        raise ValueError(f"x has a last axis of length {n}; a power of two is needed, pad it with zeros")
    rest, after, y = n, 1, xp.reshape(x, (-1, n))
    while rest > 1:
        radix = min(rest, 32)
        rest //= radix
        # H_n = H_radix (x) ... (x) H_radix: one factor of the Kronecker product at a time, the last index first
        factor = from_host(scipy.linalg.hadamard(radix) * radix**-0.5, like=x, dtype=x.dtype)
        if after == 1:
            y = xp.reshape(xp.reshape(y, (-1, radix)) @ factor, (-1, n))
        else:
            y = xp.reshape(factor @ xp.reshape(y, (-1, radix, after)), (-1, n))
        after *= radix
    return xp.reshape(y, x.shape)
