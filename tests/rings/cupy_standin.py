"""A stand-in for CuPy that computes on the host but keeps CuPy's manners.

Its array is no NumPy subclass: implicit conversion and mixing with NumPy arrays raise TypeError, as on a device, every
function returns a 0-d array where NumPy returns a scalar, and a failed Cholesky factorization returns rubbish instead
of raising. Copies between host and device, and the reads that would make the host wait (``float(x)``, ``if x:``), are
counted, and so are launches: calls that compute or move an array on the device. A view costs none, and a product, a
factorisation or a sum of a whole stack one, whatever a library launches within. What it cannot show: numerics, kernels,
memory and streams of a device. A green run does not mean that GPU code works.
"""

import contextlib
import functools
import operator
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import scipy.linalg


@dataclass
class Transfers:
    """Copies, waits and launches so far; the difference of two snapshots counts what lies between them."""

    to_device: int = 0
    to_host: int = 0
    synchronisations: int = 0
    launches: int = 0

    def reset(self) -> None:
        self.to_device = self.to_host = self.synchronisations = self.launches = 0

    def snapshot(self) -> "Transfers":
        return replace(self)

    def __sub__(self, before: "Transfers") -> "Transfers":
        return Transfers(*(getattr(self, f.name) - getattr(before, f.name) for f in fields(self)))

    @property
    def waits(self) -> int:
        """Moments at which the host waited: a copy to the host waits as the read of a number does."""
        return self.synchronisations + self.to_host

    @property
    def copies(self) -> int:
        """Copies in either direction."""
        return self.to_device + self.to_host


transfers = Transfers()


class Device:
    """The only device, number 0."""

    def __init__(self, device: Any = None) -> None:
        self.id = device.id if isinstance(device, Device) else int(device or 0)

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def synchronize(self) -> None:
        transfers.synchronisations += 1


class ndarray:
    """An array that does not turn into a NumPy array unless asked to by ``get``."""

    __slots__ = ("_host",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, host: Any) -> None:
        self._host = np.asarray(host)

    device = property(lambda self: Device(0))
    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    strides = property(lambda self: self._host.strides)
    flags = property(lambda self: self._host.flags)
    T = property(lambda self: ndarray(self._host.T))
    mT = property(lambda self: ndarray(self._host.mT))
    real = property(lambda self: ndarray(self._host.real))

    def get(self) -> np.ndarray:
        transfers.to_host += 1
        return self._host.copy()

    def tolist(self) -> Any:
        transfers.to_host += 1
        return self._host.tolist()

    def item(self) -> Any:
        transfers.synchronisations += 1
        return self._host.item()

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise TypeError("implicit conversion to a NumPy array is not allowed; use .get()")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        transfers.launches += 1
        return wrap(_plain(getattr(ufunc, method), inputs, options))

    def __array_function__(self, function: Callable[..., Any], *_: object) -> Any:
        raise TypeError(f"numpy.{function.__name__} was called with a device array; use its own namespace")

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Iterator["ndarray"]:
        return (wrap(row) for row in self._host)

    def __repr__(self) -> str:
        return f"standin({self._host!r})"

    def __getitem__(self, key: Any) -> "ndarray":
        transfers.launches += _gathers(key)
        return ndarray(self._host[_index(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        transfers.launches += 1
        self._host[_index(key)] = unwrap(value)


def unwrap(x: Any) -> Any:
    """Return host data for device arrays within an argument; refuse NumPy arrays, which CuPy does not take."""
    if isinstance(x, ndarray):
        return x._host
    if isinstance(x, np.ndarray):
        raise TypeError("unsupported type <class 'numpy.ndarray'>: a NumPy array was mixed with device arrays")
    if type(x) in (list, tuple):
        return type(x)(unwrap(item) for item in x)
    return x


def wrap(x: Any) -> Any:
    """Return device arrays for host data, 0-d ones for scalars."""
    if isinstance(x, (np.ndarray, np.generic)):
        return ndarray(x)
    if isinstance(x, (tuple, list)):
        return tuple(wrap(item) for item in x)
    return x


def _plain(function: Callable[..., Any], args: Any, options: dict[str, Any]) -> Any:
    return function(*(unwrap(x) for x in args), **{name: unwrap(x) for name, x in options.items()})


def _launch(result: Any, args: Any) -> None:
    """Count a launch unless a result is no array, or shares the memory of an argument: then nothing was computed."""
    first = result[0] if isinstance(result, (tuple, list)) and result else result
    if first is None or isinstance(first, np.generic):  # in place, or what is a 0-d array on a device
        transfers.launches += 1
    elif isinstance(first, np.ndarray):
        given = (part._host for x in args for part in (x if type(x) in (list, tuple) else [x]) if type(part) is ndarray)
        transfers.launches += not any(np.may_share_memory(first, host) for host in given)


def _wrapped(function: Callable[..., Any], *, waits: bool = False, launches: bool = True) -> Callable[..., Any]:
    @functools.wraps(function, updated=())
    def call(*args: Any, **options: Any) -> Any:
        if waits:
            transfers.synchronisations += 1
        result = _plain(function, args, options)
        out = options.get("out")
        if out is not None:
            transfers.launches += 1
            return out
        if launches:
            _launch(result, args)
        return wrap(result)

    return call


class _Ufunc:
    """An elementwise function with its ``at`` and ``reduce``."""

    def __init__(self, ufunc: np.ufunc) -> None:
        self._call, self.__name__ = _wrapped(ufunc), ufunc.__name__
        self.at, self.reduce, self.outer = (_wrapped(getattr(ufunc, name)) for name in ("at", "reduce", "outer"))

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._call(*args, **options)


def _gathers(key: Any) -> bool:
    """Return true if an index picks entries by an array: other indices make views."""
    return any(isinstance(part, (ndarray, list)) for part in (key if isinstance(key, tuple) else (key,)))


def _index(key: Any) -> Any:
    parts = key if isinstance(key, tuple) else (key,)
    if any(isinstance(part, ndarray) and part.dtype == bool for part in parts):
        transfers.synchronisations += 1  # the shape of the result depends on the data
    return unwrap(key)


def _waiting(convert: Callable[[Any], Any]) -> Callable[[ndarray], Any]:
    def read(self: ndarray) -> Any:
        transfers.synchronisations += 1
        return convert(self._host)

    return read


def _binary(name: str) -> Callable[[ndarray, Any], Any]:
    def operate(self: ndarray, other: Any) -> Any:
        if not isinstance(other, (ndarray, np.ndarray, np.generic, bool, int, float, complex)):
            return NotImplemented
        transfers.launches += 1
        result = getattr(self._host, name)(unwrap(other))
        return result if result is NotImplemented else self if name.startswith("__i") else wrap(result)

    return operate


def _words(text: str) -> list[str]:
    return text.split()


_OPERATORS = [
    f"__{prefix}{name}__"
    for name in _words("add sub mul truediv floordiv mod pow matmul and or xor lshift rshift")
    for prefix in ("", "r", "i")
]
_METHODS = _words(
    "astype copy reshape transpose ravel flatten squeeze swapaxes view sum prod max min mean var std any all argmax "
    "argmin argsort cumsum cumprod clip round repeat take dot diagonal trace fill sort nonzero"
)
for _name in [*_OPERATORS, *_words("__lt__ __le__ __gt__ __ge__ __eq__ __ne__")]:
    setattr(ndarray, _name, _binary(_name))
for _name in ("__neg__", "__pos__", "__abs__", "__invert__"):
    setattr(ndarray, _name, _wrapped(getattr(np.ndarray, _name)))
for _name, _convert in {"float": float, "int": int, "bool": bool, "complex": complex, "index": operator.index}.items():
    setattr(ndarray, f"__{_name}__", _waiting(_convert))
for _name in _METHODS:
    setattr(ndarray, _name, _wrapped(getattr(np.ndarray, _name), waits=_name == "nonzero"))
ndarray.__module__ = "cupy"


# --- the functions of the main namespace -------------------------------------------------------------------------

_ABSENT = {"vecdot", "unstack", "matvec", "vecmat", "matrix_transpose", "asarray", "array", "random", "linalg", "fft"}
_WAITING = {"nonzero", "flatnonzero", "argwhere", "unique", "array_equal", "allclose"}
_IDLE = {"empty", "empty_like"}  # memory whose content nobody has written
_PLAIN = {
    "dtype",
    "result_type",
    "can_cast",
    "issubdtype",
    "isdtype",
    "finfo",
    "iinfo",
    "promote_types",
    "ndim",
    "shape",
}


def asarray(x: Any, dtype: Any = None, order: str | None = None, **_: Any) -> ndarray:
    if isinstance(x, ndarray):
        transfers.launches += dtype not in (None, x.dtype)
        return x if dtype in (None, x.dtype) else ndarray(x._host.astype(dtype))
    transfers.to_device += 1
    return ndarray(np.array(x, dtype=dtype))


def array(x: Any, dtype: Any = None, copy: bool = True, **_: Any) -> ndarray:
    if isinstance(x, ndarray):
        made = np.array(x._host, dtype=dtype, copy=copy or None)
        _launch(made, [x])
        return ndarray(made)
    return asarray(x, dtype)


def _main(cupy: types.ModuleType) -> None:
    for name in dir(np):
        value = getattr(np, name)
        if name.startswith("_") or name in _ABSENT or isinstance(value, types.ModuleType):
            continue
        if isinstance(value, np.ufunc):
            setattr(cupy, name, _Ufunc(value))
        elif isinstance(value, type) or not callable(value) or name in _PLAIN:
            setattr(cupy, name, value)
        else:
            setattr(cupy, name, _wrapped(value, waits=name in _WAITING, launches=name not in _IDLE))
    # NumPy scalar types double as conversion functions; CuPy's are the same objects.
    cupy.ndarray, cupy.asarray, cupy.array = ndarray, asarray, array  # type: ignore[attr-defined]
    cupy.result_type = lambda *args: np.result_type(*(unwrap(x) for x in args))  # type: ignore[attr-defined]
    cupy.asnumpy = lambda x: x.get()  # type: ignore[attr-defined]
    cupy.is_available = lambda: False  # type: ignore[attr-defined]
    cupy.get_array_module = lambda *_: cupy  # type: ignore[attr-defined]
    cupy.__version__ = "stand-in on the host"  # type: ignore[attr-defined]


# --- linear algebra, random draws, cupyx -------------------------------------------------------------------------

_raises = False


@contextlib.contextmanager
def errstate(*, linalg: str | None = None) -> Iterator[None]:
    global _raises
    before, _raises = _raises, linalg == "raise"
    try:
        yield
    finally:
        _raises = before


def cholesky(a: ndarray) -> ndarray:
    transfers.launches += 1
    out = np.array(a._host)
    for i in np.ndindex(out.shape[:-2]):
        factor, info = scipy.linalg.get_lapack_funcs("potrf", (out,))(out[i], lower=True, clean=True)
        if info and _raises:
            raise np.linalg.LinAlgError("the matrix is not positive definite")
        out[i] = factor  # after a failure, partly the matrix itself
    return ndarray(out)


def solve_triangular(
    a: ndarray, b: ndarray, trans: int = 0, lower: bool = False, unit_diagonal: bool = False, **_: object
) -> ndarray:
    if a.shape[:-2] != b.shape[:-2]:
        raise ValueError("batch shapes of a and b differ")
    transfers.launches += 1
    triangle = unwrap(a)
    triangle = np.tril(triangle) if lower else np.triu(triangle)
    x = np.empty_like(b._host)
    with np.errstate(all="ignore"):
        for i in np.ndindex(b.shape[:-2]):
            x[i] = scipy.linalg.get_lapack_funcs("trtrs", (x,))(
                triangle[i], b._host[i], lower=lower, trans=trans, unitdiag=unit_diagonal
            )[0]
    return ndarray(x)


class Generator:
    """CuPy's generator has fewer methods than NumPy's."""

    def __init__(self, seed: int) -> None:
        self._host = np.random.default_rng([seed, 1])
        for name in ("standard_normal", "random", "integers"):
            setattr(self, name, _wrapped(getattr(self._host, name)))


def build() -> dict[str, types.ModuleType]:
    """Return the modules of the stand-in by name, to be put into ``sys.modules``."""
    names = "cupy cupy.cuda cupy.cuda.device cupy.linalg cupy.fft cupy.random cupyx cupyx.scipy cupyx.scipy.linalg"
    modules = {name: types.ModuleType(name, __doc__) for name in _words(names)}
    for name, module in modules.items():
        parent, _, leaf = name.rpartition(".")
        if parent:
            setattr(modules[parent], leaf, module)
        module.__path__ = []  # type: ignore[attr-defined]
    _main(modules["cupy"])
    for name in _words("qr svd eigh eigvalsh norm det matrix_rank slogdet solve lstsq inv pinv matrix_power"):
        setattr(modules["cupy.linalg"], name, _wrapped(getattr(np.linalg, name)))
    modules["cupy.linalg"].cholesky = cholesky  # type: ignore[attr-defined]
    modules["cupy.linalg"].LinAlgError = np.linalg.LinAlgError  # type: ignore[attr-defined]
    for name in np.fft.__all__:
        setattr(modules["cupy.fft"], name, _wrapped(getattr(np.fft, name)))
    runtime = types.SimpleNamespace(getDeviceCount=lambda: 1)
    cuda = {"Device": Device, "runtime": runtime, "Stream": types.SimpleNamespace(null=None)}
    vars(modules["cupy.cuda"]).update(cuda)
    modules["cupy.cuda.device"].Device = Device  # type: ignore[attr-defined]
    modules["cupy.random"].default_rng = Generator  # type: ignore[attr-defined]
    modules["cupy.random"].Generator = Generator  # type: ignore[attr-defined]
    modules["cupyx"].errstate = errstate  # type: ignore[attr-defined]
    modules["cupyx.scipy.linalg"].solve_triangular = solve_triangular  # type: ignore[attr-defined]
    return modules


MODULES = build()


@contextlib.contextmanager
def installed() -> Iterator[types.ModuleType]:
    """Let ``import cupy`` find the stand-in within the block, and nothing find it outside."""
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in ("cupy", "cupyx")}
    sys.modules.update(MODULES)
    try:
        yield MODULES["cupy"]
    finally:
        for name in MODULES:
            sys.modules.pop(name, None)
        sys.modules.update(before)
