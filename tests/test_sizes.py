"""Files of at most 300 lines and functions of at most 40, docstrings not counted, in both packages."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for package in ("tnattn", "theory") for path in (ROOT / package).rglob("*.py"))
LINES, STATEMENTS = 300, 40


def too_long(source):
    """Return the name and length of every function that is too long."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    lengths = {node.name: node.end_lineno - node.lineno + 1 - documented(node) for node in functions}
    return {name: length for name, length in lengths.items() if length > STATEMENTS}


def documented(node):
    """Return the number of lines of the docstring of a function."""
    first = node.body[0]
    text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    return first.end_lineno - first.lineno + 1 if text else 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_read_at_one_sitting(path):
    source = path.read_text()
    assert len(source.splitlines()) <= LINES
    assert too_long(source) == {}


def test_a_long_function_is_found_and_its_docstring_not_counted():
    """Negative control."""
    body = "    x = 1\n"
    text = '    """' + "\n" * 50 + '    """\n'
    assert too_long("def f():\n" + 40 * body) == {"f": 41}
    assert too_long("def f():\n" + text + 39 * body) == {}
