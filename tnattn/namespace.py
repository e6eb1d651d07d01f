"""Lazy names of the package: each is imported from its module at its first use.

A name or a module that does not exist is reported with import lines that work.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.abc
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

HOMES: dict[str, tuple[str, ...]] = {
    "tnattn.arrays.random_samples": ("DeviceDraws",),
    "tnattn.attention.approximation": ("Approximation",),
    "tnattn.attention.attend": ("attend",),
    "tnattn.attention.ball": ("Ball",),
    "tnattn.attention.baseline.exact": ("Exact",),
    "tnattn.attention.baseline.mean_value": ("MeanValue",),
    "tnattn.attention.cache.full_cache": ("FullCache",),
    "tnattn.attention.cache.pivoted_coreset": ("PivotedCoreset",),
    "tnattn.attention.certified": ("CertifiedApproximation",),
    "tnattn.attention.conversion.converted": ("Converted",),
    "tnattn.attention.conversion.grouped_queries": ("GroupedQueries",),
    "tnattn.attention.conversion.joint_truncation": ("JointTruncation",),
    "tnattn.attention.conversion.pooled_key_value": ("PooledKeyValue",),
    "tnattn.attention.cost": ("Cost", "columns_cost", "exact_cost"),
    "tnattn.attention.kernel.linear_attention": ("LinearAttention",),
    "tnattn.attention.low_rank.kernel_cur": ("KernelCUR",),
    "tnattn.attention.low_rank.lifted_nystrom": ("LiftedNystrom",),
    "tnattn.attention.low_rank.linformer": ("Linformer",),
    "tnattn.attention.low_rank.nystromformer": ("Nystromformer",),
    "tnattn.attention.mask": ("ConjunctionMask", "FullMask", "Mask", "UnsupportedMask"),
    "tnattn.attention.masks": ("BiasMask", "CausalMask", "ExplicitMask", "PaddingMask", "SlidingWindowMask"),
    "tnattn.attention.method": ("AttentionMethod", "JointMethod", "KeyMethod", "budget", "performance"),
    "tnattn.attention.problem": ("AttentionProblem",),
    "tnattn.attention.projections": ("LayerProblem", "ProjectionConversion", "Projections"),
    "tnattn.attention.random_features.performer": ("Performer",),
    "tnattn.attention.random_features.scatterbrain": ("Scatterbrain",),
    "tnattn.attention.rotary": ("Rotary",),
    "tnattn.attention.sampling.column_sampling": ("ColumnSampling",),
    "tnattn.attention.sampling.heavy_plus_sampled": ("HeavyPlusSampled", "OptimalHeavyPlusSampled"),
    "tnattn.attention.sampling.leverage_key_sampling": ("LeverageKeySampling",),
    "tnattn.attention.sampling.scan_refine_sample": ("ScanRefineSample",),
    "tnattn.attention.sampling.value_sampling": ("ValueSampling",),
    "tnattn.attention.sparse.coded_key_selection": ("CodedKeySelection",),
    "tnattn.attention.sparse.key_statistics": ("KeyStatistics",),
    "tnattn.attention.sparse.sliding_window": ("SlidingWindow",),
    "tnattn.attention.sparse.top_k": ("TopK",),
    "tnattn.attention.stack_queries": ("stack_queries",),
    "tnattn.attention.summary": ("KeySet", "Summary"),
    "tnattn.attention.tensor.factored_key_value": ("FactoredKeyValue",),
    "tnattn.attention.wrappers.balanced": ("Balanced", "balanced"),
    "tnattn.attention.wrappers.causal": ("Causal",),
    "tnattn.attention.wrappers.chunked": ("Chunked",),
    "tnattn.attention.wrappers.low_rank_weights": ("LowRankWeights",),
    "tnattn.attention.wrappers.mean_residual": ("MeanResidual",),
    "tnattn.attention.wrappers.projected": ("Projected",),
    "tnattn.attention.wrappers.per_head": ("PerHead",),
    "tnattn.attention.wrappers.sparse_plus": ("SparsePlus",),
    "tnattn.attention.wrappers.weight_tensor": ("WeightTensor",),
    "tnattn.certificate.certificate": ("Certificate", "MeanError", "Quantile", "certify"),
    "tnattn.certificate.for_error": ("for_error",),
    "tnattn.certificate.relative_mean": ("RelativeMeanError",),
    "tnattn.decomposition.base": ("Decomposition",),
    "tnattn.decomposition.cp.als": ("CPALS",),
    "tnattn.decomposition.cp.core_start": ("CoreStart",),
    "tnattn.decomposition.cp.cp_leverage": ("CPLeverage",),
    "tnattn.decomposition.cp.diagonalisation": ("DiagonalisationStart",),
    "tnattn.decomposition.cp.start": ("CPStart", "GaussianStart", "SingularVectorStart"),
    "tnattn.decomposition.kronecker_sum": ("NearestKronecker",),
    "tnattn.decomposition.tensor_train.quantised": ("QuantisedTT",),
    "tnattn.decomposition.tensor_train.quantised_matrix": ("QuantisedTTMatrix",),
    "tnattn.decomposition.tensor_train.randomized_tt": ("RandomizedTTSVD",),
    "tnattn.decomposition.tensor_train.tt_cross": ("TTCross",),
    "tnattn.decomposition.tensor_train.tt_rounding": ("TTRounding",),
    "tnattn.decomposition.tensor_train.tt_svd": ("TTSVD",),
    "tnattn.decomposition.tucker.block_term": ("BlockTerm",),
    "tnattn.decomposition.tucker.hooi": ("HOOI",),
    "tnattn.decomposition.tucker.hosvd": ("HOSVD",),
    "tnattn.decomposition.tucker.partial_tucker": ("PartialTucker",),
    "tnattn.decomposition.tucker.randomized_tucker": ("RandomizedHOSVD", "RandomizedSTHOSVD"),
    "tnattn.decomposition.tucker.shared_factors": ("SharedFactors",),
    "tnattn.decomposition.tucker.st_hosvd": ("STHOSVD",),
    "tnattn.decomposition.tucker.tucker_truncation": ("TuckerTruncation",),
    "tnattn.models.files": ("load_qkv", "save_qkv"),
    "tnattn.models.qkv": ("QKV",),
    "tnattn.models.sample": ("load_sample",),
    "tnattn.randnla.accuracy": ("ToleranceWarning",),
    "tnattn.randnla.base": ("MatrixMethod",),
    "tnattn.randnla.columns.cross": ("FullPivotCross", "PartialPivotCross"),
    "tnattn.randnla.columns.cur": ("CUR",),
    "tnattn.randnla.columns.deim": ("DEIMColumns", "QDEIMColumns"),
    "tnattn.randnla.columns.interpolative": ("InterpolativeDecomposition",),
    "tnattn.randnla.columns.leverage_columns": ("LeverageColumns",),
    "tnattn.randnla.columns.leverage_draws": ("LeverageDraws",),
    "tnattn.randnla.columns.maxvol": ("MaxvolCross",),
    "tnattn.randnla.columns.pivoted_qr": ("PivotedQR", "QRColumns"),
    "tnattn.randnla.columns.ridge_leverage_draws": ("RidgeLeverageDraws",),
    "tnattn.randnla.columns.selection": ("ColumnSelection", "GivenColumns", "UniformColumns"),
    "tnattn.randnla.columns.strong_rrqr": ("StrongColumns",),
    "tnattn.randnla.columns.volume_sampling": ("VolumeColumns", "VolumeCross"),
    "tnattn.randnla.estimates.error_estimate": ("SelfAssessedQB",),
    "tnattn.randnla.estimates.norm_estimates": ("FrobeniusNorm", "SpectralNorm"),
    "tnattn.randnla.estimates.trace": ("GirardHutchinson", "HutchPlusPlus", "XTrace"),
    "tnattn.randnla.estimates.trace_estimate": ("TraceMethod",),
    "tnattn.randnla.low_rank.adaptive_qb": ("AdaptiveQB",),
    "tnattn.randnla.low_rank.error_sketch": ("ErrorSketch",),
    "tnattn.randnla.low_rank.generalized_nystrom": ("GeneralizedNystrom",),
    "tnattn.randnla.low_rank.krylov": ("BlockKrylov",),
    "tnattn.randnla.low_rank.qb": ("QB",),
    "tnattn.randnla.low_rank.randomized_eigh": ("RandomizedEigh",),
    "tnattn.randnla.low_rank.randomized_svd": ("RandomizedSVD",),
    "tnattn.randnla.low_rank.range_finder": ("RangeFinder",),
    "tnattn.randnla.low_rank.streaming_svd": ("SinglePassSVD", "StreamingSVD"),
    "tnattn.randnla.low_rank.truncated_svd": ("TruncatedSVD",),
    "tnattn.randnla.scores.leverage": ("LeverageSampling", "coherence", "leverage_scores", "sketched_leverage_scores"),
    "tnattn.randnla.scores.product_probabilities": ("NormOptimal",),
    "tnattn.randnla.scores.ridge_leverage": ("ridge_leverage_scores",),
    "tnattn.randnla.semidefinite.column_nystrom": ("ColumnNystrom",),
    "tnattn.randnla.semidefinite.nystrom": ("Nystrom",),
    "tnattn.randnla.semidefinite.pivoted_cholesky": ("GreedyPivotedCholesky", "RandomlyPivotedCholesky"),
    "tnattn.randnla.semidefinite.recursive_nystrom": ("RecursiveNystrom", "RidgeNystrom"),
    "tnattn.randnla.sketches.adaptive": ("RowStart",),
    "tnattn.randnla.sketches.base": ("Sketch",),
    "tnattn.randnla.sketches.count_sketch": ("CountSketch",),
    "tnattn.randnla.sketches.gaussian": ("Gaussian",),
    "tnattn.randnla.sketches.kronecker_sketch": ("KhatriRaoSketch", "KroneckerSketch"),
    "tnattn.randnla.sketches.probes": ("Rademacher", "Sphere"),
    "tnattn.randnla.sketches.row_sampling": ("RowSampling",),
    "tnattn.randnla.sketches.sparse_sign": ("SparseSign",),
    "tnattn.randnla.sketches.tensor_sketch": ("TensorSketch",),
    "tnattn.randnla.sketches.trigonometric": ("SubsampledCosine", "SubsampledHadamard"),
    "tnattn.randnla.solvers.least_squares": ("LeastSquaresMethod", "LeastSquaresProblem"),
    "tnattn.randnla.solvers.matrix_product": ("SampledProduct", "SketchedProduct"),
    "tnattn.randnla.solvers.sketch_and_solve": ("SampleAndSolve", "SketchAndSolve"),
    "tnattn.randnla.solvers.sketch_preconditioned": ("SketchPreconditioned",),
    "tnattn.structured.base": ("StructuredMatrix",),
    "tnattn.structured.block_sparse": ("BlockSparse",),
    "tnattn.structured.composite": ("Product", "Sum"),
    "tnattn.structured.concatenated": ("BlockDiagonal", "Columns", "Rows"),
    "tnattn.structured.cp": ("CPTensor",),
    "tnattn.structured.dense": ("Dense",),
    "tnattn.structured.diagonal": ("Diagonal",),
    "tnattn.structured.implicit": ("KernelEntries",),
    "tnattn.structured.khatri_rao": ("KhatriRao",),
    "tnattn.structured.kronecker": ("Kronecker",),
    "tnattn.structured.low_rank": ("LowRank",),
    "tnattn.structured.selection": ("Selection",),
    "tnattn.structured.sparse": ("Sparse",),
    "tnattn.structured.tensor": ("StructuredTensor",),
    "tnattn.structured.tensor_train": ("TensorTrain",),
    "tnattn.structured.tucker": ("TuckerTensor",),
}
"""Public names of ``tnattn`` by the module that defines them."""

HOME: dict[str, str] = {name: module for module, names in HOMES.items() for name in names}
_PACKAGE = Path(__file__).parent


def resolved(name: str, package: ModuleType) -> Any:
    """Return a public name or a chapter of the package, and keep it there, so that it is looked up once.

    Raises
    ------
    AttributeError
        If there is none; the message gives the import lines of names that are close.
    """
    if name in HOME:
        value = getattr(importlib.import_module(HOME[name]), name)
        setattr(package, name, value)
        return value
    # names with an underscore are protocols that Python and tools probe for
    if not name.startswith("_") and f"tnattn.{name}" in _modules():
        return importlib.import_module(f"tnattn.{name}")
    raise AttributeError(f"module 'tnattn' has no attribute {name!r}{advice(name)}")


def listed() -> list[str]:
    """Return the names offered by completion: all public names, and the chapters."""
    chapters = {module.split(".")[1] for module in _modules() if module != "tnattn"}
    return sorted({*HOME, *chapters, "__version__"})


def advice(word: str) -> str:
    """Return the end of an error message: import lines of the names or modules of similar spelling."""
    if word in HOME:
        return f"; write {_line(word)}"
    # a module that has moved is found by its last name, wherever it lies now
    modules: dict[str, list[str]] = {}
    for module in _modules():
        modules.setdefault(module.rsplit(".", 1)[-1].lower(), []).append(module)
    if same := modules.get(word.lower()):
        return f"; write {' or '.join(map(_module_line, same))}"
    words = {name.lower(): name for name in HOME}
    close = difflib.get_close_matches(word.lower(), words, n=3)
    return f"; write {' or '.join(_line(words[name]) for name in close)}" if close else "; see dir(tnattn)"


def _line(name: str) -> str:
    return f"from tnattn import {name}"


def _module_line(module: str) -> str:
    return _line(", ".join(HOMES[module])) if module in HOMES else f"import {module}"


def _modules() -> list[str]:
    """Return the names of all modules of the package, from its files: nothing is imported."""
    files = sorted(_PACKAGE.rglob("*.py"))
    parts = (path.relative_to(_PACKAGE.parent).with_suffix("").parts for path in files)
    return [".".join(part).removesuffix(".__init__") for part in parts]


class Signpost(importlib.abc.MetaPathFinder):
    """The last finder of modules, which reports import lines for the names of a missing module of ``tnattn``.

    Examples
    --------
    >>> import tnattn.Performer
    Traceback (most recent call last):
        ...
    ModuleNotFoundError: tnattn has neither a name nor a module 'Performer'; write from tnattn import Performer
    """

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """Raise ModuleNotFoundError for modules below ``tnattn``, with import lines that work."""
        parent, _, word = fullname.rpartition(".")
        # tools ask every finder, also for modules that exist
        if parent.split(".")[0] == "tnattn" and not word.startswith("_") and fullname not in _modules():
            # a name other than the full one: Python replaces the message of a failed "from a import b" otherwise
            raise ModuleNotFoundError(f"{parent} has neither a name nor a module {word!r}{advice(word)}", name=parent)


sys.meta_path.append(Signpost())  # last: asked only for modules that no other finder has
