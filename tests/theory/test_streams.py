"""No command ends because the terminal lacks a character: names with accents, dashes and Greek in every encoding."""

import io
import sys

import numpy as np
import pytest

from theory import cli
from theory.commands import writing
from theory.commands.application import app

SMALL = ["--n", "16", "--d", "4", "--heads", "2"]
GRID = ["--budgets", "4", "--trials", "1", "--workers", "0"]
# every command with words that make it print all it can; {0} is a folder, {1} a file whose name has accents
COMMANDS = {
    "compare": ["compare", "{1}", *GRID, "--methods", "TopK,LinearAttention", "--out", "{0}/naïve"],
    "compare, json": ["compare", "{1}", *GRID, "--methods", "TopK", "--json", "--out", "{0}/naïve"],
    "verify": ["verify", "--bounds", "sthosvd_identity", "--workers", "0"],
    "certify": ["certify", "{0}/é – o.npz"],
    "suggest": ["suggest", "{1}", "--error", "0.1"],
    "rank": ["rank", "{1}", "--error", "0.1", "--methods", "TopK"],
    "spectra": ["spectra", "{1}", "--out", "{0}/spectres-à-voir"],
    "report": ["report", "{0}/given-é"],
    "methods": ["methods"],
    "bounds": ["bounds"],
    "info": ["info"],
    "a mistake": ["compare", "l'été.npz"],
    "a mistake of the parser": ["compare", "--élan"],
    "a byte that is no character": ["compare", "\udce9.npz"],
}
ENCODINGS = ("ascii", "latin-1", "cp1252", "utf-8")


@pytest.fixture
def streams(monkeypatch):
    """Put streams of an encoding in place of those of the process; return what they hold as bytes."""

    def install(encoding):
        made = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for _ in range(2)]
        monkeypatch.setattr(sys, "stdout", made[0])
        monkeypatch.setattr(sys, "stderr", made[1])
        return made

    return install


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A folder, and a problem whose file has a name with accents."""

    def blank(folder):
        (folder / "report.html").write_text("", encoding="utf-8")
        return folder / "report.html"

    monkeypatch.setattr(writing, "write_report", blank)
    rng = np.random.default_rng(0)
    path = tmp_path / "é β – x.npz"
    np.savez(path, **{name: rng.standard_normal((2, 16, 4)) for name in "qkv"})
    output = {"o": rng.standard_normal((2, 16, 4))}
    np.savez(tmp_path / "é – o.npz", **output, **{name: rng.standard_normal((2, 16, 4)) for name in "qkv"})
    return tmp_path, path


def run(words, places):
    with pytest.raises(SystemExit) as left:
        cli.main([word.format(*places) for word in words])
    return left.value.code


def test_every_command_is_tried():
    known = {command.name for command in app.registered_commands}
    assert known == {words[0] for words in COMMANDS.values()}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in ("spectra", "info") else name for name in COMMANDS]
)
def test_a_command_prints_in_any_encoding(name, encoding, streams, places):
    if name == "report":
        given = places[0] / "given-é"
        streams("utf-8")
        assert run(["compare", "needle", *SMALL, *GRID, "--methods", "TopK", "--out", str(given)], places) == 0
    out, err = streams(encoding)
    status = run(COMMANDS[name], places)
    assert status == (2 if name.startswith("a ") else 0)
    out.flush()
    err.flush()
    said = out.buffer.getvalue() + err.buffer.getvalue()
    assert said.decode(encoding)
    assert b"Traceback" not in said


def test_a_stream_that_is_strict_would_fail(streams, monkeypatch, places):
    """Negative control."""
    monkeypatch.setattr(cli, "_accept_every_character", lambda: None)
    streams("ascii")
    assert run(["bounds"], places) == 2


@pytest.mark.parametrize("words", [[], *[[command] for command in ("compare", "verify", "spectra", "report")]])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_help_prints_in_any_encoding(words, encoding, streams, places):
    out, _ = streams(encoding)
    assert run([*words, "--help"], places) == 0
    out.flush()
    assert b"tnattn" in out.buffer.getvalue()
