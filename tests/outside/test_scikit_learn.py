"""scikit-learn's own cases, run from the installed package on ours; the adapters state which conventions differ."""

import contextlib
import functools
import importlib.util
import inspect
import itertools
import sys
import unittest
from pathlib import Path

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is not installed")


def load(name):
    """Return a file beside this one; the tests are no package."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


package, table = load("package_cases"), load("scikit_learn_cases")
adapters = load("scikit_learn_adapters")
projections = load("scikit_learn_projections")
ADAPTERS = {**vars(adapters), **vars(projections)}

# what the package's own conftest gives
FIXTURES = {"global_random_seed": [42], "global_dtype": [np.float32, np.float64]}
# functions and classes in the marks of a test, in whose place ours stand
REPLACED = {
    ("random_matrix", "_gaussian_random_matrix"): "gaussian_random_matrix",
    ("random_matrix", "_sparse_random_matrix"): "sparse_random_matrix",
    ("random_projection_cls", "GaussianRandomProjection"): "gaussian_projection",
    ("random_projection_cls", "SparseRandomProjection"): "sparse_projection",
}
METHODS = {name for names in table.OURS.values() for name in names.values()} | set(REPLACED.values())
METHODS -= {"projections", "no_projections", "definite_kernels"}


def module_of(name):
    return pytest.importorskip(f"sklearn.{name}", reason="scikit-learn ships no tests here")


def bare(test):
    return test.removeprefix("test_")


def available(arguments):
    """Return true if an array library and device of a case are on this machine."""
    if "array_namespace" not in arguments:
        return True
    from sklearn.utils._testing import _array_api_for_tests

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCIPY_ARRAY_API", "1")
        try:
            _array_api_for_tests(*(arguments[key] for key in ("array_namespace", "device_name", "dtype_name")))
        except (unittest.SkipTest, pytest.skip.Exception):
            return False
    return True


def cases():
    """Yield (module, test, arguments) of all cases with an equivalent."""
    for name in table.OURS:
        for test, function in package.functions_of(module_of(name)).items():
            if bare(test) in table.NONE[name]:
                continue
            absent, value, _ = table.NOT_OFFERED.get(test, (None, None, None))
            wanted = inspect.signature(function).parameters
            for arguments in package.arguments_of(function):
                for given in package.grid({key: v for key, v in FIXTURES.items() if key in wanted}):
                    if (absent is None or arguments[absent] != value) and available(arguments):
                        yield name, test, {**arguments, **given}


def is_refused(case):
    argument, value, _ = table.REFUSED.get(case[1], (None, None, None))
    return argument is not None and case[2][argument] == value


EVERY = list(cases())
REFUSED = [case for case in EVERY if is_refused(case)]
CASES = [case for case in EVERY if not is_refused(case)]
LAST = list({case[:2]: case for case in CASES}.values())  # one case of every test; the first ones may be tiny


def named(case):
    name, test, arguments = case
    return "-".join([name.rpartition("test_")[2], bare(test), *map(package.named, arguments.values())])


@pytest.fixture
def run(monkeypatch):
    """Run a case with ours behind the names, except those given."""

    def running(case, replaced=()):
        name, test, arguments = case
        module, ours = module_of(name), {**ADAPTERS, **dict(replaced)}
        monkeypatch.setenv("SCIPY_ARRAY_API", "1")
        for target, adapter in table.OURS[name].items():
            options = table.OPTIONS.get(test, {}).get(adapter)
            found = functools.partial(ours[adapter], **options) if options else ours[adapter]
            monkeypatch.setattr(module, target, package.with_theirs(found, getattr(module, target)))
        given = {}
        for key, value in arguments.items():
            stand_in = REPLACED.get((key, package.named(value)))
            given[key] = value if stand_in is None else ours[stand_in]
        package.functions_of(module)[test](**given)

    return running


@pytest.mark.parametrize("case", CASES, ids=named)
def test_case_of_the_package(run, case):
    run(case)


@pytest.mark.parametrize("case", REFUSED, ids=named)
def test_case_is_refused_by_name(run, case):
    with pytest.raises(ValueError, match=table.REFUSED[case[1]][2]):
        run(case)


class Reached(Exception):
    """An adapter was called."""


def reached(*_, **__):
    raise Reached


@pytest.mark.parametrize("case", LAST, ids=named)
def test_every_case_comes_to_ours(run, case):
    instead = dict.fromkeys(METHODS, reached)
    with pytest.raises(Reached):
        run(case, {**instead, "projections": (reached,)})


def wrong(ours):
    """Return an adapter whose results are multiplied by -10, by -11, and so on, one after the other."""
    factors = itertools.count(-10, -1)

    def multiplied(result):
        factor = next(factors)
        return tuple(factor * part for part in result) if isinstance(result, tuple) else factor * result

    if not hasattr(getattr(ours, "func", ours), "transform"):
        return lambda *arguments, **options: multiplied(package.with_theirs(ours, None)(*arguments, **options))

    def made(*arguments, **options):
        method = ours(*arguments, **options)
        transform = method.transform
        method.transform = lambda x: multiplied(transform(x))
        return method

    return made


@pytest.mark.parametrize("case", LAST, ids=named)
def test_a_wrong_result_fails_its_case(run, case):
    instead = {name: wrong(ADAPTERS[name]) for name in METHODS}
    instead["projections"] = tuple(wrong(one) for one in ADAPTERS["projections"])
    sees = contextlib.nullcontext() if bare(case[1]) in table.NUMBERLESS else pytest.raises(AssertionError)
    with sees:
        run(case, instead)


def unlisted(name):
    """Return the tests of a module that are neither run nor named with a reason, and those named that do not exist."""
    tests, running = set(package.functions_of(module_of(name))), {case[1] for case in CASES if case[0] == name}
    excluded = {f"test_{test}" for test, reason in table.NONE[name].items() if reason}
    return tests ^ (running | excluded), running & excluded


@pytest.mark.parametrize("name", table.OURS)
def test_every_test_of_the_package_runs_or_has_a_reason(name):
    assert unlisted(name) == (set(), set())


@pytest.mark.parametrize("name", table.OURS)
def test_a_new_test_of_the_package_is_noticed(name, monkeypatch):
    def test_new():
        """Stand for a test of a later version."""

    monkeypatch.setattr(module_of(name), "test_new", test_new, raising=False)
    assert unlisted(name) == ({"test_new"}, set())
