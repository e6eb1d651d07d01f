"""Source files that a Python file imports, transitively, and a fingerprint of all of them.

Imports are read from the text, those inside functions too, so that nothing is run. Files of the folder (and of other
folders on the path that hold no installed packages) are followed; an installed package counts by its version; the
standard library and ``tnattn`` and ``theory`` themselves do not count.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from functools import lru_cache
from importlib import metadata
from importlib.machinery import all_suffixes
from pathlib import Path

__all__ = ["fingerprint", "imported_files"]

OWN = ("tnattn", "theory")  # their sources are part of every key by themselves
INSTALLED = ("site-packages", "dist-packages")  # folders of pip and of Debian
# Functions that import the module named by their first argument.
IMPORTERS = ("import_module", "__import__")


def imported_files(file: str | Path, name: str = "") -> dict[str, Path]:
    """Return the files that a Python file consists of, itself included, by dotted module name.

    Parameters
    ----------
    file : path-like
    name : str
        Dotted name of the module where it belongs to a package; the file's stem otherwise.

    Notes
    -----
    Not found: names that are computed while the program runs. A file that is no valid Python imports nothing.
    """
    return _reached(Path(file).resolve(), name)[0]


def fingerprint(file: str | Path, name: str = "") -> str:
    """Return the SHA-256 of a Python file and of everything that it imports, as 64 hexadecimal digits.

    Parameters
    ----------
    file : path-like
    name : str
        As for `imported_files`.

    Notes
    -----
    Independent of the folder's place: names are relative to it. An installed package enters with its version, or with
    its first file where it has no distribution of its own name.
    """
    files, installed = _reached(Path(file).resolve(), name)
    digest = hashlib.sha256()
    for label, path in sorted(files.items()):
        # null bytes separate fields, so that no two lists of files have one text
        digest.update(f"{label}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode())
    for package in sorted(installed):
        digest.update(f"{package}\0{_version(package)}\0".encode())
    return digest.hexdigest()


def _reached(file: Path, name: str) -> tuple[dict[str, Path], set[str]]:
    """Return the followed files by name, and the names of the installed packages beside them."""
    name = name or file.stem
    root = file.parents[name.count(".") + (file.name == "__init__.py")]
    files, installed, waiting = {name: file}, set[str](), [(name, file, root)]
    while waiting:
        module, path, folder = waiting.pop()
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for wanted in _imports(_text(path), package):
            home = _home(wanted, folder, module)
            if home is None:
                continue
            # versions identify installed packages; following their files would read thousands
            if _is_installed(home) and wanted.partition(".")[0] != module.partition(".")[0]:
                installed.add(wanted.partition(".")[0])
                continue
            for label, found in _along(wanted, home):
                if label not in files:
                    files[label] = found
                    waiting.append((label, found, home))
    return files, installed


def _text(path: Path) -> bytes:
    return path.read_bytes() if path.suffix == ".py" else b""  # a compiled module is hashed, not read


@lru_cache(maxsize=4096)
def _imports(text: bytes, package: str) -> frozenset[str]:
    """Return the dotted names that a source text imports; of ``from a import b`` both a and a.b."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return frozenset()  # the import itself reports the fault
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*filter(None, parents), *([node.module] if node.module else [])])
            names.update(f"{base}.{alias.name}".removeprefix(".") for alias in node.names)
            names.add(base)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in IMPORTERS and isinstance(node.args[0].value, str):
                names.add(node.args[0].value)
    return frozenset(name for name in names if name)


def _home(name: str, folder: Path, importer: str) -> Path | None:
    """Return the folder in which a name's first part lies: the importer's own, or one on the path."""
    top = name.partition(".")[0]
    if top in OWN:
        return None
    same = top == importer.partition(".")[0]
    if (same or not _is_installed(folder)) and _first(folder, top) is not None:
        return folder
    return None if top in sys.stdlib_module_names else _on_the_path(top)


@lru_cache(maxsize=1024)
def _on_the_path(top: str) -> Path | None:
    try:
        found = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return None
    if found is None or found.origin in (None, "built-in", "frozen"):
        return None
    return Path(str(found.origin)).resolve().parents[bool(found.submodule_search_locations)]


def _is_installed(folder: Path) -> bool:
    return any(part in INSTALLED for part in folder.parts)


def _first(folder: Path, part: str) -> Path | None:
    """Return the file of a module or package in a folder, or the folder of a package without a file."""
    package = folder / part
    candidates = [package / "__init__.py", *(folder / f"{part}{suffix}" for suffix in all_suffixes())]
    found = next((path for path in candidates if path.is_file()), None)
    return found or (package if package.is_dir() else None)


def _along(name: str, home: Path) -> list[tuple[str, Path]]:
    """Return the files of a dotted name, its packages first, as far as there are any."""
    found, folder, label = [], home, ""
    for part in name.split("."):
        path = _first(folder, part)
        if path is None:
            break
        label, folder = f"{label}.{part}".removeprefix("."), folder / part
        if path.is_file():
            found.append((label, path.resolve()))
    return found


@lru_cache(maxsize=256)
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        home = _on_the_path(package)
        first = _first(home, package) if home is not None else None
        return hashlib.sha256(first.read_bytes()).hexdigest() if first is not None and first.is_file() else ""
