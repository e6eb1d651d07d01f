"""The weighted coreset against its formula, and as a method."""

import dataclasses

import numpy as np
import pytest
from fixtures import relative_output
from fixtures.attention import with_one_large_key

from tnattn.arrays import to_host
from tnattn.attention.cache.pivoted_coreset import CoresetWeights, PivotedCoreset
from tnattn.attention.masks import CausalMask, UnsupportedMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.summary import KeySet


def problem(seed=0, *, n_q=7, n_k=40, heads=4, groups=2, batch=(), d=3, dtype="float64", as_=np.asarray):
    rng = np.random.default_rng(seed)
    shapes = [(*batch, heads, n_q, d), (*batch, groups, n_k, d), (*batch, groups, n_k, 3)]
    q, k, v = (as_(rng.standard_normal(shape).astype(dtype)) for shape in shapes)
    return AttentionProblem(q, k, v)


def test_duplicates_are_compressed_without_error():
    target = problem(n_k=6)
    many = dataclasses.replace(target, k=np.repeat(target.k, 5, axis=-2), v=np.repeat(target.v, 5, axis=-2))
    piece = PivotedCoreset(6)(many, rng=np.random.default_rng(0))
    np.testing.assert_allclose(piece.output, target.output, rtol=1e-8)
    assert piece.kernel.shape[-1] == 6


def test_the_output_tends_to_the_exact_one_and_all_keys_are_exact():
    target = problem()
    errors = [
        np.median([relative_output(PivotedCoreset(m)(target, rng=np.random.default_rng(s)), target) for s in range(7)])
        for m in (5, 15, 30, 40)
    ]
    assert errors[0] > 2 * errors[1] > 4 * errors[2] > 0
    assert errors[3] < 1e-13


def test_it_beats_as_many_uniform_keys():
    target = problem()
    coreset = np.median(
        [relative_output(PivotedCoreset(15)(target, rng=np.random.default_rng(s)), target) for s in range(7)]
    )
    uniform = []
    for seed in range(7):
        kept = np.random.default_rng(seed).choice(40, 15, replace=False)
        subset = AttentionProblem(target.q, target.k[:, kept], target.v[:, kept])
        uniform.append(np.linalg.norm(subset.output - target.output) / np.linalg.norm(target.output))
    assert coreset < 0.5 * np.median(uniform)


def test_halves_merge_to_the_whole_and_their_masses_are_estimates():
    target, parts = problem(), (slice(0, 18), slice(18, 40))
    rng = np.random.default_rng(0)
    errors = []
    for m in (6, 17):
        one, two = (PivotedCoreset(m)(target.rectangle(slice(0, 7), p), rng=rng).placed(p, 40) for p in parts)
        errors.append(relative_output(one + two, target))
    assert errors[1] < 0.25 * errors[0]
    assert errors[1] < 0.05


def test_weights_times_values_are_the_output():
    target = problem()
    piece = PivotedCoreset(10)(target, rng=np.random.default_rng(0))
    np.testing.assert_allclose(target.ungroup(piece.weights @ target.values), piece.output, rtol=1e-9)


def test_one_vector_added_to_all_keys_changes_nothing_when_centred():
    target = problem()
    moved = dataclasses.replace(target, k=target.k + np.asarray([2.0, -1.0, 3.0]))
    outputs = [PivotedCoreset(10)(x, rng=np.random.default_rng(0)).output for x in (target, moved)]
    np.testing.assert_allclose(*outputs, rtol=1e-7)
    plain = [PivotedCoreset(10, centre=False)(x, rng=np.random.default_rng(0)).output for x in (target, moved)]
    assert not np.allclose(*plain, rtol=1e-3)


def test_the_temperature_matters_and_has_a_stated_default():
    target = problem()
    scaled = target.score_scale * ((target.k - target.k.mean(-2, keepdims=True)) ** 2).sum(-1).mean(-1)
    assert scaled[0] < 2 < scaled[1]
    stated = (None, 1.0, np.sqrt(scaled[1] / 2), 2.0)
    outputs = [PivotedCoreset(10, t)(target, rng=np.random.default_rng(0)).output for t in stated]
    np.testing.assert_allclose(outputs[0][:2], outputs[1][:2], rtol=1e-12)
    np.testing.assert_allclose(outputs[0][2:], outputs[2][2:], rtol=1e-9)
    assert np.abs(outputs[0] - outputs[3]).max() > 1e-6


@pytest.mark.parametrize("factor", [8.0, 1e4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_huge_logits_stay_finite_or_are_counted(factor, dtype):
    target = problem(dtype=dtype)
    target = dataclasses.replace(target, q=target.q * np.asarray(factor, dtype=dtype))
    piece = PivotedCoreset(10)(target, rng=np.random.default_rng(0))
    finite = np.isfinite(piece.output).all(axis=-1)
    np.testing.assert_array_equal((~finite).sum(axis=-1), piece.bad_rows)


@pytest.mark.parametrize("factor", [1e-6, 30.0])
def test_keys_of_any_size_give_finite_weights(factor):
    target = problem()
    target = dataclasses.replace(target, k=target.k * factor)
    piece = PivotedCoreset(10)(target, rng=np.random.default_rng(0))
    assert np.isfinite(piece.mass).all()
    assert np.isfinite(piece.values).all()


def test_single_precision_agrees_with_double():
    single, double = (
        PivotedCoreset(12)(problem(dtype=d), rng=np.random.default_rng(0)).output for d in ("float32", "float64")
    )
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_grouped_queries_share_a_coreset(groups):
    target = problem(groups=groups)
    piece = PivotedCoreset(30)(target, rng=np.random.default_rng(0))
    assert piece.values.shape == (groups, 1, 30, 3)
    assert relative_output(piece, target) < 0.02


@pytest.mark.parametrize(("n_q", "n_k"), [(1, 40), (7, 1), (1, 1), (7, 2)])
def test_a_single_key_or_row_works(n_q, n_k):
    target = problem(n_q=n_q, n_k=n_k)
    output = PivotedCoreset(1)(target, rng=np.random.default_rng(0)).output
    assert output.shape == (4, n_q, 3)
    if n_k == 1:
        np.testing.assert_allclose(output, target.output, rtol=1e-12)


def test_a_summary_answers_as_the_method_and_cannot_grow():
    target = problem(batch=(2,))
    summary = PivotedCoreset(10).summarise(KeySet.of(target), rng=np.random.default_rng(3))
    whole = PivotedCoreset(10)(target, rng=np.random.default_rng(3))
    np.testing.assert_allclose(summary.attend(target.q).output, whole.output, rtol=1e-12)
    assert summary.nbytes == 8 * 2 * 2 * 10 * (3 + 3 + 1)
    with pytest.raises(TypeError, match="grow"):
        summary.extend(target.k, target.v)


def test_the_same_seed_gives_the_same_bits():
    outputs = [PivotedCoreset(10)(problem(), rng=np.random.default_rng(s)).output for s in (7, 7, 8)]
    np.testing.assert_array_equal(*outputs[:2])
    assert (outputs[0] != outputs[2]).any()


def test_it_runs_on_every_ring(xp, assert_close):
    target = problem(as_=xp.asarray)
    output = PivotedCoreset(12)(target, rng=np.random.default_rng(0)).output
    assert type(output) is type(target.q)
    if xp.dtype == "float64":
        assert_close(
            to_host(output), PivotedCoreset(12)(problem(), rng=np.random.default_rng(0)).output, rtol=1e-6, atol=1e-8
        )
    else:
        assert np.linalg.norm(to_host(output) - problem().output) < 0.5 * np.linalg.norm(problem().output)


def test_a_mask_a_missing_generator_and_bad_parameters_are_refused():
    target = problem(n_q=40)
    with pytest.raises(UnsupportedMask, match="CausalMask"):
        PivotedCoreset()(dataclasses.replace(target, mask=CausalMask()), rng=np.random.default_rng(0))
    with pytest.raises(TypeError, match="rng"):
        PivotedCoreset()(target)
    for arguments in ({"keys": 0}, {"temperature": 0.0}, {"temperature": float("nan")}):
        with pytest.raises(ValueError, match=next(iter(arguments))):
            PivotedCoreset(**arguments)


def test_the_cost_is_quadratic_in_the_budget_and_linear_in_the_keys():
    target, double = problem(n_k=4000), problem(n_k=8000)
    build = [
        PivotedCoreset(m).cost(x).flops - 2 * 4 * 7 * m * (3 + 3 + 1)
        for m, x in ((10, target), (10, double), (20, double))
    ]
    assert build[1] == pytest.approx(2 * build[0], rel=0.01)
    assert 1.5 < build[2] / build[1] < 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("norm", [100, 1000, 1e6])
def test_one_large_key_costs_the_others_nothing(norm, dtype):
    target = with_one_large_key(norm, dtype)
    for seed in range(3):
        found = PivotedCoreset(16)(target, rng=np.random.default_rng(seed))
        assert found.bad_rows.tolist() == [0, 0]
        assert np.linalg.norm(found.output - target.output) < 0.3 * np.linalg.norm(target.output)


def test_large_keys_are_kept_and_stand_for_themselves():
    target = with_one_large_key(1000, "float64")
    summary = PivotedCoreset(16).summarise(KeySet.of(target), rng=np.random.default_rng(0))
    weights = summary.lift.to_dense()
    assert np.count_nonzero(np.abs(weights).max(axis=-1) > 0, axis=-1).tolist() == [[16], [16]]
    np.testing.assert_array_equal(weights[:, 0, :, 5], np.tile(np.arange(17) == 16, (2, 1)))
    np.testing.assert_array_equal(summary.keys[:, 0, 16], target.k[:, 5])
    np.testing.assert_array_equal(summary.mass[:, 0, 16], 1)


@pytest.mark.parametrize("temperature", [0.02, 0.1])
def test_weights_that_vanish_stay_zero(temperature):
    target = with_one_large_key(3, "float64")
    found = PivotedCoreset(16, temperature)(target, rng=np.random.default_rng(0))
    assert not np.isnan(found.weights.to_dense()).all()
    assert found.bad_rows.sum() == 0


def test_weights_are_evaluated_on_use_and_not_held():
    target = problem(n_k=400, d=8)
    lift = PivotedCoreset(20).summarise(KeySet.of(target), rng=np.random.default_rng(0)).lift
    assert isinstance(lift, CoresetWeights)
    assert lift.shape == (2, 1, 20, 400)
    assert lift.storage < lift.to_dense().size


@pytest.mark.parametrize("norm", [1, 1000])
def test_weights_evaluated_on_use_are_those_of_the_sums(norm):
    target = with_one_large_key(norm, "float64")
    summary = PivotedCoreset(16).summarise(KeySet.of(target), rng=np.random.default_rng(0))
    np.testing.assert_allclose(summary.lift @ target.values, summary.values, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(summary.lift.to_dense().sum(axis=-1), summary.mass, rtol=1e-9, atol=1e-9)
    columns = np.random.default_rng(1).standard_normal((*summary.mass.shape, 2))
    np.testing.assert_allclose(summary.lift.mT @ columns, summary.lift.to_dense().mT @ columns, rtol=1e-12)


@pytest.mark.parametrize("groups", [1, 4])
def test_a_head_has_the_coreset_that_it_has_alone(groups):
    """Heads are summarised one by one, with the random numbers of the stack."""
    target = problem(groups=groups, n_k=60)
    whole = PivotedCoreset(20).summarise(KeySet.of(target), rng=np.random.default_rng(2))
    for head in range(groups):
        alone = KeySet.from_arrays(target.k[head : head + 1], target.v[head : head + 1])
        found = PivotedCoreset(20).summarise(alone, rng=np.random.default_rng(2))
        np.testing.assert_array_equal(found.keys[0], whole.keys[head])
        np.testing.assert_allclose(found.values[0], whole.values[head], rtol=1e-12)
