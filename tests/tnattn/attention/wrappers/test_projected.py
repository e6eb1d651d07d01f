"""The wrapper projects the output of its method, keeps its mass, and counts the rows that it cannot compute."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.attend import attend
from tnattn.attention.ball import Ball
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.masks import CausalMask, FullMask, UnsupportedMask
from tnattn.attention.method import JointMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.sliding_window import SlidingWindow
from tnattn.attention.wrappers.causal import Causal
from tnattn.attention.wrappers.projected import Projected


@dataclass(frozen=True)
class Faulty(JointMethod):
    """Exact attention with its values times a factor, and a negative denominator in a row."""

    factor: float = 4.0
    masks = (CausalMask,)

    def approximate(self, problem, *, rng):
        found, sums = Exact()(problem), Exact()(problem).denominators
        sums[..., 3:4] = -sums[..., 3:4]
        return replace(found, expand=None).holding(self.factor * found.numerators, sums)

    def cost(self, problem):
        return Exact().cost(problem)


@dataclass(frozen=True)
class Wide(Exact):
    """Exact attention with its values times four."""

    def approximate(self, problem, *, rng):
        found = super().approximate(problem, rng=rng)
        return replace(found, values=4 * found.values)


def problem(xp=None, mask=FullMask()):
    rng = np.random.default_rng(0)
    arrays = (rng.standard_normal((h, 12, 4)) for h in (4, 2, 2))
    return AttentionProblem(*(x if xp is None else xp.asarray(x) for x in arrays), mask=mask)


@pytest.mark.parametrize("mask", [FullMask(), CausalMask()], ids=repr)
def test_the_output_is_the_projected_one(xp, mask, assert_close):
    target = problem(xp, mask)
    inner, found = Faulty()(target), Projected(Faulty())(target)
    assert_close(found.output, inner.projected(Ball.for_rows(target)), rtol=1e3 * xp.eps(), atol=1e3 * xp.eps())
    assert to_host(found.bad_rows).tolist() == to_host(inner.bad_rows).tolist() == [1] * 4
    assert np.all(np.isfinite(to_host(found.output)))


@pytest.mark.parametrize("mask", [FullMask(), CausalMask()], ids=repr)
def test_the_kernel_gives_the_sums_that_are_held(mask):
    target = problem(mask=mask)
    # one column for the centre, or one for every row; the masses stay
    found, inner = Projected(Wide())(target), Wide()(target)
    fresh = replace(found)  # without its products
    np.testing.assert_allclose(fresh.output, found.output, rtol=1e-12)
    np.testing.assert_allclose(fresh.log_mass, inner.log_mass, rtol=1e-12)
    assert np.max(np.abs(found.output - inner.output)) > 1


def test_the_masses_of_pieces_merge_as_before():
    target = problem()
    parts = [slice(0, 5), slice(5, 12)]
    pieces = [Projected(SlidingWindow(40))(target.rectangle(slice(0, 12), part)).placed(part, 12) for part in parts]
    np.testing.assert_allclose((pieces[0] + pieces[1]).output, target.output, rtol=1e-10, atol=1e-12)
    bad = Projected(Faulty())(target)
    merged = bad + bad
    assert np.isnan(merged.output[0, 3]).all()  # the mass of a bad row is not known


def test_rows_inside_keep_their_bits():
    target = problem()
    np.testing.assert_array_equal(Projected(Exact())(target).output, Exact()(target).output)


def test_the_masks_are_those_of_the_method():
    assert Projected(Causal()).honours(CausalMask())
    with pytest.raises(UnsupportedMask, match="does not honour CausalMask"):
        Projected()(problem(mask=CausalMask()))


def test_only_methods_are_accepted():
    with pytest.raises(TypeError, match="method must be an attention method; got 3"):
        Projected(3)


def test_a_bound_about_the_method_is_one_about_the_projection():
    target, method = problem(), Projected(Faulty())
    assert method.stages(target) == [(Faulty(), target)]


def test_half_precision_stays():
    q, k, v = np.random.default_rng(0).standard_normal((3, 2, 8, 4)).astype("float16")
    output = attend(q, k, v, method=Projected(Faulty(factor=100.0)))
    assert output.dtype == np.float16
    assert np.all(np.isfinite(output))


def test_a_ball_by_row_costs_fewer_passes():
    full, causal = (Projected(Faulty()).cost(problem(mask=mask)).flops for mask in (FullMask(), CausalMask()))
    own = [Exact().cost(problem(mask=mask)).flops for mask in (FullMask(), CausalMask())]
    assert own[0] < full
    assert 0 < causal - own[1] < full - own[0]
