"""Names of trials: portable JSON, the hash of a specification, its random generator, the hash of arrays."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tnattn.discovery import USER

__all__ = ["content_hash", "decode", "encode", "generator", "trial_key"]

# a mapping with this single name stands for a number that JSON lacks
FLOAT_TAG = "$float"


def _portable(value: Any) -> Any:
    """Return ``value`` in the types of JSON; numbers that JSON lacks become ``{"$float": "nan" | "inf" | "-inf"}``."""
    if value is None or isinstance(value, (bool, str)):
        return str.__str__(value) if isinstance(value, str) else value  # an enumeration of strings becomes its text
    # before int and float: NumPy's float64 is a float, its bool none
    if isinstance(value, (np.generic, np.ndarray)):
        return _portable(value.tolist())
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {FLOAT_TAG: str(float(value))}
    if isinstance(value, Mapping):
        names = list(value)
        if not all(isinstance(name, str) for name in names) or FLOAT_TAG in names:
            raise TypeError(f"mapping has keys {names}; they must be strings other than {FLOAT_TAG!r}")
        return {str(name): _portable(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        # tuples and lists are one kind in JSON
        return [_portable(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        # the class is part of the value: two methods may have the same fields
        return {"class": _name(type(value)), **_portable(fields)}
    raise TypeError(
        f"{value!r} of type {type(value).__name__} has no portable form; "
        "pass numbers, text, None, lists, mappings, NumPy values or dataclasses of these"
    )


def _name(kind: type) -> str:
    """Return the dotted name of a class; a user's file counts by its own name, wherever it lies."""
    module = kind.__module__
    if module.startswith(USER):
        module = Path(str(getattr(sys.modules.get(module), "__file__", module))).stem
    return f"{module}.{kind.__qualname__}"


def encode(value: Any) -> str:
    """Return the canonical JSON of a value: sorted names, no spaces, ASCII, shortest exact decimal of every float.

    A dataclass becomes its class and fields, an array a nested list, an enumeration of strings its text. The result
    is valid JSON everywhere; NaN and infinities are tagged objects, which ``decode`` restores.
    """
    return json.dumps(_portable(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _untag(mapping: dict[str, Any]) -> Any:
    return float(mapping[FLOAT_TAG]) if mapping.keys() == {FLOAT_TAG} else mapping


def decode(text: str) -> Any:
    """Return the value of a JSON text, with tagged NaN and infinities restored; ValueError if it is not JSON."""
    return json.loads(text, object_hook=_untag)


def trial_key(spec: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a specification's canonical JSON, as 64 hexadecimal digits.

    Parameters
    ----------
    spec : mapping
        For the key of a row everything that the result depends on: method, problem content, sources, versions
        (`theory.records.sources`). For the samples of a trial the method and the number of the trial, and nothing
        else. 1 and 1.0 are different specifications.
    """
    return hashlib.sha256(encode(spec).encode("ascii")).hexdigest()


def generator(seed: int, key: str) -> np.random.Generator:
    """Return the trial's generator, ``default_rng([seed, *words of the key])``.

    It depends on nothing but the study's seed and the key: not on order, worker or interruption.

    Parameters
    ----------
    seed : int
        Non-negative, of the study.
    key : str
        64 hexadecimal digits from ``trial_key``: those of the method and the trial, not of the row, so that neither
        an edit of a source nor another dtype of the same data changes the samples.
    """
    if seed < 0:
        raise ValueError(f"seed is {seed}; pass a non-negative integer")
    try:
        digest = bytes.fromhex(key)
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise ValueError(f"key is {key!r}; expected the 64 hexadecimal digits of trial_key")
    # SeedSequence takes 32-bit words
    words = [int.from_bytes(digest[i : i + 4], "big") for i in range(0, 32, 4)]
    return np.random.default_rng([seed, *words])


def content_hash(*arrays: ArrayLike) -> str:
    """Return the SHA-256 of the dtype, shape and little-endian bytes of host arrays.

    Cost O(bytes). Layout in memory is irrelevant; 0.0 and -0.0 differ.
    """
    digest = hashlib.sha256()
    for item in arrays:
        array = np.asarray(item)
        if array.dtype.hasobject:
            raise TypeError(f"array has dtype {array.dtype}; pass numbers")
        # the same bytes on machines of either byte order
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes(order="C"))
    return digest.hexdigest()
