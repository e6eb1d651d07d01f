"""Transfers between host and device, on every ring."""

import warnings

import numpy as np
import pytest
from fixtures import rng

from tnattn.arrays import (
    device,
    dtype_name,
    eps,
    from_host,
    synchronize,
    to_host,
)

only_standin = pytest.mark.parametrize("xp", ["cupy-standin"], indirect=True)


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_transfer_there_and_back_keeps_values_and_dtype(xp, dtype, assert_close):
    host = (rng().standard_normal((3, 4)) * 5).astype(dtype)
    moved = from_host(host, like=xp.asarray(np.ones(1), "float32"))
    assert type(moved) is type(xp.asarray(host))
    assert device(moved) == device(xp.asarray(host))
    back = to_host(moved)
    assert type(back) is np.ndarray
    assert back.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(back, host)


def test_floating_data_take_the_dtype_of_the_model(xp):
    assert dtype_name(from_host(np.ones(2), like=xp.asarray(np.ones(1), "float32")).dtype) == "float32"
    assert dtype_name(from_host(np.ones(2, np.float32), like=xp.asarray(np.ones(1))).dtype) == xp.dtype


def test_a_dtype_asked_for_wins(xp):
    like = xp.asarray(np.ones(1))
    narrow = from_host(np.arange(3), like=like, dtype=xp.asarray(np.ones(1), "float32").dtype)
    assert dtype_name(narrow.dtype) == "float32"


def test_read_only_and_reversed_host_arrays_can_be_moved(xp):
    host = np.arange(4.0)
    host.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        moved = from_host(host[::-1], like=xp.asarray(np.ones(1)))
    np.testing.assert_array_equal(to_host(moved), host[::-1])


def test_bfloat16_comes_to_the_host_as_float32():
    torch = pytest.importorskip("torch")
    x = torch.ones(3, dtype=torch.bfloat16, requires_grad=True)
    assert to_host(x).dtype == np.float32
    assert from_host(np.ones(2), like=x).dtype == torch.bfloat16
    assert eps(x) == torch.finfo(torch.bfloat16).eps


@only_standin
def test_one_transfer_is_counted_as_one(xp):
    like = xp.asarray(np.ones(1))
    xp.transfers.reset()
    to_host(from_host(np.ones(5), like=like))
    assert (xp.transfers.to_device, xp.transfers.to_host, xp.transfers.synchronisations) == (1, 1, 0)


def test_synchronising_is_possible_on_every_ring(xp):
    assert synchronize(xp.asarray(np.ones(2))) is None
