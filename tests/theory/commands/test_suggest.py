"""``tnattn suggest``: methods, certificates and totals, or one sentence about the mistake."""

import json

import pytest

from theory import cli

SMALL = ["gauss", "--n", "96", "--d", "4", "--heads", "2", "--methods", "MeanValue,SlidingWindow"]


def tnattn(*words):
    with pytest.raises(SystemExit) as left:
        cli.main(list(words))
    return left.value.code


def test_heads_are_listed_with_the_reason(capsys):
    assert tnattn("suggest", *SMALL, "--error", "0.01") == 0
    said = capsys.readouterr()
    assert "methods for an error of 0.01" in said.out
    assert "2 of 2 heads exact" in said.out
    assert "suggest: 2 of 2" in said.err


def test_certified_methods_are_listed_with_what_is_certified(capsys):
    assert tnattn("suggest", *SMALL, "--error", "50", "--rows", "16", "--kind", "absolute-quantile") == 0
    said = capsys.readouterr().out
    assert "MeanValue" in said
    assert "have an error of at most the error in the table" in said
    assert "0 of 2 heads exact" in said


def test_json_holds_the_same(capsys):
    assert tnattn("suggest", *SMALL, "--error", "50", "--rows", "16", "--kind", "absolute-quantile", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [head["method"] for head in found["heads"]] == ["MeanValue()", "MeanValue()"]
    assert all(head["certificate"]["values"][0] <= 50 for head in found["heads"])
    assert found["kind"] == "absolute-quantile"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--kind", "median"], "--kind is 'median'; choose one of quantile, mean"),
        (["--error", "-1"], "error is -1"),
        (["--failure", "2"], "failure is 2"),
        (["--methods", "Performerr"], "did you mean Performer?"),
    ],
)
def test_mistakes_are_one_sentence(words, message, capsys):
    assert tnattn("suggest", *SMALL[:-2], *words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
