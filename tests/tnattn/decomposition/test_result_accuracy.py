"""Every result states its accuracy in the same words: ranks, residual, converged, and stationary of iterations."""

import warnings
from dataclasses import fields

import numpy as np
import pytest

from tnattn.decomposition.base import Decomposition
from tnattn.discovery import subclasses

EVERY = subclasses("tnattn.decomposition", Decomposition)
FIELDS = {name: {f.name for f in fields(cls)} for name, cls in EVERY.items()}
every_class = pytest.mark.parametrize("name", sorted(EVERY))


def run(method, x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of missed tolerances
        return method(x, rng=np.random.default_rng(0))


def stack():
    """Two tensors, one of which has rank one."""
    rng = np.random.default_rng(1)
    a, b, c = (rng.standard_normal(n) for n in (4, 5, 6))
    return np.stack([rng.standard_normal((4, 5, 6)), np.einsum("i,j,k->ijk", a, b, c)])


def errors(result, x):
    return np.linalg.norm((result.to_dense() - x).reshape(2, -1), axis=-1) / np.linalg.norm(x.reshape(2, -1), axis=-1)


@every_class
def test_the_residual_is_the_relative_error(name):
    if EVERY[name].residual_is == "an estimate":
        pytest.skip("the residual is an estimate from sampled fibres")
    x, cls = stack(), EVERY[name]
    result = run(cls().with_rank(2, x.shape[1:]), x)
    true = errors(result, x)
    if cls.residual_is == "an upper bound":
        assert np.all(true <= result.residual * (1 + 1e-12) + 1e-12)
        assert np.all(result.residual <= 3**0.5 * true + 1e-7)
    else:
        np.testing.assert_allclose(result.residual, true, rtol=1e-6, atol=1e-7)


@every_class
def test_the_record_has_one_entry_for_each_tensor_of_a_stack(name):
    x = stack()
    result = run(EVERY[name]().with_rank(2, x.shape[1:]), x)
    assert result.residual.shape == result.converged.shape == (2,)
    assert result.converged.dtype == bool
    assert result.ranks.shape[:1] == (2,)
    assert np.issubdtype(result.ranks.dtype, np.integer)
    assert not result.converged[0]  # rank two of a full tensor is no rounding


@pytest.mark.parametrize("name", [n for n in EVERY if "rtol" in FIELDS[n] and "stagnation" not in FIELDS[n]])
@pytest.mark.parametrize("rtol", [0.5, 1e-3])
def test_a_tolerance_is_met(name, rtol):
    result = run(EVERY[name](rtol=rtol), stack())
    assert np.all(result.converged)
    assert np.all(result.residual <= rtol)


@pytest.mark.parametrize("name", [name for name in EVERY if "stagnation" in FIELDS[name]])
def test_stationary_is_not_converged(name):
    """An iteration may stop changing far from the tensor, and be cut off near it."""
    x, cls = stack()[0], EVERY[name]
    ended = run(cls(stagnation=0.5).with_rank(2, x.shape), x)
    assert (bool(ended.stationary), bool(ended.converged)) == (True, False)
    cut = dict.fromkeys(FIELDS[name] & {"epochs", "sweeps"}, 1)
    assert not run(cls(stagnation=0.0, **cut).with_rank(2, x.shape), x).stationary
