"""Tensor decompositions of the exact weights of all heads."""

import dataclasses

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.masks import BiasMask, CausalMask, ExplicitMask, PaddingMask, SlidingWindowMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.softmax import SoftmaxOperator
from tnattn.attention.wrappers.weight_tensor import Grouped, WeightTensor
from tnattn.decomposition.tensor_train.tt_cross import TTCross
from tnattn.decomposition.tucker.st_hosvd import STHOSVD
from tnattn.structured import Dense


def problem(seed=0, *, n_q=8, n_k=10, heads=4, groups=2, batch=(), dtype="float64", as_=np.asarray, mask=None):
    rng = np.random.default_rng(seed)
    shapes = [(*batch, heads, n_q, 5), (*batch, groups, n_k, 5), (*batch, groups, n_k, 3)]
    q, k, v = (as_(rng.standard_normal(shape).astype(dtype)) for shape in shapes)
    return AttentionProblem(q, k, v, **({} if mask is None else {"mask": mask}))


MASKS = [
    None,
    CausalMask(),
    SlidingWindowMask(4, 1),
    PaddingMask(7),
    ExplicitMask(np.random.default_rng(5).random((4, 8, 10)) > 0.3),
    BiasMask(np.random.default_rng(6).standard_normal((8, 10))),
    CausalMask() & PaddingMask(9),
]


@pytest.mark.parametrize("mask", MASKS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("batch", [(), (2,)])
def test_full_rank_is_exact_under_every_mask(mask, batch):
    target = problem(mask=mask, batch=batch)
    output = WeightTensor(rank=10)(target).output
    np.testing.assert_allclose(output, target.output, rtol=1e-10, atol=1e-11)


def test_the_error_falls_with_the_rank():
    target = problem(n_q=10)
    errors = [np.linalg.norm(WeightTensor(rank=r)(target).output - target.output) for r in (2, 5, 8, 10)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 2 * errors[2]
    assert errors[3] < 1e-10


def test_the_error_of_the_weights_is_that_of_the_decomposition():
    target, method = problem(), WeightTensor(rank=3, renormalise=False)
    [(decomposition, tensor)] = method.stages(target)
    piece = method(target)
    np.testing.assert_allclose(tensor, target.dense_weights())
    np.testing.assert_allclose(
        target.ungroup(piece.kernel.to_dense()), decomposition(tensor).to_dense(), rtol=1e-12, atol=1e-14
    )
    np.testing.assert_allclose(piece.output, target.ungroup(piece.kernel @ target.values), rtol=1e-12)
    assert not np.allclose(WeightTensor(rank=3)(target).output, piece.output)


def test_its_own_ranks_are_kept_without_a_budget():
    target = problem()
    own = WeightTensor(STHOSVD(ranks=(2, 6, 7)), rank=None)
    np.testing.assert_array_equal(
        own(target).kernel.to_dense(),
        Grouped(STHOSVD(ranks=(2, 6, 7))(target.dense_weights()).slices(0), target.batch).to_dense(),
    )
    assert own.budget is None
    assert own.with_budget(5).budget == 5
    assert WeightTensor().budget == 16


def test_equal_heads_need_one_rank_in_the_head_mode():
    target = problem(heads=1, groups=1)
    same = AttentionProblem(*(np.repeat(x, 4, axis=0) for x in (target.q, target.k, target.v)))
    method = WeightTensor(STHOSVD(ranks=(1, 8, 8)), rank=None)
    np.testing.assert_allclose(method(same).output, same.output, rtol=1e-9)
    assert np.linalg.norm(method(problem()).output - problem().output) > 0.01


def test_values_of_one_give_one_and_weights_give_the_output():
    target = problem()
    ones = dataclasses.replace(target, v=np.ones_like(target.v))
    np.testing.assert_allclose(WeightTensor(rank=3)(ones).output, 1, rtol=1e-12)
    piece = WeightTensor(rank=3)(target)
    np.testing.assert_allclose(target.ungroup(piece.weights @ target.values), piece.output, rtol=1e-11)


def test_halves_merge_with_their_true_mass():
    target, parts = problem(), (slice(0, 4), slice(4, 10))
    one, two = (WeightTensor(rank=8)(target.rectangle(slice(0, 8), part)).placed(part, 10) for part in parts)
    np.testing.assert_allclose((one + two).output, target.output, rtol=1e-10)


def test_the_grouped_view_multiplies_as_its_dense_form():
    rng = np.random.default_rng(0)
    dense = rng.standard_normal((2, 6, 4, 5))
    view = Grouped(Dense(dense), (2, 3, 2))
    x, y = rng.standard_normal((2, 3, 1, 5, 2)), rng.standard_normal((2, 3, 2, 4, 2))
    np.testing.assert_allclose(view @ x, dense.reshape(2, 3, 2, 4, 5) @ x, rtol=1e-12)
    np.testing.assert_allclose(view.mT @ y, np.swapaxes(dense.reshape(2, 3, 2, 4, 5), -1, -2) @ y, rtol=1e-12)
    assert view.storage == dense.size
    assert view.matmul_flops(3) == 2 * 3 * dense.size


@pytest.fixture
def refuses_to_form(monkeypatch):
    """Weights and scores that may be streamed and read entry by entry, but not formed."""

    def refuse(self, *arguments):
        raise AssertionError("all weights were formed")

    monkeypatch.setattr(SoftmaxOperator, "to_dense", refuse)
    monkeypatch.setattr(AttentionProblem, "dense_weights", refuse)
    monkeypatch.setattr(AttentionProblem, "dense_scores", refuse)


@pytest.mark.parametrize("mask", MASKS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("batch", [(), (2,)])
def test_a_cross_reads_entries_and_forms_nothing(refuses_to_form, mask, batch):
    target = problem(mask=mask, batch=batch)
    output = WeightTensor(TTCross(), rank=10)(target, rng=np.random.default_rng(0)).output
    np.testing.assert_allclose(output, target.output, rtol=1e-9, atol=1e-10)


def test_a_truncation_forms_the_weights(refuses_to_form):
    """Negative control."""
    with pytest.raises(AssertionError, match="all weights were formed"):
        WeightTensor()(problem())


def test_a_cross_of_few_entries_is_near_on_long_smooth_sequences(refuses_to_form):
    rng = np.random.default_rng(0)
    q, k, v = (0.3 * rng.standard_normal((4, 1500, 4)).astype(np.float32) for _ in range(3))
    target, method = AttentionProblem(q, k, v), WeightTensor(TTCross(), rank=12)
    [(decomposition, entries)] = method.stages(target)
    assert entries.shape == (4, 1500, 1500)
    assert decomposition(entries, rng=rng).evaluations < 4 * 1500**2 / 10
    output = method(target, rng=rng).output
    assert output.dtype == np.float32
    assert np.linalg.norm(output - target.output) < 0.05 * np.linalg.norm(target.output)


def test_the_cost_of_a_cross_names_no_quadratic_memory():
    target = problem(n_q=200, n_k=300)
    formed, read = (WeightTensor(d, rank=8).cost(target) for d in (STHOSVD(), TTCross()))
    assert read.peak_scalars == 4 * 8 * 500
    assert formed.peak_scalars == 4 * 200 * 300
    assert read.flops < formed.flops


@pytest.mark.parametrize(("n_q", "n_k"), [(1, 10), (8, 1), (1, 1)])
def test_a_single_key_or_row_works(n_q, n_k):
    target = problem(n_q=n_q, n_k=n_k)
    np.testing.assert_allclose(WeightTensor()(target).output, target.output, rtol=1e-10)


def test_later_rows_reach_earlier_ones():
    """The waiver of P2 is needed."""
    target = problem(mask=CausalMask())
    changed = np.array(target.q)
    changed[:, -1] += 3.0
    outputs = [WeightTensor(rank=3)(x).output[:, :-1] for x in (target, dataclasses.replace(target, q=changed))]
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3


def test_permuted_keys_change_nothing():
    target, order = problem(), np.random.default_rng(1).permutation(10)
    moved = dataclasses.replace(target, k=target.k[:, order], v=target.v[:, order])
    np.testing.assert_allclose(WeightTensor(rank=3)(moved).output, WeightTensor(rank=3)(target).output, rtol=1e-8)


def test_single_precision_agrees_with_double():
    single = WeightTensor(rank=10)(problem(dtype="float32")).output
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, problem().output, rtol=1e-3, atol=1e-4)


def test_it_runs_on_every_ring(xp, assert_close):
    target = problem(as_=xp.asarray)
    output = WeightTensor(rank=10)(target).output
    assert type(output) is type(target.q)
    tolerance = 1e5 * xp.eps() if xp.dtype == "float64" else 1e-3
    assert_close(to_host(output), problem().output, rtol=tolerance, atol=tolerance)


def test_a_cross_runs_on_every_ring(xp, assert_close):
    target = problem(as_=xp.asarray)
    output = WeightTensor(TTCross(), rank=10)(target, rng=np.random.default_rng(0)).output
    assert type(output) is type(target.q)
    tolerance = 1e6 * xp.eps() if xp.dtype == "float64" else 1e-2
    assert_close(to_host(output), problem().output, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("arguments", "message"), [({"rank": 0}, "rank"), ({"decomposition": STHOSVD(order=4)}, "order 3")]
)
def test_bad_parameters_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        WeightTensor(**arguments)


def test_the_cost_grows_with_the_rank_and_names_quadratic_memory():
    target = problem()
    assert WeightTensor(rank=4).cost(target).flops > WeightTensor(rank=2).cost(target).flops
    assert WeightTensor().cost(target).peak_scalars == 4 * 8 * 10
