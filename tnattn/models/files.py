"""Reading and writing of queries, keys and values in ``.npz`` and ``.safetensors`` files, with validation."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tnattn.arrays import Array, to_host
from tnattn.models.qkv import QKV
from tnattn.models.safetensors_file import open_safetensors, require_readable, write_safetensors

__all__ = ["load_output", "load_qkv", "save_qkv"]

# names under which frameworks save the three arrays; a file may use one spelling of each
SPELLINGS = {"q": ("q", "Q", "query"), "k": ("k", "K", "key"), "v": ("v", "V", "value")}
OUTPUT = {"o": ("o", "O", "output")}
OPTIONAL = ("scale", "causal", "softcap", "mask")
# errors that NumPy and zipfile raise on damaged files
DAMAGED = (
    ValueError,
    EOFError,
    OSError,
    KeyError,
    MemoryError,
    OverflowError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def load_qkv(path: str | Path) -> QKV:
    """Return the queries, keys and values of a file, or raise an error that names the fault in one sentence.

    Parameters
    ----------
    path : str or Path
        An ``.npz`` archive or a ``.safetensors`` file with arrays ``q``, ``k`` and ``v`` (also spelled ``Q`` or
        ``query``, and so on) of shapes ``(n, d)``, ``(H, n, d)`` or ``(B, H, n, d)``, all three alike; ``k`` and
        ``v`` may have fewer heads than ``q``, by an integer factor. Optional: ``mask``, and the single numbers
        ``scale``, ``softcap`` and ``causal`` (a boolean).

    Returns
    -------
    QKV
        Arrays of shape ``(n, d)`` become one head. float16 and bfloat16 become float32, exactly.

    Raises
    ------
    ValueError
        If there is no such file, if it is damaged or of another format, if an array is missing or unknown, if shapes
        do not fit, or if a number is not finite.
    TypeError
        If the arrays are not floating point.

    Notes
    -----
    Nothing is unpickled. A name that means nothing here is refused, since it may be a misspelt option.
    """
    path = Path(path)
    require_readable(path)
    arrays = _read(path)
    try:
        return _assembled(arrays, path)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{path}: {error}") from error


def load_output(path: str | Path) -> tuple[QKV, npt.NDArray[np.floating[Any]]]:
    """Return queries, keys and values of a file, and the output of their attention as some code has computed it.

    Parameters
    ----------
    path : str or Path
        As for `load_qkv`, with one more array ``o`` (also spelled ``O`` or ``output``) of the shape of the queries,
        with the width of the values.

    Returns
    -------
    QKV
    ndarray, (H, n_q, d_v) or (B, H, n_q, d_v), floating
        Entries that are not finite are kept: they are errors of the code, not of the file.

    Raises
    ------
    ValueError, TypeError
        As for `load_qkv`, or if the output is missing or does not fit.
    """
    path = Path(path)
    require_readable(path)
    arrays = _read(path, {**SPELLINGS, **OUTPUT})
    output = np.asarray(arrays.pop("o"))
    try:
        qkv = _assembled(arrays, path)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{path}: {error}") from error
    if output.dtype.kind != "f":
        raise TypeError(f"{path}: o has dtype {output.dtype}; it must hold real floating-point numbers")
    output = output[None] if output.ndim == 2 else output
    expected = (*qkv.q.shape[:-1], qkv.v.shape[-1])
    if output.shape != expected:
        raise ValueError(f"{path}: o has shape {output.shape}; attention to these q, k and v has {expected}")
    return qkv, output


def save_qkv(
    path: str | Path,
    q: Array,
    k: Array,
    v: Array,
    *,
    scale: float | None = None,
    causal: bool = False,
    softcap: float | None = None,
    mask: Array | None = None,
) -> None:
    """Write queries, keys and values to a file that `load_qkv` reads; the suffix of the path chooses the format.

    Parameters
    ----------
    path : str or Path
        Ends in ``.npz`` or ``.safetensors``; overwritten where it exists.
    q, k, v : Array, (n, d), (H, n, d) or (B, H, n, d), floating
        Of any library and device; stored in their own dtype, bfloat16 as float32.
    scale, causal, softcap, mask
        As in `QKV`; written only where they differ from the default.

    Raises
    ------
    ValueError, TypeError
        Whatever `load_qkv` would refuse is refused before anything is written.
    """
    path = Path(path)
    _check_suffix(path)
    arrays: dict[str, Any] = {name: _host(array) for name, array in (("q", q), ("k", k), ("v", v))}
    options = {
        "scale": scale,
        "softcap": softcap,
        "mask": None if mask is None else _host(mask),
        "causal": True if causal else None,
    }
    # defaults are left out: files of plain problems hold three arrays and nothing else
    arrays |= {name: np.asanyarray(value) for name, value in options.items() if value is not None}
    _assembled(arrays, path)  # raises before the file is touched
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        write_safetensors(path, arrays)


def _check_suffix(path: Path) -> None:
    if path.suffix not in (".npz", ".safetensors"):
        raise ValueError(f"{path} ends in {path.suffix or 'no suffix'!r}; the suffix must be .npz or .safetensors")


def _read(path: Path, wanted: Mapping[str, tuple[str, ...]] = SPELLINGS) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a file of either format under their standard names; of a safetensors file, lazily."""
    _check_suffix(path)
    if path.suffix == ".safetensors":
        tensors = open_safetensors(path)
        return {name: tensors[stored] for name, stored in _standard_names(path, tensors, wanted).items()}
    try:
        archive = np.load(path, allow_pickle=False)  # a pickle can run any code
    except DAMAGED as error:
        raise ValueError(f"{path} is not an .npz archive or is cut short; write it with numpy.savez") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ValueError(f"{path} holds one unnamed array, not an archive; write q, k and v together with numpy.savez")
    arrays: dict[str, npt.NDArray[Any]] = {}
    with archive:
        for name, stored in _standard_names(path, archive.files, wanted).items():
            try:
                arrays[name] = archive[stored]
            except DAMAGED as error:
                reason = " ".join(str(error).split())  # NumPy's message may have several lines
                what = "holds Python objects" if reason.startswith("Object arrays") else f"cannot be read ({reason})"
                raise ValueError(f"{path}: array {stored!r} {what}; store plain floating-point arrays") from error
            if not isinstance(arrays[name], np.ndarray):
                raise ValueError(f"{path}: entry {stored!r} is not an array; write the file with numpy.savez")
    return arrays


def _standard_names(path: Path, stored: Iterable[str], wanted: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return the stored name of each of the wanted arrays and the options; refuse missing, double and unknown names."""
    # a zip archive may hold a name twice, of which NumPy would read the last
    found = sorted(stored)
    if twice := sorted({name for name in found if found.count(name) > 1}):
        raise ValueError(f"{path} holds {' and '.join(twice)} twice; write every array once")
    names: dict[str, str] = {}
    for name, spellings in {**wanted, **{option: (option,) for option in OPTIONAL}}.items():
        matches = [spelling for spelling in spellings if spelling in found]
        if len(matches) > 1:  # which of them is meant cannot be known
            raise ValueError(f"{path} holds {' and '.join(matches)}, which mean the same; keep one of them")
        if matches:
            names[name] = matches[0]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ValueError(
            f"{path} has no array {' or '.join(missing)}; found: {_listed(found)}; expected "
            f"{', '.join(wanted)} (or {'; or '.join(', '.join(x[i] for x in wanted.values()) for i in (1, 2))})"
        )
    unknown = [name for name in found if name not in names.values()]
    if unknown:
        raise ValueError(
            f"{path} has arrays of unknown meaning: {_listed(unknown)}; remove them, beside "
            f"{', '.join(wanted)} only {', '.join(OPTIONAL)} are read"
        )
    return names


def _listed(names: list[str]) -> str:
    """Return a few names in words."""
    return (", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")) or "nothing"


def _host(array: Array) -> Any:
    """Return a host array; a masked array stays one, so that the entries that it hides are refused."""
    return array if isinstance(array, np.ma.MaskedArray) else to_host(array)


def _assembled(arrays: Mapping[str, npt.NDArray[Any]], path: Path) -> QKV:
    """Return the checked problem that a file's arrays describe."""
    q, k, v = (arrays[name] for name in SPELLINGS)
    if q.ndim == k.ndim == v.ndim == 2:
        q, k, v = q[None], k[None], v[None]  # one head, (1, n, d)
    return QKV(
        q,
        k,
        v,
        name=path.stem,
        source=str(path),
        causal=_switch("causal", arrays["causal"]) if "causal" in arrays else False,
        scale=_number("scale", arrays["scale"]) if "scale" in arrays else None,
        softcap=_number("softcap", arrays["softcap"]) if "softcap" in arrays else None,
        mask=arrays.get("mask"),
    )


def _number(name: str, array: npt.NDArray[Any]) -> float:
    """Return the real number that an array of one entry holds."""
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise ValueError(f"{name} has shape {array.shape} and dtype {array.dtype}; it must be one real number")
    return float(array.item())


def _switch(name: str, array: npt.NDArray[Any]) -> bool:
    """Return the truth value that an array of one entry holds; integers may be 0 or 1 only."""
    if array.size != 1 or array.dtype.kind not in "biu":
        raise ValueError(f"{name} has shape {array.shape} and dtype {array.dtype}; it must be one boolean")
    if array.item() not in (0, 1):
        raise ValueError(f"{name} is {array.item()}; it must be true or false, 1 or 0")
    return bool(array.item())
