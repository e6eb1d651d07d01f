import numpy as np
import pytest
import tensorly
from hypothesis import given, settings
from hypothesis import strategies as st

from tnattn.arrays import dtype_name
from tnattn.structured.block_term import BlockTermTensor
from tnattn.structured.tucker import TuckerTensor

quick = settings(max_examples=25, deadline=None)
shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4)


def made(sizes=(4, 5, 6), terms=3, batch=(), seed=0, convert=lambda x: x):
    rng = np.random.default_rng(seed)
    ranks = tuple(1 + (j + 1) % 3 for j in range(len(sizes)))
    core = convert(rng.standard_normal((*batch, terms, *ranks)))
    pairs = zip(sizes, ranks, strict=True)
    return BlockTermTensor(core, tuple(convert(rng.standard_normal((*batch, terms, n, r))) for n, r in pairs))


@quick
@given(sizes=shapes, terms=st.integers(1, 3), batch=st.sampled_from([(), (2,)]), seed=st.integers(0, 99))
def test_the_tensor_is_the_sum_of_its_terms(sizes, terms, batch, seed):
    tensor = made(sizes, terms, batch, seed)
    dense = sum(TuckerTensor(core, tuple(factors)).to_dense() for core, factors in tensor)
    np.testing.assert_allclose(tensor.to_dense(), dense, atol=1e-11)
    np.testing.assert_allclose(tensor.as_tucker().to_dense(), dense, atol=1e-11)
    np.testing.assert_allclose(tensor.norm(), np.linalg.norm(dense.reshape(*batch, -1), axis=-1), rtol=1e-6)


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_slices_multiply_as_the_dense_slices(mode, batch):
    tensor = made(batch=batch)
    dense = np.moveaxis(tensor.to_dense(), len(batch) + mode, len(batch))
    slices = tensor.slices(mode)
    x = np.random.default_rng(0).standard_normal((*dense.shape[:-2], dense.shape[-1], 3))
    assert slices.shape == dense.shape
    np.testing.assert_allclose(slices @ x, dense @ x, atol=1e-11)
    np.testing.assert_allclose(slices.mT @ (slices @ x), dense.mT @ (dense @ x), atol=1e-9)


def test_tensorly_gets_one_tucker_tensor():
    tensor = made()
    theirs = tensor.to_tensorly()
    np.testing.assert_allclose(tensorly.tucker_to_tensor(theirs), tensor.to_dense(), atol=1e-12)
    np.testing.assert_allclose(BlockTermTensor.from_tensorly(theirs).to_dense(), tensor.to_dense(), atol=1e-12)
    with pytest.raises(ValueError, match="batch shape"):
        made(batch=(2,)).to_tensorly()


def test_storage_is_counted():
    assert made(terms=2).storage == 2 * (2 * 3 * 1 + 4 * 2 + 5 * 3 + 6 * 1)
    assert made(terms=2).term_ranks == (2, 3, 1)
    assert made(terms=2).terms == 2


def test_every_library_gives_the_same(xp, assert_close):
    host, ring = made(), made(convert=xp.asarray)
    assert_close(ring.to_dense(), host.to_dense(), rtol=0, atol=1e4 * xp.eps())
    assert_close(ring.as_tucker().to_dense(), host.to_dense(), rtol=0, atol=1e4 * xp.eps())
    assert_close(ring.slices(1).to_dense(), host.slices(1).to_dense(), rtol=0, atol=1e4 * xp.eps())
    assert dtype_name(made(convert=lambda a: xp.asarray(a, dtype="float32")).to_dense().dtype) == "float32"


def test_terms_that_differ_give_another_tensor():
    """Negative control."""
    tensor = made()
    changed = BlockTermTensor(tensor.core, (tensor.factors[0][::-1], *tensor.factors[1:]))
    assert np.abs(changed.to_dense() - tensor.to_dense()).max() > 0.1


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: BlockTermTensor(np.ones((2, 2)), (np.ones((3, 2)),)), "do not fit"),
        (lambda: BlockTermTensor(np.ones((2, 2)), (np.ones((3, 4, 2)),)), "must agree"),
        (lambda: BlockTermTensor(np.ones((2, 2)), (np.ones((2, 4, 3)),)), "must agree"),
        (lambda: BlockTermTensor(np.ones((2, 2, 2)), (np.ones((3, 2, 4, 2)),)), "do not broadcast"),
    ],
    ids=range(4),
)
def test_mismatched_parts_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
