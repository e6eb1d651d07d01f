"""Grouped-query conversion: key and value weights of consecutive heads are averaged."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tnattn.attention.conversion.substituted import mean_pooled
from tnattn.attention.projections import ProjectionConversion, Projections


@dataclass(frozen=True)
class GroupedQueries(ProjectionConversion):
    """Replace the key and value weights of consecutive heads by their means.

    Parameters
    ----------
    groups : int
        Key heads after the conversion; a divisor of their number before.

    Notes
    -----
    Ainslie et al. 2023, section 2.1. The mean is the best single weight for a group in the Frobenius norm, with error
    sum_h |W_h|^2 - g |mean|^2. Afterwards query head h, counted from 0, uses key head h // (H / groups); counted from
    1 that is the ceiling of h groups / H. Linear, so that it commutes with rotary encoding. No fine-tuning follows.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import GroupedQueries, Projections
    >>> w_q, w_k, w_v = np.random.default_rng(0).standard_normal((3, 4, 16, 8))
    >>> pooled = GroupedQueries(groups=2)(Projections(w_q, w_k, w_v))
    >>> pooled.w_q.shape, pooled.w_k.shape
    ((4, 16, 8), (2, 16, 8))
    >>> bool(np.allclose(pooled.w_k[0], (w_k[0] + w_k[1]) / 2))
    True
    """

    groups: int = 1

    def __post_init__(self) -> None:
        if self.groups < 1:
            raise ValueError(f"groups must be a positive integer; got {self.groups!r}")

    def __call__(self, projections: Projections) -> Projections:
        # query weights stay: query head h keeps its own, and reads the pooled key head of its group
        w_k, w_v = (mean_pooled(w, self.groups, axis=0) for w in (projections.w_k, projections.w_v))
        return replace(projections, w_k=w_k, w_v=w_v)
