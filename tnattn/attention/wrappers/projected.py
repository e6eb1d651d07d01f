"""The output of any method, projected on a ball that holds the exact one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, array_namespace
from tnattn.attention.approximation import Approximation
from tnattn.attention.ball import STEPS, Ball
from tnattn.attention.broadcasting import concat_broadcast
from tnattn.attention.cost import Cost
from tnattn.attention.low_rank.lifted_nystrom import LiftedNystrom
from tnattn.attention.masks import Mask
from tnattn.attention.method import AttentionMethod, JointMethod
from tnattn.attention.prefix_balls import block_ends
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.visible_values import last_visible
from tnattn.device_budget import DeviceBudget, DeviceCounts
from tnattn.structured import Columns, Dense, Diagonal, Product, StructuredMatrix


@dataclass(frozen=True)
class Projected(JointMethod):
    """Move every row of a method's output that lies outside a ball around the values into it.

    No row moves away from the exact output, which lies in the ball. A row that the method cannot compute, as one with a
    denominator that is not positive, becomes the centre, and stays counted in ``bad_rows``.

    Parameters
    ----------
    method : AttentionMethod
        Whose masks are honoured.

    Notes
    -----
    A projected row is the mean of the row and the centre, with weights s and 1 - s: the method's kernel times s, and a
    column for the centre. Its mass is that of the method, so that pieces merge as before; that of a bad row stays
    unknown. The columns are combinations of keys no more, and no weights over keys are given. Under masks with
    positions every row has a ball of its own, which knows no later value (``Ball.for_rows``), and a column too.

    O(n_k d_v) for each step of the ball and key head, and 8 n_q d_v per head.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, Linformer, Projected
    >>> problem = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 1, 256, 32)))
    >>> for method in (Linformer(size=16), Projected(Linformer(size=16))):
    ...     error = np.linalg.norm(method(problem, rng=np.random.default_rng(0)).output - problem.output)
    ...     print(round(float(error / np.linalg.norm(problem.output)), 2))
    28.77
    11.99
    """

    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(120 + 8 * STEPS, waits=6, copies=2), {"block of the sequence": DeviceCounts(60)}
    )

    method: AttentionMethod = field(default_factory=LiftedNystrom)

    guarantee: ClassVar[str] = "no row is further from the exact one than that of the method"
    source: ClassVar[str] = "projections on convex sets do not expand; Badoiu & Clarkson 2003 for the ball"

    def __post_init__(self) -> None:
        if not isinstance(self.method, AttentionMethod):
            raise TypeError(f"method must be an attention method; got {self.method!r}")

    def honours(self, mask: Mask) -> bool:
        return self.method.honours(mask)

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"block of the sequence": len(block_ends(target.n_k)) if last_visible(target) is not None else 0}

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        return projected_piece(self.method(problem, rng=rng), Ball.for_rows(problem), problem)

    def exact_piece(self, problem: AttentionProblem) -> Approximation:
        return self.method.exact_piece(problem)

    def stages(self, problem: AttentionProblem) -> list[tuple[Any, Any]]:
        return [(self.method, problem)]

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the cost of the method, of the ball, and of one pass over the output."""
        h, g, n_q, n_k, e = problem.heads, problem.groups, problem.n_q, problem.n_k, problem.value_width
        by_row = last_visible(problem) is not None
        ball = g * n_k * (6.0 * e if by_row else (2.0 * STEPS + 7) * e + 2 * STEPS)
        held = float(h * n_q * (2 * e if by_row else 1) + g * n_k * e)
        passes = 2 if by_row else STEPS + 2
        return self.method.cost(problem) + Cost(
            ball + h * n_q * 7.0 * e, float(passes * g * n_k * e + 3 * h * n_q * e), held, 0.0
        )


def projected_piece(found: Approximation, ball: Ball, problem: AttentionProblem) -> Approximation:
    """Return the piece whose output is that of another, projected on a ball, with its mass."""
    xp = array_namespace(found.values)
    output = found.output

    def grouped(x: Array) -> Array:
        """(..., H, a, b) to (..., G, R, a, b)."""
        return xp.reshape(x, (*problem.batch, *x.shape[-2:]))

    share = grouped(ball.shares(output))[..., 0]  # (..., G, R, n_q)
    moved = (share < 1) & found._usable
    centre = xp.broadcast_to(grouped(ball.centre), (*problem.batch, ball.centre.shape[-2], problem.value_width))
    # moved rows are held as quotients with the denominator one: a tiny denominator would lose digits of the ball
    numerators, denominators = found._products
    ones = xp.ones_like(share)
    numerators = xp.where(moved[..., None], grouped(ball.projected(output)), numerators)
    divisor = xp.where(moved, denominators, ones)
    column = xp.where(moved, 1 - share, xp.zeros_like(share))
    one_column = centre.shape[-2] == 1
    last: StructuredMatrix = Dense(column[..., None]) if one_column else Diagonal(column)
    mass = found.mass if found.mass is not None else xp.ones_like(found.values[..., 0])
    return Approximation(
        kernel=Columns((Product(Diagonal(xp.where(moved, share, ones) / divisor), found.kernel), last)),
        shift=found.shift + xp.log(divisor),
        values=concat_broadcast([found.values, centre], axis=-2),
        mass=concat_broadcast([mass, xp.ones_like(centre[..., 0])], axis=-1),
        normaliser=None if found.normaliser is None else denominators / divisor,
        keys=found.keys,
        unmergeable=found.unmergeable,
        units=found.units,
        fallback=centre,
    ).holding(numerators, xp.where(moved, ones, denominators))
