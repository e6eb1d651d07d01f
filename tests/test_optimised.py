"""Under ``python -O`` the packages lose their assertions and the tests keep theirs; kernels are named in the header."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SAMPLE = """
import dis
from tnattn.structured import tt_matrix
from tnattn.structured.tt_matrix import TTMatrix

def asserts(code):
    inner = [constant for constant in code.co_consts if hasattr(constant, "co_code")]
    own = any(i.opname == "LOAD_ASSERTION_ERROR" or i.argval == "AssertionError" for i in dis.get_instructions(code))
    return own or any(map(asserts, inner))

def test_the_package_asserts():
    loader = tt_matrix.__loader__
    assert asserts(loader.get_code(tt_matrix.__name__))

def test_that_fails():
    assert TTMatrix is None
"""


def ring(tmp_path, *words, optimised):
    """Run pytest on the sample as the ring does; return the status and what it printed."""
    (tmp_path / "test_sample.py").write_text(SAMPLE)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTHONOPTIMIZE", None)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml", *words]
    command += ["--rootdir", tmp_path, "-o", "testpaths=", tmp_path / "test_sample.py"]
    if optimised:
        environment["PYTHONOPTIMIZE"] = "1"
    done = subprocess.run(list(map(str, command)), env=environment, cwd=tmp_path, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("optimised", "kept"), [(True, False), (False, True)])
def test_the_packages_lose_their_assertions_and_the_tests_do_not(tmp_path, optimised, kept):
    status, said = ring(tmp_path, "-q", optimised=optimised)
    assert status == 1
    assert ("FAILED test_sample.py::test_the_package_asserts" in said) is not kept
    assert "FAILED test_sample.py::test_that_fails" in said


@pytest.mark.slow
def test_tests_that_are_not_rewritten_are_refused_under_o():
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONOPTIMIZE": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--assert=plain", "tests/test_layers.py"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "not rewritten" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["Haswell", "Nehalem"])
def test_the_header_names_the_kernel_that_runs(kernel):
    code = "import numpy, threadpoolctl; print([p['architecture'] for p in threadpoolctl.threadpool_info()])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_CORETYPE": kernel}
    real = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True).stdout
    if kernel not in real:
        pytest.skip("this BLAS takes no notice of OPENBLAS_CORETYPE")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "tests/test_layers.py"]
    said = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True).stdout
    (line,) = [line for line in said.splitlines() if line.startswith("BLAS: ")]
    assert kernel in line


@pytest.mark.slow
def test_the_rings_asked_for_are_the_rings_that_run():
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "-q", "--rings", "numpy"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = subprocess.run(
        [*command, "tests/tnattn/linalg/test_fast_transforms.py"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout
    assert "[numpy" in said
    assert "[strict" not in said
