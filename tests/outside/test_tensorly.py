"""TensorLy's own cases, run from the installed package on ours; the conventions that differ stand in the adapters."""

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorly

HERE, PACKAGE = Path(__file__).parent, Path(tensorly.__file__).parent


def load(name):
    """Return a file beside this one; the tests are no package."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


table = load("tensorly_cases")
package = load("package_cases")
functions_of, arguments_of, with_theirs = package.functions_of, package.arguments_of, package.with_theirs
ADAPTERS = {**vars(load("tensorly_adapters")), **vars(load("tensorly_decompositions"))}


def module_of(name):
    return pytest.importorskip(f"tensorly.{name}", reason="TensorLy ships no tests here")


def cases():
    """Yield (module, test, arguments) of all cases with an equivalent."""
    for name in table.OURS:
        for test, function in functions_of(module_of(name)).items():
            if bare(test) in table.NONE.get(name, {}):
                continue
            absent = table.NOT_OFFERED.get(test, {})
            for arguments in arguments_of(function):
                if not any(arguments[key] == value for key, (value, _) in absent.items()):
                    yield name, test, arguments


def bare(test):
    return test.removeprefix("test").removeprefix("_")


CASES = list(cases())
COMPLEX = [case for case in CASES if any(case[2].get(name) for name in table.REFUSED)]
REAL = [case for case in CASES if case not in COMPLEX]


def named(case):
    name, test, arguments = case
    return f"{name.rpartition('test_')[2]}-{bare(test)}-{'-'.join(map(str, arguments.values()))}"


@pytest.fixture
def run(monkeypatch):
    """Run a case with ours behind the names, except those given, and the package's global generator seeded."""

    def running(case, replaced=()):
        name, test, arguments = case
        module = module_of(name)
        for target, adapter in table.OURS[name].items():
            place, _, attribute = target.rpartition(".")
            ours = dict(replaced).get(adapter, ADAPTERS[adapter])
            owner = getattr(module, place) if place else module
            theirs = getattr(owner, attribute)
            monkeypatch.setattr(owner, attribute, with_theirs(ours, theirs))
        if hasattr(module, "assert_class_wrapper_correctly_passes_arguments"):
            monkeypatch.setattr(module, "assert_class_wrapper_correctly_passes_arguments", ADAPTERS["no_wrapper"])
        np.random.seed(0)  # noqa: NPY002  # the package's cases draw from it
        function = functions_of(module)[test]
        fixtures = {"monkeypatch": monkeypatch} if "monkeypatch" in inspect.signature(function).parameters else {}
        function(**arguments, **fixtures)

    return running


@pytest.mark.parametrize("case", REAL, ids=named)
def test_case_of_the_package(run, case):
    run(case)


@pytest.mark.parametrize("case", COMPLEX, ids=named)
def test_complex_tensors_are_refused_by_name(run, case):
    with pytest.raises(TypeError, match="complex"):
        run(case)


class Reached(Exception):
    """An adapter was called."""


@pytest.mark.parametrize(
    "name, target", [(name, target) for name, names in table.OURS.items() for target in names], ids=str
)
def test_every_adapter_is_reached(run, name, target):
    """No case passes because it never came to ours."""
    adapter = table.OURS[name][target]

    def reached(*_, **__):
        raise Reached

    found = 0
    for case in {test: case for case in REAL if (test := case[1]) and case[0] == name}.values():
        try:
            run(case, {adapter: reached})
        except Reached:
            found += 1
        except AssertionError:
            pass
    assert found


WRONG = {
    "contrib.decomposition.tests.test_mps_decomposition_cross": ("tensor_train_cross", "test_tensor_train_cross_3"),
    "decomposition.tests.test_cp": ("parafac", "test_parafac"),
    "decomposition.tests.test_tucker": ("tucker_to_tensor", "test_tucker"),
    "decomposition.tests.test_tt_decomposition": ("tensor_train", "test_tensor_train"),
    "tenalg.tests.test_batched_tensordot": ("tensordot", "test_batched_tensordot_axis_order"),
    "tests.test_core": ("unfold", "test_unfold"),
    "tests.test_cp_tensor": ("cp_norm", "test_cp_norm"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_result_fails_its_case(run, name):
    adapter, test = WRONG[name]
    case = next(case for case in REAL if case[:2] == (name, test))

    def doubled(*arguments, **options):
        found = ADAPTERS[adapter](*arguments, **options)
        if adapter == "parafac":
            return ADAPTERS["TheirCP"]((found.weights * 2, found.factors))
        return ADAPTERS["TTTensor"]([2 * core for core in found]) if adapter.startswith("tensor_train") else 2 * found

    with pytest.raises(AssertionError):
        run(case, {adapter: doubled})


def test_every_test_of_the_package_is_listed():
    found = {".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("tests/test_*.py")}
    assert found == set(table.OURS) | set(table.ELSEWHERE)
    for name, reasons in table.NONE.items():
        assert set(reasons) <= {bare(test) for test in functions_of(module_of(name))}
        assert all(reasons.values())


def test_most_of_what_has_an_equivalent_runs():
    assert len(REAL) >= 260
    assert len(COMPLEX) >= 80
