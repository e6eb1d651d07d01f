"""The modules that are mutated, and the tests that must notice: those that mirror a module, and a few beside them."""

from __future__ import annotations

from pathlib import Path

ATTENTION, TESTS = "tnattn/attention", "tests/tnattn/attention"
TRUNCATIONS = ("tests/tnattn/decomposition/test_truncations.py",)
# of every module: a scan of the source files, which takes a tenth of a second
SCANS = ("tests/test_dataclasses.py",)
# module: tests beside the one of its own name
MODULES: dict[str, tuple[str, ...]] = {
    f"{ATTENTION}/broadcasting.py": (),
    f"{ATTENTION}/precision.py": (),
    f"{ATTENTION}/spans.py": (),
    f"{ATTENTION}/softmax_piece.py": (),
    f"{ATTENTION}/exponentials.py": (),
    f"{ATTENTION}/column_scaling.py": (),
    f"{ATTENTION}/masked_scores.py": (),
    f"{ATTENTION}/softmax.py": (f"{TESTS}/test_softmax_range.py", f"{TESTS}/test_softmax_tiles.py"),
    f"{ATTENTION}/approximation.py": (),
    f"{ATTENTION}/key_relations.py": (),
    f"{ATTENTION}/mask_arrays.py": (),
    f"{ATTENTION}/mask.py": (),
    f"{ATTENTION}/masks.py": (f"{TESTS}/test_mask.py",),
    f"{ATTENTION}/window_sums.py": (),
    f"{ATTENTION}/validation.py": (),
    f"{ATTENTION}/problem.py": (f"{TESTS}/test_problem_parts.py",),
    f"{ATTENTION}/cost.py": (),
    f"{ATTENTION}/summary.py": (),
    f"{ATTENTION}/wrappers/causal.py": (),
    "tnattn/linalg/scaling.py": (),
    "tnattn/linalg/norms.py": (),
    "tnattn/linalg/lapack.py": ("tests/tnattn/linalg/test_lapack_elimination.py",),
    "tnattn/linalg/triangular.py": (),
    "tnattn/linalg/orthonormal.py": ("tests/tnattn/linalg/test_orthonormal_device.py",),
    "tnattn/linalg/singular_values.py": (),
    "tnattn/linalg/eigenvalues.py": ("tests/tnattn/linalg/test_singular_values.py",),
    "tnattn/linalg/products.py": (),
    "tnattn/randnla/units.py": (),
    "tnattn/randnla/accuracy.py": (),
    "tnattn/randnla/low_rank/range_finder.py": ("tests/tnattn/randnla/low_rank/test_narrowed.py",),
    "tnattn/decomposition/tensor_units.py": (),
    "tnattn/decomposition/truncation.py": (),
    "tnattn/decomposition/tucker/tucker_truncation.py": ("tests/tnattn/decomposition/test_truncation.py",),
    "tnattn/decomposition/tensor_train/train_truncation.py": ("tests/tnattn/decomposition/test_truncation.py",),
    "tnattn/decomposition/tucker/hosvd.py": TRUNCATIONS,
    "tnattn/decomposition/tucker/st_hosvd.py": TRUNCATIONS,
    "tnattn/decomposition/tucker/hooi.py": ("tests/tnattn/decomposition/tucker/test_hooi_sweeps.py", *TRUNCATIONS),
    "tnattn/decomposition/tensor_train/tt_svd.py": TRUNCATIONS,
    "theory/statistics/verdict.py": ("tests/theory/statistics/test_judge.py",),
    "theory/statement/prediction.py": ("tests/theory/statement/test_bound.py",),
    "theory/statistics/rates.py": (),
    "theory/comparison/decision.py": ("tests/theory/comparison/test_decision_values.py",),
    "theory/statement/evidence.py": ("tests/theory/comparison/test_decision_values.py",),
    "theory/statement/guarantee.py": ("tests/theory/comparison/test_decision_values.py",),
    "theory/statistics/judge.py": ("tests/theory/statistics/test_judge_evidence.py",),
    "theory/statistics/required_trials.py": ("tests/theory/statistics/test_intervals_values.py",),
    "theory/statistics/betting.py": ("tests/theory/statistics/test_betting_values.py",),
    "theory/statistics/intervals.py": ("tests/theory/statistics/test_intervals_values.py",),
}


def tests_of(module: str, root: Path) -> list[str]:
    """Return the test files of a module: those named beside it, its own where there is one, and the scans.

    Raises
    ------
    ValueError
        If there is none of its own, or one that is named does not exist.
    """
    path = Path(module)
    own = Path("tests") / path.parent / f"test_{path.stem}.py"
    found = [*MODULES.get(module, ()), *([str(own)] if (root / own).is_file() else [])]
    if not found:
        raise ValueError(f"{module} has no test file {own}; write it first")
    if missing := [test for test in (*found, *SCANS) if not (root / test).is_file()]:
        raise ValueError(f"{module}: {', '.join(missing)} does not exist; name the tests as they are now")
    return [*found, *SCANS]
