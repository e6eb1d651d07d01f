"""Chapters export their public names by hand, and introduce every one of their modules."""

import importlib
import pkgutil
import re
import subprocess
import sys
import types

import pytest

import theory

CHAPTERS = [
    "theory.statistics",
    "theory.statement",
    "theory.bounds",
    "theory.bounds.attention",
    "theory.bounds.certificate",
    "theory.bounds.decomposition",
    "theory.bounds.randnla",
    "theory.comparison",
    "theory.records",
    "theory.studies",
    "theory.reports",
    "theory.reports.figures",
    "theory.reports.sections",
    "theory.commands",
]
SECONDS = 0.6
"""Processor time of ``tnattn --help``."""


def modules(chapter):
    return [info.name for info in pkgutil.iter_modules(chapter.__path__)]


def introduced(chapter):
    """Return the words in double backticks of a chapter's introduction."""
    return {word.partition("(")[0] for word in re.findall(r"``([\w.]+)", chapter.__doc__)}


def homes(chapter):
    """Return the modules of a chapter from which it exports a name, or which it exports."""
    found = set()
    for name in getattr(chapter, "__all__", ()):
        value = getattr(chapter, name)
        home = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", "")
        if home.startswith(f"{chapter.__name__}."):
            found.add(home.removeprefix(f"{chapter.__name__}.").partition(".")[0])
    return found


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_exported_name_exists_and_is_introduced(name):
    chapter = importlib.import_module(name)
    exported = getattr(chapter, "__all__", [])
    assert exported == sorted(exported)
    assert [n for n in exported if not hasattr(chapter, n)] == []
    assert [n for n in exported if n not in introduced(chapter)] == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_module_is_introduced(name):
    chapter = importlib.import_module(name)
    known = introduced(chapter) | homes(chapter)
    assert [module for module in modules(chapter) if module not in known] == []


def test_every_folder_is_a_chapter():
    packages = [info.name for info in pkgutil.walk_packages(theory.__path__, "theory.") if info.ispkg]
    assert sorted(packages) == sorted(CHAPTERS)


def test_a_module_that_is_not_introduced_is_found():
    chapter = types.ModuleType("theory.records", "Records: ``run`` computes.")
    chapter.__all__ = ["run"]
    chapter.run = importlib.import_module("theory.records").run
    known = introduced(chapter) | homes(chapter)
    assert {"keys", "runner"} - known == {"keys"}


@pytest.mark.parametrize("name", theory.__all__)
def test_every_name_of_the_package_is_imported_when_it_is_asked_for(name):
    assert name in dir(theory)
    assert getattr(theory, name) is not None


def test_compare_is_the_function():
    assert callable(theory.compare)
    assert theory.compare is importlib.import_module("theory.comparison").compare


def test_an_unknown_name_is_refused_with_those_that_exist():
    with pytest.raises(AttributeError, match=r"theory has no 'comparisons'; it has .*compare"):
        _ = theory.comparisons


def test_the_help_of_the_command_line_imports_no_chapter_that_computes():
    code = (
        "import sys, time\n"
        "from theory import cli\n"
        "try:\n    cli.main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "heavy = [name for name in ('numpy', 'scipy', 'tnattn', 'theory.studies') if name in sys.modules]\n"
        "print(heavy, time.process_time(), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy, _, seconds = done.stderr.strip().rpartition(" ")
    assert heavy == "[]"
    assert float(seconds) < SECONDS
    assert "compare" in done.stdout
