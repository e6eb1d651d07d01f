"""The law of projections holds for balls around the values, and fails for balls that hold less."""

from dataclasses import dataclass, replace

import pytest
from fixtures.laws import trial

from tnattn.attention.ball import Ball
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.low_rank.linformer import Linformer
from tnattn.attention.wrappers.causal import Causal
from tnattn.attention.wrappers.projected import Projected, projected_piece
from tnattn.testing.invariances import past_ignores_future
from tnattn.testing.projection_laws import projection_helps, require_no_row_moves_away
from tnattn.testing.report import Violation


@pytest.mark.parametrize("method", [Exact(), Linformer(size=4)], ids=repr)
def test_the_law_holds_for_balls_around_the_values(method):
    assert projection_helps(trial(method)) is None
    assert projection_helps(trial(method), ball=Ball.of) is None


@pytest.mark.parametrize("factor", [0.01, 0.1])
def test_a_ball_that_does_not_hold_the_outputs_is_caught(factor):
    def smaller(problem):
        ball = Ball.of(problem)
        return replace(ball, radius=factor * ball.radius)

    with pytest.raises(Violation, match="does not hold the exact output"):
        projection_helps(trial(Exact()), ball=smaller)


def test_rows_that_move_away_are_caught():
    problem = trial(Exact()).problem()
    found, ball = Exact()(problem), Ball.of(problem)

    class Wrong(Ball):
        def projected(self, output):
            return self.centre + 0.5 * (output - self.centre)

    with pytest.raises(Violation, match="rows away from the exact output"):
        require_no_row_moves_away(found, problem, Wrong(ball.centre, ball.radius))


@dataclass(frozen=True)
class Leaking(Projected):
    """Projects on one ball of all values, whatever the mask."""

    def approximate(self, problem, *, rng):
        far = self.method(problem, rng=rng)
        far = replace(far, values=5 * far.values).holding(5 * far.numerators, far.denominators)
        ball = Ball.for_rows(problem) if self.honest else Ball.of(problem)
        return projected_piece(far, ball, problem)

    honest: bool = False


def test_one_ball_under_a_causal_mask_is_caught_by_the_law_of_the_past():
    """Rows far outside are moved onto the sphere, which tells of all values."""
    method = Causal(leaf=4)
    assert past_ignores_future(trial(Leaking(method, honest=True))) is None
    with pytest.raises(Violation, match="outputs before position"):
        past_ignores_future(trial(Leaking(method)))
