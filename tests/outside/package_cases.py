"""The cases of another package's test modules: their functions, the arguments that marks give, and names for both."""

import functools
import inspect
import itertools


def functions_of(module):
    return {n: f for n, f in vars(module).items() if n.startswith("test") and inspect.isfunction(f)}


@functools.cache  # the values of a mark may be a generator, which is spent after one use
def arguments_of(function):
    """Return the arguments of every case that the marks of a test make."""
    grids = []
    for mark in getattr(function, "pytestmark", []):
        if mark.name == "parametrize":
            names, values = mark.args
            names = [n.strip() for n in names.split(",")] if isinstance(names, str) else list(names)
            grids.append([dict(zip(names, v if len(names) > 1 else (v,), strict=True)) for v in values])
    return [{k: v for part in parts for k, v in part.items()} for parts in itertools.product(*grids)]


def named(value):
    """Return a short name of an argument."""
    return getattr(value, "__name__", None) or str(value).replace(" ", "")


def grid(values):
    """Return every choice of one value for each name."""
    return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]


def with_theirs(ours, theirs):
    """Give the package's own function to an adapter that passes on what has no counterpart."""
    if not callable(ours) or inspect.isclass(ours) or "theirs" not in inspect.signature(ours).parameters:
        return ours
    return functools.partial(ours, theirs=theirs)
