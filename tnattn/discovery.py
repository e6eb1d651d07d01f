"""Find what a package, a module or a user's file defines; imported at the edges only."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from pathlib import Path
from types import ModuleType
from typing import TypeVar

Kind = TypeVar("Kind")


def modules(package: str) -> list[ModuleType]:
    """Return a package and all modules below it, imported, in alphabetical order."""
    root = importlib.import_module(package)
    found = [root]
    for info in sorted(pkgutil.walk_packages(getattr(root, "__path__", []), f"{package}."), key=lambda i: i.name):
        if not info.name.rsplit(".", 1)[-1].startswith("__"):
            found.append(importlib.import_module(info.name))
    return found


def subclasses(package: str, base: type[Kind]) -> dict[str, type[Kind]]:
    """Return the concrete subclasses of ``base`` that the modules of a package define, by name."""
    return {name: cls for module in modules(package) for name, cls in _classes(module, base).items()}


def instances(package: str, kind: type[Kind]) -> dict[str, Kind]:
    """Return the module-level objects of a class that the modules of a package define, by name.

    Raises
    ------
    ValueError
        If two modules define the same name.
    """
    found: dict[str, Kind] = {}
    for module in modules(package):
        for name, value in vars(module).items():
            own = isinstance(value, kind) and getattr(value, "module", None) == module.__name__
            if not own or name.startswith("_"):
                continue
            if name in found:
                raise ValueError(f"{name} is defined twice in {package}, again in {module.__name__}; rename one")
            found[name] = value
    return found


def load_file(path: str | Path) -> ModuleType:
    """Import a user's Python file.

    Raises
    ------
    ValueError
        If the file does not exist, is not Python, or fails to import; the message says why.
    """
    file = Path(path)
    if not file.is_file() or file.suffix != ".py":
        raise ValueError(f"{path} is not a Python file; give PATH.py:ClassName")
    name = f"user_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:12]}"
    specification = importlib.util.spec_from_file_location(name, file)
    if specification is None or specification.loader is None:
        raise ValueError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ValueError(f"{path} fails to import: {type(error).__name__}: {error}") from error
    return module


def from_file(reference: str, base: type[Kind]) -> type[Kind]:
    """Return the class that ``PATH.py:ClassName`` names.

    Raises
    ------
    ValueError
        If there is no such class in the file; the message lists those there are.
    """
    path, _, name = reference.rpartition(":")
    if not path:
        path, name = reference, ""
    classes = _classes(load_file(path), base)
    if not name and len(classes) == 1:
        return next(iter(classes.values()))
    if name not in classes:
        raise ValueError(
            f"{path} defines no {base.__name__} {name!r}; it defines {', '.join(sorted(classes)) or 'none'}"
        )
    return classes[name]


def family(cls: type) -> str:
    """Return the name of the folder that a class lives in: the family of a method."""
    parts = cls.__module__.split(".")
    return parts[-2] if len(parts) > 1 else "user"


def _classes(module: ModuleType, base: type[Kind]) -> dict[str, type[Kind]]:
    return {
        name: cls
        for name, cls in vars(module).items()
        if inspect.isclass(cls)
        and issubclass(cls, base)
        and not inspect.isabstract(cls)
        and cls.__module__ == module.__name__
        and not name.startswith("_")
    }
