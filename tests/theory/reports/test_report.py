"""The report from hand-made rows: a whole page, nothing from elsewhere, the same bytes, words for what is missing."""

import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from theory.records.manifest import finished, manifest, write_manifest
from theory.records.store import Ledger
from theory.reports import report
from theory.reports.report import write_report

HEADS = 3
VOID = {"meta", "br", "link", "img", "input", "hr"}


def trial(method, budget, errors, *, family="low_rank", control=False, oracle=False, number=0, **more):
    names = {"problem": "toy", "method": method, "family": family, "budget": budget, "spec": f"{method}()"}
    flags = {"oracle": oracle, "leaks": False, "control": control, "status": "done"}
    measured = {
        "relative_output": errors, "relative_weights": None, "bad_rows": int(np.isnan(errors).sum()),
        "flops": budget / 64, "storage": 0.3, "state": budget / 64,
    }  # fmt: skip
    return {"key": f"{method}{budget}{number}", "kind": "trial", "trial": number, **names, **flags, **measured, **more}


def beside(row, kind, **more):
    kept = {
        k: row[k] for k in ("problem", "method", "family", "budget", "spec", "oracle", "leaks", "control", "status")
    }
    return {**kept, "key": f"{row['key']}-{kind}-{more.get('bound')}", "kind": kind, **more}


def rows():
    found = [trial("MeanValue", 0, [0.9, 0.8, 1.0], family="baseline", control=True)]
    for method, family, level in (("Linformer", "low_rank", 0.5), ("Performer", "random_features", 0.7)):
        for budget in (8, 16):
            made = trial(method, budget, [level * 8 / budget * (1 + 0.1 * h) for h in range(HEADS)], family=family)
            found += [
                made,
                beside(made, "prediction", bound="b", guarantee="always", prior=True,
                       predicted_relative=[0.9, 1.2, 1.1], vacuous=False),
                beside(made, "time", seconds=1e-3, exact_seconds=2e-3, ratio=0.5, repeats=3),
                beside(made, "verdict", bound="row_bound", verdict="supported", slack=3.0, p_value=0.5,
                       detail="mean nan", trials=9, guarantee="in expectation", source="Someone 2020, Theorem 1"),
            ]  # fmt: skip
    found.append({"key": "f", "kind": "floor", "status": "done", "problem": "toy", "budget": 8,
                  "best_rank_relative": [0.1, 0.2, 0.3]})  # fmt: skip
    return found


def folder_of(path, entries, *, spec=None, described=True):
    path.mkdir(parents=True, exist_ok=True)
    (path / "ledger.jsonl").touch()
    with Ledger(path / "ledger.jsonl") as ledger:
        for row in entries:
            ledger.append(row)
    if described:
        write_manifest(path, finished(manifest(["tnattn", "compare"], spec or {"problem": "toy", "heads": HEADS}, 7)))
    return path


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write_report(folder_of(tmp_path_factory.mktemp("report"), rows())).read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Collects the text and complains about tags that are not closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.words, self.tags, self.faults = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)

    def handle_data(self, text):
        if not self.open or self.open[-1] != "style":
            self.words.append(text)


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    reader.faults += reader.open
    return reader


def raw_nan(text):
    return re.findall(r"\bnan\b", " ".join(read(text).words), flags=re.IGNORECASE)


def from_elsewhere(text):
    """Everything that a browser would fetch or run."""
    fetched = re.findall(r"https?:|<script|<link|<iframe|@import|\bsrc=|url\((?!#)", text)
    links = [a.get("href") or a.get("xlink:href") or "" for _, a in read(text).tags]
    return fetched + [link for link in links if link and not link.startswith(("#", "data:image/png"))]


def test_every_tag_is_closed_in_order(page):
    assert read(page).faults == []


def test_every_method_is_named(page):
    words = " ".join(read(page).words)
    assert all(row["method"].partition("(")[0] in words for row in rows() if "method" in row)


def test_no_raw_nan_is_shown(page):
    assert raw_nan(page) == []


def test_nothing_is_fetched_or_run(page):
    assert from_elsewhere(page) == []


@pytest.mark.parametrize("checker", [raw_nan, from_elsewhere, lambda text: read(text).faults])
def test_each_checker_finds_a_planted_fault(page, checker):
    planted = page.replace("</main>", '<p>error nan <a href="https://example.org">x</a></main>')
    assert checker(planted) != []


def test_pictures_have_words_and_tables_have_headers(page):
    tags = read(page).tags
    pictures = [attributes for tag, attributes in tags if tag == "svg"]
    assert len(pictures) >= 4
    assert all(attributes.get("role") == "img" and attributes.get("aria-label") for attributes in pictures)
    tables = sum(tag == "table" for tag, _ in tags)
    assert sum(tag == "thead" for tag, _ in tags) == tables > 5
    assert all(a.get("scope") in ("row", "col") for tag, a in tags if tag == "th")


def test_identifiers_are_unique_and_resolved(page):
    tags = read(page).tags
    found = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(found) == len(set(found))
    wanted = {a["xlink:href"][1:] for _, a in tags if a.get("xlink:href", "").startswith("#")}
    wanted |= set(re.findall(r"url\(#([^)]+)\)", page))
    assert wanted <= set(found)


def test_the_same_folder_gives_the_same_bytes(tmp_path):
    folder = folder_of(tmp_path, rows())
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first


def test_other_errors_give_other_bytes(tmp_path, page):
    changed = rows()
    changed[1]["relative_output"] = [0.123, 0.123, 0.123]
    text = write_report(folder_of(tmp_path, changed)).read_text(encoding="utf-8")
    assert "0.123" in text
    assert "0.123" not in page


MISSING = {"time": "No times were measured", "prediction": "No theorem is about", "verdict": "No theorem about these",
           "floor": "best rank-m errors were not computed", "trial": "No trial has finished"}  # fmt: skip


@pytest.mark.parametrize("kept", ["trial", "time"])
def test_what_is_missing_is_said(tmp_path, page, kept):
    text = write_report(folder_of(tmp_path, [row for row in rows() if row["kind"] == kept])).read_text(encoding="utf-8")
    for kind in set(MISSING) - {"trial"} if kept == "trial" else {"trial"}:  # without trials one sentence says all
        words = MISSING[kind]
        assert words in text
        assert words not in page
    assert raw_nan(text) == read(text).faults == []


def test_an_interrupted_run_with_one_row_gives_a_page(tmp_path):
    folder = folder_of(tmp_path, rows()[1:2], described=False)
    write_manifest(folder, manifest(["tnattn", "compare"], {"problem": "toy"}, 0))
    text = write_report(folder).read_text(encoding="utf-8")
    assert "interrupted" in text
    assert "Linformer" in text


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """A page of two problems with a failed trial, a refuted theorem and names that are markup."""
    bad = {"key": "x", "status": "failed", "kind": "trial", "problem": "toy", "method": "Broken", "budget": 4,
           "message": "the core is singular"}  # fmt: skip
    made = rows()
    planted = beside(made[1], "verdict", bound="zz_wrong", verdict="refuted", slack=0.2, p_value=1e-9, detail="",
                     trials=9, guarantee="g", source="s")  # fmt: skip
    marked = trial("<b>Bold</b>", 8, [0.5] * HEADS, family="a&b")
    other = [{**row, "problem": "second", "key": "2" + row["key"]} for row in made]
    folder = folder_of(tmp_path_factory.mktemp("crowded"), [*made, bad, planted, marked, *other])
    return write_report(folder).read_text(encoding="utf-8")


def test_failed_trials_are_listed_with_their_message(crowded):
    assert "Broken at 4" in crowded
    assert "the core is singular" in crowded


def test_a_refuted_theorem_comes_first_and_is_marked(crowded):
    table = crowded[crowded.index("least slack") :]
    assert table.index("zz_wrong") < table.index("row_bound")
    assert '<td class="bad">refuted</td>' in table


def test_names_are_escaped(crowded):
    assert "&lt;b&gt;Bold" in crowded
    assert "<b>" not in crowded


def test_errors_that_cannot_be_computed_do_not_stop_the_page(tmp_path):
    made = [trial("Linformer", b, [float("nan"), 0.2, float("inf")]) for b in (8, 16)]
    text = write_report(folder_of(tmp_path, made)).read_text(encoding="utf-8")
    assert raw_nan(text) == []


def test_two_problems_have_their_own_sections(crowded):
    assert "Ranking on toy" in crowded
    assert "Ranking on second" in crowded


@pytest.mark.slow
def test_a_recorded_problem_gets_its_spectra_once(tmp_path, monkeypatch):
    source = {"kind": "gallery", "name": "needle", "n": 32, "d": 8, "heads": HEADS, "seed": 1}
    spec = {"problem": "toy", "source": source, "heads": HEADS, "queries": 32, "keys": 32}
    folder = folder_of(tmp_path, rows(), spec=spec)
    text = write_report(folder).read_text(encoding="utf-8")
    assert "weights, head 2" in text
    assert "ranks of the tensor (head, query, key) of the weights" in text
    assert "tucker storage" in text
    assert (folder / "spectra" / "toy.npz").is_file()
    monkeypatch.setattr("theory.reports.sections.spectra.head_spectra", lambda *_: pytest.fail("computed again"))
    assert write_report(folder).read_text(encoding="utf-8") == text


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds no results; run `tnattn compare"):
        write_report(tmp_path)


def test_without_matplotlib_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "looks", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "tnattn\[study\]"'):
        write_report(folder_of(tmp_path, rows()))


def test_the_module_is_imported_without_matplotlib():
    code = "import sys; sys.modules['matplotlib'] = None; import theory.reports.report, theory.reports.saved_spectra"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
