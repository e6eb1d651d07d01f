"""Exact and drawn keys of a block of queries, and the smaller of two bounds on the error of each."""

from __future__ import annotations

from typing import NamedTuple, Self

from tnattn.arrays import Array, array_namespace, device, eps
from tnattn.attention.bernoulli_bounds import bernoulli_upper
from tnattn.attention.kept_keys import centred_error, dropped_share
from tnattn.attention.sampled_tail import DrawnTail, KeptPart, mean_deviation, sampled_tail
from tnattn.attention.sampling.covering_ball import CoveringBalls
from tnattn.attention.sampling.draws import or_one
from tnattn.attention.sampling.rounded_keys import RoundedKeys
from tnattn.attention.sampling.scanned_tile import ScannedTile, scanned_tile
from tnattn.structured.gather import gather_rows, take_rows

__all__: list[str] = []  # parts of the methods of this chapter


class RefinedTile(NamedTuple):
    """Rows of a result: columns and sums in units of exp(shift), with the bounds of the errors of their quotients.

    Parameters
    ----------
    weights : Array, (..., r, w + 1)
        Of the exact and drawn keys, and of the centre of the block.
    indices : Array, (..., r, w + 1), int64
    numerators : Array, (..., r, d_v)
    shift, denominators, bounds : Array, (..., r)

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem
    >>> from tnattn.attention.sampling.covering_ball import covering_balls
    >>> from tnattn.attention.sampling.refined_tile import Refinement
    >>> from tnattn.attention.sampling.rounded_keys import RoundedKeys
    >>> x = np.asarray([[[1.0], [3.0], [2.0]]])
    >>> problem = AttentionProblem(x, x, x)
    >>> keys, balls = RoundedKeys.of(problem, 8), covering_balls(problem, problem.values)
    >>> refinement = Refinement.of(keys, balls, problem.values, 2, None, 10.0)
    >>> tile = refinement.tile((slice(0, 1), slice(0, 3)))
    >>> tile.weights.shape, tile.bounds.shape
    ((1, 1, 1, 3), (1, 1, 1))
    """

    weights: Array
    indices: Array
    numerators: Array
    shift: Array
    denominators: Array
    bounds: Array


class _Exact(NamedTuple):
    """Exact part of a block, in units of exp(shift): values of the w keys, masses, and the output of refined keys."""

    values: Array  # (..., r, w, d_v)
    scores: Array  # (..., r, w)
    kernel: Array  # (..., r, w), exp(scores - shift)
    refined: Array  # (..., r, w)
    shift: Array  # (..., r)
    mass: Array  # (..., r)
    output: Array  # (..., r, d_v); the centre where the mass is zero
    centre: Array  # (..., r, d_v)
    radius: Array  # (..., r)


class Refinement(NamedTuple):
    """Data of a problem that all of its blocks of queries share.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem
    >>> from tnattn.attention.sampling.covering_ball import covering_balls
    >>> from tnattn.attention.sampling.refined_tile import Refinement
    >>> from tnattn.attention.sampling.rounded_keys import RoundedKeys
    >>> x = np.asarray([[[1.0], [3.0], [2.0]]])
    >>> problem = AttentionProblem(x, x, x)
    >>> keys, balls = RoundedKeys.of(problem, 8), covering_balls(problem, problem.values)
    >>> refinement = Refinement.of(keys, balls, problem.values, 2, None, 10.0)
    >>> tile = refinement.tile((slice(0, 1), slice(0, 3)))
    >>> refinement.exact, tile.indices.tolist()
    (2, [[[[1, 2, 3]]]])
    """

    keys: RoundedKeys
    balls: CoveringBalls
    values: Array  # (..., G, 1, n_k, d_v), of moderate size
    refined: int
    draws: Array | None  # (..., n_q, m), uniform numbers
    level: float
    promise: float

    @classmethod
    def of(
        cls, keys: RoundedKeys, balls: CoveringBalls, values: Array, refined: int, draws: Array | None, level: float
    ) -> Self:
        """Return the refinement, with what a sample is expected to certify as a multiple of the sure bound."""
        if draws is None:
            return cls(keys, balls, values, refined, draws, level, float("inf"))
        xp, m = array_namespace(values), draws.shape[-1]
        one = xp.ones((1,), dtype=values.dtype, device=device(values))
        # values within a ball have a mean square of about a quarter
        square = bernoulli_upper(one / 4, draws=m, level=level)
        found = mean_deviation(square, square, one, draws=m, level=level)
        # they differ from the output of the exact keys by up to twice the radius, and typically by 1.5
        return cls(keys, balls, values, refined, draws, level, 1.5 * float(found[0]))

    @property
    def exact(self) -> int:
        """Number of exact keys w, refined or drawn."""
        return self.refined + (0 if self.draws is None else self.draws.shape[-1])

    def tile(self, place: tuple[slice, slice]) -> RefinedTile:
        """Return the rows of the result for a block of queries and the range of their keys."""
        rows, columns = place
        scan = scanned_tile(self.keys, rows, columns, refined=self.refined, exact=self.exact)
        xp, indices = array_namespace(scan.tail), scan.indices
        sampled = scan.worth_drawing(self.promise)
        if self.draws is None or not bool(xp.any(sampled)):
            sampled = xp.zeros_like(sampled)
        else:
            drawn = xp.concat([indices[..., : self.refined], scan.drawn(self.draws[..., rows, :])], axis=-1)
            indices = xp.where(sampled[..., None], drawn, indices)
        scanned = xp.take_along_axis(scan.scores, indices, axis=-1)
        indices = indices + columns.start
        slot = xp.arange(self.exact, device=device(scanned))
        exact = self._exact(scan, rows, indices, (slot < self.refined) | ~sampled[..., None])
        tile = self._sure(scan, exact, indices, xp.where(sampled, scan.beyond[..., 0], scan.beyond[..., 1]), rows)
        if bool(xp.any(sampled)):
            tile = self._sampled(scan, exact, tile, scanned, sampled)
        return self._with_rounding(tile, exact, rows, columns)

    def _exact(self, scan: ScannedTile, rows: slice, indices: Array, refined: Array) -> _Exact:
        xp = array_namespace(indices)
        scores = self.keys.exact.weights.blocks.gathered(indices, rows)  # (..., r, w)
        # the largest of exact and scanned scores: an exact one may exceed all scanned ones
        shift = xp.maximum(scan.top, xp.max(scores, axis=-1))
        finite = xp.where(shift == -float("inf"), xp.zeros_like(shift), shift)
        kernel = xp.exp(scores - finite[..., None])
        values = gather_rows(self.values, indices)
        certain = xp.where(refined, kernel, xp.zeros_like(kernel))
        mass = xp.sum(certain, axis=-1)
        centre = take_rows(self.balls.centres, self.balls.block[rows])
        found = (certain[..., None, :] @ values)[..., 0, :] / or_one(mass)[..., None]
        output = xp.where((mass == 0)[..., None], xp.broadcast_to(centre, found.shape), found)
        radius = xp.broadcast_to(self.balls.radius[..., rows], mass.shape)
        return _Exact(
            values, scores, kernel, refined, shift, mass, output, xp.broadcast_to(centre, found.shape), radius
        )

    def _sure(self, scan: ScannedTile, exact: _Exact, indices: Array, beyond: Array, rows: slice) -> RefinedTile:
        """Return the refined keys and the centre, which has the largest mass that the others can have."""
        xp = array_namespace(indices)
        most = beyond * _unit(scan, exact)
        zero = xp.zeros_like(exact.kernel)
        endless = xp.isinf(beyond)
        weights = xp.where(exact.refined & ~endless[..., None], exact.kernel, zero)
        most = xp.where(endless, xp.ones_like(most), most)  # nothing is known: the centre alone
        share = xp.where(endless, xp.ones_like(most), dropped_share(_log(exact.mass), _log(most)))
        place = xp.broadcast_to((self.keys.exact.n_k + self.balls.block[rows])[:, None], (*most.shape, 1))
        held = exact.output * exact.mass[..., None]
        held = xp.where(endless[..., None], xp.zeros_like(held), held)
        return RefinedTile(
            weights=xp.concat([weights, most[..., None]], axis=-1),
            indices=xp.concat([indices, place], axis=-1),
            numerators=held + most[..., None] * exact.centre,
            shift=exact.shift,
            denominators=xp.where(endless, xp.zeros_like(most), exact.mass) + most,
            bounds=centred_error(share, radius=exact.radius),
        )

    def _sampled(
        self, scan: ScannedTile, exact: _Exact, sure: RefinedTile, scanned: Array, sampled: Array
    ) -> RefinedTile:
        """Return the rows in which the sample has the smaller bound with the sample, and the others as they are."""
        xp = array_namespace(scanned)
        m = self.exact - self.refined
        ratios = exact.scores[..., self.refined :] - scanned[..., self.refined :]
        tail = scan.tail * _unit(scan, exact)
        reach = _norm(exact.output - exact.centre) + exact.radius
        found = sampled_tail(
            KeptPart(_log(exact.mass), exact.output, reach),
            DrawnTail(_log(tail), scan.half_width, ratios, exact.values[..., self.refined :, :]),
            level=self.level,
            spectral=False,  # a singular value decomposition would cost more than the exact row
        )
        error = found.error + scan.scores.shape[-1] * eps(tail) * reach  # rounding of the scanned mass
        chosen = sampled & (error < sure.bounds)
        share = xp.exp(ratios) * (tail / m)[..., None]
        drawn = xp.concat([exact.kernel[..., : self.refined], share, xp.zeros_like(share[..., :1])], axis=-1)
        mass = exact.mass + xp.sum(share, axis=-1)
        return sure._replace(
            weights=xp.where(chosen[..., None], drawn, sure.weights),
            numerators=xp.where(chosen[..., None], found.output * mass[..., None], sure.numerators),
            denominators=xp.where(chosen, mass, sure.denominators),
            bounds=xp.where(chosen, error, sure.bounds),
        )

    def _with_rounding(self, tile: RefinedTile, exact: _Exact, rows: slice, columns: slice) -> RefinedTile:
        """Return the rows with bounds that include rounding, and are infinite for bad rows."""
        xp = array_namespace(tile.bounds)
        # scores that are wrong by delta move the output by tanh(delta / 2) diameters
        wrong = self.keys.query_norms[..., rows, :] * xp.max(self.keys.rounding[..., columns], axis=-1, keepdims=True)
        rounding = wrong[..., 0]
        size = _norm(exact.centre) + exact.radius
        sums = (self.exact + self.values.shape[-1] + 8) * eps(tile.bounds)
        bounds = tile.bounds * (1 + sums) + rounding * exact.radius + sums * size
        good = xp.isfinite(tile.denominators) & xp.all(xp.isfinite(tile.numerators), axis=-1)
        bounds = xp.where(good & (tile.denominators > 0), bounds, xp.full_like(bounds, float("inf")))
        return tile._replace(bounds=xp.where(tile.shift == -float("inf"), xp.zeros_like(bounds), bounds))


def joined_tiles(tiles: list[RefinedTile]) -> RefinedTile:
    """Return the rows of all blocks."""
    xp, last = array_namespace(tiles[0].shift), tiles[0].shift.ndim - 1
    return RefinedTile(*(xp.concat(parts, axis=last) for parts in zip(*tiles, strict=True)))


def _unit(scan: ScannedTile, exact: _Exact) -> Array:
    """Return exp(scanned top - shift), the unit of scanned masses in that of the exact ones."""
    xp = array_namespace(scan.top)
    empty = exact.shift == -float("inf")
    return xp.where(
        empty, xp.zeros_like(scan.top), xp.exp(scan.top - xp.where(empty, xp.zeros_like(scan.top), exact.shift))
    )


def _norm(x: Array) -> Array:
    xp = array_namespace(x)
    return xp.sqrt(xp.vecdot(x, x))


def _log(mass: Array) -> Array:
    """Return the logarithm, minus infinity at zero."""
    xp = array_namespace(mass)
    return xp.where(mass == 0, xp.full_like(mass, -float("inf")), xp.log(xp.where(mass == 0, xp.ones_like(mass), mass)))
