import numpy as np
import pytest
from fixtures import drawn, relative
from hypothesis import given, settings
from hypothesis import strategies as st

from tnattn.arrays import dtype_name, to_host
from tnattn.attention.problem import AttentionProblem
from tnattn.decomposition.entries import (
    ArrayEntries,
    CountedEntries,
    EntryTensor,
    LargerEntry,
    linear_index,
    multi_index,
)
from tnattn.decomposition.tensor_train.pivoting import DOMINANCE, fitted, interpolation
from tnattn.decomposition.tensor_train.sampled_fibres import sample_fibres
from tnattn.decomposition.tensor_train.tt_cross import TTCross
from tnattn.decomposition.tensor_train.tt_svd import TTSVD
from tnattn.decomposition.tucker.st_hosvd import STHOSVD
from tnattn.models.sample import load_sample
from tnattn.randnla.accuracy import ToleranceWarning
from tnattn.structured.tensor_train import TensorTrain

quick = settings(max_examples=25, deadline=None)
shapes = st.lists(st.integers(1, 6), min_size=2, max_size=5).map(tuple)


def smooth(n=40):
    t = np.linspace(0, 1, n)
    return 1 / (1 + t[:, None, None] + 2 * t[:, None] + t)


def plain(ranks, **fields):
    """As many rows and columns as ranks: interpolation, and nothing to round."""
    return TTCross(ranks, enrichment=1, rows_per_column=1, oversampling=0, **fields)


def smooth_weights(n=128):
    """Softmax weights of 12 heads whose queries and keys move slowly along the sequence."""
    t, f, rng = np.linspace(0, 1, n)[:, None], np.arange(1, 17), np.random.default_rng(0)
    q, k = (np.stack([np.cos(2 * f * t + rng.uniform(0, 6, 16)) for _ in range(12)]) for _ in range(2))
    return AttentionProblem(q, k, k).dense_weights()


def sample_weights(layer):
    qkv = load_sample(layer)
    return AttentionProblem(*(x[:, :160] for x in (qkv.q, qkv.k, qkv.v))).dense_weights()


def needles(n, heads=3):
    """Every row of every head looks at one key: all ranks between query and key are needed."""
    return np.repeat(np.eye(n)[None], heads, axis=0)


class Smooth(EntryTensor):
    """1 / (1 + a + 2 b + c) on a grid of n points per mode, counting what is asked for."""

    def __init__(self, n):
        self.n, self.asked = n, 0

    @property
    def shape(self):
        return (self.n,) * 3

    @property
    def like(self):
        return np.empty(0)

    def entries(self, indices):
        self.asked += indices.shape[0]
        a, b, c = np.moveaxis(indices / (self.n - 1), -1, 0)
        return 1 / (1 + a + 2 * b + c)


# the choice of rows


@quick
@given(m=st.integers(1, 12), r=st.integers(1, 5), batch=st.sampled_from([(), (3,)]), seed=st.integers(0, 99))
def test_all_rows_are_interpolated_from_the_chosen_ones_with_small_coefficients(m, r, batch, seed):
    r = min(m, r)
    basis = np.linalg.qr(drawn((*batch, m, r), seed))[0]
    rows, coefficients = interpolation(basis)
    chosen = np.take_along_axis(basis, rows[..., None], axis=-2)
    np.testing.assert_allclose(coefficients @ chosen, basis, atol=1e-12)
    at_chosen = np.take_along_axis(coefficients, rows[..., None], axis=-2)
    np.testing.assert_allclose(at_chosen, np.broadcast_to(np.eye(r), at_chosen.shape), atol=1e-12)
    assert np.abs(coefficients).max() <= DOMINANCE * (1 + 1e-9)
    assert all(len(set(one)) == r for one in rows.reshape(-1, r).tolist())


def test_elimination_alone_has_larger_coefficients():
    """Negative control: exchanges are needed on Wilkinson's matrix, whose elimination doubles in every step."""
    a = np.eye(12)[:, :11] - np.tril(np.ones((12, 11)), -1)
    a[-1] = -1
    rows, coefficients = interpolation(np.linalg.qr(a)[0])
    assert np.abs(np.linalg.solve(a[:11].T, a.T)).max() > 100
    assert np.abs(coefficients).max() <= DOMINANCE


@quick
@given(m=st.integers(1, 12), r=st.integers(1, 5), more=st.integers(0, 6), batch=st.sampled_from([(), (3,)]))
def test_more_rows_fit_the_basis_by_least_squares(m, r, more, batch):
    r, count = min(m, r), min(m, r + more)
    basis = np.linalg.qr(drawn((*batch, m, r)))[0]
    rows, coefficients, inverse = fitted(basis, count)
    np.testing.assert_array_equal(rows[..., :r], interpolation(basis)[0])
    assert all(len(set(one)) == count for one in rows.reshape(-1, count).tolist())
    at_rows = np.take_along_axis(coefficients, rows[..., None], axis=-2)
    np.testing.assert_allclose(inverse, np.linalg.pinv(at_rows), atol=1e-10)
    np.testing.assert_allclose(
        coefficients @ inverse @ np.take_along_axis(basis, rows[..., None], -2), basis, atol=1e-9
    )
    assert np.linalg.norm(inverse, 2, axis=(-2, -1)).max() <= 1 + 1e-9


def test_further_rows_shorten_the_coefficients(seed):
    """Negative control: random further rows shorten them less."""
    basis = np.linalg.qr(drawn((400, 8), seed))[0]
    rows, coefficients, inverse = fitted(basis, 16)
    others = np.random.default_rng(seed).permutation(np.setdiff1d(np.arange(400), rows[:8]))[:8]
    by_chance = coefficients @ np.linalg.pinv(coefficients[np.concatenate([rows[:8], others])])
    longest = [np.linalg.norm(x, axis=-1).max() for x in (coefficients @ inverse, by_chance, coefficients)]
    assert longest[0] < 0.9 * longest[1] < longest[2]


# entries


@quick
@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_positions_and_multi_indices_are_inverse(sizes, seed):
    positions = np.random.default_rng(seed).integers(0, np.prod(sizes), 7)
    indices = multi_index(positions, sizes)
    np.testing.assert_array_equal(linear_index(indices, sizes), positions)
    np.testing.assert_array_equal(drawn(sizes).ravel()[positions], drawn(sizes)[tuple(indices.T)])


def test_entries_of_an_array_are_its_entries():
    x = drawn((2, 3, 4, 5))
    indices = np.random.default_rng(0).integers(0, 3, (2, 6, 3))
    found = ArrayEntries(x, 3).entries(indices)
    np.testing.assert_array_equal(found, np.stack([x[b][tuple(indices[b].T)] for b in range(2)]))


# the decomposition


@quick
@given(shape=shapes, rank=st.integers(1, 4), batch=st.sampled_from([(), (2,)]), seed=st.integers(0, 99))
def test_a_tensor_of_the_given_ranks_is_reproduced(shape, rank, batch, seed):
    order = len(shape)
    method = TTCross(order=order).with_rank(rank, shape)
    bonds = [1, *method.ranks, 1]
    rng = np.random.default_rng(seed)
    pairs = zip(bonds, shape, bonds[1:], strict=False)
    x = TensorTrain(tuple(rng.standard_normal((*batch, *sizes)) for sizes in pairs)).to_dense()
    result = method(x, rng=rng)
    assert np.abs(x - result.to_dense()).max() <= 1e-7 * np.abs(x).max()


@quick
@given(shape=shapes)
def test_full_ranks_are_exact(shape):
    x = drawn(shape)
    assert relative(x, TTCross(order=len(shape)).with_rank(10**6, shape)(x, rng=np.random.default_rng(0))) <= 1e-11


@pytest.mark.parametrize("rtol", [1e-2, 1e-5, 1e-9])
def test_a_tolerance_is_reached_on_a_smooth_tensor_with_few_entries(rtol, seed):
    source = Smooth(60)
    result = TTCross(rtol=rtol)(source, rng=np.random.default_rng(seed))
    assert relative(smooth(60), result) <= 3 * rtol
    assert result.evaluations == source.asked
    assert source.asked < 60**3 / 3
    assert result.residual <= 3 * rtol


def test_the_error_is_nearly_the_best_on_a_smooth_tensor(seed):
    x = smooth()
    best = relative(x, TTSVD(ranks=5)(x))
    assert relative(x, TTCross(ranks=5)(x, rng=np.random.default_rng(seed))) <= 1.1 * best


@pytest.mark.parametrize("layer", [1, 3, 5])
@pytest.mark.parametrize("rank", [8, 24])
def test_the_error_is_within_twice_the_best_on_trained_heads(layer, rank, seed):
    x = sample_weights(layer)
    best = relative(x, TTSVD(ranks=(12, rank))(x))
    assert relative(x, TTCross(ranks=(12, rank))(x, rng=np.random.default_rng(seed))) <= 2 * best


def test_the_error_is_within_twice_the_best_on_smooth_weights_and_plain_interpolation_is_not(seed):
    x = smooth_weights()
    best = relative(x, TTSVD(ranks=(12, 12))(x))
    errors = [relative(x, m((12, 12))(x, rng=np.random.default_rng(seed))) for m in (TTCross, plain)]
    assert errors[0] <= 2 * best
    assert errors[1] > 3 * best


def test_a_bond_that_holds_all_rows_reads_nothing():
    """Twelve heads and full first ranks: two passes over the second bond, its rows, and three checks are all."""
    x, rank, n = smooth_weights(), 10, 128
    result = TTCross(ranks=(12, rank))(x, rng=np.random.default_rng(0))
    columns = 2 * rank + 4
    fitting = 2 * 12 * n * columns + 2 * 1.5 * columns * n + (columns + 4) * n
    checks = (16 + 48) * (12 + 2 * n)
    assert result.evaluations <= fitting + checks
    assert result.evaluations > fitting / 1.5


def test_a_tensor_that_cannot_be_formed_is_reached():
    """8 * 10^12 entries."""
    result = TTCross(rtol=1e-6)(Smooth(20_000), rng=np.random.default_rng(0))
    assert result.residual <= 3e-6
    assert result.evaluations < 2e7


@pytest.mark.parametrize("n", [32, 128])
def test_needles_are_reported(n, seed):
    """No train of rank 8 is near, and the estimate says so."""
    result = TTCross(ranks=(1, 8))(needles(n), rng=np.random.default_rng(seed))
    assert relative(needles(n), result) > 0.8
    assert result.residual > 0.7
    assert not result.converged


def test_a_missed_tolerance_is_a_warning_and_not_hidden(seed):
    with pytest.warns(
        ToleranceWarning, match=r"rtol 0.1 is not met at ranks \(1, \d+\) after 3 sweeps, .* by 1 of the 1"
    ):
        result = TTCross(rtol=0.1, sweeps=3)(needles(256), rng=np.random.default_rng(seed))
    assert not result.converged
    assert result.residual > 0.5
    assert relative(needles(256), result) > 0.5


@pytest.mark.filterwarnings("error::tnattn.randnla.accuracy.ToleranceWarning")
def test_a_tolerance_that_is_met_is_no_warning(seed):
    assert TTCross(rtol=1e-3)(smooth(), rng=np.random.default_rng(seed)).converged


def test_every_tensor_of_a_stack_has_its_own_flag():
    grid = np.linspace(0, 1, 128)
    easy = 1 / (1 + np.arange(3)[:, None, None] + 2 * grid[:, None] + grid)
    with pytest.warns(ToleranceWarning, match="by 1 of the 2"):
        result = TTCross(rtol=0.05, sweeps=2)(np.stack([easy, needles(128)]), rng=np.random.default_rng(0))
    np.testing.assert_array_equal(result.converged, [True, False])
    assert result.ranks.shape == (2, 2)
    assert result.ranks[0, 1] < result.ranks[1, 1]
    assert result.storage < 2 * sum(np.prod(core.shape[1:]) for core in result.cores)


@pytest.mark.parametrize("kind", ["random", "smooth", "trained"])
def test_the_estimate_is_near_the_error_and_its_interval_holds_it(kind):
    x = {"random": drawn((12, 13, 14)), "smooth": smooth_weights(64), "trained": sample_weights(5)}[kind]
    inside = []
    for seed in range(10):
        result = TTCross(ranks=(6, 6))(x, rng=np.random.default_rng(seed))
        error = relative(x, result)
        assert result.residual == pytest.approx(error, rel=0.5)
        inside.append(result.interval[0] <= error <= result.interval[1])
    assert np.sum(inside) >= 8
    assert result.interval[1] < 3 * result.interval[0]


def test_one_heavy_column_does_not_decide_the_estimate(seed):
    """Negative control: without the norm of the train, fibres that miss the column say many times too much."""
    x = 1e-2 * np.random.default_rng(seed).standard_normal((3, 200, 200))
    x[:, :, 7] += 1
    result = TTCross(ranks=(3, 2))(x, rng=np.random.default_rng(seed))
    assert result.residual == pytest.approx(relative(x, result), rel=0.2)
    found = sample_fibres(CountedEntries(ArrayEntries(x, 3), 3), result, entries=10, rng=np.random.default_rng(seed))
    alone = np.linalg.norm(found.residual) / np.linalg.norm(found.values)
    assert not 0.8 < alone / relative(x, result) < 1.25


class NearlyFlat(Smooth):
    """One plus a thousandth of it, in float32."""

    @property
    def like(self):
        return np.empty(0, np.float32)

    def entries(self, indices):
        return (1 + 1e-3 * super().entries(indices)).astype(np.float32)


def test_small_singular_values_of_long_float32_tensors_are_kept():
    """Those below eps times the length are not all rounding."""
    result = TTCross(ranks=2)(NearlyFlat(3000), rng=np.random.default_rng(0))
    assert result.largest_ranks == (2, 2)
    assert result.residual < 1e-5
    assert TTCross(ranks=1)(NearlyFlat(3000), rng=np.random.default_rng(0)).residual > 2e-5


def test_rows_are_nested_and_an_interpolating_train_reproduces_the_tensor_there(seed):
    x = drawn((4, 5, 6, 7), seed)
    result = plain((3, 4, 3), order=4)(x, rng=np.random.default_rng(seed))
    assert result.fit.interpolates
    dense, chosen = result.to_dense(), result.fit.rows
    for k, rows in enumerate(chosen):
        assert rows.shape == (result.largest_ranks[k], k + 1)
        if k:
            before = {tuple(row) for row in chosen[k - 1].tolist()}
            assert all(tuple(row[:-1]) in before for row in rows.tolist())
    last = tuple(chosen[-1].T)
    np.testing.assert_allclose(dense[last], x[last], atol=1e-12)


def test_a_fitted_train_has_more_rows_and_does_not_reproduce_them():
    x = drawn((4, 5, 6, 7))
    result = TTCross((3, 4, 3), order=4)(x, rng=np.random.default_rng(0))
    assert not result.fit.interpolates
    assert [rows.shape[-2] > rank for rows, rank in zip(result.fit.rows, result.largest_ranks, strict=True)] == [
        True
    ] * 3
    last = tuple(result.fit.rows[-1].T)
    assert np.abs(result.to_dense()[last] - x[last]).max() > 1e-3


def test_more_sweeps_help():
    """Negative control for the sweeps: random columns alone miss what the residuals show."""
    x = np.zeros((30, 30, 30))
    x[4:8, 4:8, 4:8], x[20:24, 20:24, 20:24] = 1.0, 2.0
    x += 1e-3 * smooth(30)
    errors = [
        np.median([relative(x, TTCross(4, sweeps=s, samples=9000)(x, rng=np.random.default_rng(i))) for i in range(5)])
        for s in (1, 4)
    ]
    assert errors[1] < 0.1 < errors[0]


@pytest.mark.parametrize(
    "change",
    [{"sweeps": 1}, {"oversampling": 0}, {"samples": 5000}, {"enrichment": 1}, {"rows_per_column": 1}],
    ids=str,
)
def test_every_field_changes_the_result(change):
    x = drawn((12, 13, 14))
    results = [m(x, rng=np.random.default_rng(0)).to_dense() for m in (TTCross(2), TTCross(2, **change))]
    assert np.abs(results[0] - results[1]).max() > 1e-6


def test_a_zero_tensor_is_exact():
    result = TTCross(ranks=2)(np.zeros((3, 4, 5)), rng=np.random.default_rng(0))
    assert not result.to_dense().any()
    assert result.residual == 0
    assert result.converged


def test_a_check_of_the_train_itself_finds_nothing():
    train = TTSVD(ranks=4)(drawn((4, 5, 6)))
    found = sample_fibres(
        CountedEntries(ArrayEntries(train.to_dense(), 3), 3), train, entries=100, rng=np.random.default_rng(0)
    )
    assert np.abs(found.residual).max() <= 1e-13
    assert found.worst(3).shape == (3, 3)


def test_every_library_gives_the_same(xp, assert_close):
    x = smooth(8)
    host, ring = (TTCross(ranks=3, sweeps=2)(a, rng=np.random.default_rng(0)) for a in (x, xp.asarray(x)))
    assert_close(ring.to_dense(), host.to_dense(), rtol=0, atol=1e-3 if xp.dtype == "float32" else 1e-9)
    met = TTCross(rtol=0.01)(xp.asarray(np.stack([x, 1 - x])), rng=np.random.default_rng(0))
    np.testing.assert_array_equal(to_host(met.converged), [True, True])
    assert_close(met.to_dense(), np.stack([x, 1 - x]), rtol=0, atol=0.05)
    single = TTCross(ranks=3)(xp.asarray(x, dtype="float32"), rng=np.random.default_rng(0))
    assert dtype_name(single.to_dense().dtype) == "float32"


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: TTCross()(np.ones((3, 4, 5))), TypeError, "randomized"),
        (lambda: TTCross(sweeps=0), ValueError, "sweeps is 0"),
        (lambda: TTCross(enrichment=0.5), ValueError, "enrichment is 0.5; a number of at least 1"),
        (lambda: TTCross(rows_per_column=float("inf")), ValueError, "rows_per_column is inf"),
        (lambda: TTCross(oversampling=-1), ValueError, "oversampling is -1"),
        (lambda: TTCross(samples=0), ValueError, "samples is 0"),
        (lambda: TTCross(ranks=9)(Smooth(4), rng=np.random.default_rng(0)), ValueError, "differ by more|exceeds 4"),
        (lambda: TTCross(order=4)(Smooth(4), rng=np.random.default_rng(0)), ValueError, "fewer axes than order 4"),
        (lambda: STHOSVD()(Smooth(4)), TypeError, "use TTCross"),
        (lambda: TTCross()([[1.0]]), TypeError, "got list"),
    ],
    ids=range(10),
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    "bad, error, message",
    [
        (np.float32(np.nan), ValueError, "an entry that was asked for holds [0-9]* NaN"),
        (np.float16(1), TypeError, "entries are float16, but those of like float32"),
        (np.ma.masked_array(np.float32(1)), TypeError, "an entry that was asked for is a masked array"),
    ],
    ids=["NaN", "half", "masked"],
)
def test_entries_that_cannot_be_fitted_are_named(bad, error, message):
    class Bad(Smooth):
        @property
        def like(self):
            return np.zeros(1, np.float32)

        def entries(self, indices):
            ones = np.ones(indices.shape[:-1], bad.dtype)
            return np.ma.masked_array(ones) if isinstance(bad, np.ma.MaskedArray) else bad * ones

    with pytest.raises(error, match=message):
        TTCross(ranks=2)(Bad(8), rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    "dtype, exponent", [(np.float32, 100), (np.float32, -100), (np.float64, 900), (np.float64, -900)]
)
def test_implicit_tensors_of_any_size(dtype, exponent):
    x = smooth(12).astype(dtype)
    plain = TTCross(rtol=0.01)(ArrayEntries(x, 3), rng=np.random.default_rng(0))
    scaled = TTCross(rtol=0.01)(ArrayEntries(np.ldexp(x, exponent), 3), rng=np.random.default_rng(0))
    np.testing.assert_allclose(np.ldexp(scaled.to_dense(), -exponent), plain.to_dense(), atol=1e-5)
    np.testing.assert_allclose(np.ldexp(scaled.fit.train.to_dense(), -exponent), plain.fit.train.to_dense(), atol=1e-5)
    assert scaled.evaluations == plain.evaluations
    assert scaled.converged
    assert scaled.residual == pytest.approx(float(plain.residual), rel=0.1, abs=1e-5)


def test_implicit_tensors_whose_first_entries_are_far_from_the_largest():
    """The unit grows when a larger entry is met, and what was read is read again."""
    t = np.linspace(-30, 0, 12)
    x = np.exp(t[:, None, None] + t[:, None] + t) * smooth(12)
    x[-1, -1, -1] = 1e200
    result = TTCross(ranks=3)(ArrayEntries(x, 3), rng=np.random.default_rng(0))
    assert np.linalg.norm((result.to_dense() - x) / 1e200) <= 1e-12
    assert result.evaluations > 12**3  # more than all entries: some were read twice


def test_the_unit_of_entries_is_that_of_the_first_that_are_not_zero():
    x = np.array([[0.0, 0.0, 2.0**-500, 2.0**-480, 1.0], [0.0, 3.0, 2.0**20, 0.0, 2.0**450]])
    source = CountedEntries(ArrayEntries(x, 1), 1)

    def read(*places):
        return source.entries(np.broadcast_to(np.array(places)[:, None], (2, len(places), 1)))

    np.testing.assert_array_equal(read(0), [[0], [0]])
    np.testing.assert_array_equal(source.exponent, [0, 0])
    np.testing.assert_array_equal(read(1, 2), [[0, 1], [3, 2.0**20]])
    np.testing.assert_array_equal(source.exponent, [-500, 0])
    np.testing.assert_array_equal(read(3), [[2.0**20], [0]])
    with pytest.raises(LargerEntry):
        read(4)
    np.testing.assert_array_equal(source.exponent, [0, 450])
    np.testing.assert_array_equal(read(4), [[1], [1]])
    assert source.evaluations == 2 * 6
