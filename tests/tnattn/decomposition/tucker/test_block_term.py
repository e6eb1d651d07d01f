import itertools

import numpy as np
import pytest
from fixtures import drawn, relative

from tnattn.arrays import dtype_name
from tnattn.decomposition.tucker.block_term import BlockTerm
from tnattn.decomposition.tucker.st_hosvd import STHOSVD
from tnattn.structured.block_term import BlockTermTensor


def planted(seed=0, sizes=(8, 9, 10)):
    rng = np.random.default_rng(seed)
    return BlockTermTensor(
        rng.standard_normal((2, 2, 2, 2)), tuple(rng.standard_normal((2, n, 2)) for n in sizes)
    ).to_dense()


def test_two_planted_terms_are_found_though_one_of_their_ranks_does_not_do(seed):
    x = planted(seed)
    result = BlockTerm(sweeps=400, stagnation=1e-7)(x)
    assert relative(x, result) < 1e-4
    assert bool(result.stationary)
    assert relative(x, STHOSVD(ranks=2)(x)) > 0.1


@pytest.mark.parametrize("order", [2, 3, 4])
def test_sweeps_never_increase_the_error(order, seed):
    x = drawn((6, 5, 4, 3)[:order], seed)
    errors = [relative(x, BlockTerm(sweeps=s, ranks=1, order=order)(x)) for s in (0, 1, 2, 5, 20)]
    assert all(after <= before * (1 + 1e-12) for before, after in itertools.pairwise(errors))


def test_the_start_is_no_worse_than_one_term(seed):
    x = drawn((6, 7, 8), seed)
    assert relative(x, BlockTerm(terms=3, sweeps=0)(x)) < relative(x, STHOSVD(ranks=2)(x))


def test_one_term_is_a_tucker_decomposition(seed):
    x = drawn((6, 7, 8), seed)
    assert relative(x, BlockTerm(terms=1)(x)) <= relative(x, STHOSVD(ranks=2)(x)) * (1 + 1e-12)


def test_the_certificate_is_the_error_and_factors_are_orthonormal():
    x = np.stack([drawn((6, 7, 8)), 1e5 * drawn((6, 7, 8), 1)])
    result = BlockTerm()(x)
    errors = np.linalg.norm((x - result.to_dense()).reshape(2, -1), axis=-1)
    np.testing.assert_allclose(result.error_certificate, errors, rtol=1e-9)
    for factor in result.factors:
        np.testing.assert_allclose(factor.mT @ factor, np.broadcast_to(np.eye(2), (2, 2, 2, 2)), atol=1e-12)


def test_a_tensor_that_has_converged_waits_for_the_others():
    easy, hard = np.zeros((6, 7, 8)), drawn((6, 7, 8))
    result = BlockTerm(sweeps=40)(np.stack([easy, hard]))
    assert result.sweeps[0] < result.sweeps[1]
    alone = BlockTerm(sweeps=40)(hard[None]).to_dense()[0]
    np.testing.assert_allclose(result.to_dense()[1], alone, rtol=1e-9, atol=1e-12)


def test_too_few_sweeps_are_said():
    """Negative control for the report of convergence."""
    result = BlockTerm(sweeps=1, stagnation=0.0)(planted())
    assert not bool(result.stationary)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_extreme_scales_neither_overflow_nor_vanish(scale):
    x = drawn((4, 5, 6)).astype(np.float32)
    result, plain = BlockTerm()((x * np.float32(scale)).astype(np.float32)), BlockTerm()(x)
    np.testing.assert_allclose(result.to_dense() / np.float32(scale), plain.to_dense(), atol=1e-4)


def test_every_library_gives_the_same(xp, assert_close):
    x = drawn((4, 5, 6))
    host, ring = (BlockTerm(sweeps=2)(a).to_dense() for a in (x, xp.asarray(x)))
    assert_close(ring, host, rtol=0, atol=1e5 * xp.eps())
    assert dtype_name(BlockTerm(sweeps=2)(xp.asarray(x, dtype="float32")).to_dense().dtype) == "float32"


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: BlockTerm(terms=0), "terms is 0"),
        (lambda: BlockTerm(ranks=0), "rank is 0"),
        (lambda: BlockTerm(ranks=(2, 2)), "are needed at order 3"),
        (lambda: BlockTerm(sweeps=-1), "sweeps is -1"),
        (lambda: BlockTerm(stagnation=float("nan")), "stagnation is nan"),
        (lambda: BlockTerm(ranks=9)(np.ones((4, 4, 4))), "rank 9 at place 0"),
    ],
    ids=range(6),
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
