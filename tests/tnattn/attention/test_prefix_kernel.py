"""The scanned kernel is that of the formula, entry by entry, and a structured matrix."""

import numpy as np
import pytest

from tnattn.attention import prefix_kernel
from tnattn.attention.kernel.elu_features import EluFeatures
from tnattn.attention.masks import CausalMask
from tnattn.attention.prefix_kernel import PrefixKernel
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.features import Hyperbolic, Trigonometric
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.summary import KeySet
from tnattn.testing import check_structured

LEAF = 4


def problem(n_q=14, n_k=14, *, heads=4, groups=2, as_=np.asarray, size=1.0, batch=()):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((*batch, h, n_k, d)) for h, d in ((heads, 3), (groups, 3), (groups, 2)))
    q = size * q[..., n_k - n_q :, :]
    return AttentionProblem(as_(q), as_(k), as_(v), mask=CausalMask(), scale=0.6)


def drawn(target, **options):
    first = KeySet(target.keys[..., :LEAF, :], target.values[..., :LEAF, :], target.score_scale)
    return Performer(6, **options).draw(first, rng=np.random.default_rng(1))


MAKE = {
    "elu": lambda target: EluFeatures(3, scale=target.score_scale),
    "positive": drawn,
    "without origin": lambda target: drawn(target, centre=False),
    "hyperbolic": lambda target: drawn(target, kind=Hyperbolic()),
    "signed": lambda target: drawn(target, kind=Trigonometric()),
}


def written_out(features, target, leaf=LEAF):
    """Return the kernel of the formula, without shifts."""
    parts = [side(x) for side, x in ((features.of_queries, target.queries), (features.of_keys, target.keys))]
    phi = [np.exp(0.0 if a is None else a) * (1.0 if b is None else b) for a, b in parts]
    offset = np.broadcast_to(features.offset(target.queries), target.queries.shape[:-1])
    kernel = phi[0] @ phi[1].mT * np.exp(offset)[..., None]
    exact = kernel if features.exact else np.exp(target.score_scale * target.queries @ target.keys.mT)
    position = np.arange(target.n_q)[:, None] + target.n_k - target.n_q
    key = np.arange(target.n_k)
    return np.where(key >= position // leaf * leaf, exact, kernel) * (key <= position)


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize(("n_q", "n_k"), [(14, 14), (16, 16), (5, 14), (1, 9), (3, 4)])
@pytest.mark.parametrize("tile", [1, 1 << 18])
def test_entries_are_those_of_the_formula(monkeypatch, name, n_q, n_k, tile):
    monkeypatch.setattr(prefix_kernel, "HOST_TILE", tile)
    target = problem(n_q, n_k)
    kernel = PrefixKernel(MAKE[name](target), target, LEAF)
    (product,), shift = kernel.swept((target.values,))
    expected = written_out(kernel.features, target)
    np.testing.assert_allclose(kernel.to_dense() * np.exp(shift)[..., None], expected, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(product * np.exp(shift)[..., None], expected @ target.values, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", ["elu", "positive", "signed"])
@pytest.mark.parametrize("n_q", [14, 5])
@pytest.mark.parametrize("columns", [5, 256])
def test_it_is_a_structured_matrix(monkeypatch, name, n_q, columns):
    monkeypatch.setattr(prefix_kernel, "_COLUMNS", columns)
    target = problem(n_q)
    kernel = PrefixKernel(MAKE[name](target), target, LEAF)
    assert check_structured(kernel, storage=4 * n_q * 3 + 2 * 14 * 3 + kernel.features.storage)


@pytest.mark.parametrize("leaf", [1, 5, 13, 14, 100])
def test_any_leaf(leaf):
    target = problem(batch=(2,))
    kernel = PrefixKernel(MAKE["positive"](target), target, leaf)
    (product,), shift = kernel.swept((target.values,))
    expected = written_out(kernel.features, target, leaf) @ target.values
    np.testing.assert_allclose(product * np.exp(shift)[..., None], expected, rtol=1e-10, atol=1e-11)


def test_operations_are_those_of_features_sums_and_leaves():
    target = problem()
    features = MAKE["positive"](target)
    m, d, c = 6, 3, 2
    expected = (4 + 2) * 14 * (2 * m * d + 2 * m * c) + 4 * 2 * 14 * LEAF * (d + c)
    assert PrefixKernel(features, target, LEAF).matmul_flops(c) == expected


def test_huge_queries_stay_in_range():
    target = problem(size=1e4)
    (product,), shift = PrefixKernel(MAKE["positive"](target), target, LEAF).swept((target.values,))
    assert np.isfinite(product).all()
    assert np.isfinite(shift).all()


@pytest.mark.parametrize("name", ["elu", "positive"])
@pytest.mark.parametrize("host", [True, False])
def test_every_ring(xp, assert_close, monkeypatch, name, host):
    if not host:  # all heads at a time, as on a device
        monkeypatch.setattr(prefix_kernel, "runs_on_host", lambda like: False)
        monkeypatch.setattr(prefix_kernel, "DEVICE_TILE", 200)
    target, like = problem(), problem(as_=xp.asarray)
    kernel, expected = (PrefixKernel(MAKE[name](x), x, LEAF).swept((x.values,)) for x in (like, target))
    for found, wanted in ((kernel[0][0], expected[0][0]), (kernel[1], expected[1])):
        assert_close(found, xp.asarray(wanted), rtol=500 * xp.eps(), atol=500 * xp.eps())
