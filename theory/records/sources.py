"""Provenance of a trial: hashes of the code that computes it, and the versions of the libraries below."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import platform
import sys
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import scipy.linalg  # noqa: F401  its own BLAS is loaded, so the list does not depend on what ran before

from tnattn.arrays.threads import blas_kernels
from tnattn.source_files import fingerprint

__all__ = ["environment", "is_foreign", "package_hash", "source_hash"]

# both packages lie in one folder, installed or not; a module that imported its own package would close a circle
ROOT = Path(__file__).parents[2]
LIBRARIES = ("numpy", "scipy", "array-api-compat", "array-api-extra", "opt-einsum")
DEVICE_LIBRARIES = ("cupy-cuda12x", "cupy-cuda13x", "cupy")


@cache
def package_hash() -> str:
    """Return the SHA-256 of all sources of ``tnattn`` and ``theory``, read once per process.

    Notes
    -----
    A version string stays the same while somebody works on the package; the text does not. About 20 ms.
    """
    digest = hashlib.sha256()
    for package in (ROOT / "tnattn", ROOT / "theory"):
        for path in sorted(package.rglob("*.py")):
            # the place of a file belongs to the text: moving code changes imports
            digest.update(f"{path.relative_to(ROOT).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def source_hash(*objects: Any) -> str:
    """Return the SHA-256 of the code outside the two packages that defines modules, functions, classes or objects.

    Base classes count, the objects in the fields of a dataclass, and every file that theirs import, see
    `tnattn.source_files.fingerprint`; the two packages and the standard library do not. The order of the arguments is
    irrelevant, and so is the folder in which a user's file lies.

    Raises
    ------
    ValueError
        If a source text cannot be found, as for code typed at a prompt.
    """
    marks = set()
    for name in set().union(*(_modules_of(item) for item in objects)):
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is None:
            raise ValueError(f"no source text for module {name!r}; put the definition in a file and import it")
        path = Path(file)
        # a user's file is imported under a name that is made of its path
        marks.add(fingerprint(path, name if _matches(path, name) else path.stem))
    return hashlib.sha256("\0".join(sorted(marks)).encode()).hexdigest()


def is_foreign(method: Any) -> bool:
    """Return True if code outside the two packages takes part in a method, such as a user's file inside a wrapper."""
    return bool(_modules_of(method))


def _matches(path: Path, name: str) -> bool:
    """Return True if a module's dotted name is that of its place in a folder."""
    parts = name.split(".")
    place = path.parent if path.name == "__init__.py" else path.with_suffix("")
    return list(place.parts[-len(parts) :]) == parts


def _modules_of(value: Any) -> set[str]:
    """Return the names of the modules that define a module, function, class or (dataclass) object."""
    if isinstance(value, ModuleType):
        return _foreign({value.__name__})
    if inspect.isfunction(value):
        return _foreign({value.__module__})
    # base classes take part in the computation as well
    kind = value if isinstance(value, type) else type(value)
    modules = {base.__module__ for base in kind.__mro__}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # the inner method of a wrapper decides the result as much as the wrapper
        for field in dataclasses.fields(value):
            modules |= _modules_of(getattr(value, field.name))
    if isinstance(value, (list, tuple)):
        for item in value:
            modules |= _modules_of(item)
    return _foreign(modules)


def _foreign(modules: set[str]) -> set[str]:
    known = {"tnattn", "theory", "numpy", *sys.stdlib_module_names}  # hashed as packages, or named by their version
    return {name for name in modules if name.partition(".")[0] not in known or name == "__main__"}


@cache
def environment(device: str = "cpu") -> dict[str, Any]:
    """Return the versions on which the digits of a result depend: Python, libraries, BLAS and its kernels.

    Parameters
    ----------
    device : "cpu" or "cuda"
        On a device its library, name and driver count too.
    """
    found: dict[str, Any] = {"python": ".".join(platform.python_version_tuple()[:2]), "machine": platform.machine()}
    found |= _versions(LIBRARIES) | {"blas": blas_kernels()}
    if device == "cuda":
        found |= _versions(DEVICE_LIBRARIES) | {"device": _device()}
    return found


def _versions(names: Sequence[str]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _device() -> str | None:
    cupy: Any = sys.modules.get("cupy")
    if cupy is None:
        return None
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    return f"{properties['name'].decode()} {properties['major']}.{properties['minor']}"
