"""Pieces of the page: numbers for readers, escaped text, tables with headers."""

import pytest

from theory.reports import html


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (float("nan"), "–"), (float("inf"), "∞"), (0.0, "0"), (0.12345, "0.123"), (12.345, "12.3"),
     (1234.5, "1234"), (1e-5, "1.00e-5"), (3.2e8, "3.20e8"), (True, "yes"), (7, "7"), (12345, "12\u202f345"),
     (-0.5, "-0.500")],
)  # fmt: skip
def test_numbers_are_written_for_readers(value, text):
    assert html.number(value) == text


@pytest.mark.parametrize("piece", [html.paragraph, html.code, lambda text: html.table(("a",), [(text,)])])
def test_text_is_escaped(piece):
    made = piece("<script>alert(1)</script>")
    assert "<script>" not in made
    assert "&lt;script&gt;" in made


def test_a_column_of_numbers_is_aligned_and_a_column_of_text_is_not():
    made = html.table(("name", "x"), [("a", 1.5), ("b", None)])
    assert '<th scope="col" class=n>x</th>' in made
    assert '<th scope="col">name</th>' in made
    assert '<td class="n">–</td>' in made


def test_an_empty_table_says_so():
    assert "Nothing to show" in html.table(("a",), [])


def test_identifiers_hold_letters_digits_and_hyphens_only():
    assert html.identifier("map", "MiniLM layer 3/Ω") == "map-minilm-layer-3--"
