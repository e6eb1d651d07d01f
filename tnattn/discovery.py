"""Discovery of the classes and objects of a package or of a user's file; imported at the edges only."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from tnattn.source_files import fingerprint, imported_files

Kind = TypeVar("Kind")

USER = "user_"
"""Prefix of the module names of users' files."""


def modules(package: str) -> list[ModuleType]:
    """Return a package and all modules below it, imported, in alphabetical order.

    Parameters
    ----------
    package : str
        A dotted name. A user's own may be the folder of a package, or ``PATH.py``, which is one module.

    Raises
    ------
    ValueError
        If a user's file, folder or package does not exist or fails to import.
    """
    if package.endswith(".py"):
        return [load_file(package)]
    folder = Path(package)
    if (folder / "__init__.py").is_file():
        _put_first(str(folder.resolve().parent))
        package = folder.resolve().name
    try:
        root = importlib.import_module(package)
    except (ImportError, TypeError, ValueError) as error:
        raise ValueError(f"{package!r} is no package: {error}; give PATH.py, its folder or its name") from error
    found = [root]
    # sorted by name, so that tables and tests have one order on every file system
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
            # an imported object is listed by the module that defines it
            own = isinstance(value, kind) and getattr(value, "module", None) == module.__name__
            if not own or name.startswith("_"):
                continue
            if name in found:
                raise ValueError(f"{name} is defined twice in {package}, again in {module.__name__}; rename one")
            found[name] = value
    return found


@dataclass(frozen=True, eq=False)
class _Loaded:
    """An imported user file, with its fingerprint at import and the modules imported from its folder."""

    fingerprint: str
    module: ModuleType
    beside: dict[str, ModuleType]


_loaded: dict[Path, _Loaded] = {}


def load_file(path: str | Path) -> ModuleType:
    """Import a user's Python file, once as long as neither it nor a file that it imports changes.

    Parameters
    ----------
    path : path-like
        Its folder comes first on the path, as for a script: modules beside the file can be imported.

    Raises
    ------
    ValueError
        If the file does not exist, is not Python, or fails to import; the message says why.

    Notes
    -----
    After a change the file and the changed modules beside it are imported anew. Two files of different folders may each
    import a ``helper``: the modules of the file that was loaded last are those in ``sys.modules``.
    """
    file = Path(path).resolve()
    if not file.is_file() or file.suffix != ".py":
        raise ValueError(f"{path} is not a Python file; give PATH.py:ClassName")
    mark = fingerprint(file)
    known = _loaded.get(file)
    _put_first(str(file.parent))
    if known is not None and known.fingerprint == mark:
        sys.modules.update(known.beside)  # another file may have replaced a helper of the same name
        return known.module
    files = {name: own for name, own in imported_files(file).items() if own != file}
    _forget(files)
    module = _execute(path, file)
    beside = {name: sys.modules[name] for name in files if name in sys.modules}
    _loaded[file] = _Loaded(mark, module, beside)
    return module


def _put_first(folder: str) -> None:
    if sys.path[:1] != [folder]:
        if folder in sys.path:
            sys.path.remove(folder)
        sys.path.insert(0, folder)


def _forget(files: dict[str, Path]) -> None:
    """Drop the loaded modules of these names that are older than their file, or those of another user's folder."""
    others = {id(module) for known in _loaded.values() for module in known.beside.values()}
    for name, file in files.items():
        module = sys.modules.get(name)
        origin = getattr(module, "__file__", None)
        if id(module) in others or (origin is not None and Path(origin).resolve() == file):
            del sys.modules[name]


def _execute(path: str | Path, file: Path) -> ModuleType:
    name = f"{USER}{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    specification = importlib.util.spec_from_file_location(name, file)
    if specification is None or specification.loader is None:
        raise ValueError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(specification)
    before, written = sys.modules.get(name), sys.dont_write_bytecode
    sys.modules[name] = module  # before execution, as dataclasses look their module up
    # a compiled file is taken for current when size and second of its source agree: an edit may keep both
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        if before is not None:  # the last version that worked
            sys.modules[name] = before
        raise ValueError(f"{path} fails to import: {type(error).__name__}: {error}") from error
    finally:
        sys.dont_write_bytecode = written
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
    """Return the name of the folder that defines a class: the family of a method."""
    parts = cls.__module__.split(".")
    return parts[-2] if len(parts) > 1 else "user"


def _classes(module: ModuleType, base: type[Kind]) -> dict[str, type[Kind]]:
    return {
        name: cls
        for name, cls in vars(module).items()
        if inspect.isclass(cls)
        and issubclass(cls, base)
        and not inspect.isabstract(cls)
        and cls.__module__ == module.__name__  # not one that the module imports
        and not name.startswith("_")
    }
