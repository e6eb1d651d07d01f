"""Every example runs as a script and prints the expected line."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SAYS = {
    "approximate_one_head": "relative error",
    "pooled_keys": "512 blocks: relative error 0.000",
    "add_a_decomposition": "SharedColumns",
    "judge_a_bound": "times 0.5: refuted",
    "certify_your_own_code": "one key of 64 forgotten: certified to 1e-6: False",
    "convert_to_grouped_queries": "8 key heads: cache 1.00 of the original, relative error of the output 0.000",
}


def test_every_example_is_run():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(SAYS)


@pytest.mark.parametrize("name", SAYS)
def test_example_runs(name, tmp_path):
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")], capture_output=True, text=True, cwd=tmp_path, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert SAYS[name] in done.stdout


def test_a_broken_script_is_noticed(tmp_path):
    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit(3)")
    assert subprocess.run([sys.executable, str(script)], check=False).returncode == 3
