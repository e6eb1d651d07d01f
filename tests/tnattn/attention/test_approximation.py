"""The merge algebra: pieces of softmax put together are softmax."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from fixtures import relative_output

from tnattn.arrays import to_host
from tnattn.attention.approximation import SOFTMAX, Approximation, merge_all
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.low_rank.linformer import Linformer
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.stack_queries import stack_queries
from tnattn.display import Displayed
from tnattn.structured import Dense, Selection

N = 12


def problem(seed=0, *, size=1.0, as_=np.asarray, n_q=5):
    rng = np.random.default_rng(seed)
    q, k, v = (rng.standard_normal((4 // s, n, d)) for s, n, d in ((1, n_q, 3), (2, N, 3), (2, N, 2)))
    return AttentionProblem(as_(size * q), as_(k), as_(v))


def piece(target, columns):
    return Exact()(target.rectangle(slice(0, target.n_q), columns)).placed(columns, N)


@pytest.mark.parametrize("size", [1.0, 30.0, 1e4])
def test_disjoint_pieces_merge_to_softmax(size):
    target = problem(size=size)
    merged = piece(target, slice(0, 5)) + piece(target, slice(5, N))
    np.testing.assert_allclose(merged.output, target.output, atol=1e-12 * max(1.0, size / 10))


def test_pieces_merge_on_every_ring(xp, assert_close):
    target = problem(as_=xp.asarray)
    merged = piece(target, slice(0, 5)) + piece(target, slice(5, N))
    assert_close(merged.output, target.output, rtol=0, atol=50 * xp.eps())


def test_merging_without_masses_would_be_wrong():
    target = problem()
    left, right = piece(target, slice(0, 5)), piece(target, slice(5, N))
    naive = replace(left, shift=0 * left.shift) + replace(right, shift=0 * right.shift)
    assert relative_output(naive, target) > 0.01


def test_merging_commutes_and_associates():
    target = problem()
    a, b, c = (piece(target, part) for part in (slice(0, 3), slice(3, 7), slice(7, N)))
    np.testing.assert_allclose((a + b).output, (b + a).output, atol=1e-14)
    np.testing.assert_allclose(((a + b) + c).output, (a + (b + c)).output, atol=1e-14)


def test_a_part_can_be_taken_out():
    target = problem()
    rest = piece(target, slice(0, N)) - piece(target, slice(0, 4))
    np.testing.assert_allclose(rest.output, piece(target, slice(4, N)).output, atol=1e-12)


def test_kernels_for_the_same_keys_add():
    target = problem()
    whole = piece(target, slice(0, N))
    np.testing.assert_allclose((whole + whole).output, target.output, atol=1e-13)
    np.testing.assert_allclose((whole + whole).log_mass, whole.log_mass + np.log(2), atol=1e-13)


def test_partial_overlap_is_refused():
    target = problem()
    with pytest.raises(ValueError, match="overlapping"):
        piece(target, slice(0, 7)) + piece(target, slice(5, N))


def test_listed_keys_are_compared_as_sets():
    target = problem()
    left = replace(piece(target, slice(0, 5)), keys=np.array([0, 2, 4]))
    right = replace(piece(target, slice(0, 5)), keys=np.array([1, 3]))
    assert to_host((left + right).keys).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="overlapping"):
        left + replace(right, keys=np.array([1, 2]))


def test_a_piece_that_does_not_estimate_its_mass_is_refused_with_its_reason():
    target = problem()
    projected = Linformer(3)(target, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="does not estimate the sum"):
        projected + piece(target, slice(0, N))


def test_the_mass_of_the_merged_piece_is_the_sum():
    target = problem()
    merged = piece(target, slice(0, 5)) + piece(target, slice(5, N))
    np.testing.assert_allclose(merged.log_mass, target.weights.log_mass, atol=1e-13)


def test_weights_lift_to_the_original_keys():
    target = problem()
    merged = piece(target, slice(0, 5)) + piece(target, slice(5, N))
    np.testing.assert_allclose(merged.weights.to_dense(), target.weights.to_dense(), atol=1e-14)


def test_an_empty_piece_changes_nothing():
    target = problem()
    left = piece(target, slice(0, 5))
    empty = replace(piece(target, slice(5, N)), shift=np.full(left.shift.shape, -np.inf))
    np.testing.assert_allclose((left + empty).output, left.output, atol=1e-15)
    np.testing.assert_array_equal((empty + replace(empty, keys=slice(0, 5))).output, 0)


def test_own_normalisers_merge():
    target = problem()
    left, right = piece(target, slice(0, 5)), piece(target, slice(5, N))
    known = replace(left, normaliser=np.ones(left.shift.shape))
    np.testing.assert_allclose((known + right).output, target.output, atol=1e-13)


@pytest.mark.parametrize("mass", [0.0, -1.0, np.nan])
def test_rows_with_unusable_denominators_are_nan_and_counted(mass):
    kernel = np.ones((2, 2, 3, 1))
    kernel[1, 0, 2] = mass
    found = Approximation(Dense(kernel), np.zeros((2, 2, 3)), values=np.ones((2, 1, 1, 4)))
    assert found.bad_rows.tolist() == [0, 0, 1, 0]
    assert np.isnan(found.output[2, 2]).all()
    assert np.isnan(found.output).sum() == 4


def test_the_weights_of_bad_rows_are_nan_and_those_of_rows_without_keys_zero():
    kernel = np.ones((1, 1, 3, 1))
    kernel[0, 0, 1] = -1.0
    shift = np.array([0.0, 0.0, -np.inf]).reshape(1, 1, 3)
    expand = Dense(np.ones((1, 1, 1, 1)))
    found = Approximation(Dense(kernel), shift, values=np.ones((1, 1, 1, 4)), expand=expand)
    np.testing.assert_array_equal(found.weights.to_dense()[0, 0, :, 0], [1.0, np.nan, 0.0])


@pytest.mark.parametrize(
    "change", [{"values": np.ones((1, 4, 2))}, {"mass": np.ones(4)}, {"shift": np.zeros((2, 2, 4))}]
)
def test_sizes_that_disagree_are_refused(change):
    parts = {"kernel": Dense(np.ones((2, 2, 3, 5))), "shift": np.zeros((2, 2, 3)), "values": np.ones((1, 5, 2))}
    with pytest.raises(ValueError, match="kernel"):
        Approximation(**(parts | change))


def test_an_approximation_without_lift_has_no_weights():
    found = Approximation(Dense(np.ones((1, 1, 3, 5))), np.zeros((1, 1, 3)), values=np.ones((5, 2)))
    with pytest.raises(ValueError, match="no weights over the original keys"):
        found.weights  # noqa: B018


def test_lifting_through_a_selection_places_the_block():
    found = Approximation(
        Dense(np.ones((1, 1, 2, 2))),
        np.zeros((1, 1, 2)),
        np.ones((2, 1)),
        expand=Selection(np.arange(2), 2, np.ones(1)),
    )
    placed = found.placed(slice(3, 5), 6)
    np.testing.assert_allclose(placed.weights.to_dense()[0, 0, 0], [0, 0, 0, 0.5, 0.5, 0])


# --- what is not finite ------------------------------------------------------------------------------------------


def single(kernel=1.0, shift=0.0, values=1.0, **others):
    """Return a piece of one head, one query and one key."""
    given = {"kernel": Dense(np.full((1, 1, 1, 1), kernel)), "shift": np.full((1, 1, 1), shift)}
    return Approximation(**given, values=np.full((1, 1, 1, 1), values), **others)


@pytest.mark.parametrize(
    "case",
    [
        single(kernel=0.0),
        single(kernel=-1.0),
        single(kernel=np.nan),
        single(kernel=np.inf),
        single(shift=np.nan),
        single(shift=np.inf),
        single(values=np.nan),
        single(values=np.inf),
        single(values=1e300, normaliser=np.full((1, 1, 1), 1e-300)),
        single(normaliser=np.zeros((1, 1, 1))),
        single(normaliser=np.full((1, 1, 1), np.nan)),
        single(normaliser=np.full((1, 1, 1), np.inf)),
        single(values=1e5, dtype=np.float16),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
def test_a_row_that_is_not_finite_is_nan_and_counted(case):
    assert case.bad_rows.tolist() == [1]
    assert np.isnan(case.output).all()


def test_one_infinite_entry_spoils_its_row_and_no_other():
    values = np.ones((1, 1, 2, 3))
    values[0, 0, 1, 1] = np.inf
    kernel = np.zeros((1, 1, 2, 2))
    kernel[0, 0, 0, 0] = kernel[0, 0, 1, 1] = 1.0
    with np.errstate(invalid="ignore"):
        found = Approximation(Dense(np.where(kernel > 0, kernel, 1e-9)), np.zeros((1, 1, 2)), values)
        assert found.bad_rows.tolist() == [2]  # infinity times the smallest weight is infinite
        assert np.isnan(found.output).all()  # the finite entries of these rows too
    values[0, 0, 1, 1] = 5.0
    found = Approximation(Dense(kernel), np.zeros((1, 1, 2)), values)
    assert found.bad_rows.tolist() == [0]
    np.testing.assert_array_equal(found.output, [[[1, 1, 1], [1, 5, 1]]])


@pytest.mark.parametrize("kernel", [0.0, 1.0, -1.0, np.nan, np.inf])
@pytest.mark.filterwarnings("ignore:invalid")
def test_only_a_shift_of_minus_infinity_means_that_a_row_sees_no_key(kernel):
    empty = single(kernel=kernel, shift=-np.inf, expand=Dense(np.ones((1, 1))))
    assert empty.bad_rows.tolist() == [0]
    assert empty.output.tolist() == [[[0.0]]]
    assert empty.log_mass.tolist() == [[[-np.inf]]]
    if np.isfinite(kernel):
        assert empty.weights.to_dense().tolist() == [[[[0.0]]]]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (single(kernel=2.0, shift=3.0), np.log(2) + 3),
        (single(normaliser=np.full((1, 1, 1), 4.0), shift=1.0), np.log(4) + 1),
        (single(kernel=0.0), np.nan),
        (single(kernel=-1.0), np.nan),
        (single(kernel=np.nan), np.nan),
        (single(kernel=np.inf), np.nan),
        (single(shift=np.inf), np.nan),
        (single(shift=np.nan), np.nan),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid")
def test_the_logarithm_of_the_mass_is_nan_in_bad_rows(case, expected):
    np.testing.assert_allclose(case.log_mass, [[[expected]]], rtol=1e-15)


@pytest.mark.parametrize("bad", [{"kernel": 0.0}, {"kernel": np.nan}, {"shift": np.nan}, {"shift": np.inf}])
def test_the_weights_of_a_row_without_a_usable_denominator_are_nan(bad):
    assert np.isnan(single(**bad, expand=Dense(np.ones((1, 1)))).weights.to_dense()).all()


def test_counts_are_per_head_in_their_order():
    kernel = np.ones((3, 2, 2, 4, 1))
    for head in range(4):
        kernel[1, head // 2, head % 2, :head] = -1.0
    found = Approximation(Dense(kernel), np.zeros((3, 2, 2, 4)), values=np.ones((2, 1, 1, 5)))
    assert found.bad_rows.tolist() == [[0] * 4, [0, 1, 2, 3], [0] * 4]
    assert found.output.shape == (3, 4, 4, 5)


# --- dtype and ownership -----------------------------------------------------------------------------------------


def test_results_are_cast_to_the_dtype_and_nothing_else_is():
    target = problem()
    found = replace(piece(target, slice(0, N)), dtype=np.float16)
    assert found.output.dtype == found.weights.dtype == found.weights.to_dense().dtype == np.float16
    assert (found.weights @ target.values).dtype == np.float16
    assert found.numerators.dtype == found.denominators.dtype == found.log_mass.dtype == np.float64
    np.testing.assert_array_equal(found.output, target.output.astype("f2"))


@pytest.mark.parametrize("name", ["output", "numerators", "denominators", "log_mass", "bad_rows"])
def test_every_array_is_the_callers_own(name):
    for found in (piece(problem(), slice(0, N)), single(normaliser=np.ones((1, 1, 1)))):
        first = getattr(found, name)
        before = first.copy()
        first[...] = 7
        np.testing.assert_array_equal(getattr(found, name), before)


def test_products_are_formed_once():
    calls = []

    class Counting(Dense):
        def _matmul(self, x):
            calls.append(x.shape)
            return super()._matmul(x)

    found = Approximation(Counting(np.ones((1, 1, 2, 3))), np.zeros((1, 1, 2)), np.ones((1, 1, 3, 2)))
    for name in ("output", "bad_rows", "numerators", "denominators", "log_mass", "output"):
        getattr(found, name)
    assert calls == [(1, 1, 3, 3)]  # values and mass in one product


def test_numerators_and_denominators_are_sums_with_the_masses():
    kernel, mass = np.array([[[[1.0, 2.0]]]]), np.array([3.0, 4.0])
    found = Approximation(Dense(kernel), np.zeros((1, 1, 1)), np.array([[5.0], [6.0]]), mass)
    assert found.numerators.tolist() == [[[[17.0]]]]
    assert found.denominators.tolist() == [[[11.0]]]
    known = replace(found, normaliser=np.full((1, 1, 1), 2.0))
    assert known.numerators.tolist() == [[[[17.0]]]]
    assert known.denominators.tolist() == [[[2.0]]]


@pytest.mark.parametrize(("values", "mass"), [((5, 2), (2, 1, 5)), ((2, 1, 5, 2), (5,)), ((3, 1, 1, 5, 2), (2, 1, 5))])
def test_values_and_masses_broadcast_against_each_other(values, mass):
    rng = np.random.default_rng(0)
    kernel, values, mass = rng.random((3, 2, 2, 4, 5)), rng.random(values), rng.random(mass)
    found = Approximation(Dense(kernel), np.zeros((3, 2, 2, 4)), values, mass)
    np.testing.assert_allclose(found.numerators, kernel @ values, rtol=1e-14)
    np.testing.assert_allclose(found.denominators, np.sum(kernel * mass[..., None, :], axis=-1), rtol=1e-14)


def test_storage_and_operations_are_counted():
    kernel, shift, values = Dense(np.ones((2, 2, 3, 5))), np.zeros((2, 2, 3)), np.ones((2, 1, 5, 4))
    plain = Approximation(kernel, shift, values)
    assert plain.storage == 60 + 12 + 40
    assert replace(plain, mass=np.ones((2, 1, 5)), normaliser=shift).storage == 60 + 12 + 40 + 10 + 12
    assert plain.flops == 2 * 4 * 3 * 5 * (4 + 1)


def test_a_kernel_without_the_grouped_layout_is_refused():
    with pytest.raises(ValueError, match=r"grouped layout \(..., G, R, n_q, m\); got \(1, 3, 5\)"):
        Approximation(Dense(np.ones((1, 3, 5))), np.zeros((1, 3)), np.ones((5, 2)))


# --- merging -----------------------------------------------------------------------------------------------------


def test_pieces_in_units_of_different_kernels_do_not_merge():
    other = single(units="another kernel", keys=slice(1, 2))
    for merge in (lambda: single(keys=slice(0, 1)) + other, lambda: other + single(keys=slice(0, 1))):
        with pytest.raises(ValueError, match="units of .* and one in units of .* cannot be merged"):
            merge()
    with pytest.raises(ValueError, match="exp\\(scores\\) and one in units of another kernel"):
        single() - other
    with pytest.raises(ValueError, match="cannot be merged"):
        merge_all([single(), single(units="another kernel")])
    assert single().units == SOFTMAX


@pytest.mark.parametrize("merge", [lambda a, b: a + b, lambda a, b: stack_queries([a, b]), lambda a, b: a - b])
def test_merged_pieces_keep_units_and_dtype(merge):
    parts = [single(units="phi", dtype=np.float16), single(kernel=0.5, units="phi", dtype=np.float16)]
    merged = merge(*parts)
    assert (merged.units, merged.dtype) == ("phi", np.float16)
    assert merged.output.dtype == np.float16


def test_pieces_for_other_keys_are_not_merged_all_at_once():
    with pytest.raises(ValueError, match="disjoint.*merging needs same keys"):
        merge_all([single(keys=slice(0, 1)), single(keys=slice(1, 2))])


def test_three_pieces_for_the_same_keys_merge_at_once():
    parts = [single(kernel=k, shift=s, values=v) for k, s, v in ((1.0, 0.0, 1.0), (2.0, 1.0, 5.0), (4.0, -2.0, 9.0))]
    e = np.exp
    expected = (1 + 10 * e(1) + 36 * e(-2)) / (1 + 2 * e(1) + 4 * e(-2))
    merged = merge_all(parts)
    np.testing.assert_allclose(merged.output, [[[expected]]], rtol=1e-15)
    np.testing.assert_allclose(merged.log_mass, [[[np.log(1 + 2 * e(1) + 4 * e(-2))]]], rtol=1e-15)
    assert merged.keys == slice(None)
    assert merge_all(parts[:1]) is parts[0]
    alone = single(unmergeable="it does not estimate its mass")
    assert merge_all([alone]) is alone  # nothing is merged


@pytest.mark.parametrize("keys", [slice(0, 2), np.asarray([1, 0])], ids=["range", "list"])
def test_merged_pieces_name_their_keys_as_the_first_does(keys):
    kernel, shift, values = Dense(np.ones((1, 1, 1, 2))), np.zeros((1, 1, 1)), np.ones((2, 1))
    first = Approximation(kernel, shift, values, keys=keys)
    others = [replace(first, keys=other) for other in (slice(0, 2), np.asarray([0, 1]))]
    assert merge_all([first, *others]).keys is keys


@pytest.mark.parametrize(("shift", "mass"), [(0.0, 1.0), (-np.inf, 0.0)])
def test_rows_of_shift_minus_infinity_take_nothing_from_a_merger(shift, mass):
    merged = single(kernel=3.0, shift=shift, values=2.0, keys=slice(0, 1)) + single(shift=1.0, keys=slice(1, 2))
    expected = (6 * mass * np.exp(-1) + 1) / (3 * mass * np.exp(-1) + 1)
    np.testing.assert_allclose(merged.output, [[[expected]]], rtol=1e-15)
    assert merged.shift.tolist() == [[[1.0]]]


def test_two_pieces_that_see_nothing_see_nothing_together():
    lift = Dense(np.ones((1, 1)))
    merged = single(shift=-np.inf, keys=slice(0, 1), expand=lift) + single(shift=-np.inf, keys=slice(1, 2), expand=lift)
    assert merged.shift.tolist() == [[[-np.inf]]]
    assert merged.output.tolist() == [[[0.0]]]
    assert merged.bad_rows.tolist() == [0]
    assert merged.numerators.tolist() == [[[[0.0]]]]
    assert merged.denominators.tolist() == [[[0.0]]]
    assert merged.weights.to_dense().tolist() == [[[[0.0]]]]
    assert (merged + single(values=3.0, keys=slice(2, 3))).output.tolist() == [[[3.0]]]


@pytest.mark.parametrize("shift", [np.inf, np.nan])
@pytest.mark.filterwarnings("ignore:invalid")
def test_a_row_that_is_bad_in_one_piece_is_bad_in_the_merger(shift):
    merged = single(shift=shift, keys=slice(0, 1)) + single(keys=slice(1, 2))
    assert merged.bad_rows.tolist() == [1]


def test_a_known_normaliser_is_rescaled_and_added_to_sums():
    known = single(kernel=2.0, shift=1.0, values=3.0, normaliser=np.full((1, 1, 1), 4.0), keys=slice(0, 1))
    merged = known + single(kernel=5.0, shift=0.0, values=7.0, keys=slice(1, 2))
    expected = (6 + 35 * np.exp(-1)) / (4 + 5 * np.exp(-1))
    np.testing.assert_allclose(merged.output, [[[expected]]], rtol=1e-15)
    np.testing.assert_allclose(merged.denominators, [[[4 + 5 * np.exp(-1)]]], rtol=1e-15)
    taken = merged - replace(known, keys=slice(0, 1))
    np.testing.assert_allclose(taken.output, [[[7.0]]], rtol=1e-14)


def test_pieces_without_a_lift_merge_without_one():
    lifted = single(expand=Dense(np.ones((1, 1))))
    assert (lifted + single()).expand is None
    assert (lifted + lifted).expand is not None
    assert (single() + single()).normaliser is None


def test_keys_of_mergers():
    a, b = single(keys=slice(0, 1)), single(keys=slice(1, 2))
    assert (a + b).keys == (b + a).keys == slice(0, 2)
    assert ((a + b) - b).keys == slice(0, 2)
    with pytest.raises(ValueError, match="keys 0:1 and 1:2 \\(disjoint\\); merging needs contains or same keys"):
        a - b
    with pytest.raises(ValueError, match="keys all and 1:2 \\(contains\\); merging needs disjoint or same keys"):
        single() + b
    with pytest.raises(ValueError, match="does not estimate"):
        a + replace(b, unmergeable="it does not estimate its mass")


@pytest.mark.parametrize(
    ("keys", "expected"), [(slice(None), slice(3, 5)), (slice(0, 1), slice(3, 4)), (np.array([0, 1]), [3, 4])]
)
def test_a_placed_piece_speaks_for_the_keys_of_its_block(keys, expected):
    placed = replace(single(), keys=keys).placed(slice(3, 5), 9)
    assert (placed.keys if isinstance(placed.keys, slice) else placed.keys.tolist()) == expected
    assert placed.expand is None


def test_pieces_are_displayed_without_their_entries():
    assert Approximation.__repr__ is Displayed.__repr__
    assert len(repr(piece(problem(), slice(0, 3))).splitlines()) <= 3


def test_pieces_are_compared_by_identity_and_stay_as_they_are():
    a = single()
    assert a != single()
    assert hash(a) == hash(a)
    with pytest.raises(FrozenInstanceError):
        a.units = "another kernel"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"values": np.ones((2, 1, 4, 2))}, "the kernel has 5 columns and values 4 rows; they must agree"),
        ({"values": np.ones((4, 2))}, "the kernel has 5 columns and values 4 rows; they must agree"),
        ({"mass": np.ones((2, 1, 4))}, "the kernel has 5 columns and mass length 4; they must agree"),
        ({"shift": np.zeros((2, 1, 7))}, "shift has length 7; the kernel has 3 rows"),
        ({"kernel": Dense(np.ones((2, 2, 1, 4, 5)))}, "shift has length 3; the kernel has 4 rows"),
    ],
)
def test_parts_of_other_lengths_are_refused(change, words):
    parts = {"kernel": Dense(np.ones((2, 1, 3, 5))), "shift": np.zeros((2, 1, 3)), "values": np.ones((2, 1, 5, 2))}
    Approximation(**parts)
    with pytest.raises(ValueError, match=f"^{words}$"):
        Approximation(**(parts | change))
