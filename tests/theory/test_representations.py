"""Results fit on three lines of a terminal, and those that are tables have an HTML form for notebooks."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from theory.bounds.randnla.eckart_young import eckart_young_mirsky_spectral
from theory.bounds.randnla.range_finder import rrf_fro_expected
from theory.comparison import compare, output_predictions
from theory.comparison.decision import evidence
from theory.comparison.table import LENGTH, shortened
from theory.reports.curves import curves
from theory.reports.results import Results
from theory.statistics import EProcess, Judgement, Verdict
from theory.studies import (
    Line,
    Outcome,
    entrywise_errors,
    head_spectra,
    verify,
)
from theory.studies.ranking import Place, Ranking
from tnattn import discovery
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.top_k import TopK

LINES, WIDTH = 3, 120
LONG = "a reason that goes on, " * 40


def problem() -> AttentionProblem:
    rng = np.random.default_rng(0)
    return AttentionProblem(*(rng.standard_normal((3, 24, 4)) for _ in range(3)))


def comparison() -> Any:
    rng = np.random.default_rng(0)
    method, a = rrf_fro_expected.extremal(rng)
    return compare(method, np.stack([a] * 4), [rrf_fro_expected], trials=20, rng=rng)[0]


def place(name: str) -> Place:
    return Place(name, 0.25, 0.125, 3, False, False, False, None)


def row(**more: Any) -> dict[str, Any]:
    return {
        "status": "done", "kind": "trial", "problem": "toy", "method": "TopK", "family": "sparse", "budget": 8,
        "control": False, "oracle": True, "leaks": False, "trial": 0, "relative_output": [0.1, 0.2, 0.3],
        "relative_weights": [0.1, 0.2, 0.3], "flops": 10.0, "exact_flops": 100.0, "storage": 1.0, "exact_storage": 2.0,
        "state": 1.0, "exact_state": 2.0, "bad_rows": 0, **more,
    }  # fmt: skip


def line() -> Line:
    return Line(
        "TopK",
        "sparse",
        8,
        False,
        True,
        False,
        0.2,
        0.1,
        0.3,
        None,
        0.5,
        False,
        "always",
        LONG,
        0.1,
        0.1,
        0.1,
        None,
        (),
        3,
    )


def made() -> dict[str, Any]:
    """Return a result of every kind."""
    target = problem()
    found = comparison()
    predicted = rrf_fro_expected(*rrf_fro_expected.extremal(np.random.default_rng(0)))
    method, a = rrf_fro_expected.extremal(np.random.default_rng(0))
    spectra = head_spectra(target, "toy")
    verification = verify([eckart_young_mirsky_spectral], trials=2)
    return {
        "Comparison": found,
        "Comparison with a long detail": dataclasses.replace(found, detail=LONG),
        "Judgement": Judgement(Verdict.SUPPORTED, 1.0, "no violation in 3 instances"),
        "EProcess": EProcess(np.ones(50)).update(np.ones((20, 50))),
        "Prediction": predicted,
        "Evidence": evidence(rrf_fro_expected, a, predicted, np.ones(20)),
        "OutputPrediction": output_predictions(TopK(8), target, TopK(8)(target))[0],
        "Bound": rrf_fro_expected,
        "SpectraResult": spectra,
        "TensorSpectra": spectra.tensor,
        "Verification": verification,
        "Finding": verification.findings[0],
        "ErrorMap": entrywise_errors(target, {f"TopK({m})": TopK(m)(target) for m in range(1, 9)}),
        "Ranking": Ranking("flops", 0.25, tuple(place(f"method {i}") for i in range(40)), (place("oracle"),), ()),
        "Place": place("TopK"),
        "Line": line(),
        "Outcome": Outcome("hosvd", "extremal", "float32", "raised", LONG),
    }


RESULTS = made()
TABLES = ["Comparison", "SpectraResult", "TensorSpectra", "Verification", "ErrorMap", "Ranking"]


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_fits_on_three_lines(name: str) -> None:
    text = repr(RESULTS[name])
    assert text.startswith("<")
    assert sum(-(-len(part) // WIDTH) for part in text.splitlines()) <= LINES, text


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_a_form_for_notebooks(name: str) -> None:
    text = RESULTS[name]._repr_html_()
    assert text.count("<table>") == text.count("</table>") == 1
    assert re.search(r"<tbody>.*<td", text, flags=re.DOTALL)


def test_the_form_for_notebooks_says_what_the_comparison_found() -> None:
    found = RESULTS["Comparison"]
    text = found._repr_html_()
    assert rrf_fro_expected.name in text
    assert str(found.verdict) in text
    assert "Theorem 10.5" in text


def test_the_findings_of_a_verification_are_the_rows_of_its_table() -> None:
    found = RESULTS["Verification"]
    assert found._repr_html_().count("<tr>") == 1 + len(found.findings)


def test_a_long_text_is_cut_and_a_short_one_is_not() -> None:
    assert len(shortened(LONG)) == LENGTH
    assert shortened(LONG).endswith("...")
    assert shortened("two\nwords") == "two words"


def test_a_folder_and_a_study_fit_on_three_lines(tmp_path: Any) -> None:
    results = Results(tmp_path, [row(), row(budget=16), {"status": "failed", "kind": "trial"}], {}, [], {})
    assert repr(results).count("\n") < LINES
    assert "2 trial" in repr(results)
    assert "1 failed" in repr(results)
    assert "<tbody>" in results._repr_html_()
    curve = curves(results.rows)[0]
    assert repr(curve) == "<TopK, median error by budget: 8: 0.2, 16: 0.2>"


def holds_arrays(cls: type) -> bool:
    types = [str(field.type) for field in dataclasses.fields(cls)]
    return any(re.search(r"Values|Floats|NDArray", text) and "Callable" not in text for text in types)


def test_a_class_that_holds_arrays_has_a_representation_of_its_own() -> None:
    """The one of a dataclass prints every entry."""
    classes = [cls for cls in discovery.subclasses("theory", object).values() if dataclasses.is_dataclass(cls)]
    assert len(classes) > 20
    wrapped = [cls.__name__ for cls in classes if holds_arrays(cls) and hasattr(cls.__repr__, "__wrapped__")]
    assert wrapped == []
