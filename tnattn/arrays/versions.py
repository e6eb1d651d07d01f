"""Versions of the array libraries, the BLAS and the devices in use, for bug reports and results."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import sys

from tnattn.arrays.threads import blas_info, host_threads


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
    # devices are named only of libraries that the caller has imported; nothing is imported for a report
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
    """Return the version of the first of some distributions that is installed; CuPy has one for each CUDA."""
    for name in distributions:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    return "not installed"
