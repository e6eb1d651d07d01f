"""Result of a search: the method of every head, its certificate, and what was spent."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from tnattn.attention.baseline.exact import Exact
from tnattn.attention.method import AttentionMethod
from tnattn.attention.wrappers.per_head import PerHead
from tnattn.certificate.candidates import Skipped, method_label
from tnattn.certificate.certificate import Certificate
from tnattn.display import Displayed
from tnattn.scalars import Parameters


@dataclass(frozen=True, repr=False)
class HeadMethod(Parameters, Displayed):
    """The method of a head with its certificate, or exact attention with the reason.

    Parameters
    ----------
    head : int
    method : AttentionMethod
    share : float
        Predicted operations of the method, relative to exact attention; one for exact attention.
    certificate : Certificate or None
        None for exact attention, which needs none.
    spent : float
        What the search has cost, relative to exact attention: pilot rows, trial runs, and rows that certify.
    looks : int
        Number of certificates that were tried.
    reason : str
        Why exact attention is best; empty where it is not.
    skipped : tuple of Skipped
        Methods that took no part, with the reasons.

    Examples
    --------
    >>> from tnattn import Exact
    >>> from tnattn.certificate import HeadMethod
    >>> HeadMethod(0, Exact(), 1.0, None, 0.2, 0, "no candidate is cheaper").statement()
    'Head 0: exact attention is best here: no candidate is cheaper.'
    """

    head: int
    method: AttentionMethod
    share: float
    certificate: Certificate | None
    spent: float
    looks: int
    reason: str
    skipped: tuple[Skipped, ...] = ()

    def statement(self) -> str:
        """Return one sentence."""
        if self.certificate is None:
            return f"Head {self.head}: exact attention is best here: {self.reason}."
        at = f" at budget {self.method.budget}" if self.method.budget is not None else ""
        what = f"{method_label(self.method)}{at}, {100 * self.share:.3g} % of exact attention"
        return f"Head {self.head}: {what}. {self.certificate.statement()}"


@dataclass(frozen=True, repr=False)
class Suggestion(Parameters, Displayed):
    """The methods of all heads, which together are one method.

    Parameters
    ----------
    heads : tuple of HeadMethod
    error : float
        What was asked for.
    failure : float
        Probability that any of the certificates is wrong.
    seed : int
        Of the draws of randomized methods, a part of what was certified.

    Examples
    --------
    >>> from tnattn import Exact
    >>> from tnattn.certificate import HeadMethod, Suggestion
    >>> suggestion = Suggestion((HeadMethod(0, Exact(), 1.0, None, 0.2, 0, "no candidate is cheaper"),), 0.05, 1e-3, 7)
    >>> suggestion.method
    PerHead(methods=(Exact(),), seed=7)
    """

    heads: tuple[HeadMethod, ...]
    error: float
    failure: float
    seed: int

    @property
    def method(self) -> PerHead:
        """The method of all heads; on the problem of the search it gives the output that was certified."""
        return PerHead(tuple(head.method for head in self.heads), seed=self.seed)

    @property
    def share(self) -> float:
        """Predicted operations of all heads, relative to exact attention."""
        return sum(head.share for head in self.heads) / len(self.heads)

    @property
    def spent(self) -> float:
        """Cost of the search, relative to exact attention of all heads."""
        return sum(head.spent for head in self.heads) / len(self.heads)

    def statement(self) -> str:
        """Return one line for each head, and one for all of them."""
        exact = sum(isinstance(head.method, Exact) for head in self.heads)
        lines = [head.statement() for head in self.heads]
        total = f"All heads: {100 * self.share:.3g} % of exact attention"
        if exact < len(self.heads):
            total += f"; with confidence {1 - self.failure:g} all certificates hold"
        return "\n".join([*lines, f"{total} (the search cost {100 * self.spent:.3g} %)."])

    def as_dict(self) -> dict[str, Any]:
        """Return numbers, strings and lists, of which JSON is made."""
        heads = [
            {
                "head": head.head,
                "method": repr(head.method),
                "budget": head.method.budget,
                "share": head.share,
                "certificate": None if head.certificate is None else head.certificate.as_dict(),
                "spent": head.spent,
                "looks": head.looks,
                "reason": head.reason,
                "skipped": [dataclasses.asdict(skipped) for skipped in head.skipped],
            }
            for head in self.heads
        ]
        own = {"error": self.error, "failure": self.failure, "seed": self.seed}
        return own | {"heads": heads, "share": self.share, "spent": self.spent}
