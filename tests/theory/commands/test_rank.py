"""``tnattn rank``: least budgets, or one sentence about the mistake."""

import json

import pytest

from theory import cli

SMALL = ["gauss", "--n", "48", "--d", "4", "--heads", "2"]


def tnattn(*words):
    with pytest.raises(SystemExit) as left:
        cli.main(list(words))
    return left.value.code


def test_methods_are_listed_with_their_least_budgets(capsys):
    assert tnattn("rank", *SMALL, "--methods", "Performer", "--error", "0.3") == 0
    said = capsys.readouterr().out
    assert "least budget for an error of 0.3" in said
    assert "TopK (oracle)" in said
    assert tnattn("rank", *SMALL, "--methods", "Performer", "--error", "0.3", "--json") == 0
    found = {one["method"]: one for one in json.loads(capsys.readouterr().out)["methods"]}
    assert found["Exact"]["reached"]
    assert found["SlidingWindow"]["error"] <= 0.3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--error", "0"], "--error is 0.0; it must be a positive number"),
        (["--methods", "Performerr"], "did you mean Performer?"),
    ],
)
def test_mistakes_are_one_sentence(words, message, capsys):
    assert tnattn("rank", *SMALL, *words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
