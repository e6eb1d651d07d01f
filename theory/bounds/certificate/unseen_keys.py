"""Uniform samples of keys certify nothing: a documented impossibility, and a procedure that attains it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from theory.bounds.attention.rows import host
from theory.statement.bound import Instance, require
from theory.statement.errors import Error
from theory.statement.guarantee import InExpectation
from theory.statement.paper import Paper
from theory.statement.prediction import Values


@dataclass(frozen=True, eq=False)
class Statements:
    """Statements of one procedure about an input and about the same input with one key changed.

    Parameters
    ----------
    wrong, wrong_changed : bool
        The ball that is stated does not hold the output.

    Examples
    --------
    >>> from theory.bounds.certificate.unseen_keys import Statements
    >>> Statements(False, True).wrong_changed
    True
    """

    wrong: bool
    wrong_changed: bool


@dataclass(frozen=True)
class InspectedKeys:
    """A procedure that inspects keys drawn uniformly and states a ball around the mean of their values.

    It is called with the values of keys of equal scores, and then with a key at a uniformly random place changed: to a
    value twice as far from the output as any other, and to so large a score that the output is that value.

    Parameters
    ----------
    inspected : int
        At most this many of the keys, no bound on the scores of the others.
    claim : float
        Radius of the ball over half the distance of the planted value, below 1.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.certificate.unseen_keys import InspectedKeys
    >>> procedure, rng = InspectedKeys(inspected=30), np.random.default_rng(0)
    >>> [procedure(np.ones((40, 1)), rng=rng).wrong_changed for _ in range(8)].count(True)
    2
    """

    inspected: int = 30
    claim: float = 0.9

    def __post_init__(self) -> None:
        if self.inspected < 1 or not 0 <= self.claim < 1:
            raise ValueError(f"{self} needs inspected >= 1 and 0 <= claim < 1")

    def __call__(self, values: Values, *, rng: np.random.Generator) -> Statements:
        v = host(values)
        if self.inspected >= len(v):
            raise ValueError(f"inspected {self.inspected} leaves none of the {len(v)} keys; inspect fewer")
        seen = rng.permutation(len(v))[: self.inspected]
        radius = self.claim * np.linalg.norm(planted(v) - v.mean(axis=0)) / 2
        stated = v[seen].mean(axis=0)
        place = int(rng.integers(len(v)))
        wrong = bool(np.linalg.norm(stated - v.mean(axis=0)) > radius)
        # a procedure that meets the planted key knows the output
        missed = place not in seen and bool(np.linalg.norm(stated - planted(v)) > radius)
        return Statements(wrong, missed)


def planted(values: Values) -> Values:
    """Return a value at twice the largest distance of a value from their mean, (d_v,)."""
    mean = values.mean(axis=0)
    size = np.linalg.norm(values, axis=-1).max()
    return np.asarray(mean + 2 * size * np.eye(1, values.shape[-1])[0])


def _unseen(method: InspectedKeys, values: Values) -> float:
    return 1 - method.inspected / len(values)


false_statements = Error(
    "false statements about both inputs, the second over the unseen share",
    lambda t, r: np.asarray(float(r.wrong) + float(r.wrong_changed) * 4.0),
    lambda t: np.ones(()),
    lambda t: np.ones(()),
    ceiling=lambda t: np.asarray(5.0),
)


def _equal_values(rng: np.random.Generator) -> Instance:
    return InspectedKeys(), np.ones((40, 1))


def _random_values(rng: np.random.Generator) -> Instance:
    return InspectedKeys(), rng.standard_normal((40, 2))


own = Paper(
    "re-derived",
    method=InspectedKeys,
    instances=(_equal_values, _random_values),
    guarantee=InExpectation(),
    statement="by a key planted at a random place",
)


@own(error=false_statements, side="lower")
def no_certificate_without_a_scan(method: InspectedKeys, values: Values) -> Values:
    """P{wrong on the input} + P{wrong on a changed input} / u >= P{it states an error below ||v' - o|| / 2}.

    A procedure that inspects at most (1 - u) N of N keys, without upper bounds on the scores of the others, is wrong
    with probability pi u / (1 + u) on the input or on one with a single key changed, pi the right-hand side: the key
    goes to a uniformly random place, with value v' and so large a score that the output is v'. Not inspected, it leaves
    the statement as it was. So uniform samples alone verify nothing: a scan of the scores is needed, or an index that
    bounds them. Evaluated for a quarter of the keys unseen and a procedure that always states.

    Letters: P the probability of an event; u the unseen share; v' the planted value; o the output of the input; N the
    number of keys.
    Hypotheses: a quarter of the keys is unseen; the planted value differs from the output.
    """
    require(abs(_unseen(method, values) - 0.25) < 1e-12, "a quarter of the keys is unseen")
    v = host(values)
    require(bool(np.linalg.norm(planted(v) - v.mean(axis=0)) > 0), "the planted value differs from the output")
    return np.ones(())
