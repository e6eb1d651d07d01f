"""The table of mutants: killed and survived by module, every survivor with the reason why it may live."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "mutants.md"
HEAD = "| module | tests | tried | killed | survived | share killed |\n|---|---|---|---|---|---|"
# what a session notes beside a mutation that a sample left out, or that no run tries
NOT_SAMPLED, NOT_CHOSEN = "not sampled", "not chosen"
COLUMNS = "| line | in | original | mutant | reason |\n|---|---|---|---|---|"


@dataclass(frozen=True, order=True)
class Survivor:
    """A mutation that no test notices; its line may move without making it another one."""

    line: int
    place: str
    original: str
    mutant: str
    reason: str = field(default="", compare=False)

    @property
    def name(self) -> tuple[str, str, str]:
        """Key of a mutant that does not change when lines are added above."""
        return self.place, self.original, self.mutant


@dataclass(frozen=True)
class Outcome:
    """A module, its tests, the number of mutants that these notice, the others, and those that no run tried."""

    module: str
    tests: tuple[str, ...]
    killed: int
    survivors: tuple[Survivor, ...]
    untried: int = 0

    @property
    def tried(self) -> str:
        """All mutants of the module, or how many of how many."""
        tried = self.killed + len(self.survivors)
        return f"{tried} of {tried + self.untried}, sampled" if self.untried else f"all {tried}"


def outcome(module: str, tests: Iterable[str], completed: Iterable[tuple[Any, Any]]) -> Outcome:
    """Return the outcome of a session; mutations that were not tried do not count."""
    killed, untried, survivors = 0, 0, []
    for item, result in completed:
        untried += result.output == NOT_SAMPLED
        verdict = str(getattr(result.test_outcome, "value", result.test_outcome))
        if verdict in ("killed", "incompetent"):
            killed += 1
        elif verdict == "survived":
            mutation = item.mutations[0]
            original, mutant = _lines(result.diff or "")
            survivors.append(Survivor(mutation.start_pos[0], mutation.definition_name or "module", original, mutant))
    return Outcome(module, tuple(tests), killed, tuple(sorted(survivors)), untried)


def _lines(diff: str) -> tuple[str, str]:
    """Return the changed lines of a unified diff, before and after."""
    lines = diff.splitlines()
    before = [line[1:].strip() for line in lines if line.startswith("-") and not line.startswith("---")]
    after = [line[1:].strip() for line in lines if line.startswith("+") and not line.startswith("+++")]
    return " ".join(before), " ".join(after)


def write(new: Outcome, machine: str, path: Path = RESULTS) -> None:
    """Put a module's outcome into the table; the other modules stay, and so do the reasons that were written there."""
    known = read(path)
    reasons = (
        {survivor.name: survivor.reason for survivor in known[new.module].survivors} if new.module in known else {}
    )
    kept = tuple(Survivor(s.line, s.place, s.original, s.mutant, reasons.get(s.name, "")) for s in new.survivors)
    known[new.module] = Outcome(new.module, new.tests, new.killed, kept, new.untried)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(known.values(), machine), encoding="utf-8")


def render(outcomes: Iterable[Outcome], machine: str) -> str:
    """Return the page; the machine is that of the last run."""
    found = sorted(outcomes, key=lambda o: o.module)
    rows = [_row(o.module, ", ".join(o.tests), o.tried, o.killed, len(o.survivors)) for o in found]
    total = _row("all", "", "", sum(o.killed for o in found), sum(len(o.survivors) for o in found))
    parts = ["# Mutants\n", f"{machine}\n", "\n".join([HEAD, *rows, total])]
    for o in found:
        if o.survivors:
            lines = [
                f"| {s.line} | {s.place} | {_code(s.original)} | {_code(s.mutant)} | {s.reason} |" for s in o.survivors
            ]
            parts.append("\n".join([f"\n## {o.module}\n", COLUMNS, *lines]))
    parts.append("\nRegenerate: `make mutants`, or `make mutants MODULES=tnattn/linalg/norms.py`; reasons are kept.\n")
    return "\n".join(parts)


def _row(module: str, tests: str, tried: str, killed: int, survived: int) -> str:
    share = f"{killed / (killed + survived):.1%}" if killed + survived else "-"
    return f"| {module} | {tests} | {tried} | {killed} | {survived} | {share} |"


def _code(text: str) -> str:
    return "`" + text.replace("|", "\\|").replace("`", "'") + "`"


def read(path: Path = RESULTS) -> dict[str, Outcome]:
    """Return the outcomes of a page that was written before."""
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8")
    survivors: dict[str, list[Survivor]] = {}
    for part in text.split("\n## ")[1:]:
        module = part.splitlines()[0].strip()
        cells = [_cells(line) for line in part.splitlines() if re.match(r"\| \d+ \|", line)]
        survivors[module] = [Survivor(int(c[0]), c[1], _text(c[2]), _text(c[3]), c[4]) for c in cells]
    found = {}
    for line in text.split("\n## ")[0].splitlines():
        cells_of = _cells(line)
        if len(cells_of) == 6 and cells_of[3].isdigit() and cells_of[0] != "all":
            module, tests, tried, killed = cells_of[0], tuple(filter(None, cells_of[1].split(", "))), *cells_of[2:4]
            sampled = re.match(r"(\d+) of (\d+)", tried)
            untried = int(sampled[2]) - int(sampled[1]) if sampled else 0
            found[module] = Outcome(module, tests, int(killed), tuple(survivors.get(module, ())), untried)
    return found


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def _text(cell: str) -> str:
    return cell.strip("`").replace("\\|", "|")
