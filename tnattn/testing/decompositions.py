"""Conformance check of tensor decompositions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np

from tnattn.arrays import dtype_name, to_host
from tnattn.decomposition.base import Decomposition
from tnattn.decomposition.tensor_train.truncated_train import TruncatedTensorTrain
from tnattn.decomposition.tucker.truncated_tucker import OrthonormalTucker
from tnattn.gallery import tensor_with_spectrum
from tnattn.structured.tensor_train import TensorTrain
from tnattn.testing.report import ConformanceError, NotApplicable, Report, Violation, conformance
from tnattn.testing.structures import check_structured
from tnattn.testing.tensor_arguments import ARGUMENTS
from tnattn.testing.tensor_robustness import ROBUSTNESS
from tnattn.testing.tensor_trial import SHAPE, TensorTrial, error_of


def check_decomposition(
    decomposition: Decomposition,
    *,
    seed: int = 0,
    laws: Iterable[str] | None = None,
) -> Report:
    """Check a decomposition of tensors of order three.

    Parameters
    ----------
    decomposition : Decomposition
        Its ranks are replaced. The class variables ``exact_at_full_rank``, ``recovers_rank``, ``recovery``,
        ``certifies``, ``residual_is``, ``quasi_optimal`` and ``lowers_rank`` select and parametrise the laws.
    seed : int
    laws : iterable of str, optional
        All by default.

    Raises
    ------
    ConformanceError
        If a law is violated.

    Examples
    --------
    >>> from tnattn.decomposition.tucker.st_hosvd import STHOSVD
    >>> from tnattn.testing import check_decomposition
    >>> check_decomposition(STHOSVD(), laws=["recovery", "certificate"]).of("violated")
    ()
    """
    if not isinstance(decomposition, Decomposition):
        raise TypeError(f"decomposition must be an instance of Decomposition; got {decomposition!r}")
    trial, where = TensorTrial(decomposition, seed), f"a tensor of sizes {SHAPE}"
    checks = {name: partial(law, trial) for name, law in TENSOR_LAWS.items()}
    return conformance(repr(decomposition), where, checks, laws)


def _recovers_exact_rank(subject: TensorTrial) -> None:
    if not subject.decomposition.recovers_rank:
        raise NotApplicable("the decomposition does not recover sums of outer products at their number")
    rng, most = np.random.default_rng(subject.seed), subject.decomposition.recovery
    orthogonal = np.asarray(tensor_with_spectrum(np.array([3.0, 2.0, 1.0]), SHAPE, rng))
    # cosines of 0.75: terms far from orthogonal, which greedy deflation does not recover
    collinear = [_with_common_direction(rng, n, terms=3, cosine=0.75) for n in SHAPE]
    for tensor in (orthogonal, np.einsum("ar,br,cr->abc", *collinear)):
        relative = error_of(subject.run(tensor, 3), tensor) / float(np.linalg.norm(tensor))
        if not relative <= most:
            raise Violation(f"a tensor of rank 3 has relative error {relative:.2g} at rank 3, above {most:.2g}")


def _with_common_direction(rng: np.random.Generator, n: int, *, terms: int, cosine: float) -> np.ndarray:
    """Return columns (n, terms) of length one with one cosine between any two of them."""
    basis = np.linalg.qr(rng.standard_normal((n, terms + 1)))[0]
    found: np.ndarray = cosine**0.5 * basis[:, :1] + (1 - cosine) ** 0.5 * basis[:, 1:]
    return found


def _is_exact_at_full_rank(subject: TensorTrial) -> None:
    if not subject.decomposition.exact_at_full_rank:
        raise NotApplicable("the decomposition is not exact at its largest ranks")
    tensor = np.random.default_rng(subject.seed).standard_normal(SHAPE)
    relative = error_of(subject.run(tensor, 10**6), tensor) / float(np.linalg.norm(tensor))
    if not relative <= subject.decomposition.recovery:
        raise Violation(
            f"the relative error at full rank is {relative:.2g}, above {subject.decomposition.recovery:.2g}"
        )


def _improves_with_rank(subject: TensorTrial) -> None:
    tensor = subject.decaying()
    errors = [error_of(subject.run(tensor, rank), tensor) for rank in (1, 2, 4)]
    if not errors[2] < errors[1] < errors[0] < float(np.linalg.norm(tensor)):
        raise Violation(f"the errors {[f'{e:.3g}' for e in errors]} at ranks 1, 2 and 4 do not decrease from |T|")


def _certificate_is_honest(subject: TensorTrial) -> None:
    tensor = subject.decaying()
    for rank in (1, 3):  # an error much larger and one comparable to the noise
        result = subject.run(tensor, rank)
        certificate = getattr(result, "error_certificate", None)
        if (certificate is not None) != subject.decomposition.certifies:
            raise Violation(f"certifies is {subject.decomposition.certifies}, but error_certificate is {certificate}")
        if certificate is None:
            raise NotApplicable("the result carries no error certificate")
        certified, true = float(to_host(certificate)), error_of(result, tensor)
        slack = 1e-7 * float(np.linalg.norm(tensor))
        if not true <= certified + slack:
            raise Violation(f"the certificate is {certified:.3g} at rank {rank}, but the error is {true:.3g}")
        # a bound by the discarded parts of d modes is at most sqrt(d) times the error
        if not certified <= 2 * true + slack:
            raise Violation(
                f"the certificate {certified:.3g} at rank {rank} is more than sqrt(3) times the error {true:.3g}"
            )


def _residual_is_what_it_says(subject: TensorTrial) -> None:
    kind = subject.decomposition.residual_is
    for tensor in (subject.decaying(), np.random.default_rng(subject.seed).standard_normal(SHAPE)):
        for rank in (1, 3):
            result = subject.run(tensor, rank)
            if not hasattr(result, "residual"):
                raise NotApplicable("the result states no residual")
            if kind == "an estimate":
                raise NotApplicable("the residual is an estimate")
            residual, true = float(to_host(result.residual)), error_of(result, tensor) / float(np.linalg.norm(tensor))
            most = 3**0.5 if kind == "an upper bound" else 1 + 1e-6  # squares of the modes add up
            if not true / (1 + 1e-6) - 1e-7 <= residual <= most * true + 1e-7:
                raise Violation(f"the residual at rank {rank} is {residual:.3g}, {kind}, where the error is {true:.3g}")


def _is_quasi_optimal(subject: TensorTrial) -> None:
    if not subject.decomposition.quasi_optimal:
        raise NotApplicable("the decomposition is not declared quasi-optimal")
    tensor = subject.decaying()
    for rank in (1, 3):
        result = subject.run(tensor, rank)
        tails = (
            np.linalg.svd(a, compute_uv=False)[rank:] for a in _unfoldings(tensor, isinstance(result, TensorTrain))
        )
        # each tail is a lower bound on the best error; their root sum of squares is the quasi-optimal bound
        error, bound = error_of(result, tensor), float(np.linalg.norm(np.concatenate(list(tails))))
        if not error <= bound + 1e-9 * float(np.linalg.norm(tensor)):
            raise Violation(f"the error {error:.3g} at rank {rank} exceeds {bound:.3g}, the tails of all unfoldings")


def _unfoldings(tensor: np.ndarray, train: bool) -> list[np.ndarray]:
    """Return the matrices whose ranks are those of a tensor train, or the multilinear ones."""
    if train:
        return [tensor.reshape(math.prod(SHAPE[:k]), -1) for k in range(1, len(SHAPE))]
    return [np.moveaxis(tensor, mode, 0).reshape(SHAPE[mode], -1) for mode in range(len(SHAPE))]


def _factors_are_orthonormal(subject: TensorTrial) -> None:
    result = subject.run(subject.decaying(), 3)
    if isinstance(result, OrthonormalTucker):
        bases = [to_host(factor) for factor in result.factors]
    elif isinstance(result, TruncatedTensorTrain):
        bases = [to_host(core).reshape(-1, core.shape[-1]) for core in result.cores[:-1]]
    else:
        raise NotApplicable("no factor is claimed to be orthonormal")
    for place, basis in enumerate(bases):
        gap = float(np.abs(basis.T @ basis - np.eye(basis.shape[-1])).max())
        if not gap <= 1e3 * basis.shape[0] * float(np.finfo(np.float64).eps):
            raise Violation(f"factor {place} departs from orthonormality by {gap:.2g}")


def _unpacks(subject: TensorTrial) -> None:
    result = subject.run(subject.decaying(), 2)
    rebuilt = type(result).from_tensorly(result.to_tensorly())  # through the tuple of the other library
    gap = float(np.abs(to_host(rebuilt.to_dense()) - to_host(result.to_dense())).max())
    if not gap <= 1e-12 or not list(result):
        raise Violation(f"the tensor unpacked and packed again differs by {gap:.2g}")


def _multiplies_as_matrix(subject: TensorTrial) -> None:
    result = subject.run(subject.decaying(), 2)
    dense = to_host(result.to_dense())
    for rows, columns in (((0,), (1, 2)), ((2, 0), (1,))):  # an unfolding, and one that permutes the modes
        matrix = result.as_matrix(rows, columns)
        expected = np.transpose(dense, (*rows, *columns)).reshape(matrix.shape)
        if not float(np.abs(to_host(matrix.to_dense()) - expected).max()) <= 1e-12:
            raise Violation(f"as_matrix({rows}, {columns}) is not the matricisation of the dense tensor")
        try:
            check_structured(matrix)
        except ConformanceError as error:
            raise Violation(f"as_matrix({rows}, {columns}) is no sound matrix: {error}") from error


def _keeps_precision(subject: TensorTrial) -> None:
    tensor = subject.decaying()
    result = subject.run(tensor.astype(np.float32), 3)
    if dtype_name(result.dtype) != "float32" or dtype_name(result.to_dense().dtype) != "float32":
        raise Violation(f"a float32 tensor gives {dtype_name(result.to_dense().dtype)}")
    single, double = error_of(result, tensor), error_of(subject.run(tensor, 3), tensor)
    # truncation errors agree; 1e-4 of the norm is float32 rounding of sums of squares
    if not single <= 1.1 * double + 1e-4 * float(np.linalg.norm(tensor)):
        raise Violation(f"the error is {single:.3g} in float32 and {double:.3g} in float64")


def _ignores_batch_mates(subject: TensorTrial) -> None:
    tensor, mate = subject.decaying(), np.random.default_rng(subject.seed + 1).standard_normal(SHAPE)
    # the second mate is 100 times larger: a tolerance or a scale shared by the stack would show
    first, second = (to_host(subject.run(np.stack([tensor, factor * mate]), 3).to_dense()) for factor in (1.0, 100.0))
    if first.shape != (2, *SHAPE):
        raise Violation(f"a stack of two gives the shape {first.shape}")
    gap = float(np.linalg.norm(first[0] - second[0]) / np.linalg.norm(tensor))
    if not gap <= subject.allowance:
        raise Violation(f"another tensor in the stack changes the result by {gap:.2g}")


def _is_reproducible(subject: TensorTrial) -> None:
    tensor = subject.decaying()
    first, second = (to_host(subject.run(tensor, 3).to_dense()) for _ in range(2))
    if not np.array_equal(first, second):
        raise Violation("two runs with one seed differ; draw from rng only")


TENSOR_LAWS: dict[str, Callable[[TensorTrial], None]] = {
    "recovery": _recovers_exact_rank,
    "full rank": _is_exact_at_full_rank,
    "progress": _improves_with_rank,
    "certificate": _certificate_is_honest,
    "residual": _residual_is_what_it_says,
    "quasi-optimality": _is_quasi_optimal,
    "orthonormality": _factors_are_orthonormal,
    "unpacking": _unpacks,
    "matrix": _multiplies_as_matrix,
    "precision": _keeps_precision,
    "batch": _ignores_batch_mates,
    "seed": _is_reproducible,
    **ARGUMENTS,
    **ROBUSTNESS,
}
