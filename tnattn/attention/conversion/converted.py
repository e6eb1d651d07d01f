"""A converted layer as an approximation of the attention of the layer that it replaces."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from tnattn.arrays import Rng
from tnattn.attention.approximation import Approximation
from tnattn.attention.conversion.grouped_queries import GroupedQueries
from tnattn.attention.conversion.substituted import substituted
from tnattn.attention.projections import LayerProblem, ProjectionConversion


@dataclass(frozen=True)
class Converted:
    """Convert the weights of a layer, and attend with the converted queries, keys and values.

    Parameters
    ----------
    conversion : ProjectionConversion
        Must keep the number of query heads and leave a divisor of the number of key heads.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Converted, GroupedQueries, LayerProblem, Projections
    >>> rng = np.random.default_rng(0)
    >>> layer = LayerProblem(rng.standard_normal((10, 16)), Projections(*rng.standard_normal((3, 4, 16, 8)) / 4))
    >>> exact = layer.attention.output
    >>> outputs = [Converted(GroupedQueries(groups=groups))(layer).output for groups in (4, 2, 1)]
    >>> [round(float(np.linalg.norm(x - exact) / np.linalg.norm(exact)), 2) for x in outputs]
    [0.0, 0.78, 0.88]
    """

    conversion: ProjectionConversion = field(default_factory=GroupedQueries)

    def __call__(self, layer: LayerProblem, *, rng: Rng | None = None) -> Approximation:
        """Approximate ``layer.attention``."""
        if not isinstance(layer, LayerProblem):
            raise TypeError(
                f"layer must be a LayerProblem; got {type(layer).__name__}; a conversion changes weights: "
                "from tnattn import LayerProblem"
            )
        converted = replace(layer, projections=self.conversion(layer.projections)).attention
        # the target is the attention of the original layer, of which this is an approximation
        return substituted(layer.attention, converted.q, converted.k, converted.v)

    def stages(self, layer: LayerProblem) -> list[tuple[Any, Any]]:
        """Return the pair (conversion, weights), to which bounds on the weights apply."""
        return [(self.conversion, layer.projections)]
