"""Test rings: the same tests on every array library, through one ``xp`` fixture.

``xp.asarray(host)`` makes an array of the ring; ``assert_close`` compares and checks library, device and dtype too. The
header of a run says which rings it can run and which it cannot, which BLAS kernels run, and whether ``python -O`` has
taken the assertions out of the packages; those of the tests stay, since pytest rewrites them into conditions.
"""

import contextlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import array_api_compat
import numpy as np
import pytest

from tnattn.arrays import device, dtype_name, to_host
from tnattn.arrays.threads import blas_kernels


def _load(name: str, path: str) -> ModuleType:
    """Load a module, or a package, that lies beside this file or below; the tests are no package."""
    if name not in sys.modules:
        file = Path(__file__).parent / path
        inside = [str(file.parent)] if file.name == "__init__.py" else None
        spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=inside)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


_load("fixtures", "fixtures/__init__.py")  # for ``from fixtures import rng`` in the tests


@dataclass(frozen=True)
class Ring:
    """An array library on one of its devices.

    ``dtype`` is the widest floating dtype there, the one that ``asarray`` gives to float64 data. ``transfers`` counts
    copies and waits on the stand-in for CuPy and is None elsewhere.
    """

    name: str
    namespace: Any
    device: Any
    dtype: str = "float64"
    transfers: Any = None

    def asarray(self, host: Any, dtype: str | None = None) -> Any:
        """Return host data as an array of the ring; float64 becomes float32 where the device has no float64."""
        host = np.asarray(host, dtype=dtype)
        if host.dtype == np.float64:
            host = host.astype(self.dtype)
        if self.name == "numpy":
            return host
        return self.namespace.asarray(host.copy(), device=self.device)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The floating dtypes to test."""
        return ("float32",) if self.dtype == "float32" else ("float32", "float64")

    def eps(self) -> float:
        """Return the rounding unit of the ring's default dtype."""
        return float(np.finfo(self.dtype).eps)


def _numpy() -> contextlib.AbstractContextManager[Ring]:
    return contextlib.nullcontext(Ring("numpy", array_api_compat.array_namespace(np.empty(0)), "cpu"))


def _strict(name: str, device_name: str, dtype: str) -> contextlib.AbstractContextManager[Ring]:
    import array_api_strict

    return contextlib.nullcontext(Ring(name, array_api_strict, array_api_strict.Device(device_name), dtype))


def _torch() -> contextlib.AbstractContextManager[Ring]:
    import torch

    namespace = array_api_compat.array_namespace(torch.empty(0))
    return contextlib.nullcontext(Ring("torch", namespace, torch.device("cpu")))


@contextlib.contextmanager
def _standin() -> Iterator[Ring]:
    standin = _load("cupy_standin", "rings/cupy_standin.py")
    with standin.installed() as cupy:
        namespace = array_api_compat.array_namespace(cupy.ndarray(0.0))
        standin.transfers.reset()
        yield Ring("cupy stand-in", namespace, cupy.cuda.Device(0), transfers=standin.transfers)


def _cupy() -> contextlib.AbstractContextManager[Ring]:
    import cupy

    return contextlib.nullcontext(Ring("cupy", array_api_compat.array_namespace(cupy.empty(0)), cupy.cuda.Device(0)))


def _missing(library: str) -> str:
    return "" if importlib.util.find_spec(library) else f"{library} is not installed"


def _cupy_missing() -> str:
    """Return the reason why CuPy cannot run; that it can be imported proves nothing."""
    if reason := _missing("cupy"):
        return reason
    try:
        import cupy

        return "" if cupy.is_available() else "CuPy finds no device"
    except Exception as error:
        return f"CuPy cannot be imported: {error}"


CUPY_MISSING = _cupy_missing()
# Real CuPy and its stand-in would be one name for two modules, so the stand-in steps aside where a device answers.
RINGS: dict[str, tuple[Callable[[], contextlib.AbstractContextManager[Ring]], str]] = {
    "numpy": (_numpy, ""),
    "strict": (lambda: _strict("strict", "device1", "float64"), _missing("array_api_strict")),
    "strict-no-float64": (
        lambda: _strict("strict-no-float64", "no_float64", "float32"),
        _missing("array_api_strict"),
    ),
    "torch": (_torch, _missing("torch")),
    "cupy-standin": (_standin, "" if CUPY_MISSING else "real CuPy runs instead"),
    "cupy": (_cupy, CUPY_MISSING),
}


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out files that are no tests: only the packages hold doctests, and some helpers need more than the tests."""
    is_helper = collection_path.suffix == ".py" and not collection_path.name.startswith("test_")
    return True if is_helper else None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=3, help="number of seeds for tests that take the seed fixture")

    parser.addoption("--rings", default="", help="comma-separated: of the tests on array libraries only these")


def pytest_configure(config: pytest.Config) -> None:
    if not __debug__ and config.getoption("assertmode") != "rewrite":
        raise pytest.UsageError("python -O takes the assertions out of tests that are not rewritten")
    if unknown := set(filter(None, config.getoption("--rings").split(","))) - set(RINGS):
        raise pytest.UsageError(f"no ring {', '.join(sorted(unknown))}; there are {', '.join(RINGS)}")
    if os.environ.get("TNATTN_REQUIRE_TORCH") == "1" and RINGS["torch"][1]:
        raise pytest.UsageError("TNATTN_REQUIRE_TORCH=1, but torch is not installed; install the extra tnattn[hf]")


def pytest_report_header(config: pytest.Config) -> list[str]:
    asked = config.getoption("--rings").split(",") if config.getoption("--rings") else list(RINGS)
    ran = [name for name, (_, missing) in RINGS.items() if not missing and name in asked]
    lines = [f"rings: {', '.join(ran)}"]
    lines += [f"ring {name}: NOT RUN ({why})" for name, (_, why) in RINGS.items() if why and name != "cupy"]
    lines += [f"ring {name}: NOT RUN (not among --rings)" for name in RINGS if name not in asked]
    lines.append(f"BLAS: {', '.join(blas_kernels()) or 'unknown'}")
    lines.append(f"assertions of the packages: {'on' if __debug__ else 'off (python -O)'}")
    return [*lines, f"CuPy on a device: {'NOT RUN (' + CUPY_MISSING + ')' if CUPY_MISSING else 'runs'}"]


# The header speaks for a CuPy that cannot run; a skip for each test would drown the others.
SHOWN = [name for name, (_, missing) in RINGS.items() if not (missing and name.startswith("cupy"))]


@pytest.fixture(scope="module", params=[pytest.param(n, marks=[pytest.mark.gpu] * (n == "cupy")) for n in SHOWN])
def xp(request: pytest.FixtureRequest) -> Iterator[Ring]:
    """Run a test on every ring; on some with ``parametrize("xp", ["strict", ...], indirect=True)``."""
    make, missing = RINGS[request.param]
    if missing:
        pytest.skip(missing)
    with make() as ring:
        yield ring


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give tests with an argument ``seed`` the seeds 0, ..., N - 1 of ``--seeds N``."""
    own = any(
        "seed" in str(mark.args[0]).replace(" ", "").split(",")
        for mark in metafunc.definition.iter_markers("parametrize")
    )
    if "seed" in metafunc.fixturenames and not own:
        metafunc.parametrize("seed", range(metafunc.config.getoption("--seeds")))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of the rings that ``--rings`` does not name; tests without a ring stay."""
    if not config.getoption("--rings"):
        return
    asked = config.getoption("--rings").split(",")
    left_out = [item for item in items if _ring_of(item) not in (None, *asked)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def _ring_of(item: pytest.Item) -> Any:
    return item.callspec.params.get("xp") if hasattr(item, "callspec") else None


def compare_arrays(actual: Any, desired: Any, *, rtol: float, atol: float = 0.0) -> None:
    """Assert that arrays agree; if ``desired`` is no NumPy array, in library, device and dtype as well.

    A NumPy array as ``desired`` is a reference on the host, whatever its precision: its values count.
    """
    if not isinstance(desired, (np.ndarray, np.generic)) and array_api_compat.is_array_api_obj(desired):
        assert type(actual) is type(desired), f"{type(actual)} is not {type(desired)}"
        assert device(actual) == device(desired)
        assert dtype_name(actual.dtype) == dtype_name(desired.dtype)
        desired = to_host(desired)
    host = to_host(actual) if array_api_compat.is_array_api_obj(actual) else np.asarray(actual)
    np.testing.assert_allclose(host, desired, rtol=rtol, atol=atol)


@pytest.fixture(scope="session")
def assert_close() -> Callable[..., None]:
    """The function ``assert_close(actual, desired, *, rtol, atol=0)``, see :func:`compare_arrays`."""
    return compare_arrays
