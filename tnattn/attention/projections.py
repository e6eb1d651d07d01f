"""The weights of an attention layer, and the layer as a target of approximations."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field

from tnattn.arrays import Array, array_namespace, plain_array, require_floating, widened
from tnattn.attention.masks import FullMask, Mask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.rotary import Rotary
from tnattn.cached import cached_property
from tnattn.display import Displayed
from tnattn.scalars import Parameters


@dataclass(frozen=True, eq=False, repr=False)
class Projections(Displayed):
    """Weights of a layer, head by head; rows of the hidden states are tokens.

    Parameters
    ----------
    w_q : Array, (H, width, d)
    w_k : Array, (G, width, d)
    w_v : Array, (G, width, d_v)
        Query head h uses key head h // (H / G).
    w_o : Array, (H, d_v, width), optional
    rotary : Rotary, optional
        Position encoding of queries and keys.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Projections
    >>> rng = np.random.default_rng(0)
    >>> w_k, w_v = rng.standard_normal((2, 2, 64, 16))
    >>> projections = Projections(rng.standard_normal((8, 64, 16)), w_k, w_v)
    >>> projections.heads, projections.groups
    (8, 2)
    """

    w_q: Array
    w_k: Array
    w_v: Array
    w_o: Array | None = None
    rotary: Rotary | None = None

    def __post_init__(self) -> None:
        given = {"w_q": self.w_q, "w_k": self.w_k, "w_v": self.w_v, "w_o": self.w_o}
        for name, w in given.items():
            if w is None:
                continue
            w = plain_array(w, name)
            require_floating(w, name)
            object.__setattr__(self, name, w)
            if w.ndim != 3:
                raise ValueError(f"{name} has shape {tuple(w.shape)}; expected three axes, the first for the heads")
        q, k, v = (tuple(w.shape) for w in (self.w_q, self.w_k, self.w_v))
        if k[:2] != v[:2] or q[1] != k[1] or q[2] != k[2] or q[0] % k[0]:
            raise ValueError(
                f"w_q {q}, w_k {k} and w_v {v} do not fit; (H, width, d), (G, width, d) and (G, width, d_v) are "
                "needed, with H a multiple of G"
            )
        if self.w_o is not None and tuple(self.w_o.shape[:2]) != (q[0], v[2]):
            raise ValueError(f"w_o has shape {tuple(self.w_o.shape)}; expected (H, d_v, width) = ({q[0]}, {v[2]}, ...)")

    @property
    def heads(self) -> int:
        """Number of query heads H."""
        return int(self.w_q.shape[0])

    @property
    def groups(self) -> int:
        """Number of key heads G."""
        return int(self.w_k.shape[0])


@dataclass(frozen=True, eq=False, repr=False)
class LayerProblem(Parameters, Displayed):
    """A layer applied to hidden states.

    Parameters
    ----------
    hidden : Array, (..., n, width), floating
        Products with half precision are taken in float32 and cast back.
    projections : Projections
    mask : Mask
    scale : float, optional
        Of the scores; 1 / sqrt(d) by default.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import CausalMask, LayerProblem, Projections
    >>> rng = np.random.default_rng(0)
    >>> projections = Projections(*rng.standard_normal((3, 2, 16, 8)), w_o=rng.standard_normal((2, 8, 16)))
    >>> layer = LayerProblem(rng.standard_normal((10, 16)), projections, mask=CausalMask())
    >>> layer.attention.q.shape, layer.output.shape
    ((2, 10, 8), (10, 16))
    """

    hidden: Array
    projections: Projections
    mask: Mask = field(default_factory=FullMask)
    scale: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", plain_array(self.hidden, "hidden"))
        require_floating(self.hidden, "hidden")

    @cached_property
    def attention(self) -> AttentionProblem:
        """The attention problem of the projected queries, keys and values."""
        weights, tokens = self.projections, self.hidden[..., None, :, :]  # (..., 1, n, width): one for all heads
        q, k, v = (_product(tokens, w) for w in (weights.w_q, weights.w_k, weights.w_v))
        if weights.rotary is not None:
            q, k = weights.rotary(q), weights.rotary(k)  # values carry no position
        return AttentionProblem(q, k, v, mask=self.mask, scale=self.scale)

    def project(self, output: Array) -> Array:
        """Return sum_h output_h W_o,h, (..., n, width), for outputs of all heads (..., H, n, d_v).

        Raises
        ------
        ValueError
            If the projections have no ``w_o``.
        """
        if self.projections.w_o is None:
            raise ValueError("the projections have no w_o; give one, or use the outputs of the heads")
        xp = array_namespace(output)
        # widened, since the sum over heads would be taken in half precision otherwise
        heads = widened(output) @ widened(self.projections.w_o)
        return xp.astype(xp.sum(heads, axis=-3), output.dtype, copy=False)

    @property
    def output(self) -> Array:
        """The exact output of the layer, (..., n, width)."""
        return self.project(self.attention.output)


class ProjectionConversion(Parameters, abc.ABC):
    """Base class of conversions of a layer's weights to cheaper ones; subclasses are frozen dataclasses."""

    @abc.abstractmethod
    def __call__(self, projections: Projections) -> Projections:
        """Return the weights of the converted layer."""


def _product(a: Array, b: Array) -> Array:
    # widened: half precision would round every partial sum
    return array_namespace(a, b).astype(widened(a) @ widened(b), a.dtype, copy=False)
