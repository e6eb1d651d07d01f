"""Spectra of heads: prescribed singular values come back, statistics are what they are called, files are read back."""

import numpy as np
import pytest

from theory.reports.saved_spectra import save_spectra
from theory.studies.head_spectra import head_spectra
from theory.studies.spectra_result import SpectraResult
from tnattn.attention.masks import BiasMask, CausalMask, PaddingMask
from tnattn.attention.problem import AttentionProblem

SIGMA = np.asarray([8.0, 4.0, 2.0, 0.5, 0.02])


def prescribed(n, values, rng):
    left, right = (np.linalg.qr(rng.standard_normal((m, values.size)))[0] for m in (n, values.size))
    return left * values @ right.T


def problem(n=24, heads=3, groups=None, **more):
    rng = np.random.default_rng(5)
    groups = groups or heads
    q = np.stack([prescribed(n, SIGMA * (h + 1), rng) for h in range(heads)])
    k, v = (np.stack([prescribed(n, SIGMA / (g + 1), rng) for g in range(groups)]) for _ in range(2))
    return AttentionProblem(q, k, v, **more)


def test_prescribed_singular_values_come_back():
    found = head_spectra(problem(), "toy").singular_values
    for head in range(3):
        np.testing.assert_allclose(found["queries"][head], SIGMA * (head + 1), rtol=1e-12)
        np.testing.assert_allclose(found["keys"][head], SIGMA / (head + 1), rtol=1e-12)
        np.testing.assert_allclose(found["values"][head], SIGMA / (head + 1), rtol=1e-12)


def test_orthogonal_queries_and_keys_give_prescribed_scores():
    basis = np.linalg.qr(np.random.default_rng(1).standard_normal((12, 12)))[0][:, :5]
    target = AttentionProblem(basis[None] * SIGMA, basis[None], basis[None], scale=2.0)
    np.testing.assert_allclose(head_spectra(target, "x").singular_values["scores"][0][:5], 2 * SIGMA, rtol=1e-12)


@pytest.mark.parametrize("mask", [None, CausalMask(), PaddingMask(17)])
@pytest.mark.parametrize("softcap", [None, 3.0])
def test_weights_are_those_of_the_problem(mask, softcap):
    target = problem(softcap=softcap, **({} if mask is None else {"mask": mask}))
    found = head_spectra(target, "toy")
    exact = np.asarray(target.dense_weights())
    np.testing.assert_allclose(found.singular_values["weights"], np.linalg.svd(exact, compute_uv=False), atol=1e-12)
    np.testing.assert_allclose(found.peak, exact.max(axis=-1).mean(axis=-1), rtol=1e-12)
    np.testing.assert_allclose(found.column_mass, exact.mean(axis=-2), atol=1e-14)
    np.testing.assert_allclose(found.corner, exact[:, :20, :20], atol=1e-14)


@pytest.mark.parametrize("mask", [None, CausalMask()])
def test_the_tensor_is_that_of_the_weights_of_all_heads(mask):
    target = problem(heads=4, groups=2, **({} if mask is None else {"mask": mask}))
    exact = np.asarray(target.dense_weights()).reshape(4, 24, 24)
    found = head_spectra(target, "toy").tensor
    assert found.shape == exact.shape
    for axis, mode in enumerate(("head", "query", "key")):
        unfolding = np.moveaxis(exact, axis, 0).reshape(exact.shape[axis], -1)
        sigma = np.linalg.svd(unfolding, compute_uv=False)
        np.testing.assert_allclose(found.singular_values[mode], sigma, atol=1e-7 * sigma[0])


def test_the_kernel_is_rows_and_columns_times_the_gaussian_part():
    target = problem(heads=2)
    found = head_spectra(target, "toy")
    q, k = np.asarray(target.q), np.asarray(target.k)
    gaussian = np.exp(-0.5 * target.score_scale * np.sum((q[:, :, None] - k[:, None]) ** 2, axis=-1))
    np.testing.assert_allclose(found.singular_values["gaussian"], np.linalg.svd(gaussian, compute_uv=False), atol=1e-10)
    kernel = np.exp(target.score_scale * q @ k.swapaxes(-1, -2))
    kernel /= kernel.max(axis=(-2, -1), keepdims=True)
    np.testing.assert_allclose(found.singular_values["kernel"], np.linalg.svd(kernel, compute_uv=False), atol=1e-12)


@pytest.mark.parametrize("more", [{"softcap": 2.0}, {"mask": BiasMask(np.ones((24, 24)))}])
def test_there_is_no_gaussian_part_with_a_softcap_or_a_bias(more):
    assert "gaussian" not in head_spectra(problem(**more), "toy").singular_values


def test_grouped_keys_belong_to_their_heads():
    target = problem(heads=4, groups=2)
    found = head_spectra(target, "toy")
    exact = np.linalg.svd(np.asarray(target.dense_scores()), compute_uv=False)
    np.testing.assert_allclose(found.singular_values["scores"], exact, atol=1e-10)
    assert found.singular_values["keys"].shape[0] == 2


def test_uniform_weights_have_the_largest_entropy_and_rank_one():
    flat = np.zeros((1, 16, 4))
    found = head_spectra(AttentionProblem(flat, flat, flat), "flat")
    np.testing.assert_allclose([found.entropy[0], found.perplexity[0], found.peak[0]], [np.log(16), 16, 1 / 16])
    assert found.numerical_rank("weights").tolist() == [1]
    np.testing.assert_allclose(found.stable_rank("weights"), 1.0)


def test_rows_that_see_no_key_are_counted_and_left_out():
    mask = BiasMask(np.where(np.arange(8)[:, None] < 3, -np.inf, 0.0) * np.ones((8, 8)))
    flat = np.zeros((1, 8, 4))
    found = head_spectra(AttentionProblem(flat, flat, flat, mask=mask), "x")
    assert found.empty_rows.tolist() == [3]
    np.testing.assert_allclose([found.perplexity[0], found.column_mass[0].sum()], [8.0, 1.0])


def test_ranks_follow_their_definitions():
    found = head_spectra(problem(), "toy")
    assert found.numerical_rank("queries", 1e-1).tolist() == [3] * 3
    assert found.numerical_rank("queries", 1e-2).tolist() == [4] * 3
    assert found.numerical_rank("queries").tolist() == [5] * 3
    energy = np.cumsum(SIGMA**2) / np.sum(SIGMA**2)
    assert found.energy_rank("queries", 0.9).tolist() == [1 + int(np.sum(energy < 0.9))] * 3
    np.testing.assert_allclose(found.stable_rank("queries"), np.sum(SIGMA**2) / SIGMA[0] ** 2)


def test_a_rank_counted_at_another_tolerance_differs():
    found = head_spectra(problem(), "toy")
    assert np.all(found.numerical_rank("queries", 1e-1) != found.numerical_rank("queries", 1e-2))


def test_large_scores_stay_finite():
    target = problem()
    found = head_spectra(AttentionProblem(target.q * 1e3, target.k * 1e3, target.v), "large")
    assert all(np.isfinite(values).all() for values in found.singular_values.values())
    assert np.isfinite(found.entropy).all()


def test_the_table_has_a_row_per_matrix_and_head():
    found = head_spectra(problem(), "toy")
    table = found.table()
    assert len(table) == 7 * 3
    row = next(row for row in table if (row["matrix"], row["head"]) == ("queries", 1))
    assert (row["rank_1e-1"], row["rank_1e-2"]) == (3, 4)
    assert row["largest"] == pytest.approx(16.0)


def test_what_is_saved_is_read_back(tmp_path):
    found = head_spectra(problem(), "Toy / 1")
    written = save_spectra(found, tmp_path)
    assert {path.name for path in written} == {
        "toy-1.npz", "toy-1.csv", "toy-1-tensor.csv",
        *(f"toy-1-{f}.{s}" for f in ("corner", "inputs", "attention", "tensor") for s in ("svg", "png")),
    }  # fmt: skip
    assert all(path.stat().st_size > 0 for path in written)
    again = SpectraResult.load(written[0])
    assert (again.name, again.content, again.n_q) == (found.name, found.content, found.n_q)
    assert again.table() == found.table()
    assert again.tensor.shape == found.tensor.shape == (3, 24, 24)
    assert again.tensor.table() == found.tensor.table()


def test_a_file_without_the_tensor_is_refused(tmp_path):
    path = head_spectra(problem(heads=1), "toy").save(tmp_path)[0]
    with np.load(path) as file:
        kept = {name: array for name, array in file.items() if name != "tensor_key"}
    np.savez(path, **kept)
    with pytest.raises(ValueError, match=r"toy.npz holds no spectra; delete it"):
        SpectraResult.load(path)


def test_a_file_of_something_else_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones(3))
    with pytest.raises(ValueError, match=r"x.npz holds no spectra"):
        SpectraResult.load(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda r: r.relative("outputs"), "no matrix 'outputs'"),
        (lambda r: r.numerical_rank("keys", 1.0), "tolerance is 1.0"),
        (lambda r: r.energy_rank("keys", 1.0), "share is 1.0"),
    ],
)
def test_questions_without_an_answer_are_refused(ask, message):
    with pytest.raises(ValueError, match=message):
        ask(head_spectra(problem(heads=1), "toy"))


def test_too_many_tokens_are_refused_with_a_cure():
    long = np.zeros((1, 2049, 1))
    with pytest.raises(ValueError, match=r"2049 queries.*take a part, such as problem.rectangle"):
        head_spectra(AttentionProblem(long, long, long), "long")
