"""Docstrings of both packages: first lines in the indicative or as noun phrases, one example for every public class."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for package in ("tnattn", "theory") for path in (ROOT / package).rglob("*.py"))
# a first line names a thing or says what is returned; a question or a subordinate clause does neither
QUESTIONS = ("what", "how", "where", "whether")


def documented(tree):
    """Yield the nodes that have a docstring, with its text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield node, text


def questions(source):
    """Return the first lines that begin with a question word."""
    lines = [text.split("\n")[0] for _, text in documented(ast.parse(source))]
    return [line for line in lines if line.split()[0].strip(",").lower() in QUESTIONS]


def without_example(source):
    """Return the public classes whose docstring, or that of a method, shows no example.

    Exceptions and warnings are raised, not used, and protocols and abstract classes are only derived from.
    """
    found = []
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef) or node.name.startswith("_") or is_not_used_directly(node):
            continue
        if not any(">>>" in text for _, text in documented(node)):
            found.append(node.name)
    return found


def is_not_used_directly(node):
    bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
    abstract = any("abstractmethod" in ast.unparse(part) for inner in node.body for part in decorators(inner))
    raised = any(base.endswith(("Error", "Exception", "Warning")) for base in bases)
    return raised or abstract or bool(bases & {"ABC", "Protocol"})


def decorators(node):
    return getattr(node, "decorator_list", [])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_first_lines_ask_no_question(path):
    assert questions(path.read_text()) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_public_class_has_an_example(path):
    assert without_example(path.read_text()) == []


def test_a_question_is_found():
    """Negative control."""
    source = '"""How it works."""\nclass A:\n    """Whether, or not."""\ndef f():\n    """Return what is."""\n'
    assert questions(source) == ["How it works.", "Whether, or not."]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('class A:\n    """A thing."""', ["A"]),
        ('class A:\n    """A thing.\n\n    >>> A()\n    A()\n    """', []),
        ('class A:\n    """A thing."""\n    def f(self):\n        """Do.\n\n        >>> A().f()\n        """', []),
        ('class _A:\n    """A thing."""', []),
        ('class A(ValueError):\n    """A thing."""', []),
        ('class A(abc.ABC):\n    """A thing."""', []),
        ('class A(Base):\n    """A thing."""\n    @abc.abstractmethod\n    def f(self): ...', []),
        ('class A(Base):\n    """A thing."""', ["A"]),
    ],
)
def test_a_class_without_example_is_found(source, found):
    """Negative control."""
    assert without_example(source) == found
