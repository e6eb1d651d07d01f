"""Launches, waits and copies of every method beside its budget: ``python tests/benchmarks/device_counts.py [--quick]``.

Counts, not times, from the stand-in for CuPy that computes on the host: no device is measured. ``--quick`` leaves out
the iterations, which are the slow ones.
"""

import argparse
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests are no package

from fixtures.device import COLUMNS, HEADS, RANK, SIDE, TOKENS, Size, budgeted, counted
from rings import cupy_standin

from tnattn.attention.method import AttentionMethod
from tnattn.decomposition.base import Decomposition
from tnattn.device_budget import DeviceCounts
from tnattn.randnla.base import MatrixMethod

SIZES = {"reference": Size(), "heads x 4": Size(heads=4), "columns x 2": Size(columns=2), "length x 2": Size(length=2)}
KINDS = {"Attention methods": AttentionMethod, "Matrix methods": MatrixMethod, "Tensor decompositions": Decomposition}


def shown(counts: DeviceCounts) -> str:
    return f"{counts.launches} / {counts.waits} / {counts.copies}"


def table(kind: type, *, quick: bool) -> list[str]:
    """Return the rows of one kind of class: counts at every size, and the limit at the reference size."""
    ring = SimpleNamespace(transfers=cupy_standin.transfers, asarray=lambda x: cupy_standin.ndarray(np.array(x)))
    lines = [f"| class | {' | '.join(SIZES)} | limit at the reference | units of the budget |", "|---" * 7 + "|"]
    for name, cls in budgeted().items():
        units = ", ".join(cls.device_budget.each) or "call"
        if not issubclass(cls, kind) or (quick and {"sweep", "epoch", "update of a basis"} & {*cls.device_budget.each}):
            continue
        found = [counted(ring, cls, size) for size in SIZES.values()]
        lines.append(f"| {name} | {' | '.join(shown(x) for x, _ in found)} | {shown(found[0][1])} | {units} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    parts = [
        "Launches / waits / copies of a call, counted on the stand-in for CuPy of the tests, which computes on the "
        "host: **no GPU has been measured**, and these are no times. A launch is a call of the array library that "
        "computes or moves an array, whatever it launches within; a wait is a read of a number or a copy to the host; "
        "a copy goes either way.\n",
        f"Reference: {HEADS} heads of {TOKENS} tokens, width 8, budget {COLUMNS}; {HEADS} matrices of {TOKENS} x "
        f"{TOKENS}, rank {COLUMNS}; {HEADS} tensors of {SIDE} x {SIDE} x {SIDE}, ranks {RANK}. At most 3 sweeps, 2 "
        "epochs. Samples from a generator on the host. With four times the heads, copies of the same ones.\n",
    ]
    with cupy_standin.installed():
        for title, kind in KINDS.items():
            parts += [f"## {title}\n", *table(kind, quick=quick), ""]
    print("\n".join(parts))


if __name__ == "__main__":
    main()
