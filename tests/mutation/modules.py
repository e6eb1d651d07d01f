"""The modules that are mutated, and the tests that must notice: those that mirror a module, and a few beside them."""

from __future__ import annotations

from pathlib import Path

ATTENTION, TESTS = "tnattn/attention", "tests/tnattn/attention"
# module: tests beside the one of its own name
MODULES: dict[str, tuple[str, ...]] = {
    f"{ATTENTION}/softmax.py": (f"{TESTS}/test_problem.py", f"{TESTS}/test_attend.py"),
    f"{ATTENTION}/approximation.py": (),
    f"{ATTENTION}/masks.py": (),
    f"{ATTENTION}/problem.py": (),
    f"{ATTENTION}/cost.py": (),
    f"{ATTENTION}/summary.py": (f"{TESTS}/test_approximation.py",),
    f"{ATTENTION}/wrappers/causal.py": (),
    "tnattn/linalg.py": (),
    "tnattn/lapack.py": (),
    "tnattn/randnla/tolerance.py": ("tests/tnattn/randnla/test_randomized_svd.py",),
    "tnattn/randnla/range_finder.py": (),
    "tnattn/decomposition/hosvd.py": ("tests/tnattn/decomposition/test_truncations.py",),
    "tnattn/decomposition/st_hosvd.py": ("tests/tnattn/decomposition/test_truncations.py",),
    "tnattn/decomposition/hooi.py": ("tests/tnattn/decomposition/test_truncations.py",),
    "tnattn/decomposition/tt_svd.py": ("tests/tnattn/decomposition/test_truncations.py",),
    "theory/verdict.py": (),
    "theory/betting.py": (),
    "theory/intervals.py": (),
}


def tests_of(module: str, root: Path) -> list[str]:
    """Return the test files of a module, those that exist.

    Raises
    ------
    ValueError
        If there is none.
    """
    path = Path(module)
    own = Path("tests") / path.parent / f"test_{path.stem}.py"
    found = [str(test) for test in (own, *map(Path, MODULES.get(module, ()))) if (root / test).is_file()]
    if not found:
        raise ValueError(f"{module} has no test file {own}; write it first")
    return found
