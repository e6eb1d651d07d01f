"""A user's package with one file of each kind: each is found, listed, checked and, the method, ranked.

Nothing else is edited: no list, no registry, no table of the packages.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from theory import cli
from theory.comparison.compare import compare
from theory.statement.bound import Bound
from theory.statistics.verdict import Verdict
from theory.studies.own_definitions import KINDS, own_definitions, own_theorems
from theory.testing import check_bound
from tnattn import discovery, testing
from tnattn.gallery import matrix_with_spectrum, polynomial_spectrum

EXAMPLE = Path(__file__).parents[1] / "examples/pooled_keys.py"
PACKAGE = "extension_of_a_user"
FILES = {
    "attention_method": EXAMPLE.read_text().partition("# %% Check it")[0],
    "matrix_method": '''
from dataclasses import dataclass

from tnattn import MatrixMethod
from tnattn.arrays import array_namespace
from tnattn.randnla.base import rank_budget
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVDResult


@dataclass(frozen=True)
class DenseSVD(MatrixMethod):
    """The singular value decomposition of a dense matrix, truncated: O(m n min(m, n))."""

    rank: int = rank_budget(4)

    def __post_init__(self):
        if self.rank < 1:
            raise ValueError(f"rank is {self.rank}; a positive number is needed")

    def factorise(self, a, *, rng):
        if self.rank > min(a.shape[-2:]):
            raise ValueError(f"rank {self.rank} exceeds min(m, n) of a {a.shape} stack; reduce it")
        dense = a.to_dense()
        u, s, vt = array_namespace(dense).linalg.svd(dense, full_matrices=False)
        return RandomizedSVDResult(u[..., : self.rank], s[..., : self.rank], vt[..., : self.rank, :])
''',
    "sketch": '''
from dataclasses import dataclass

from tnattn import Dense, Sketch
from tnattn.arrays import require_rng, uniform
from tnattn.randnla.sketches.base import admissible_sizes


@dataclass(frozen=True)
class UniformEntries(Sketch):
    """Independent entries, uniform between -sqrt(3 / size) and sqrt(3 / size)."""

    def draw(self, n, size, *, rng, like):
        n, size = admissible_sizes(n, size, like)
        entries = uniform(require_rng(rng, "a uniform sketch"), (n, size), like=like)
        return Dense((2 * entries - 1) * (3 / size) ** 0.5)
''',
    "decomposition": '''
from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import array_namespace
from tnattn.decomposition.multilinear import mode_product
from tnattn.decomposition.subspace import mode_subspace
from tnattn.decomposition.tucker.tucker_truncation import TuckerTruncation
from tnattn.structured.tucker import TuckerTensor


@dataclass(frozen=True)
class PlainHOSVD(TuckerTruncation):
    """The truncated higher-order singular value decomposition, without a bound on its error."""

    certifies: ClassVar = False
    quasi_optimal: ClassVar = True

    def decompose(self, tensor, *, rng):
        if self.ranks is None:
            raise ValueError("no ranks are given; give ranks")
        sizes = tuple(tensor.shape[-self.order :])
        bases = [
            mode_subspace(tensor, mode, order=self.order, rank=rank, energy=None).basis
            for mode, rank in enumerate(self.ranks_for(sizes))
        ]
        core = tensor
        for mode, basis in enumerate(bases):
            core = mode_product(core, array_namespace(basis).matrix_transpose(basis), mode, order=self.order)
        return TuckerTensor(core, tuple(bases))
''',
    "column_selection": '''
from dataclasses import dataclass

from tnattn import ColumnSelection
from tnattn.arrays import array_namespace
from tnattn.randnla.columns.selection import admissible_columns


@dataclass(frozen=True)
class LongestColumns(ColumnSelection):
    """The columns of largest norm."""

    def select(self, a, size, *, rng):
        size = admissible_columns(size, a.shape[-1])
        dense = a.to_dense()
        xp = array_namespace(dense)
        return xp.argsort(xp.sum(dense * dense, axis=-2), axis=-1, descending=True, stable=True)[..., :size]
''',
    "bound": '''
import numpy as np

from extension_of_a_user.matrix_method import DenseSVD
from theory.statement import errors
from theory.statement.bound import bound, require
from theory.statement.source import Source
from tnattn.gallery import gap_spectrum, matrix_with_spectrum, polynomial_spectrum


def sharp(rng):
    return DenseSVD(rank=4), matrix_with_spectrum(gap_spectrum(4, 20), (24, 20), rng)


def slow(rng):
    return DenseSVD(rank=3), matrix_with_spectrum(polynomial_spectrum(20), (20, 24), rng)


@bound(
    method=DenseSVD,
    error=errors.matrix_frobenius,
    source=Source("Eckart & Young 1936"),
    instances=(sharp, slow),
)
def dense_svd_tail(method, a):
    """||A - A_k||_F <= (sum_{j>k} s_j^2)^(1/2)."""
    require(method.rank <= min(a.shape[-2:]), "k <= min(m, n)")
    return np.linalg.norm(errors.spectrum_of(a)[..., method.rank :], axis=-1)
''',
}
NAMES = {
    "attention method": "PooledKeys",
    "matrix method": "DenseSVD",
    "decomposition": "PlainHOSVD",
    "sketch": "UniformEntries",
    "column selection": "LongestColumns",
}
CHECKS = {
    "attention method": testing.check_method,
    "matrix method": testing.check_matrix_method,
    "decomposition": testing.check_decomposition,
    "sketch": testing.check_sketch,
    "column selection": testing.check_selection,
}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The folder of a package with a file of each kind, importable while this module runs."""
    folder = tmp_path_factory.mktemp("extensions") / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Extensions of a user."""\n')
    for name, text in FILES.items():
        (folder / f"{name}.py").write_text(text)
    sys.path.insert(0, str(folder.parent))
    yield folder
    while str(folder.parent) in sys.path:
        sys.path.remove(str(folder.parent))
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def run(*words):
    with pytest.raises(SystemExit) as left:
        cli.main([str(word) for word in words])
    assert left.value.code == 0


def printed(capsys, *words):
    run(*words, "--json")
    return json.loads(capsys.readouterr().out)


def test_there_is_a_file_and_a_check_of_every_kind():
    assert list(KINDS) == list(NAMES) == list(CHECKS)
    assert set(FILES) == {kind.replace(" ", "_") for kind in KINDS} | {"bound"}


def test_each_is_found_and_nothing_else(package):
    assert {kind: name for kind, name, _ in own_definitions(PACKAGE)} == NAMES
    assert list(own_theorems(PACKAGE)) == ["dense_svd_tail"]


@pytest.mark.parametrize("kind", NAMES)
def test_each_is_found_in_its_file_and_is_none_of_another_kind(package, kind):
    found = list(own_definitions(str(package / f"{kind.replace(' ', '_')}.py")))
    assert [(other, name) for other, name, _ in found] == [(kind, NAMES[kind])]


@pytest.mark.parametrize("kind", NAMES)
def test_each_is_checked(package, kind):
    (cls,) = discovery.subclasses(PACKAGE, KINDS[kind]).values()
    laws = [law.name for law in testing.LAWS if not law.slow] if kind == "attention method" else None
    report = CHECKS[kind](cls(), laws=laws)
    assert len(report.of("holds")) >= 5
    assert report.of("violated") == ()


@pytest.mark.slow
def test_the_method_obeys_all_laws(package):
    (cls,) = discovery.subclasses(PACKAGE, KINDS["attention method"]).values()
    report = testing.check_method(cls(), require_waived_violations=True)
    assert {finding.law for finding in report.of("waived")} == set(cls.waives)


def test_the_theorem_is_checked_and_judged(package):
    theorem = own_theorems(PACKAGE)["dense_svd_tail"]
    assert check_bound(theorem).of("violated") == ()
    rng = np.random.default_rng(0)
    method = discovery.subclasses(PACKAGE, KINDS["matrix method"])["DenseSVD"](rank=2)
    (comparison,) = compare(method, matrix_with_spectrum(polynomial_spectrum(8), (9, 8), rng), [theorem], rng=rng)
    assert comparison.verdict is Verdict.SUPPORTED


@pytest.mark.parametrize("by", ["folder", "name"])
def test_all_are_listed(package, capsys, by):
    reference = package if by == "folder" else PACKAGE
    listed = {entry.get("kind", "attention method"): entry["name"] for entry in printed(capsys, "methods", reference)}
    assert listed == NAMES
    (entry,) = printed(capsys, "bounds", reference)
    assert (entry["name"], entry["about"]) == ("dense_svd_tail", "DenseSVD")


def test_a_list_is_a_table_too(package, capsys):
    run("methods", package)
    text = capsys.readouterr().out
    assert all(name in text for name in NAMES.values())
    run("methods", package / "sketch.py")
    assert "Definitions" in capsys.readouterr().out


def test_without_a_file_the_lists_are_those_of_the_packages(package, capsys):
    assert not {entry["name"] for entry in printed(capsys, "methods")} & set(NAMES.values())
    assert "dense_svd_tail" not in {entry["name"] for entry in printed(capsys, "bounds")}


@pytest.mark.slow
def test_the_method_is_ranked(package, capsys, tmp_path):
    problem = ["needle", "--n", "32", "--d", "8", "--heads", "2", "--budgets", "4,8,16", "--trials", "1"]
    own = f"{package / 'attention_method.py'}:PooledKeys"
    results = printed(capsys, "compare", *problem, "--workers", "0", "--methods", own, "--out", tmp_path)
    assert {line["family"] for line in results["lines"] if line["method"] == "PooledKeys"} == {"user"}
    assert "PooledKeys" in json.dumps(results["rankings"])


def test_a_package_that_does_not_exist_is_named(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["methods", "no_such_package"])
    assert left.value.code == 2
    assert "'no_such_package' is no package" in capsys.readouterr().err.replace("\n", " ")
    with pytest.raises(ValueError, match="'no_such_package' is no package"):
        list(own_definitions("no_such_package"))
    with pytest.raises(ValueError, match="is not a Python file"):
        discovery.instances("absent.py", Bound)
