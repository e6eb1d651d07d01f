"""Manifest of a study: versions, BLAS, threads, machine, device, commit. No path of the machine is recorded."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl

from theory.records.keys import decode, encode, trial_key

__all__ = ["finished", "manifest", "write_manifest"]

STACK = (
    "tnattn",
    "numpy",
    "scipy",
    "array-api-compat",
    "array-api-extra",
    "opt-einsum",
    "threadpoolctl",
    "tensorly",
    "torch",
    "transformers",
    "cupy-cuda12x",
    "cupy-cuda13x",
    "distributed",
    "pandas",
    "pyarrow",
)


def manifest(command: Sequence[str], spec: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Describe a run that starts now.

    Parameters
    ----------
    command : sequence of str
        As typed; absolute paths are shortened to their last part.
    spec : mapping
        Specification of the study; its hash is recorded too.
    seed : int
        Of the study.

    Returns
    -------
    dict
        Values of JSON. About 0.1 s; imports nothing: devices are listed if their library is already loaded.
    """
    return {
        "run": uuid.uuid4().hex,
        "started": _now(),
        "command": [_without_folder(word) for word in command],
        "spec": decode(encode(spec)),
        "spec_hash": trial_key(spec),
        "seed": int(seed),
        "python": platform.python_version(),
        "packages": _versions(),
        "blas": _blas(),
        "machine": {
            "cpu": _cpu_model(),
            "cores": os.cpu_count(),
            "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "architecture": platform.machine(),
            "system": f"{platform.system()} {platform.release()}",
        },
        "devices": _devices(),
        "source": _commit(),
    }


def finished(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry with the time at which the run ended, now."""
    return {**entry, "finished": _now()}


def write_manifest(directory: str | os.PathLike[str], entry: Mapping[str, Any]) -> Path:
    """Add a run to ``manifest.json`` in a folder, beside the runs that are there.

    Parameters
    ----------
    directory : path-like
        Created if missing.
    entry : mapping
        From ``manifest``. An entry of the same run (by its ``"run"``) is replaced, so that an end can be recorded.

    Returns
    -------
    Path
        Of the file, which is replaced as a whole or not at all.

    Raises
    ------
    ValueError
        If the file there is no manifest; it is left as it is.
    """
    path = Path(directory) / "manifest.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    runs = [run for run in _runs(path) if run.get("run") != entry["run"]]
    text = json.dumps({"runs": [*runs, json.loads(encode(entry))]}, indent=2)
    # written beside and renamed, so that an interruption leaves the old file whole
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(text + "\n", encoding="utf-8")
    os.replace(scratch, path)
    return path


def _runs(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        runs = json.loads(path.read_text(encoding="utf-8"))["runs"]
        if all(isinstance(run, dict) for run in runs):
            return list(runs)
    except (ValueError, KeyError, TypeError):
        pass
    raise ValueError(f"{path.name} holds no list of runs; move it away or choose another folder")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _without_folder(word: str) -> str:
    # a path names folders of the user's machine, which do not belong into a shared manifest
    option, equals, value = word.partition("=")
    if equals and os.path.isabs(value):
        return f"{option}={Path(value).name}"
    return Path(word).name if os.path.isabs(word) else word


def _versions() -> dict[str, str]:
    found = {}
    for name in STACK:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _blas() -> list[dict[str, Any]]:
    kept = ("user_api", "internal_api", "version", "num_threads", "threading_layer", "architecture")
    loaded = [{name: pool[name] for name in kept if pool.get(name)} for pool in threadpoolctl.threadpool_info()]
    if loaded:
        return loaded
    built: Any = np.show_config(mode="dicts")  # for a library that threadpoolctl does not know
    blas = (built or {}).get("Build Dependencies", {}).get("blas", {})
    return [{"internal_api": blas.get("name"), "version": blas.get("version")}]


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _devices() -> list[dict[str, Any]]:
    devices: list[dict[str, Any]] = []
    # imported libraries only: an import to look for devices would take seconds
    torch, cupy = sys.modules.get("torch"), sys.modules.get("cupy")
    if torch is not None and torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            capability = f"{properties.major}.{properties.minor}"
            devices.append(
                {"library": "torch", "name": properties.name, "capability": capability, "cuda": torch.version.cuda}
            )
    if cupy is not None:
        runtime = cupy.cuda.runtime
        try:
            count = runtime.getDeviceCount()
        except runtime.CUDARuntimeError:
            return devices
        for index in range(count):
            properties = runtime.getDeviceProperties(index)
            capability = f"{properties['major']}.{properties['minor']}"
            name = properties["name"].decode()
            devices.append(
                {"library": "cupy", "name": name, "capability": capability, "driver": runtime.driverGetVersion()}
            )
    return devices


def _git(*arguments: str) -> str | None:
    """Return the output of git about the folder of this file, None where there is no git or no checkout."""
    here = Path(__file__).resolve().parent
    # status must not write the index of a checkout that somebody works in
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=here, env=environment, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _commit() -> dict[str, Any] | None:
    # an installed copy may lie inside the checkout of something else, whose commit would mean nothing
    if _git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    commit = _git("rev-parse", "HEAD")
    return None if commit is None else {"commit": commit, "dirty": bool(_git("status", "--porcelain", "-uno"))}
