"""Every dataclass of the packages is frozen, and none that holds arrays compares them."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ARRAYS = {"Array", "ArrayLike", "NDArray", "Values", "StructuredMatrix", "AttentionProblem"}

RECORDS = ("History",)  # of the errors of sweeps, which are added as they are made


def dataclasses_of(*sources):
    """Return the dataclasses of sources by name: their arguments, and the names in the annotations of their fields."""
    nodes = [node for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
    return [
        (node.name, flags, {name for field in fields(node) for name in names(field)})
        for node in nodes
        if node.name not in RECORDS and (flags := flags_of(node)) is not None
    ]


def faults(*sources):
    """Return the dataclasses of sources that may be written to, or whose comparison would compare arrays.

    A class holds arrays when one of its fields is an array, or an instance of a class that holds arrays.
    """
    found = dataclasses_of(*sources)
    holding = set(ARRAYS)
    while more := {name for name, _, held in found if held & holding} - holding:
        holding |= more
    writable = [f"{name} is not frozen" for name, flags, _ in found if not flags.get("frozen", False)]
    return writable + [
        f"{name} compares arrays" for name, flags, _ in found if name in holding and flags.get("eq", True)
    ]


def flags_of(node):
    """Return the arguments of a class's dataclass decorator, None where there is none."""
    for decorator in node.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else ast.Call(decorator, [], [])
        if isinstance(call.func, ast.Name | ast.Attribute) and ast.unparse(call.func).split(".")[-1] == "dataclass":
            return {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    return None


def names(annotation):
    """Return the names of an annotation, but for the arguments and results of functions."""
    if isinstance(annotation, ast.Subscript) and "Callable" in ast.unparse(annotation.value):
        return
    if isinstance(annotation, ast.Name | ast.Attribute):
        yield annotation.id if isinstance(annotation, ast.Name) else annotation.attr
    for child in ast.iter_child_nodes(annotation):
        yield from names(child)


def fields(node):
    return [line.annotation for line in node.body if isinstance(line, ast.AnnAssign)]


@pytest.mark.parametrize("package", ["tnattn", "theory"])
def test_dataclasses_are_frozen_and_compare_no_arrays(package):
    assert not faults(*(path.read_text() for path in (ROOT / package).rglob("*.py")))


def test_a_class_that_holds_a_holder_of_arrays_is_found():
    inner = "@dataclass(frozen=True, eq=False)\nclass A:\n    a: Array\n"
    assert faults(inner, "@dataclass(frozen=True)\nclass B:\n    a: tuple[A, ...]\n") == ["B compares arrays"]


@pytest.mark.parametrize(
    ("decorator", "field", "wrong"),
    [
        ("@dataclass", "a: int", ["C is not frozen"]),
        ("@dataclass(frozen=False)", "a: int", ["C is not frozen"]),
        ("@dataclasses.dataclass(frozen=True)", "a: np.ndarray | NDArray[Any]", ["C compares arrays"]),
        ("@dataclass(frozen=True, eq=True)", "a: Array", ["C compares arrays"]),
        ("@dataclass(frozen=True, eq=False)", "a: Array", []),
        ("@dataclass(frozen=True)", "a: int", []),
        ("@dataclass(frozen=True)", "f: Callable[[Array], Array]", []),
        ("@final", "a: Array", []),
    ],
)
def test_the_scan_finds_both_faults(decorator, field, wrong):
    assert faults(f"{decorator}\nclass C:\n    {field}\n") == wrong
