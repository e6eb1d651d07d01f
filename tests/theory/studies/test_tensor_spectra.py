"""Mode spectra and ranks of a tensor: prescribed values come back, and the decompositions agree with the ranks."""

import numpy as np
import pytest

from theory.studies.tensor_spectra import BONDS, MODES, TOLERANCES, TensorSpectra, mode_spectra
from tnattn.decomposition.tensor_train.tt_svd import TTSVD
from tnattn.decomposition.tucker.hosvd import HOSVD
from tnattn.decomposition.tucker.st_hosvd import STHOSVD
from tnattn.gallery.tensors import tensor_train_tensor, tensor_with_spectrum, tucker_tensor

SIGMA = 10.0 ** -np.arange(7.0)
"""A factor of 10 from one to the next: no tolerance of 3 10^-k / sqrt(modes) lies near a tail."""


def prescribed(seed=0, sigma=SIGMA, shape=(8, 20, 15)):
    return tensor_with_spectrum(sigma, shape, np.random.default_rng(seed))


@pytest.mark.parametrize("mode", MODES)
def test_prescribed_singular_values_come_back(mode):
    found = mode_spectra(prescribed()).singular_values[mode]
    # a Gram matrix is right to eps sigma_1^2, so that sigma is right to eps sigma_1^2 / sigma
    error = np.abs(found[:7] - SIGMA)
    assert np.all(error <= 64 * np.finfo(float).eps / SIGMA)
    assert np.all(found[7:] <= np.sqrt(64 * np.finfo(float).eps))


@pytest.mark.parametrize("shape", [(3, 12, 9), (12, 4, 2), (1, 6, 8)])
@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
def test_mode_spectra_are_the_singular_values_of_the_unfoldings(shape, scale):
    tensor = np.random.default_rng(1).standard_normal(shape)
    found = mode_spectra(scale * tensor)
    for axis, mode in enumerate(MODES):
        unfolding = np.moveaxis(tensor, axis, 0).reshape(shape[axis], -1)
        exact = np.linalg.svd(unfolding, compute_uv=False)
        np.testing.assert_allclose(found.singular_values[mode] / scale, exact, atol=1e-7 * exact[0])


def test_bonds_of_a_train_have_the_spectra_of_the_head_and_key_modes():
    tensor = np.random.default_rng(2).standard_normal((3, 7, 5))
    found = mode_spectra(tensor)
    cuts = (tensor.reshape(3, 35), tensor.reshape(21, 5))
    for mode, cut in zip(BONDS, cuts, strict=True):
        np.testing.assert_allclose(found.singular_values[mode], np.linalg.svd(cut, compute_uv=False), rtol=1e-9)


@pytest.mark.parametrize("rtol", [0.3, 0.03, 3e-3, 3e-4])
@pytest.mark.parametrize("seed", [0, 1])
def test_ranks_are_those_of_the_decompositions_on_a_prescribed_spectrum(rtol, seed):
    tensor = prescribed(seed)
    found = mode_spectra(tensor)
    for decomposition in (HOSVD(rtol=rtol), STHOSVD(rtol=rtol)):
        assert tuple(decomposition(tensor).core.shape) == found.tucker_ranks(rtol)
    cores = TTSVD(rtol=rtol)(tensor).cores
    assert (cores[1].shape[0], cores[1].shape[2]) == found.train_ranks(rtol)


@pytest.mark.parametrize("rtol", [0.5, 0.2, 0.05])
def test_sequential_truncation_needs_no_more_on_any_tensor(rtol):
    tensor = np.random.default_rng(3).standard_normal((5, 12, 11)) * 0.8 ** np.arange(12)[:, None]
    found = mode_spectra(tensor)
    assert np.all(np.asarray(STHOSVD(rtol=rtol)(tensor).core.shape) <= found.tucker_ranks(rtol))
    bonds = [core.shape[0] for core in TTSVD(rtol=rtol)(tensor).cores[1:]]
    assert np.all(np.asarray(bonds) <= found.train_ranks(rtol))


@pytest.mark.parametrize("rtol", [0.5, 0.2, 0.05])
def test_ranks_that_suffice_reach_the_tolerance_and_one_less_than_necessary_does_not(rtol):
    tensor = np.random.default_rng(4).standard_normal((5, 12, 11)) * 0.8 ** np.arange(12)[:, None]
    found, norm = mode_spectra(tensor), np.linalg.norm(tensor)
    for decomposition in (HOSVD(ranks=found.tucker_ranks(rtol)), TTSVD(ranks=found.train_ranks(rtol))):
        assert np.linalg.norm(decomposition(tensor).to_dense() - tensor) <= rtol * norm
    least = found.necessary(rtol)
    assert max(least) > 1
    for axis, rank in enumerate(least):
        u, s, vt = np.linalg.svd(np.moveaxis(tensor, axis, 0).reshape(tensor.shape[axis], -1), full_matrices=False)
        best = (u[:, : rank - 1] * s[: rank - 1]) @ vt[: rank - 1]
        assert np.linalg.norm(best - u * s @ vt) > rtol * norm


def test_exact_multilinear_ranks_are_found():
    tensor = tucker_tensor((6, 14, 12), (2, 5, 4), np.random.default_rng(5))
    assert mode_spectra(tensor).tucker_ranks(1e-5) == (2, 5, 4)


def test_exact_train_ranks_are_found():
    tensor = tensor_train_tensor((6, 14, 12), (3, 5), np.random.default_rng(6))
    assert mode_spectra(tensor).train_ranks(1e-5) == (3, 5)


def test_a_wrong_spectrum_is_told_apart():
    right, wrong = mode_spectra(prescribed()), mode_spectra(prescribed(sigma=np.sqrt(SIGMA)))
    assert right.tucker_ranks(3e-3) != wrong.tucker_ranks(3e-3)


def test_ranks_grow_as_the_tolerance_falls():
    tensor = np.random.default_rng(7).standard_normal((4, 10, 9)) * 0.5 ** np.arange(9)
    found = mode_spectra(tensor)
    ranks = np.asarray([(*found.tucker_ranks(t), *found.train_ranks(t), *found.necessary(t)) for t in TOLERANCES])
    assert np.all(np.diff(ranks, axis=0) >= 0)
    assert ranks[0, 2] < ranks[-1, 2]
    assert np.all(ranks[:, 5:] <= ranks[:, :3])


def test_the_table_counts_what_the_formats_store():
    (row,) = mode_spectra(tucker_tensor((6, 14, 12), (2, 5, 4), np.random.default_rng(5))).table((1e-5,))
    assert (row["tucker_head"], row["tucker_query"], row["tucker_key"]) == (2, 5, 4)
    assert row["tucker_storage"] == pytest.approx((2 * 5 * 4 + 6 * 2 + 14 * 5 + 12 * 4) / (6 * 14 * 12))
    assert (row["tt_bond_1"], row["tt_bond_2"]) == (2, 4)
    assert row["tt_storage"] == pytest.approx((6 * 2 + 2 * 14 * 4 + 4 * 12) / (6 * 14 * 12))
    assert (row["least_head"], row["least_query"], row["least_key"]) == (2, 5, 4)


def test_a_zero_tensor_has_rank_one():
    found = mode_spectra(np.zeros((2, 3, 4)))
    assert found.tucker_ranks(0.1) == (1, 1, 1)
    assert found.train_ranks(0.1) == (1, 1)
    assert not any(values.any() for values in found.singular_values.values())


@pytest.mark.parametrize("rtol", [0.0, 1e-9, 1.0, -0.1, float("nan")])
def test_tolerances_below_rounding_or_without_meaning_are_refused(rtol):
    with pytest.raises(ValueError, match=r"tolerance of at least \S+ and below 1"):
        mode_spectra(prescribed()).tucker_ranks(rtol)


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4, 5), (0, 3, 4)])
def test_other_orders_and_empty_tensors_are_refused(shape):
    with pytest.raises(ValueError, match=r"\(heads, n_q, n_k\) is needed"):
        mode_spectra(np.ones(shape))


def test_single_precision_is_refused():
    with pytest.raises(TypeError, match=r"float32; convert it to float64"):
        mode_spectra(np.ones((2, 3, 4), dtype=np.float32))


@pytest.mark.parametrize("change", [{"head": np.ones(3)}, {"layer": np.ones(2)}])
def test_values_that_are_not_those_of_the_shape_are_refused(change):
    values = {"head": np.ones(2), "query": np.ones(3), "key": np.ones(4), **change}
    with pytest.raises(ValueError, match=r"a tensor of shape \(2, 3, 4\) has"):
        TensorSpectra((2, 3, 4), values)


def test_a_mode_that_is_none_is_refused():
    with pytest.raises(ValueError, match="no mode 'layer'; a tensor of heads has head, query, key"):
        mode_spectra(prescribed()).rank("layer", 0.1)
