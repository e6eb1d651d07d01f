"""Attention approximated with decompositions and randomized numerical linear algebra.

The names for everyday use are imported from here, for instance ``from tnattn import Performer, attend``: problems,
masks, all attention methods and wrappers, matrix methods, test matrices and tensor decompositions. Each is loaded at
its first use, so that ``import tnattn`` takes milliseconds.

Chapters, from the bottom up
----------------------------
arrays          the only chapter that names an array library
linalg          factorisations and norms of stacks of small matrices
structured      the closed vocabulary of structured matrices and tensors
randnla         randomized linear algebra: sketches, low rank, columns, semidefinite matrices, estimates, solvers
decomposition   Tucker, canonical polyadic and tensor-train decompositions
attention       problems, masks, approximations, and the methods by family
certificate     upper bounds on the error of one output, from few rows computed exactly
models, gallery real queries, keys and values; generated problems with declared properties
testing         the laws of methods, for methods of your own as well
"""

import sys
from typing import TYPE_CHECKING, Any

from tnattn.namespace import HOME, listed, resolved

if TYPE_CHECKING:  # for type checkers and editors; a test compares these names with those of the scan
    from tnattn.arrays.random_samples import DeviceDraws as DeviceDraws
    from tnattn.attention.approximation import Approximation as Approximation
    from tnattn.attention.attend import attend as attend
    from tnattn.attention.ball import Ball as Ball
    from tnattn.attention.baseline.exact import Exact as Exact
    from tnattn.attention.baseline.mean_value import MeanValue as MeanValue
    from tnattn.attention.cache.full_cache import FullCache as FullCache
    from tnattn.attention.cache.pivoted_coreset import PivotedCoreset as PivotedCoreset
    from tnattn.attention.certified import CertifiedApproximation as CertifiedApproximation
    from tnattn.attention.conversion.converted import Converted as Converted
    from tnattn.attention.conversion.grouped_queries import GroupedQueries as GroupedQueries
    from tnattn.attention.conversion.joint_truncation import JointTruncation as JointTruncation
    from tnattn.attention.conversion.pooled_key_value import PooledKeyValue as PooledKeyValue
    from tnattn.attention.cost import Cost as Cost
    from tnattn.attention.cost import columns_cost as columns_cost
    from tnattn.attention.cost import exact_cost as exact_cost
    from tnattn.attention.kernel.linear_attention import LinearAttention as LinearAttention
    from tnattn.attention.low_rank.kernel_cur import KernelCUR as KernelCUR
    from tnattn.attention.low_rank.lifted_nystrom import LiftedNystrom as LiftedNystrom
    from tnattn.attention.low_rank.linformer import Linformer as Linformer
    from tnattn.attention.low_rank.nystromformer import Nystromformer as Nystromformer
    from tnattn.attention.mask import ConjunctionMask as ConjunctionMask
    from tnattn.attention.mask import FullMask as FullMask
    from tnattn.attention.mask import Mask as Mask
    from tnattn.attention.mask import UnsupportedMask as UnsupportedMask
    from tnattn.attention.masks import BiasMask as BiasMask
    from tnattn.attention.masks import CausalMask as CausalMask
    from tnattn.attention.masks import ExplicitMask as ExplicitMask
    from tnattn.attention.masks import PaddingMask as PaddingMask
    from tnattn.attention.masks import SlidingWindowMask as SlidingWindowMask
    from tnattn.attention.method import AttentionMethod as AttentionMethod
    from tnattn.attention.method import JointMethod as JointMethod
    from tnattn.attention.method import KeyMethod as KeyMethod
    from tnattn.attention.method import budget as budget
    from tnattn.attention.method import performance as performance
    from tnattn.attention.problem import AttentionProblem as AttentionProblem
    from tnattn.attention.projections import LayerProblem as LayerProblem
    from tnattn.attention.projections import ProjectionConversion as ProjectionConversion
    from tnattn.attention.projections import Projections as Projections
    from tnattn.attention.random_features.performer import Performer as Performer
    from tnattn.attention.random_features.scatterbrain import Scatterbrain as Scatterbrain
    from tnattn.attention.rotary import Rotary as Rotary
    from tnattn.attention.sampling.column_sampling import ColumnSampling as ColumnSampling
    from tnattn.attention.sampling.heavy_plus_sampled import HeavyPlusSampled as HeavyPlusSampled
    from tnattn.attention.sampling.heavy_plus_sampled import OptimalHeavyPlusSampled as OptimalHeavyPlusSampled
    from tnattn.attention.sampling.leverage_key_sampling import LeverageKeySampling as LeverageKeySampling
    from tnattn.attention.sampling.scan_refine_sample import ScanRefineSample as ScanRefineSample
    from tnattn.attention.sampling.value_sampling import ValueSampling as ValueSampling
    from tnattn.attention.sparse.coded_key_selection import CodedKeySelection as CodedKeySelection
    from tnattn.attention.sparse.key_statistics import KeyStatistics as KeyStatistics
    from tnattn.attention.sparse.sliding_window import SlidingWindow as SlidingWindow
    from tnattn.attention.sparse.top_k import TopK as TopK
    from tnattn.attention.stack_queries import stack_queries as stack_queries
    from tnattn.attention.summary import KeySet as KeySet
    from tnattn.attention.summary import Summary as Summary
    from tnattn.attention.tensor.factored_key_value import FactoredKeyValue as FactoredKeyValue
    from tnattn.attention.wrappers.balanced import Balanced as Balanced
    from tnattn.attention.wrappers.balanced import balanced as balanced
    from tnattn.attention.wrappers.causal import Causal as Causal
    from tnattn.attention.wrappers.chunked import Chunked as Chunked
    from tnattn.attention.wrappers.low_rank_weights import LowRankWeights as LowRankWeights
    from tnattn.attention.wrappers.mean_residual import MeanResidual as MeanResidual
    from tnattn.attention.wrappers.per_head import PerHead as PerHead
    from tnattn.attention.wrappers.projected import Projected as Projected
    from tnattn.attention.wrappers.sparse_plus import SparsePlus as SparsePlus
    from tnattn.attention.wrappers.weight_tensor import WeightTensor as WeightTensor
    from tnattn.certificate.certificate import Certificate as Certificate
    from tnattn.certificate.certificate import MeanError as MeanError
    from tnattn.certificate.certificate import Quantile as Quantile
    from tnattn.certificate.certificate import certify as certify
    from tnattn.certificate.for_error import for_error as for_error
    from tnattn.certificate.relative_mean import RelativeMeanError as RelativeMeanError
    from tnattn.decomposition.base import Decomposition as Decomposition
    from tnattn.decomposition.cp.als import CPALS as CPALS
    from tnattn.decomposition.cp.core_start import CoreStart as CoreStart
    from tnattn.decomposition.cp.cp_leverage import CPLeverage as CPLeverage
    from tnattn.decomposition.cp.diagonalisation import DiagonalisationStart as DiagonalisationStart
    from tnattn.decomposition.cp.start import CPStart as CPStart
    from tnattn.decomposition.cp.start import GaussianStart as GaussianStart
    from tnattn.decomposition.cp.start import SingularVectorStart as SingularVectorStart
    from tnattn.decomposition.kronecker_sum import NearestKronecker as NearestKronecker
    from tnattn.decomposition.tensor_train.quantised import QuantisedTT as QuantisedTT
    from tnattn.decomposition.tensor_train.quantised_matrix import QuantisedTTMatrix as QuantisedTTMatrix
    from tnattn.decomposition.tensor_train.randomized_tt import RandomizedTTSVD as RandomizedTTSVD
    from tnattn.decomposition.tensor_train.tt_cross import TTCross as TTCross
    from tnattn.decomposition.tensor_train.tt_rounding import TTRounding as TTRounding
    from tnattn.decomposition.tensor_train.tt_svd import TTSVD as TTSVD
    from tnattn.decomposition.tucker.block_term import BlockTerm as BlockTerm
    from tnattn.decomposition.tucker.hooi import HOOI as HOOI
    from tnattn.decomposition.tucker.hosvd import HOSVD as HOSVD
    from tnattn.decomposition.tucker.partial_tucker import PartialTucker as PartialTucker
    from tnattn.decomposition.tucker.randomized_tucker import RandomizedHOSVD as RandomizedHOSVD
    from tnattn.decomposition.tucker.randomized_tucker import RandomizedSTHOSVD as RandomizedSTHOSVD
    from tnattn.decomposition.tucker.shared_factors import SharedFactors as SharedFactors
    from tnattn.decomposition.tucker.st_hosvd import STHOSVD as STHOSVD
    from tnattn.decomposition.tucker.tucker_truncation import TuckerTruncation as TuckerTruncation
    from tnattn.models.files import load_qkv as load_qkv
    from tnattn.models.files import save_qkv as save_qkv
    from tnattn.models.qkv import QKV as QKV
    from tnattn.models.sample import load_sample as load_sample
    from tnattn.randnla.accuracy import ToleranceWarning as ToleranceWarning
    from tnattn.randnla.base import MatrixMethod as MatrixMethod
    from tnattn.randnla.columns.cross import FullPivotCross as FullPivotCross
    from tnattn.randnla.columns.cross import PartialPivotCross as PartialPivotCross
    from tnattn.randnla.columns.cur import CUR as CUR
    from tnattn.randnla.columns.deim import DEIMColumns as DEIMColumns
    from tnattn.randnla.columns.deim import QDEIMColumns as QDEIMColumns
    from tnattn.randnla.columns.interpolative import InterpolativeDecomposition as InterpolativeDecomposition
    from tnattn.randnla.columns.leverage_columns import LeverageColumns as LeverageColumns
    from tnattn.randnla.columns.leverage_draws import LeverageDraws as LeverageDraws
    from tnattn.randnla.columns.maxvol import MaxvolCross as MaxvolCross
    from tnattn.randnla.columns.pivoted_qr import PivotedQR as PivotedQR
    from tnattn.randnla.columns.pivoted_qr import QRColumns as QRColumns
    from tnattn.randnla.columns.ridge_leverage_draws import RidgeLeverageDraws as RidgeLeverageDraws
    from tnattn.randnla.columns.selection import ColumnSelection as ColumnSelection
    from tnattn.randnla.columns.selection import GivenColumns as GivenColumns
    from tnattn.randnla.columns.selection import UniformColumns as UniformColumns
    from tnattn.randnla.columns.strong_rrqr import StrongColumns as StrongColumns
    from tnattn.randnla.columns.volume_sampling import VolumeColumns as VolumeColumns
    from tnattn.randnla.columns.volume_sampling import VolumeCross as VolumeCross
    from tnattn.randnla.estimates.error_estimate import SelfAssessedQB as SelfAssessedQB
    from tnattn.randnla.estimates.norm_estimates import FrobeniusNorm as FrobeniusNorm
    from tnattn.randnla.estimates.norm_estimates import SpectralNorm as SpectralNorm
    from tnattn.randnla.estimates.trace import GirardHutchinson as GirardHutchinson
    from tnattn.randnla.estimates.trace import HutchPlusPlus as HutchPlusPlus
    from tnattn.randnla.estimates.trace import XTrace as XTrace
    from tnattn.randnla.estimates.trace_estimate import TraceMethod as TraceMethod
    from tnattn.randnla.low_rank.adaptive_qb import AdaptiveQB as AdaptiveQB
    from tnattn.randnla.low_rank.error_sketch import ErrorSketch as ErrorSketch
    from tnattn.randnla.low_rank.generalized_nystrom import GeneralizedNystrom as GeneralizedNystrom
    from tnattn.randnla.low_rank.krylov import BlockKrylov as BlockKrylov
    from tnattn.randnla.low_rank.qb import QB as QB
    from tnattn.randnla.low_rank.randomized_eigh import RandomizedEigh as RandomizedEigh
    from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD as RandomizedSVD
    from tnattn.randnla.low_rank.range_finder import RangeFinder as RangeFinder
    from tnattn.randnla.low_rank.streaming_svd import SinglePassSVD as SinglePassSVD
    from tnattn.randnla.low_rank.streaming_svd import StreamingSVD as StreamingSVD
    from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD as TruncatedSVD
    from tnattn.randnla.scores.leverage import LeverageSampling as LeverageSampling
    from tnattn.randnla.scores.leverage import coherence as coherence
    from tnattn.randnla.scores.leverage import leverage_scores as leverage_scores
    from tnattn.randnla.scores.leverage import sketched_leverage_scores as sketched_leverage_scores
    from tnattn.randnla.scores.product_probabilities import NormOptimal as NormOptimal
    from tnattn.randnla.scores.ridge_leverage import ridge_leverage_scores as ridge_leverage_scores
    from tnattn.randnla.semidefinite.column_nystrom import ColumnNystrom as ColumnNystrom
    from tnattn.randnla.semidefinite.nystrom import Nystrom as Nystrom
    from tnattn.randnla.semidefinite.pivoted_cholesky import GreedyPivotedCholesky as GreedyPivotedCholesky
    from tnattn.randnla.semidefinite.pivoted_cholesky import RandomlyPivotedCholesky as RandomlyPivotedCholesky
    from tnattn.randnla.semidefinite.recursive_nystrom import RecursiveNystrom as RecursiveNystrom
    from tnattn.randnla.semidefinite.recursive_nystrom import RidgeNystrom as RidgeNystrom
    from tnattn.randnla.sketches.adaptive import RowStart as RowStart
    from tnattn.randnla.sketches.base import Sketch as Sketch
    from tnattn.randnla.sketches.count_sketch import CountSketch as CountSketch
    from tnattn.randnla.sketches.gaussian import Gaussian as Gaussian
    from tnattn.randnla.sketches.kronecker_sketch import KhatriRaoSketch as KhatriRaoSketch
    from tnattn.randnla.sketches.kronecker_sketch import KroneckerSketch as KroneckerSketch
    from tnattn.randnla.sketches.probes import Rademacher as Rademacher
    from tnattn.randnla.sketches.probes import Sphere as Sphere
    from tnattn.randnla.sketches.row_sampling import RowSampling as RowSampling
    from tnattn.randnla.sketches.sparse_sign import SparseSign as SparseSign
    from tnattn.randnla.sketches.tensor_sketch import TensorSketch as TensorSketch
    from tnattn.randnla.sketches.trigonometric import SubsampledCosine as SubsampledCosine
    from tnattn.randnla.sketches.trigonometric import SubsampledHadamard as SubsampledHadamard
    from tnattn.randnla.solvers.least_squares import LeastSquaresMethod as LeastSquaresMethod
    from tnattn.randnla.solvers.least_squares import LeastSquaresProblem as LeastSquaresProblem
    from tnattn.randnla.solvers.matrix_product import SampledProduct as SampledProduct
    from tnattn.randnla.solvers.matrix_product import SketchedProduct as SketchedProduct
    from tnattn.randnla.solvers.sketch_and_solve import SampleAndSolve as SampleAndSolve
    from tnattn.randnla.solvers.sketch_and_solve import SketchAndSolve as SketchAndSolve
    from tnattn.randnla.solvers.sketch_preconditioned import SketchPreconditioned as SketchPreconditioned
    from tnattn.structured.base import StructuredMatrix as StructuredMatrix
    from tnattn.structured.block_sparse import BlockSparse as BlockSparse
    from tnattn.structured.composite import Product as Product
    from tnattn.structured.composite import Sum as Sum
    from tnattn.structured.concatenated import BlockDiagonal as BlockDiagonal
    from tnattn.structured.concatenated import Columns as Columns
    from tnattn.structured.concatenated import Rows as Rows
    from tnattn.structured.cp import CPTensor as CPTensor
    from tnattn.structured.dense import Dense as Dense
    from tnattn.structured.diagonal import Diagonal as Diagonal
    from tnattn.structured.implicit import KernelEntries as KernelEntries
    from tnattn.structured.khatri_rao import KhatriRao as KhatriRao
    from tnattn.structured.kronecker import Kronecker as Kronecker
    from tnattn.structured.low_rank import LowRank as LowRank
    from tnattn.structured.selection import Selection as Selection
    from tnattn.structured.sparse import Sparse as Sparse
    from tnattn.structured.tensor import StructuredTensor as StructuredTensor
    from tnattn.structured.tensor_train import TensorTrain as TensorTrain
    from tnattn.structured.tucker import TuckerTensor as TuckerTensor

__version__ = "0.1.0"

__all__ = sorted(HOME)


if not TYPE_CHECKING:  # or every misspelt name would have a type

    def __getattr__(name: str) -> Any:
        return resolved(name, sys.modules[__name__])


def __dir__() -> list[str]:
    return listed()
