"""Tucker decompositions of some modes, and factors shared over a stack."""

import math

import numpy as np
import pytest
import tensorly.decomposition
from fixtures import drawn
from hypothesis import given, settings
from hypothesis import strategies as st

from tnattn.arrays import dtype_name, to_host
from tnattn.decomposition.tucker.partial_tucker import PartialTucker
from tnattn.decomposition.tucker.shared_factors import SharedFactors
from tnattn.structured.partial_tucker import PartialTuckerTensor

CLASSES = [PartialTucker, SharedFactors]
every_class = pytest.mark.parametrize("cls", CLASSES)
quick = settings(max_examples=30, deadline=None)
shapes = st.lists(st.integers(1, 9), min_size=2, max_size=5).map(tuple).filter(lambda s: np.prod(s) <= 3000)


def unfolded(x, mode):
    return np.moveaxis(x, mode, 0).reshape(x.shape[mode], -1)


def tail(x, mode, rank):
    return np.linalg.norm(np.linalg.svd(unfolded(x, mode), compute_uv=False)[rank:])


@st.composite
def cases(draw, cls):
    shape, rank = draw(shapes), draw(st.integers(1, 9))
    modes = tuple(sorted(draw(st.sets(st.integers(cls is SharedFactors, len(shape) - 1), min_size=1))))
    return drawn(shape, draw(st.integers(0, 99))), cls(modes=modes, order=len(shape)).with_rank(rank, shape)


@every_class
@quick
@given(data=st.data())
def test_the_error_is_within_its_constant_of_the_best(cls, data):
    x, method = data.draw(cases(cls))
    tails = [tail(x, j, r) for j, r in zip(method.modes, method.ranks, strict=True)]
    error, slack = np.linalg.norm(x - method(x).to_dense()), 1e-13 * np.linalg.norm(x)
    assert max(tails) - slack <= error <= np.linalg.norm(tails) + slack


@every_class
@quick
@given(data=st.data())
def test_the_certificate_is_the_error(cls, data):
    x, method = data.draw(cases(cls))
    result = method(x)
    error = np.sum((x - result.to_dense()) ** 2)
    assert abs(result.error_certificate**2 - error) <= 8 * max(x.shape) * np.finfo(float).eps * np.sum(x * x)


@every_class
@quick
@given(data=st.data())
def test_factors_are_orthonormal_and_other_modes_have_none(cls, data):
    x, method = data.draw(cases(cls))
    result = method(x)
    assert len(result.factors) == len(method.modes)
    for u in result.factors:
        np.testing.assert_allclose(u.T @ u, np.eye(u.shape[1]), atol=1e-12)
    kept = math.prod(n for j, n in enumerate(x.shape) if j not in method.modes)
    lengths = sum(x.shape[j] * r for j, r in zip(method.modes, result.largest_ranks, strict=True))
    assert result.storage == kept * math.prod(result.largest_ranks) + lengths


@pytest.mark.parametrize("modes", [(0,), (1,), (1, 2), (0, 2), (0, 1, 2)], ids=str)
def test_it_is_the_truncation_of_tensorly(modes):
    x = drawn((5, 6, 7))
    ours = PartialTucker(ranks=2, modes=modes)(x)
    (core, factors), _ = tensorly.decomposition.partial_tucker(
        x, rank=[2] * len(modes), modes=modes, n_iter_max=1, svd="truncated_svd"
    )
    theirs = tensorly.tenalg.multi_mode_dot(core, factors, modes=modes)
    assert np.linalg.norm(x - ours.to_dense()) == pytest.approx(np.linalg.norm(x - theirs), rel=0.05)  # theirs iterates


@pytest.mark.parametrize("modes", [(0,), (1,), (2,), (1, 2), (0, 1), (0, 1, 2)], ids=str)
@pytest.mark.parametrize("mode", [0, 1, 2])
def test_slices_are_those_of_the_tensor(modes, mode):
    result = PartialTucker(ranks=2, modes=modes)(drawn((2, 5, 6, 7)))
    dense = np.moveaxis(result.to_dense(), mode + 1, 1)
    slices = result.slices(mode)
    np.testing.assert_allclose(slices.to_dense(), dense, atol=1e-13)
    v = drawn((dense.shape[-1], 2), 1)
    np.testing.assert_allclose(slices @ v, dense @ v, atol=1e-12)


def test_the_way_to_tensorly_copies_neither_core_nor_factors():
    result = PartialTucker(ranks=2)(drawn((5, 6, 7)))
    core, factors = result.to_tensorly()
    assert np.shares_memory(core, result.core)
    assert all(np.shares_memory(factors[j], u) for j, u in zip(result.modes, result.factors, strict=True))
    np.testing.assert_array_equal(factors[0], np.eye(5))
    np.testing.assert_allclose(tensorly.tucker_to_tensor((core, factors)), result.to_dense(), atol=1e-13)


def test_a_shared_basis_is_the_best_one():
    x = drawn((4, 8, 5))
    best = tail(x, 1, 3)
    result = SharedFactors(ranks=3)(x)
    assert np.linalg.norm(x - result.to_dense()) == pytest.approx(best, rel=1e-12)
    for seed in range(20):
        other = np.linalg.qr(drawn((8, 3), seed))[0]
        assert np.linalg.norm(x - np.einsum("ij,kj,hkl->hil", other, other, x)) > best


def test_errors_of_the_members_are_true_and_add_up():
    x = drawn((4, 8, 5)) * np.arange(1, 5)[:, None, None]
    result = SharedFactors(ranks=2, modes=(1, 2))(x)
    np.testing.assert_allclose(result.member_errors, np.linalg.norm(x - result.to_dense(), axis=(1, 2)), rtol=1e-12)
    assert np.linalg.norm(result.member_errors) == pytest.approx(result.error_certificate, rel=1e-10)


def test_members_with_one_range_share_it_exactly():
    basis = drawn((8, 2))
    x = np.einsum("ij,hjk->hik", basis, drawn((5, 2, 6), 1))
    result = SharedFactors(ranks=2)(x)
    assert np.all(result.member_errors <= 1e-13 * np.linalg.norm(x))


@every_class
@pytest.mark.parametrize("rtol", [0.5, 0.1, 1e-6])
def test_a_tolerance_is_kept(cls, rtol):
    x = drawn((5, 6, 7))
    assert np.linalg.norm(x - cls(rtol=rtol)(x).to_dense()) <= rtol * np.linalg.norm(x)


@every_class
@pytest.mark.parametrize("arguments", [{"ranks": 2}, {"rtol": 0.5}], ids=str)
def test_a_stack_is_decomposed_as_its_members_are(cls, arguments):
    x = np.stack([drawn((5, 6, 7)), np.einsum("i,j,k->ijk", drawn(5), drawn(6), drawn(7)), np.zeros((5, 6, 7))])
    whole = cls(**arguments)(x)
    for i in range(3):
        np.testing.assert_allclose(whole.to_dense()[i], cls(**arguments)(x[i]).to_dense(), atol=1e-12)
    assert whole.storage == sum(cls(**arguments)(x[i]).storage for i in range(3))


@every_class
@pytest.mark.parametrize("arguments", [{"ranks": 2}, {"rtol": 0.4}], ids=str)
def test_every_library_gives_the_same_tensor(xp, assert_close, cls, arguments):
    host = drawn((2, 4, 5, 6))
    result = cls(**arguments)(xp.asarray(host))
    assert_close(result.to_dense(), xp.asarray(to_host(cls(**arguments)(host).to_dense())), rtol=0, atol=1e3 * xp.eps())
    assert dtype_name(result.core.dtype) == xp.dtype


@pytest.mark.parametrize("cls, modes", [(PartialTucker, (2, 1)), (PartialTucker, (1, 3)), (SharedFactors, (0, 1))])
def test_bad_modes_are_refused(cls, modes):
    with pytest.raises(ValueError, match="modes are"):
        cls(modes=modes)


@pytest.mark.parametrize("cls, ranks", [(PartialTucker, (7, 2)), (SharedFactors, 7)], ids=str)
def test_ranks_that_do_not_fit_are_refused(cls, ranks):
    with pytest.raises(ValueError, match="rank 7 at place 0"):
        cls(ranks=ranks)(drawn((5, 6, 7)))


def test_ranks_that_no_core_has_are_refused():
    with pytest.raises(ValueError, match="no core has such ranks"):
        PartialTucker(ranks=(4, 1))(drawn((2, 6, 7)))


@pytest.mark.parametrize(
    "core, factors, modes",
    [((2, 3, 4), [(5, 3)], (0,)), ((2, 3, 4), [(5, 2)], (3,)), ((2, 3), [(5, 2)], (0,))],
    ids=str,
)
def test_parts_that_do_not_fit_are_refused(core, factors, modes):
    with pytest.raises(ValueError):  # noqa: PT011
        PartialTuckerTensor(np.zeros(core), tuple(np.zeros(f) for f in factors), modes, 3)


def test_members_with_different_ranges_pay_for_sharing():
    """Negative control: what each member could have for itself is better."""
    x = drawn((4, 8, 5))
    alone = np.sqrt(sum(np.linalg.norm(np.linalg.svd(w, compute_uv=False)[2:]) ** 2 for w in x))
    assert np.linalg.norm(x - SharedFactors(ranks=2)(x).to_dense()) > 1.1 * alone
