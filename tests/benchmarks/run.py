"""Run every benchmark of this folder and write its table to results/."""

from __future__ import annotations

import datetime
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TOOLS = {"run", "paired", "plain_attention"}


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def main(names: list[str]) -> int:
    import os

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    failed = 0
    for script in sorted(HERE.glob("*.py")):
        if script.stem in TOOLS or (names and script.stem not in names):
            continue
        print(f"\n## {script.stem}", flush=True)
        done = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
        print(done.stdout, flush=True)
        failed += done.returncode != 0
        if done.returncode == 0:
            where = f"{processor()}, {cores} cores, Python {platform.python_version()}, {datetime.date.today()}"
            HERE.joinpath("results").mkdir(exist_ok=True)
            again = f"Regenerate: `python tests/benchmarks/run.py {script.stem}`"
            text = f"# {script.stem}\n\n{where}\n\n{done.stdout.strip()}\n\n{again}\n"
            HERE.joinpath("results", f"{script.stem}.md").write_text(text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
