"""Every test of three modules of scikit-learn: the names that are ours in those run, and the reasons of the others."""

SIGNS = "no normal form of signs"
MOMENTS = "no moments of columns over batches of rows"
CHI2 = "no feature maps of chi-squared kernels"
NAMES = "no names of features"
FITTING = "no estimators, which are fitted before they are used"
JOHNSON = "no choice of a size by the Johnson-Lindenstrauss lemma"
COUNTING = "no combinatorics of samples"

# modules of tests, the names that they import, and the adapters behind them
OURS = {
    "utils.tests.test_extmath": {
        **{n: n for n in ("randomized_svd", "randomized_range_finder", "row_norms", "softmax", "safe_sparse_dot")},
        "_randomized_eigsh": "randomized_eigsh",
    },
    "tests.test_kernel_approximation": {
        "PolynomialCountSketch": "Polynomial",
        "RBFSampler": "RBF",
        "Nystroem": "Nystroem",
        "kernel_metrics": "definite_kernels",
    },
    "tests.test_random_projection": {
        "_gaussian_random_matrix": "gaussian_random_matrix",
        "_sparse_random_matrix": "sparse_random_matrix",
        "all_RandomProjection": "projections",
        "all_SparseRandomProjection": "no_projections",
    },
}

# tests of these modules that have no equivalent, and those that assert another convention
NONE = {
    "utils.tests.test_extmath": {
        "density": "stored entries are counted as storage, indices included, not as a share",
        **dict.fromkeys(("uniform_weights", "random_weights", "approximate_mode"), "no modes of samples"),
        "randomized_svd_sparse_warnings": "sparse matrices of every format become CSR once; nothing is to be warned of",
        "randomized_svd_lapack_driver": "no choice of a LAPACK driver: both calls would be one",
        **dict.fromkeys(("svd_flip", "svd_flip_max_abs_cols", "vector_sign_flip"), SIGNS),
        **dict.fromkeys(("cartesian", "cartesian_mix_types"), COUNTING),
        **dict.fromkeys(
            (
                "incremental_weighted_mean_and_variance_simple",
                "incremental_weighted_mean_and_variance_array_api",
                "incremental_weighted_mean_and_variance",
                "incremental_weighted_mean_and_variance_ignore_nan",
                "incremental_variance_update_formulas",
                "incremental_mean_and_variance_ignore_nan",
                "incremental_variance_numerical_stability",
                "incremental_variance_ddof",
            ),
            MOMENTS,
        ),
        "stable_cumsum_deprecation": "a deprecation of theirs",
    },
    "tests.test_kernel_approximation": {
        "polynomial_count_sketch_dense_sparse": "factors of a Khatri-Rao product are dense here",
        **dict.fromkeys(
            (
                "additive_chi2_sampler",
                "additive_chi2_sampler_sample_steps",
                "additive_chi2_sampler_wrong_sample_steps",
                "additive_chi2_sampler_exceptions",
                "skewed_chi2_sampler",
                "skewed_chi2_sampler_fitted_attributes_dtype",
                "skewed_chi2_sampler_dtype_equivalence",
            ),
            CHI2,
        ),
        "rbf_sampler_gamma_scale": "scales are given, not taken from the variance of the data",
        "input_validation": "lists are refused here",
        "nystroem_callable": "whole columns of a kernel are evaluated, not their intersection alone",
        **dict.fromkeys(("get_feature_names_out", "additivechi2sampler_get_feature_names_out"), NAMES),
    },
    "tests.test_random_projection": {
        **dict.fromkeys(("invalid_jl_domain", "input_size_jl_min_dim", "johnson_lindenstrauss_min_dim"), JOHNSON),
        "too_many_samples_to_find_a_safe_embedding": JOHNSON,
        "try_to_transform_before_fit": FITTING,
        "SparseRandomProj_output_representation": "products with sparse matrices are dense here",
        "warning_n_components_greater_than_n_features": "a sketch may have more columns than rows, without a warning",
        "random_projection_feature_names_out": NAMES,
    },
}  # fmt: skip

# single cases of tests that have an equivalent: argument, value, reason
NOT_OFFERED = {
    "test_safe_sparse_dot_dense_output": ("dense_output", False, "products with sparse matrices are dense here"),
}
# single cases that are refused here: argument, value, and the words of the error
REFUSED = {"test_nystroem_approximation_array_api": ("kernel", "additive_chi2", "not positive semidefinite")}
# options of adapters: three power iterations pass for 3 seeds in 30 of ours and 6 of theirs, five for all of both
OPTIONS = {"test_randomized_svd_transpose_consistency": {"randomized_svd": {"more_steps": 2}}}

# tests that assert no number that a sketch, a transformation or a decomposition returns, but these
NUMBERLESS = {
    "rbf_sampler_fitted_attributes_dtype": "dtypes of directions",
    "rbf_sampler_dtype_equivalence": "directions of one seed in two dtypes",
    "nystroem_component_indices": "the number of indices",
    "random_projection_transformer_invalid_input": "a refusal",
    "works_with_sparse_data": "test matrices for dense and sparse data",
    "random_projection_dtype_match": "dtypes",
}
