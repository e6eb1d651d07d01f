"""The rings themselves: negative controls of the stand-ins on which the other tests rely."""

import sys

import numpy as np
import pytest

only_no_float64 = pytest.mark.parametrize("xp", ["strict-no-float64"], indirect=True)
only_standin = pytest.mark.parametrize("xp", ["cupy-standin"], indirect=True)
only_strict = pytest.mark.parametrize("xp", ["strict", "strict-no-float64"], indirect=True)


@only_standin
def test_standin_refuses_what_a_device_refuses(xp):
    x = xp.asarray(np.ones(3))
    for act in (lambda: np.asarray(x), lambda: x + np.ones(3), lambda: np.ones(3) + x, lambda: np.sum(x)):
        with pytest.raises(TypeError):
            act()
    assert not isinstance(x, np.ndarray)


@only_standin
def test_standin_counts_hidden_waits(xp):
    x = xp.asarray(np.ones(3))
    xp.transfers.reset()
    float(x[0])
    bool(x[0] > 0)
    assert (x[x > 0].shape, xp.transfers.synchronisations) == ((3,), 3)


# operations on a 4-by-4 matrix x and the vector i = (1, 0): launches of each
LAUNCHES = {
    "views": (lambda xp, x, i: (x.T, x[1:], x[0, 0], x.reshape(16), xp.broadcast_to(x, (3, 4, 4))), 0),
    "nothing new": (lambda xp, x, i: (xp.asarray(x), xp.astype(x, x.dtype, copy=False), x.shape, xp.empty(3)), 0),
    "a product": (lambda xp, x, i: xp.broadcast_to(x, (5, 4, 4)) @ x, 1),
    "arithmetic": (lambda xp, x, i: 2 * x + x, 2),
    "in place": (lambda xp, x, i: x.__iadd__(1.0), 1),
    "an assignment": (lambda xp, x, i: x.__setitem__(0, 1.0), 1),
    "a gather": (lambda xp, x, i: x[i], 1),
    "a reduction to a number": (lambda xp, x, i: xp.sum(x), 1),
    "a factorisation of a stack": (lambda xp, x, i: xp.linalg.qr(xp.broadcast_to(x, (5, 4, 4))), 1),
    "a copy of a transpose": (lambda xp, x, i: x.T.reshape(16), 1),
}


@only_standin
@pytest.mark.parametrize("case", LAUNCHES)
def test_standin_counts_launches(xp, case):
    x, i = xp.asarray(np.eye(4) + 1), xp.asarray(np.array([1, 0]))
    act, launches = LAUNCHES[case]
    before = xp.transfers.snapshot()
    act(xp.namespace, x, i)
    assert (xp.transfers - before).launches == launches
    xp.transfers.reset()
    assert (xp.transfers.launches, xp.transfers.waits, xp.transfers.copies) == (0, 0, 0)


@pytest.mark.parametrize("xp", ["numpy", "strict"], indirect=True)
def test_standin_does_not_leak_into_other_rings(xp):
    assert getattr(sys.modules.get("cupy"), "__version__", "") != "stand-in on the host"


@only_strict
def test_strict_device_refuses_silent_conversion(xp):
    with pytest.raises(RuntimeError, match="device"):
        np.asarray(xp.asarray(np.ones(3)))


@only_no_float64
def test_a_device_without_float64_refuses_float64(xp):
    with pytest.raises(ValueError, match="float64"):
        xp.namespace.zeros(3, dtype=xp.namespace.float64, device=xp.device)


@only_strict
def test_assert_close_notices_another_dtype(xp, assert_close):
    x = np.ones(3)
    with pytest.raises(AssertionError):
        assert_close(xp.asarray(x, "int64"), xp.asarray(x), rtol=0)
