"""Our decompositions behind the names, arguments and types of TensorLy; the adapters state which convention differs."""

import math

import numpy as np
from tensorly.cp_tensor import CPTensor as TheirCP
from tensorly.tt_matrix import TTMatrix as TheirTTMatrix
from tensorly.tt_tensor import TTTensor
from tensorly.tucker_tensor import TuckerTensor as TheirTucker

from tnattn.arrays import to_host
from tnattn.decomposition.cp.als import CPALS
from tnattn.decomposition.cp.cp_leverage import CPLeverage
from tnattn.decomposition.cp.khatri_rao_sampling import KhatriRaoSampling, khatri_rao_entries
from tnattn.decomposition.cp.start import GaussianStart, SingularVectorStart
from tnattn.decomposition.tensor_train.tt_cross import TTCross
from tnattn.decomposition.tensor_train.tt_svd import TTSVD
from tnattn.decomposition.tucker.hooi import HOOI
from tnattn.decomposition.tucker.partial_tucker import PartialTucker
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD
from tnattn.randnla.scores.leverage import leverage_scores


def generator(state):
    """Our generators are NumPy's new ones: a RandomState gives the seed of one."""
    return np.random.default_rng(state.randint(2**31) if isinstance(state, np.random.RandomState) else state)


def parafac(
    tensor,
    rank,
    *,
    n_iter_max=100,
    init="svd",
    tol=1e-8,
    random_state=None,
    linesearch=False,
    normalize_factors=False,
    callback=None,
    theirs=None,
    **options,
):
    """Fixed modes, masks and sparse parts have no counterpart: those calls are the package's own.

    Orthogonal factors neither: the fit is the plain one. Columns always have length one; without normalize_factors the
    weights are multiplied into the last factor. Tolerances end our iteration by the change of the relative error too.
    """  # fmt: skip
    if any(options.get(name) is not None for name in ("fixed_modes", "sparsity", "mask")):
        return theirs(tensor, rank, n_iter_max=n_iter_max, init=init, tol=tol, linesearch=linesearch, **options)
    start = GaussianStart() if init == "random" else SingularVectorStart()
    method = CPALS(rank, n_iter_max, tol, start, linesearch, order=tensor.ndim)
    result = method(tensor, rng=generator(random_state))
    for error in result.errors if callback else ():
        callback(None, error)
    return _their_cp(result, normalize_factors)


def _their_cp(result, normalised):
    weights, factors = result
    if normalised:
        return TheirCP((weights, factors))
    return TheirCP((np.ones_like(weights), [*factors[:-1], factors[-1] * weights]))


def randomised_parafac(
    tensor,
    rank,
    n_samples,
    *,
    n_iter_max=1000,
    init="random",
    tol=1e-9,
    random_state=None,
    callback=None,
    max_stagnation=0,
    **_,
):
    """Our iterations come in epochs, at the end of which the error is measured, not estimated from samples."""
    start, seed = SingularVectorStart() if init == "svd" else GaussianStart(), generator(random_state).integers(2**31)
    method = CPLeverage(rank, n_samples, epochs=n_iter_max, stagnation=tol, start=start, order=tensor.ndim)
    for epochs in range(1, n_iter_max + 1) if callback else ():
        part = CPLeverage(rank, n_samples, epochs=epochs, stagnation=tol, start=start, order=tensor.ndim)
        result = part(tensor, rng=np.random.default_rng(seed))
        callback(_their_cp(result, True), result.errors[-1])
    return _their_cp(method(tensor, rng=np.random.default_rng(seed)), True)


def sample_khatri_rao(factors, n_samples, skip_matrix=None, return_sampled_rows=False, random_state=None):
    """Ours draws by leverage scores, theirs uniformly."""
    kept = [factor for place, factor in enumerate(factors) if place != skip_matrix]
    indices, _ = KhatriRaoSampling(n_samples).draw(kept, rng=generator(random_state))
    rows = np.ravel_multi_index(indices, [len(factor) for factor in kept])
    return khatri_rao_entries(kept, indices), indices, rows


def leverage_score_indices(factors, n_samples, random_state):
    return KhatriRaoSampling(n_samples).draw(factors, rng=generator(random_state))


def leverage_score_dist(matrix):
    scores = leverage_scores(matrix)
    return scores / scores.sum()


def tucker(tensor, rank=None, *, n_iter_max=100, tol=1e-5, theirs=None, fixed_factors=None, **options):
    """Fixed factors have no counterpart: those calls are the package's own. All starts are ST-HOSVD.

    A rank above the product of the others, which no core has, is an error here: it is lowered, and padded with zeros.
    """
    if fixed_factors is not None:
        return theirs(tensor, rank, n_iter_max=n_iter_max, tol=tol, fixed_factors=fixed_factors, **options)
    method = HOOI(sweeps=n_iter_max, stagnation=tol, order=tensor.ndim).with_rank(10**6, tensor.shape)
    wanted = method.ranks if rank is None else tuple(rank)
    ranks = list(wanted)
    for mode in sorted(range(len(ranks)), key=lambda j: -ranks[j]):
        ranks[mode] = min(ranks[mode], math.prod(ranks) // ranks[mode])
    core, factors = HOOI(tuple(ranks), sweeps=n_iter_max, stagnation=tol, order=tensor.ndim)(tensor)
    missing = [(0, more - r) for more, r in zip(wanted, ranks, strict=True)]
    return TheirTucker((np.pad(core, missing), [np.pad(u, ((0, 0), m)) for u, m in zip(factors, missing, strict=True)]))


def partial_tucker(tensor, rank=None, modes=None, **_):
    """One pass, no iteration: the errors are that of the result."""
    method = PartialTucker(modes=tuple(modes), order=tensor.ndim)
    method = method.with_rank(10**6, tensor.shape) if rank is None else PartialTucker(tuple(rank), modes=tuple(modes))
    result = method(tensor)
    return (result.core, list(result.factors)), [float(result.error_certificate)]


def tensor_train(tensor, rank, **_):
    """Ranks above what an unfolding admits are lowered by ``with_rank`` here; the ones at both ends are left out."""
    return TTTensor(list(_lowered(TTSVD, tensor, rank)(tensor).cores))


def tensor_train_cross(tensor, rank, tol=1e-4, n_iter_max=100, random_state=None):
    """Sweeps end by ``sweeps`` for given ranks, not by a tolerance."""
    return TTTensor(list(_lowered(TTCross, tensor, rank)(tensor, rng=generator(random_state)).cores))


def _lowered(cls, tensor, rank):
    method = cls(order=tensor.ndim)
    if isinstance(rank, int):
        return method.with_rank(rank, tensor.shape)
    ranks = [min(r, limit) for r, limit in zip(rank[1:-1], method.rank_limits(tensor.shape), strict=True)]
    bonds = [1, *ranks, 1]
    for k in [*range(1, len(bonds) - 1), *range(len(bonds) - 2, 0, -1)]:  # what the neighbours admit
        bonds[k] = min(bonds[k], bonds[k - 1] * tensor.shape[k - 1], bonds[k + 1] * tensor.shape[k])
    return cls(ranks=tuple(bonds[1:-1]), order=tensor.ndim)


def tensor_train_matrix(tensor, rank):
    """A train over pairs of modes, one of the rows and one of the columns."""
    half = tensor.ndim // 2
    paired = np.transpose(tensor, [j + side * half for j in range(half) for side in (0, 1)])
    sizes = [(tensor.shape[j], tensor.shape[half + j]) for j in range(half)]
    cores = tensor_train(paired.reshape([i * j for i, j in sizes]), rank)
    return TheirTTMatrix([core.reshape(len(core), *pair, -1) for core, pair in zip(cores, sizes, strict=True)])


def svd_interface(matrix, method="truncated_svd", n_eigenvecs=None, **_):
    """A rank above the smaller side is an error here, and is lowered; signs are arbitrary."""
    most = min(matrix.shape)
    rank = most if n_eigenvecs is None else min(n_eigenvecs, most)
    ours = RandomizedSVD(rank) if method == "randomized_svd" else TruncatedSVD(rank)
    found = ours(matrix, rng=np.random.default_rng(0))
    return tuple(to_host(part) for part in (found.u, found.s, found.vt))


def no_wrapper(*_, **__):
    """Decompositions are values here and have no class beside a function that could pass it other arguments."""
