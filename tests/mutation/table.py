"""The table of mutants: killed and survived by module, every survivor with the reason why it may live."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "mutants.md"
HEAD = "| module | tests | tried | killed | survived | share killed |\n|---|---|---|---|---|---|"
# what a session notes beside a mutation that a sample left out, or that no run tries
NOT_SAMPLED, NOT_CHOSEN = "not sampled", "not chosen"
COLUMNS = "| in | original | mutant | reason |\n|---|---|---|---|"


@dataclass(frozen=True)
class Survivor:
    """A mutation that no test notices, named by its function and its code: line numbers change with every comment."""

    place: str
    original: str
    mutant: str
    reason: str = field(default="", compare=False)

    @property
    def name(self) -> tuple[str, str, str]:
        """The key by which a reason is found again, in whatever module the function lies."""
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
    killed, untried, found = 0, 0, []
    for item, result in completed:
        untried += result.output == NOT_SAMPLED
        verdict = str(getattr(result.test_outcome, "value", result.test_outcome))
        if verdict in ("killed", "incompetent"):
            killed += 1
        elif verdict == "survived":
            mutation = item.mutations[0]
            original, mutant = _lines(result.diff or "")
            found.append((mutation.start_pos, mutant, Survivor(mutation.definition_name or "module", original, mutant)))
    survivors = tuple(survivor for *_, survivor in sorted(found, key=lambda row: row[:2]))  # as in the module
    return Outcome(module, tuple(tests), killed, survivors, untried)


def _lines(diff: str) -> tuple[str, str]:
    """Return the changed lines of a unified diff, before and after, without comments, which may be reworded."""
    lines = diff.splitlines()
    before = [_bare(line) for line in lines if line.startswith("-") and not line.startswith("---")]
    after = [_bare(line) for line in lines if line.startswith("+") and not line.startswith("+++")]
    return " ".join(before), " ".join(after)


def _bare(line: str) -> str:
    """Return a line of a diff without its sign and without a comment behind code, which two spaces set off."""
    return re.sub(r"(?<=\S)  # .*$", "", line[1:]).strip()


def write(new: Outcome, modules: Iterable[str], machine: str, path: Path = RESULTS) -> None:
    """Put a module's outcome into the table; modules no longer in the list go, the others and all reasons stay."""
    listed, known = set(modules), read(path)
    reasons = {s.name: s.reason for o in known.values() for s in o.survivors if s.reason}
    reasons |= {s.name: s.reason for s in getattr(known.get(new.module), "survivors", ()) if s.reason}
    survivors = tuple(replace(s, reason=reasons.get(s.name, "")) for s in new.survivors)
    kept = [o for o in known.values() if o.module in listed - {new.module}]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render([*kept, replace(new, survivors=survivors)], machine), encoding="utf-8")


def render(outcomes: Iterable[Outcome], machine: str) -> str:
    """Return the page; the machine is that of the last run."""
    found = sorted(outcomes, key=lambda o: o.module)
    rows = [_row(o.module, ", ".join(o.tests), o.tried, o.killed, len(o.survivors)) for o in found]
    total = _row("all", "", "", sum(o.killed for o in found), sum(len(o.survivors) for o in found))
    parts = ["# Mutants\n", f"{machine}\n", "\n".join([HEAD, *rows, total])]
    for o in found:
        if o.survivors:
            lines = [f"| {s.place} | {_code(s.original)} | {_code(s.mutant)} | {s.reason} |" for s in o.survivors]
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
        rows = [_cells(line) for line in part.splitlines()[1:] if line.startswith("| ")]
        survivors[module] = [Survivor(c[0], _text(c[1]), _text(c[2]), c[3]) for c in rows if c[0] != "in"]
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
