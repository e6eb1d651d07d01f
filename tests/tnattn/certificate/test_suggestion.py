"""Results of a search: one method, totals, sentences."""

import json

from tnattn import Exact, PerHead, SlidingWindow
from tnattn.certificate import Certificate, HeadMethod, Skipped, Suggestion

KIND = "at least 97 % of the rows have an error of at most {}"
CERTIFICATE = Certificate(KIND, (0.04,), 5e-4, 256, 4096, (0.0,), (1.0,))
HEADS = (
    HeadMethod(0, SlidingWindow(32), 0.1, CERTIFICATE, 0.2, 1, "", (Skipped("Broken", "out of luck"),)),
    HeadMethod(1, Exact(), 1.0, None, 0.4, 2, "the search has cost 0.4 of it"),
)
SUGGESTION = Suggestion(HEADS, 0.05, 1e-3, 7)


def test_the_heads_are_one_method():
    assert SUGGESTION.method == PerHead((SlidingWindow(32), Exact()), seed=7)


def test_shares_are_means_over_the_heads():
    assert abs(SUGGESTION.share - 0.55) < 1e-12
    assert abs(SUGGESTION.spent - 0.3) < 1e-12


def test_every_head_is_one_sentence_and_all_are_another():
    assert SUGGESTION.statement().splitlines() == [
        "Head 0: SlidingWindow at budget 32, 10 % of exact attention. With confidence 0.9995, at least 97 % of the "
        "rows have an error of at most 0.04 (256 of 4096 rows exact).",
        "Head 1: exact attention is best here: the search has cost 0.4 of it.",
        "All heads: 55 % of exact attention; with confidence 0.999 all certificates hold (the search cost 30 %).",
    ]


def test_it_becomes_json():
    found = json.loads(json.dumps(SUGGESTION.as_dict()))
    assert found["heads"][0]["certificate"]["values"] == [0.04]
    assert found["heads"][0]["skipped"] == [{"label": "Broken", "reason": "out of luck"}]
    assert found["heads"][1]["reason"].startswith("the search")
    assert (found["seed"], found["error"]) == (7, 0.05)
