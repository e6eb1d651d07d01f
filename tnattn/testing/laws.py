"""The laws of attention methods: functions of a trial that raise ``Violation`` or ``NotApplicable``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tnattn.testing.budgets import converges, goes_beyond, has_temperature, merges
from tnattn.testing.fields import fields_matter, scalars_convert
from tnattn.testing.inputs import balance_is_free, empty_batches_work, halves_are_widened, layouts_agree, values_scale
from tnattn.testing.invariances import (
    any_length_works,
    keys_matter,
    mates_do_not_matter,
    order_does_not_matter,
    past_ignores_future,
    shifts_cancel,
)
from tnattn.testing.outputs import (
    constants_stay,
    failures_are_counted,
    output_fits,
    reads_no_dense_weights,
    seeds_decide,
    single_precision_agrees,
    weights_agree,
)
from tnattn.testing.processes import buffers_are_free, forks_agree, results_are_writable, threads_agree
from tnattn.testing.projection_laws import projection_helps
from tnattn.testing.trial import Trial

# families with different mechanisms of failure: no structure, groups of keys, one dominant key, sparse outliers
_MANY = ("gauss", "clustered", "sink", "low_rank_plus_sparse")
_FAR = ("gauss", "sink", "needle", "value_outliers", "huge_logits")  # outputs near the values, or far inside
_FEW = ("gauss", "smooth")  # for laws that do not depend on the spectrum


@dataclass(frozen=True)
class Law:
    """A law of the kit.

    Parameters
    ----------
    name : str
        As in ``waives``.
    statement : str
    check : callable
        Raises Violation or NotApplicable.
    problems : tuple of str
        The families that it is checked on by default.
    slow : bool
        True for laws that take many runs.

    Examples
    --------
    >>> from tnattn.testing import LAWS
    >>> law = next(law for law in LAWS if law.name == "P9")
    >>> law.statement, law.problems, law.slow
    ('one vector added to all keys changes nothing', ('gauss', 'smooth'), False)
    """

    name: str
    statement: str
    check: Callable[[Trial], None]
    problems: tuple[str, ...] = _MANY
    slow: bool = False


LAWS: tuple[Law, ...] = (
    Law("output", "shape, dtype and library of the output are those of the problem", output_fits, _FEW),
    Law("weights", "weights times values are the output, where weights exist", weights_agree),
    Law("implicit", "no dense weights are formed, except by oracles", reads_no_dense_weights, _FEW),
    Law("fields", "every field changes the output, performance fields none", fields_matter, ("gauss",), slow=True),
    Law("P1", "V = 1 gives 1", constants_stay, (*_MANY, "value_outliers", "ties", "needle")),
    Law("P2", "with CausalMask, the past ignores the future", past_ignores_future, _FEW),
    Law("P3", "moving a key changes something", keys_matter, ("gauss",), slow=True),
    Law("P4", "a batch mate changes nothing", mates_do_not_matter, _FEW),
    Law("P5", "any number of keys works, padding is invisible", any_length_works, ("gauss",)),
    Law("P6", "the same seed gives the same bits", seeds_decide, _MANY),
    Law("P7", "the best-fitting temperature is the requested one", has_temperature, ("gauss",), slow=True),
    Law("P8", "the error vanishes as the budget grows", converges, ("gauss",), slow=True),
    Law("merge", "pieces of disjoint keys merge, and tend to the exact output", merges, ("gauss",), slow=True),
    Law("P9", "one vector added to all keys changes nothing", shifts_cancel, _FEW),
    Law("P10", "q times 8 stays finite or is counted", failures_are_counted, (*_MANY, "huge_logits", "sharp")),
    Law("projection", "projected on a ball of values, no row is further from the exact one", projection_helps, _FAR),
    Law("P11", "keys permuted with their values change nothing", order_does_not_matter, ("gauss",), slow=True),
    Law("P12", "float32 agrees with float64", single_precision_agrees, _MANY),
    Law("half", "float16 is computed in float32 and cast back", halves_are_widened, ("gauss",)),
    Law("scalars", "NumPy scalars give the bits of Python numbers", scalars_convert, ("gauss",)),
    Law("values", "values times 2^k give the output times 2^k", values_scale, ("gauss",)),
    Law("balance", "queries times 2^k and keys times 2^-k change nothing", balance_is_free, ("gauss",)),
    Law("layouts", "memory order, strides and byte order change nothing", layouts_agree, ("gauss",)),
    Law("empty", "an empty batch gives an empty output", empty_batches_work, ("gauss",)),
    Law("beyond", "a budget beyond the keys is clipped or used", goes_beyond, ("gauss",)),
    Law("writable", "results are the caller's to write into", results_are_writable, ("gauss",)),
    Law("buffers", "a summary does not change with the caller's buffers", buffers_are_free, ("gauss",)),
    Law("threads", "two threads at once give the bits of one", threads_agree, ("gauss",)),
    Law("fork", "a forked process gives the same output", forks_agree, ("gauss",)),
)
