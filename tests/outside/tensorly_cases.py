"""Every test of TensorLy: those with an equivalent here, with the names that are ours in them, and those without."""

# modules of tests, the names that they import, and the adapters behind them
OURS = {
    "tests.test_core": {n: n for n in ("unfold", "fold", "partial_unfold", "partial_fold")},
    "tests.test_cp_tensor": {
        **{n: n for n in ("cp_to_tensor", "cp_to_unfolded", "cp_to_vec", "cp_norm", "unfold", "khatri_rao")},
        "_validate_cp_tensor": "validate_cp",
    },
    "tests.test_tucker_tensor": {
        **{n: n for n in ("tucker_to_tensor", "tucker_to_unfolded", "tucker_to_vec", "kronecker", "unfold")},
        "_validate_tucker_tensor": "validate_tucker",
        "_tucker_n_param": "tucker_storage",
    },
    "tests.test_tt_tensor": {
        "_validate_tt_tensor": "validate_tt",
        "_tt_n_param": "tt_storage",
        "tensor_train": "tensor_train",
        "tl.tt_to_tensor": "tt_to_tensor",
    },
    "tests.test_tt_matrix": {n: n for n in ("tt_matrix_to_matrix", "tt_matrix_to_tensor", "tt_matrix_to_vec")},
    "tenalg.tests.test_batched_tensordot": {"tensordot": "tensordot"},
    "tenalg.tests.test_generalised_inner_product": {"inner": "inner"},
    "tenalg.tests.test_khatri_rao": {"khatri_rao": "khatri_rao"},
    "tenalg.tests.test_kronecker": {"kronecker": "kronecker", "khatri_rao": "khatri_rao"},
    "tenalg.tests.test_n_mode_product": {n: n for n in ("mode_dot", "multi_mode_dot", "kronecker", "unfold", "fold")},
    "tenalg.tests.test_outer_product": {"outer": "outer", "batched_outer": "batched_outer"},
    "tenalg.tests.test_svd": {"svd_interface": "svd_interface"},
    "tenalg.tests.test_unfolding_dot_khatri_rao": {
        n: n for n in ("unfolding_dot_khatri_rao", "khatri_rao", "unfold")
    },
    "decomposition.tests.test_cp": {
        **{n: n for n in ("parafac", "randomised_parafac", "cp_to_tensor", "khatri_rao", "sample_khatri_rao")},
        "_leverage_score_indices": "leverage_score_indices",
    },
    "decomposition.tests.test_tucker": {
        n: n for n in ("tucker", "partial_tucker", "tucker_to_tensor", "multi_mode_dot")
    },
    "decomposition.tests.test_tt_decomposition": {
        n: n for n in ("tensor_train", "tensor_train_matrix", "tt_matrix_to_tensor")
    },
    "contrib.decomposition.tests.test_mps_decomposition_cross": {
        "tensor_train_cross": "tensor_train_cross",
        "tt_to_tensor": "tt_to_tensor",
    },
    "metrics.tests.test_leverage_scores": {"leverage_score_dist": "leverage_score_dist"},
}  # fmt: skip

STARTS = "fixed modes, factors and cores have no counterpart"
SIGNS = "no normal forms of signs, permutations and lengths of columns beside that of the results"
SIZES = "no rounding of fractions of a size to ranks"
MASKS = "no missing values"
POSITIVE = "no non-negative factors"
LISTS = "structured tensors are immutable and are not copied"

# tests of these modules that have no equivalent
NONE = {
    "tests.test_core": {
        **dict.fromkeys(("tensor_to_vec", "vec_to_tensor", "partial_tensor_to_vec", "partial_vec_to_tensor"),
                        "a reshape of the array library"),
        "matricize": "a reshape of the array library; as_matrix is for structured tensors",
    },
    "tests.test_cp_tensor": {
        **dict.fromkeys(("cp_normalize", "cptensor_normalize_inplace", "cp_flip_sign", "cp_permute_factors"), SIGNS),
        "cp_mode_dot": "no mode products of structured tensors",
        "cp_lstsq_grad": "gradients are not promised",
        "cp_copy": LISTS,
        "validate_cp_rank": SIZES,
    },
    "tests.test_tucker_tensor": {
        "tucker_mode_dot": "no mode products of structured tensors",
        "validate_tucker_rank": SIZES,
        "tucker_normalize": SIGNS,
        "tucker_copy": LISTS,
    },
    "tests.test_tt_tensor": {"validate_tt_rank": SIZES, "pad_tt_rank": "no padding of ranks by zeros"},
    "tenalg.tests.test_svd": {
        "svd_interface_shape": POSITIVE,
        "svd_interface_caps_n_eigenvecs_at_min_dim": "a rank above the smaller side is an error, not a warning",
    },
    "decomposition.tests.test_cp": {
        "masked_parafac": MASKS,
        **dict.fromkeys(("non_negative_parafac", "initialize_nn_cp", "non_negative_parafac_hals_one_unconstrained"),
                        POSITIVE),
        "randomised_parafac_invalid_arguments": "other names of arguments, other messages",
        "parafac_does_not_modify_init": STARTS,
        "fixed_modes_not_rescaled_by_init_weights": STARTS,
    },
    "decomposition.tests.test_tucker": {
        "tucker_factors_only_init_recomputes_core": STARTS,
        "tucker_runs_with_factors_only_init": STARTS,
        "masked_tucker": MASKS,
        "non_negative_tucker": POSITIVE,
        "non_negative_tucker_hals_active_set": POSITIVE,
    },
    "contrib.decomposition.tests.test_mps_decomposition_cross": {
        "tensor_train_cross_rejects_too_many_columns": "ranks above those of the unfoldings have another message",
    },
}  # fmt: skip

# single cases of a test that has an equivalent
NOT_OFFERED = {
    "test_randomised_parafac": {"sampling": ("uniform", "rows are drawn by leverage scores only")},
    "test_randomised_parafac_rank_deficient": {"sampling": ("uniform", "rows are drawn by leverage scores only")},
}
REFUSED = ("complex", "is_complex")  # parameters that make complex tensors, which are refused by name

# modules none of whose tests has an equivalent
ELSEWHERE = {
    "contrib.decomposition.tests.test_tt_TTOI": "no iteration for tensor trains of noisy data",
    "contrib.sparse.tests.test_decomposition": "no sparse tensors",
    "contrib.sparse.tests.test_tenalg": "no sparse tensors",
    "datasets.tests.test_imports": "no data sets of tensors",
    "datasets.tests.test_synthetic": "no data sets of tensors",
    "decomposition.tests.test_cmtf_als": "no coupled factorisation",
    "decomposition.tests.test_constrained_parafac": "no constraints on factors",
    "decomposition.tests.test_cp_power": "no power iteration for canonical polyadic decompositions",
    "decomposition.tests.test_parafac2": "no PARAFAC2",
    "decomposition.tests.test_robust_decomposition": "no sparse outliers",
    "decomposition.tests.test_symmetric_cp": "no symmetric decompositions",
    "decomposition.tests.test_tr_als": "no tensor rings",
    "decomposition.tests.test_tr_svd": "no tensor rings",
    "metrics.tests.test_entropy": "no entropies",
    "metrics.tests.test_factors": "congruence of two fits; ours is that of the terms of one",
    "metrics.tests.test_regression": "no regression",
    "metrics.tests.test_similarity": "no comparison of two fits",
    "random.tests.test_base": "the gallery makes tensors of prescribed spectra, not of random factors",
    "regression.tests.test_cp_plsr": "no regression",
    "regression.tests.test_cp_regression": "no regression",
    "regression.tests.test_tucker_regression": "no regression",
    "solvers.tests.test_admm": "no constrained least squares",
    "solvers.tests.test_nnls": "no constrained least squares",
    "solvers.tests.test_penalizations": "no constrained least squares",
    "tenalg.tests.test_proximal": "no proximal operators",
    "tenalg.tests.test_tenalg_backend": "no switch between implementations",
    "tenalg.tests.test_tenalg_utils": "arguments of tensordot, which is an einsum expression here",
    "tests.test_backend": "the array API standard takes the place of backends",
    "tests.test_parafac2_tensor": "no PARAFAC2",
    "tests.test_preprocessing": "no PARAFAC2",
    "tests.test_testing": "the package's own helpers",
    "tests.test_tr_tensor": "no tensor rings",
    "utils.tests.test_backend_specific": "the array API standard takes the place of backends",
    "utils.tests.test_deprecation": "the package's own helpers",
}
