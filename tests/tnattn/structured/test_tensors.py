import itertools

import numpy as np
import opt_einsum
import pytest
import tensorly

from tnattn.arrays import dtype_name, to_host
from tnattn.decomposition.tucker.st_hosvd import STHOSVD
from tnattn.structured.cp import CPTensor
from tnattn.structured.tensor_train import TensorTrain
from tnattn.structured.tucker import TuckerTensor

KINDS = ["tucker", "cp", "train"]
every_kind = pytest.mark.parametrize("kind", KINDS)


def parts(kind, sizes, batch=()):
    """Random arrays of a structured tensor: name of the constructor, and its arguments."""
    rng = np.random.default_rng(len(sizes))
    order = len(sizes)
    if kind == "tucker":
        ranks = range(2, 2 + order)
        return (
            TuckerTensor,
            rng.standard_normal((*batch, *ranks)),
            [rng.standard_normal((*batch, n, r)) for n, r in zip(sizes, ranks, strict=True)],
        )
    if kind == "cp":
        return CPTensor, rng.standard_normal((*batch, 3)), [rng.standard_normal((*batch, n, 3)) for n in sizes]
    bonds = [1, *range(2, 1 + order), 1]
    return TensorTrain, None, [rng.standard_normal((*batch, bonds[j], n, bonds[j + 1])) for j, n in enumerate(sizes)]


def made(kind, sizes=(4, 5, 6), batch=(), convert=lambda x: x):
    cls, head, rest = parts(kind, sizes, batch)
    rest = tuple(convert(x) for x in rest)
    return cls(rest) if head is None else cls(convert(head), rest)


@every_kind
@pytest.mark.parametrize("sizes", [(4, 5), (4, 5, 6), (3, 4, 2, 5)], ids=str)
def test_dense_form_is_that_of_tensorly(kind, sizes):
    tensor = made(kind, sizes)
    theirs = tensor.to_tensorly().to_tensor()
    np.testing.assert_allclose(tensor.to_dense(), theirs, atol=1e-12)


@every_kind
def test_it_unpacks_as_in_tensorly(kind):
    tensor = made(kind)
    if kind == "train":
        dense = tensorly.tt_to_tensor(list(tensor))
    else:
        head, factors = tensor
        dense = (tensorly.tucker_to_tensor if kind == "tucker" else tensorly.cp_to_tensor)((head, factors))
    np.testing.assert_allclose(tensor.to_dense(), dense, atol=1e-12)


@every_kind
def test_the_way_to_tensorly_and_back_copies_nothing(kind):
    tensor = made(kind)
    back = type(tensor).from_tensorly(tensor.to_tensorly())
    for ours, theirs in zip(tensor.network(), back.network(), strict=True):
        assert np.shares_memory(ours[1], theirs[1])


@every_kind
def test_a_stack_does_not_go_to_tensorly(kind):
    with pytest.raises(ValueError, match=r"batch shape \(2,\)"):
        made(kind, batch=(2,)).to_tensorly()


@every_kind
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=str)
def test_stacks_are_their_members(kind, batch):
    tensor = made(kind, batch=batch)
    assert tensor.shape == (*batch, 4, 5, 6)
    assert tensor.batch == batch
    assert tensor.sizes == (4, 5, 6)
    for i in np.ndindex(batch):
        members = [array[i] for _, array in tensor.network()]
        member = type(tensor)(tuple(members)) if kind == "train" else type(tensor)(members[0], tuple(members[1:]))
        np.testing.assert_allclose(tensor.to_dense()[i], member.to_dense(), atol=1e-12)


@every_kind
@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_norm_is_that_of_the_dense_form(kind, batch):
    tensor = made(kind, batch=batch)
    np.testing.assert_allclose(
        tensor.norm(), np.linalg.norm(tensor.to_dense().reshape(*batch, -1), axis=-1), rtol=1e-10
    )


def splits(order):
    for count in range(1, order):
        for permutation in itertools.permutations(range(order)):
            yield permutation[:count], permutation[count:]


@every_kind
@pytest.mark.parametrize("rows, columns", list(splits(3)), ids=str)
def test_matrix_views_multiply_as_the_dense_matrix(kind, rows, columns):
    tensor = made(kind, batch=(2,))
    dense = tensor.to_dense().transpose(0, *(1 + j for j in rows + columns))
    dense = dense.reshape(2, np.prod([tensor.sizes[j] for j in rows]), -1)
    view = tensor.as_matrix(rows, columns)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, dense.shape[-1], 3)), rng.standard_normal((dense.shape[-2], 3))
    assert view.shape == dense.shape
    np.testing.assert_allclose(view.to_dense(), dense, atol=1e-12)
    np.testing.assert_allclose(view @ x, dense @ x, atol=1e-11)
    np.testing.assert_allclose(view.mT @ y, dense.mT @ y, atol=1e-11)


@every_kind
@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_slices_multiply_as_the_dense_slices(kind, mode, batch):
    tensor = made(kind, batch=batch)
    dense = np.moveaxis(tensor.to_dense(), len(batch) + mode, len(batch))
    slices = tensor.slices(mode)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((*dense.shape[:-2], dense.shape[-1], 3)), rng.standard_normal((dense.shape[-2], 3))
    assert slices.shape == dense.shape
    np.testing.assert_allclose(slices.to_dense(), dense, atol=1e-12)
    np.testing.assert_allclose(slices @ x, dense @ x, atol=1e-11)
    np.testing.assert_allclose(slices.mT @ y, dense.mT @ y, atol=1e-11)


@every_kind
def test_the_adjoint_is_the_adjoint(kind):
    view, rng = made(kind).as_matrix((2, 0), (1,)), np.random.default_rng(1)
    x, y = rng.standard_normal(5), rng.standard_normal(24)
    np.testing.assert_allclose(y @ (view @ x), x @ (view.mT @ y), rtol=1e-12)


@every_kind
def test_a_wrong_length_is_refused(kind):
    with pytest.raises(ValueError, match="must be 30"):
        made(kind).as_matrix((0,), (1, 2)) @ np.ones(29)


@pytest.mark.parametrize(
    "kind, storage",
    [("tucker", 2 * (2 * 3 * 4 + 4 * 2 + 5 * 3 + 6 * 4)), ("cp", 2 * (3 + 3 * 15)), ("train", 2 * (8 + 30 + 18))],
)
def test_storage_is_counted(kind, storage):
    assert made(kind, batch=(2,)).storage == storage


def test_compression_is_entries_over_storage():
    tensor = CPTensor(np.ones((2, 1)), tuple(np.ones((2, n, 1)) for n in (40, 50, 60)))
    assert tensor.compression == pytest.approx(40 * 50 * 60 / 151)
    assert made("train", (2, 2, 2)).compression < 1


def test_a_repeated_product_plans_no_path_anew(monkeypatch):
    view, x = made("tucker", (7, 5, 6)).as_matrix((0,), (1, 2)), np.ones((30, 2))
    first, planned = view @ x, []
    path = opt_einsum.contract_path
    monkeypatch.setattr(opt_einsum, "contract_path", lambda *a, **k: planned.append(a) or path(*a, **k))
    np.testing.assert_array_equal(view @ x, first)
    assert not planned
    view @ np.ones((30, 11))  # a new shape is planned: the count can fail
    assert len(planned) == 1


def test_padding_is_not_counted():
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 6))
    x[1] = 1.0
    result = STHOSVD(rtol=1e-3)(x)
    assert result.ranks.tolist() == [[4, 5, 6], [1, 1, 1]]
    assert result.storage == (120 + 16 + 25 + 36) + (1 + 4 + 5 + 6)


def test_flops_of_a_view_are_those_of_the_planned_path():
    tensor = CPTensor(np.ones(3), (np.ones((40, 3)), np.ones((50, 3)), np.ones((60, 3))))
    dense = 2 * 40 * 3000 * 7
    assert 0 < tensor.as_matrix((0,), (1, 2)).matmul_flops(7) < dense / 4
    assert made("tucker", batch=(2,)).as_matrix((0,), (1, 2)).matmul_flops(1) == 2 * (
        made("tucker").as_matrix((0,), (1, 2)).matmul_flops(1)
    )


def test_a_view_does_not_form_the_tensor():
    """A rank-one tensor with 10^12 entries multiplies at once."""
    factors = tuple(np.ones((10_000, 1)) for _ in range(3))
    view = CPTensor(np.ones(1), factors).slices(0)
    assert view.shape == (10_000, 10_000, 10_000)
    assert (view.left @ (view.right.right @ np.ones((10_000, 1))))[0, 0, 0] == 10_000


@every_kind
def test_every_library_gives_the_same_products(xp, assert_close, kind):
    host, ring = made(kind, batch=(2,)), made(kind, batch=(2,), convert=xp.asarray)
    x = np.random.default_rng(0).standard_normal((2, 30, 3))
    tolerance = {"rtol": 0, "atol": 1e4 * xp.eps()}
    assert_close(ring.to_dense(), xp.asarray(to_host(host.to_dense())), **tolerance)
    assert_close(ring.norm(), xp.asarray(host.norm()), **tolerance)
    assert_close(
        ring.as_matrix((0,), (1, 2)) @ xp.asarray(x), xp.asarray(host.as_matrix((0,), (1, 2)) @ x), **tolerance
    )
    assert_close(ring.slices(1) @ xp.asarray(x[:, None, :6]), xp.asarray(host.slices(1) @ x[:, None, :6]), **tolerance)


@every_kind
def test_float32_stays_float32(xp, kind):
    tensor = made(kind, convert=lambda a: xp.asarray(a, dtype="float32"))
    x = xp.asarray(np.ones((6, 1)), dtype="float32")
    results = (tensor.to_dense(), tensor.norm(), tensor.slices(0) @ x)
    assert {dtype_name(r.dtype) for r in results} == {"float32"}


@every_kind
@pytest.mark.parametrize("rows, columns", [((0,), (1,)), ((0, 1), (1, 2)), ((0,), (1, 3))], ids=str)
def test_modes_must_be_split(kind, rows, columns):
    with pytest.raises(ValueError, match="must split the modes 0 ... 2"):
        made(kind).as_matrix(rows, columns)


@every_kind
def test_slices_need_order_three(kind):
    with pytest.raises(ValueError, match="order 4"):
        made(kind, (2, 3, 4, 5)).slices()


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: TuckerTensor(np.ones((2, 2)), (np.ones((3, 2)), np.ones((3, 1)))), "must agree"),
        (lambda: TuckerTensor(np.ones((2,)), (np.ones((3, 2)), np.ones((3, 1)))), "do not fit a core"),
        (lambda: CPTensor(np.ones(2), (np.ones((3, 2)), np.ones((3, 1)))), "must agree"),
        (lambda: CPTensor(np.ones((2, 2)), (np.ones((3, 3, 2)), np.ones((3, 2)))), "do not broadcast"),
        (lambda: TensorTrain((np.ones((1, 3, 2)), np.ones((3, 3, 1)))), "neighbours must agree"),
        (lambda: TensorTrain((np.ones((2, 3, 2)), np.ones((2, 3, 1)))), "both ends be 1"),
        (lambda: TensorTrain((np.ones((3, 2)),)), "three axes"),
    ],
)
def test_mismatched_parts_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_another_factor_gives_another_tensor():
    """Negative control: the comparisons above can fail."""
    core, factors = made("tucker")
    changed = TuckerTensor(core, (factors[0] * 1.001, *factors[1:]))
    assert not np.allclose(changed.to_dense(), made("tucker").to_dense(), rtol=1e-6)
