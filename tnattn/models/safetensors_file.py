"""Reading and writing safetensors files with NumPy alone: a memory map behind a checked header."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SafetensorsFile", "TensorEntry", "open_safetensors", "require_readable", "write_safetensors"]

# The format is little-endian. BF16 is read as the upper half of a float32, see `SafetensorsFile.__getitem__`.
DTYPES = {
    "BOOL": "|b1",
    "U8": "|u1",
    "I8": "|i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "BF16": "<u2",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
}
# without BF16, which is read but not written: NumPy has no dtype for it
NAMES = {np.dtype(code): name for name, code in DTYPES.items() if name != "BF16"}


@dataclass(frozen=True)
class TensorEntry:
    """Place of one tensor in a file: its dtype by the format's name, its shape, and its bytes in the file.

    Examples
    --------
    >>> from tnattn.models.safetensors_file import TensorEntry
    >>> entry = TensorEntry("F32", (2, 3), start=72, stop=96)
    >>> entry.stop - entry.start  # six numbers of four bytes
    24
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class SafetensorsFile(Mapping[str, npt.NDArray[Any]]):
    """A safetensors file as a mapping from names to arrays, each read when it is asked for.

    Attributes
    ----------
    path : Path
    entries : mapping of str to TensorEntry
        The header, checked by `open_safetensors`.
    metadata : mapping of str to str
        The free-form strings of the header.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from tnattn.models import open_safetensors, write_safetensors
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name) / "heads.safetensors"
    >>> write_safetensors(path, {"q": np.ones((2, 3), np.float16)}, {"model": "example"})
    >>> file = open_safetensors(path)
    >>> list(file), file["q"].dtype, file.entries["q"].dtype, file.metadata
    (['q'], dtype('float32'), 'F16', {'model': 'example'})
    >>> folder.cleanup()
    """

    path: Path
    entries: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Return one tensor, read-only: F16 and BF16 widened exactly to float32, all else as a view of the file.

        Raises
        ------
        KeyError
            If there is no tensor of that name.
        ValueError
            If its dtype is not one NumPy can hold (FP8 and narrower).
        """
        entry = self.entries[name]
        if entry.dtype not in DTYPES:
            raise ValueError(
                f"{self.path}: tensor {name!r} is stored as {entry.dtype}, which NumPy cannot hold; "
                f"convert it to one of {', '.join(DTYPES)}"
            )
        dtype = np.dtype(DTYPES[entry.dtype])
        if entry.start == entry.stop:  # a memory map may not be empty
            return np.empty(entry.shape, dtype=np.float32 if entry.dtype in ("F16", "BF16") else dtype)
        stored = np.memmap(self.path, dtype=dtype, mode="r", offset=entry.start, shape=entry.shape)
        if entry.dtype == "BOOL" and np.any(np.asarray(stored).view(np.uint8) > 1):
            raise ValueError(f"{self.path}: tensor {name!r} is stored as BOOL and holds bytes other than 0 and 1")
        if entry.dtype == "F16":
            return np.asarray(stored).astype(np.float32)
        if entry.dtype == "BF16":  # the upper half of a float32
            return (np.asarray(stored).astype(np.uint32) << 16).view(np.float32)
        return np.asarray(stored)

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


def open_safetensors(path: str | Path) -> SafetensorsFile:
    """Open a safetensors file: read and check its header, and none of its tensors.

    Parameters
    ----------
    path : str or Path
        A local file.

    Returns
    -------
    SafetensorsFile

    Raises
    ------
    ValueError
        If there is no such file, or it is not in the format or is cut short; names the file and what is wrong.

    Notes
    -----
    The format is an eight-byte little-endian header length, a JSON header, and one buffer that the tensors fill
    without holes; all three are checked. Not checked: the numbers.
    """
    path = Path(path)
    require_readable(path)
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > size - 8:  # before the header is read: a false length may exceed the memory
            raise ValueError(
                f"{path} is not a safetensors file or is cut short: it has {size} bytes, too few for "
                f"the header of {length} bytes that it announces"
            )
        text = stream.read(length)
    try:
        header = json.loads(text, object_pairs_hook=lambda pairs: _object(path, pairs))
    except _Repeated:  # a ValueError too, with a message of its own
        raise
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a safetensors file: its header is not JSON ({error})") from error
    if not isinstance(header, dict):
        raise ValueError(
            f"{path} is not a safetensors file: its header is a JSON {type(header).__name__}, not an object"
        )
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise ValueError(f"{path}: __metadata__ in the header is a {type(metadata).__name__}, not an object of strings")
    entries = {name: _entry(path, name, fields, 8 + length) for name, fields in header.items()}
    _check_coverage(path, entries, 8 + length, size)
    return SafetensorsFile(path, entries, {str(key): str(value) for key, value in metadata.items()})


def write_safetensors(
    path: str | Path, tensors: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays to a safetensors file; the same arrays give the same bytes.

    Parameters
    ----------
    path : str or Path
        Overwritten where it exists.
    tensors : mapping of str to ndarray
        Boolean, integer of up to eight bytes, float16, float32 or float64; any memory order.
    metadata : mapping of str to str, optional
        Free-form strings for the header.

    Raises
    ------
    TypeError
        If an array has another dtype, or is a masked array that hides entries.
    """
    arrays = {name: _plain(name, tensor) for name, tensor in tensors.items()}
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    start = 0
    for name, array in arrays.items():
        dtype = array.dtype.newbyteorder("<")
        if dtype not in NAMES:
            raise TypeError(f"tensor {name!r} has dtype {array.dtype}, which safetensors cannot hold; cast it first")
        header[name] = {
            "dtype": NAMES[dtype],
            "shape": list(array.shape),
            "data_offsets": [start, start + array.nbytes],
        }
        start += array.nbytes
    # compact, then padded with blanks, which the format allows after the header
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the buffer, hence every float64, is aligned
    with Path(path).open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little"))
        stream.write(text)
        for array in arrays.values():
            stream.write(array.astype(array.dtype.newbyteorder("<")).tobytes())


def _plain(name: str, tensor: Any) -> npt.NDArray[Any]:
    if isinstance(tensor, np.ma.MaskedArray) and np.ma.is_masked(tensor):
        raise TypeError(f"tensor {name!r} is a masked array, whose hidden entries no file can hold; fill them first")
    return np.asarray(tensor)


def require_readable(path: Path) -> None:
    """Raise ValueError unless a path is that of a file with permission to read it."""
    if not path.exists():
        raise ValueError(f"{path} does not exist; check the path")
    if not path.is_file():
        raise ValueError(f"{path} is not a file; pass the path of a file")
    try:
        path.open("rb").close()
    except OSError as error:
        raise ValueError(f"{path} cannot be opened: {error.strerror}") from error


class _Repeated(ValueError):
    """A name that occurs twice in one object of the header."""


def _object(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of the header; the JSON reader alone would silently keep the last of two equal names."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise _Repeated(f"{path}: the header names {', '.join(map(repr, twice))} twice; write every tensor once")
    return found


def _entry(path: Path, name: str, fields: Any, offset: int) -> TensorEntry:
    """Return one checked line of the header, its bytes counted from the start of the file."""
    try:
        dtype, shape, (start, stop) = fields["dtype"], tuple(fields["shape"]), fields["data_offsets"]
        numbers = (*shape, start, stop)
        # the type itself: JSON's true and false are Python integers
        if not isinstance(dtype, str) or any(type(number) is not int or number < 0 for number in numbers):
            raise ValueError
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path}: the header's entry for tensor {name!r} is malformed; "
            "it needs dtype, shape and data_offsets with non-negative integers"
        ) from error
    if dtype in DTYPES and stop - start != math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize:
        raise ValueError(
            f"{path}: tensor {name!r} of shape {shape} and dtype {dtype} cannot fill the {stop - start} bytes "
            "that the header gives it"
        )
    return TensorEntry(dtype, shape, offset + start, offset + stop)


def _check_coverage(path: Path, entries: Mapping[str, TensorEntry], start: int, size: int) -> None:
    """Raise ValueError if tensors overlap, leave holes, or do not end where the file ends."""
    end = start  # the format allows no holes: each tensor begins where the one before ends
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.start != end or entry.stop < entry.start:
            raise ValueError(f"{path}: tensor {name!r} begins at byte {entry.start}, but the one before ends at {end}")
        end = entry.stop
    if end != size:
        what = "is cut short" if size < end else "has bytes after its last tensor"
        raise ValueError(f"{path} {what}: its header announces {end} bytes and the file has {size}")
