"""The cost of a method is what it does: its operations against those that PyTorch counts while it runs.

Counted are products of matrices, factorizations by their usual formulas, sums, and products and differences entry by
entry, of which an elimination consists. Other operations are few beside products of width 32.
"""

import math

import numpy as np
import pytest

from tnattn.attention import masks
from tnattn.attention.kernel.linear_attention import LinearAttention
from tnattn.attention.method import AttentionMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.wrappers.causal import Causal
from tnattn.discovery import subclasses

torch = pytest.importorskip("torch")
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

METHODS = [cls() for cls in subclasses("tnattn.attention", AttentionMethod).values()]
METHODS += [Causal(method()) for method in (LinearAttention, Performer)]  # prefix scans
SHARE = 0.1  # largest relative difference


def _qr(shape, *_, **__):
    *batch, m, n = shape
    k = min(m, n)
    return int(math.prod(batch) * (4 * m * n * k - 4 * k**3 / 3))  # reflectors, and the factor Q


def _svd(shape, *_, **__):
    *batch, m, n = shape
    return int(math.prod(batch) * 22 * max(m, n) * min(m, n) ** 2)


def _eigh(shape, *_, **__):
    *batch, n, _ = shape
    return int(math.prod(batch) * 9 * n**3)


def _cholesky(shape, *_, **__):
    *batch, n, _ = shape
    return int(math.prod(batch) * n**3 / 3)


def _triangular(a, b, *_, **__):
    *batch, n, c = b
    return int(math.prod(batch) * n * n * c)


def _sums(shape, *_, **__):
    return math.prod(shape)


def _entries(*_, out_shape, **__):
    return math.prod(out_shape)


def counted(run):
    """Return the operations of a call."""
    aten = torch.ops.aten
    formulas = {
        aten.linalg_qr: _qr,
        aten._linalg_svd: _svd,
        aten._linalg_eigh: _eigh,
        aten.linalg_cholesky_ex: _cholesky,
        aten.linalg_solve_triangular: _triangular,
        **dict.fromkeys((aten.sum, aten.mean, aten.cumsum), _sums),
        **dict.fromkeys((aten.mul, aten.sub), _entries),
    }
    with FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        run()
    return counter.get_total_flops()


def problem(mask, *, heads=4, groups=2, n=512, d=32, e=48):
    generator = torch.Generator().manual_seed(0)
    shapes = (heads, n, d), (groups, n, d), (groups, n, e)
    q, k, v = (torch.randn(shape, generator=generator, dtype=torch.float64) / 2 for shape in shapes)
    # small tiles under a mask, so that those which it cuts are few beside those that it leaves
    return AttentionProblem(q, k, v, mask=mask, tile=None if isinstance(mask, masks.FullMask) else 32)


CASES = [
    pytest.param(
        method if method.budget_field is None else method.with_budget(budget),
        mask,
        id=f"{method}-{type(mask).__name__}-{budget}",
        marks=[pytest.mark.slow] if method.reads_weights else [],
    )
    for method in METHODS
    for mask in (masks.FullMask(), masks.CausalMask())
    for budget in ((16, 64) if method.budget_field else (0,))
    if method.honours(mask)
]


@pytest.mark.parametrize(("method", "mask"), CASES)
def test_predicted_operations_are_those_counted(method, mask):
    target = problem(mask, n=128 if method.reads_weights else 512)  # oracles take a cube of it
    found = counted(lambda: method(target, rng=np.random.default_rng(0)).output)
    predicted = method.cost(target).flops
    if method.reads_weights:  # an oracle is no contender: its cost is a lower bound
        assert 0 < predicted <= (1 + SHARE) * found
    else:
        assert predicted == pytest.approx(found, rel=SHARE)


def test_operations_are_counted():
    a = torch.ones((2, 3, 4))
    assert counted(lambda: a @ a.mT) == 2 * 2 * 3 * 3 * 4
    assert counted(lambda: a.sum(dim=-1)) == 24
    assert counted(lambda: torch.linalg.eigh(a @ a.mT)) == 2 * 2 * 3 * 3 * 4 + 2 * 9 * 27


def test_a_forgotten_product_is_noticed():
    """The control: exact attention run twice."""
    target = problem(masks.FullMask())
    method = next(method for method in METHODS if type(method).__name__ == "Exact")
    twice = counted(lambda: (method(problem(masks.FullMask())).output, method(target).output))
    assert method.cost(target).flops != pytest.approx(twice, rel=SHARE)
