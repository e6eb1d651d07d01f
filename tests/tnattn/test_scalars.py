"""A caller's scalars become Python numbers where a value is made."""

import dataclasses
import importlib
import pkgutil

import numpy as np
import pytest

import tnattn
from tnattn.scalars import Parameters, _plan, as_boolean, as_integer, as_real, require_count

# values that the package makes itself, from numbers that it has converted
INTERNAL = {
    "ArrayEntries",
    "ErrorSketch",
    "Field",
    "History",
    "Law",
    "MatrixTrial",
    "TensorEntry",
    "TensorTrial",
    "Trial",
    "_Step",
}


@dataclasses.dataclass(frozen=True)
class Example(Parameters):
    rank: int = 4
    scale: float | None = None
    ranks: int | tuple[int, ...] | None = None
    flag: bool = False

    def __post_init__(self) -> None:
        assert type(self.rank) is int  # converted before the check of the class


@pytest.mark.parametrize("rank", [3, np.int64(3), np.uint8(3), np.array(3)], ids=lambda x: type(x).__name__)
def test_integers_of_any_library_become_int(rank):
    assert type(Example(rank).rank) is int
    assert Example(rank) == Example(3)
    assert hash(Example(rank)) == hash(Example(3))


@pytest.mark.parametrize("scale", [0.5, np.float32(0.5), np.float16(0.5), np.array(0.5)], ids=lambda x: str(type(x)))
def test_real_numbers_of_any_library_become_float(scale):
    assert type(Example(scale=scale).scale) is float
    assert Example(scale=scale) == Example(scale=0.5)


def test_tuples_become_tuples_of_int():
    for ranks in ([2, 3], (np.int64(2), 3), np.array([2, 3])):
        assert Example(ranks=ranks).ranks == (2, 3)
        assert all(type(rank) is int for rank in Example(ranks=ranks).ranks)
    assert Example(ranks=np.int32(2)).ranks == 2


def test_booleans_of_any_library_become_bool():
    assert Example(flag=np.True_).flag is True


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"rank": True}, "rank is True; an integer"),
        ({"rank": np.True_}, "rank is .*; an integer"),
        ({"rank": 2.0}, "rank is 2.0; an integer"),
        ({"rank": np.float64(2)}, "an integer"),
        ({"rank": "2"}, "an integer"),
        ({"rank": None}, "an integer"),
        ({"scale": True}, "scale is True; a real number"),
        ({"scale": "1"}, "a real number"),
        ({"scale": 1j}, "a real number"),
        ({"scale": np.complex64(1)}, "a real number"),
        ({"scale": np.ones(1)}, "a real number"),
        ({"ranks": (2, True)}, "ranks is True; an integer"),
        ({"ranks": 1.5}, "ranks is 1.5; an integer"),
        ({"flag": 1}, "flag is 1; True or False"),
    ],
    ids=str,
)
def test_scalars_of_another_kind_are_refused(fields, words):
    with pytest.raises(TypeError, match=words):
        Example(**fields)


def test_functions_name_the_range_and_the_cure():
    assert as_integer(np.int8(3), "rank", least=1, most=3) == 3
    with pytest.raises(ValueError, match="rank is 4; 1 <= rank <= 3 is needed; reduce it"):
        as_integer(4, "rank", least=1, most=3, cure="reduce it")
    assert as_real(10**400, "x") == float("inf")
    assert as_boolean(np.False_, "x") is False


def dataclasses_of_the_package():
    for found in pkgutil.walk_packages(tnattn.__path__, "tnattn."):
        module = importlib.import_module(found.name)
        for cls in vars(module).values():
            if isinstance(cls, type) and cls.__module__ == found.name and dataclasses.is_dataclass(cls):
                yield cls


def test_every_class_with_scalar_fields_converts_them():
    missing = {cls.__name__ for cls in dataclasses_of_the_package() if _plan(cls) and not issubclass(cls, Parameters)}
    assert missing <= INTERNAL, f"derive {sorted(missing - INTERNAL)} from Parameters"
    assert missing  # the scan sees classes that do not derive


@pytest.mark.parametrize("cls", [c for c in dataclasses_of_the_package() if issubclass(c, Parameters) and _plan(c)])
def test_every_default_survives_numpy_scalars(cls):
    try:
        value = cls()
    except TypeError:
        pytest.skip("needs arguments")
    kinds = {int: np.int64, float: np.float32, bool: np.bool_}
    given = {
        name: kinds[type(held)](held)
        for name, _ in _plan(cls)
        if type(held := getattr(value, name)) in kinds
        and (type(held) is not float or float(np.float32(held)) == held)
        and next(f for f in dataclasses.fields(cls) if f.name == name).init
    }
    made = dataclasses.replace(value, **given)
    assert all(type(getattr(made, name)) is type(getattr(value, name)) for name in given)
    if cls.__eq__ is not object.__eq__:
        assert made == value


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (1.0, TypeError), (True, TypeError)])
def test_counts_are_integers_that_are_large_enough(value, error):
    require_count(1, "size", least=1)
    with pytest.raises(error, match="size"):
        require_count(value, "size", least=1)
