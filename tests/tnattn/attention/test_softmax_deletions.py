"""Every statement of the streamed sweep is needed: without it, some result differs from extended precision.

A statement is deleted from the source of a function, and its code object swapped in. Statements that only save time are
named in SPARED, each with its reason.
"""

import ast
import inspect
import textwrap
from types import CodeType

import numpy as np
import pytest
from fixtures import beside

from tnattn.attention import few_queries
from tnattn.attention.column_scaling import keeps_digits
from tnattn.attention.masked_scores import Scores, at
from tnattn.attention.masks import CausalMask, ExplicitMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.score_tiles import ScoreTiles
from tnattn.attention.softmax import SoftmaxOperator, _finite

pytestmark = pytest.mark.slow
FUNCTIONS = [
    SoftmaxOperator._sweep,
    SoftmaxOperator._checked,
    inspect.unwrap(SoftmaxOperator._rmatmul),
    SoftmaxOperator._product,
    SoftmaxOperator._swept,
    SoftmaxOperator._divided,
    SoftmaxOperator.rows,
    few_queries.few_queries,
    few_queries._scores,
    few_queries._stacked,
    keeps_digits,
    ScoreTiles._sides,
    ScoreTiles.heads,
    ScoreTiles.chunks,
    Scores.query,
    Scores.block,
    Scores._cut,
    Scores.rows,
    Scores.sees,
    Scores._added,
    Scores._finished,
    Scores.capped,
    _finite,
    at,
]
SPARED = {
    ("SoftmaxOperator._sweep", "assert mass is not None"): "for the type checker: a sweep has a chunk",
    ("SoftmaxOperator._sweep", "spare = _larger(spare, kernel)"): "memory of a tile serves the next one",
    ("SoftmaxOperator._sweep", "if spare is not None and runs_on_host(spare):"): "the same, for the next sweep",
    ("SoftmaxOperator._sweep", "memory.append(spare)"): "the same",
    ("SoftmaxOperator._product", "if (found := few_queries(self._problem, x)) is not None:"): "saves the sweep",
    ("SoftmaxOperator._product", "return found"): "the same",
    (
        "_scores",
        "if problem.grouped_mask.coverage(rows, columns, n_q=problem.n_q, n_k=problem.n_k) == 'all':",
    ): "saves the mask of keys that it does not cut",
    ("_scores", "return scores"): "the same",
    ("keeps_digits", "if bool(xp.all(finite & large)):"): "saves a pass over the factor",
    ("keeps_digits", "return True"): "the same",
    (
        "SoftmaxOperator._checked",
        "if not self.blocks.unsafe or not bool(xp.any(mass == 0)):",
    ): "saves a pass over the mask",
    ("SoftmaxOperator._checked", "return mass"): "the same",
    (
        "Scores.block",
        "if problem.grouped_mask.coverage(rows, columns, n_q=problem.n_q, n_k=problem.n_k) == 'all':",
    ): "saves the mask of a tile that it does not cut",
    ("Scores.block", "return self._finished(scores, None)"): "the same",
    ("Scores._finished", "if not self.unsafe:"): "saves two passes where no score can overflow",
    ("Scores._finished", "return scores"): "the same",
}


random = beside(__file__, "test_softmax.py")


def statements(tree):
    """Return the places (block, index) of the statements of a function, docstrings and refusals left out."""
    places = []
    for node in ast.walk(tree):
        for block in (getattr(node, "body", None), getattr(node, "orelse", None)):
            if not isinstance(block, list) or isinstance(node, ast.Module):
                continue
            for i, statement in enumerate(block):
                text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
                refusal = isinstance(statement, ast.Raise) or (
                    isinstance(statement, ast.If) and isinstance(statement.body[0], ast.Raise)
                )
                if not text and not refusal:
                    places.append((block, i))
    return places


def without(function, position):
    """Return the code of a function without one of its statements, and the first line of that statement."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    block, i = statements(tree)[position]
    line = ast.unparse(block[i]).splitlines()[0]
    block[i] = ast.copy_location(ast.Pass(), block[i])
    tree.body[0].decorator_list = []
    # super() reads the class from a cell of the enclosing scope, here the argument of a function around the method
    scope = ast.parse("def within(__class__): ...").body[0]
    scope.body = tree.body
    if function.__code__.co_freevars:  # also where the statement with super() is the one that is missing
        tree.body[0].body += ast.parse("if False: __class__").body
    # under "from __future__ import annotations", as the module; other names of the function stay global
    module = ast.fix_missing_locations(ast.Module([scope], []))
    outer = inner_code(compile(module, function.__code__.co_filename, "exec", flags=0x1000000))
    return inner_code(outer), line


def inner_code(code):
    """Return the code of the function that a piece of code defines."""
    return next(c for c in code.co_consts if isinstance(c, CodeType))


def examine():
    """Raise where a result is wrong: random problems on two libraries, and both ends of the exponent range."""
    strict = pytest.importorskip("array_api_strict")
    for seed in range(60):
        dtype = ("float32", "float64")[seed % 2]
        case = random.oracle.random_case(seed, dtype)
        as_ = np.asarray if seed % 6 else strict.asarray
        # tiles of the case, of the library's own size, or few queries in one pass
        options = {} if seed % 4 else {"tile": None}
        random.hold_against_oracle(case, random.posed(case, as_, **options), as_, float(np.finfo(dtype).eps))
    q = np.asarray([[[3e19], [0.0], [1.0]]], "float32")
    k = np.asarray([[[3e19], [0.0], [-1e19], [-3e19]]], "float32")
    allowed = np.asarray([[True, False, True, True], [False] * 4, [True] * 4])
    problem = AttentionProblem(q, k, k, scale=1.0, mask=ExplicitMask(allowed), tile=2)
    assert problem.bad_rows.tolist() == [1]
    assert problem.empty_rows == 1
    assert np.isnan(problem.dense_weights()[0, 0]).all()
    lost = AttentionProblem(q[:, :1], k[:, 3:], k[:, 3:], scale=1.0, tile=2)
    assert np.isnan(lost.output).all()
    assert np.isnan(lost.dense_weights()).all()
    hidden = AttentionProblem(
        q[:, [0, 0]], k[:, :2], k[:, :2], scale=1.0, mask=ExplicitMask(np.asarray([[False, True]]))
    )
    assert not hidden.bad_rows.any()
    most = np.full((1, 50, 1), np.finfo("float32").max)
    for size in (1.0, 30.0):
        q = np.linspace(-size, size, 50, dtype="float32").reshape(1, 50, 1)
        np.testing.assert_allclose(AttentionProblem(q, q, most, tile=8).output / most, 1, rtol=1e-4)
        few = AttentionProblem(q[:, ::5], q, most)
        np.testing.assert_allclose(few.output / most[:, :10], 1, rtol=1e-4)
    examine_one_pass(strict.asarray)
    examine_plan(strict.asarray)
    empty = AttentionProblem(*(np.ones((0, 2, 3, 4)),) * 3, mask=CausalMask())
    assert empty.output.shape == (0, 2, 3, 4)
    assert (empty.weights.mT @ empty.queries).shape == (0, 2, 1, 3, 4)


def examine_one_pass(as_):
    """Raise where few queries are not answered in one pass, or problems are that it cannot serve."""
    x, y = (np.random.default_rng(0).standard_normal((2, n, 3)) for n in (4, 9))
    y[..., 2] = 0  # zeros are no underflow
    problem = AttentionProblem(as_(x), as_(y), as_(y))
    assert few_queries.few_queries(problem, problem.values) is not None
    assert few_queries.few_queries(problem, None) is not None
    many, tiled = AttentionProblem(*(np.zeros((1, 20, 2)),) * 3), AttentionProblem(y, y, y, tile=8)
    assert few_queries.few_queries(many, many.values) is few_queries.few_queries(tiled, tiled.values) is None
    half = AttentionProblem(*(np.zeros((1, n, 2), "float16") for n in (1, 8192)), np.ones((1, 8192, 2), "float16"))
    np.testing.assert_array_equal(half.output, 1)
    assert (AttentionProblem(y, y, y).weights @ np.ones((9, 1), "float32")).dtype == np.float32


def examine_plan(as_):
    """Raise where tiles are not those that suit the place."""

    def plan(n_q, n_k, *, heads=1, as_=np.asarray, **options):
        return ScoreTiles(AttentionProblem(*(as_(np.zeros((heads, n, 1), "f4")) for n in (n_q, n_k, n_k)), **options))

    full, causal = plan(1100, 1100, heads=6), plan(1100, 1100, mask=CausalMask())
    assert [full.rows[0], *full.chunks(full.rows[0])] == [slice(0, 512), slice(0, 1024), slice(1024, 1100)]
    assert [causal.rows[0], *causal.chunks(causal.rows[0])] == [slice(0, 256)] * 2
    assert causal.chunks(causal.rows[-1]) == [slice(0, 1024), slice(1024, 1100)]
    assert full.heads((2, 3)) == [(i, j) for i in range(2) for j in range(3)]
    assert len(plan(256, 256).heads((2, 6))) == 6  # two of them hold 2^17 scores
    assert plan(64, 64).heads((2, 6)) == [(slice(0, 2), slice(0, 6))]
    assert plan(128, 128).heads((2, 8)) == [(0, slice(0, 8)), (1, slice(0, 8))]
    tiled = plan(9, 9, tile=4)
    assert [tiled.rows[0], tiled.chunks(tiled.rows[0])[0]] == [slice(0, 4)] * 2
    device = plan(20, 1 << 19, as_=as_)
    assert device.heads((2, 6)) == [()]
    assert [device.rows[0], device.chunks(device.rows[0])[0]] == [slice(0, 20), slice(0, (1 << 23) // 20)]


CASES = [
    pytest.param(function, position, id=f"{function.__qualname__}-{position}")
    for function in FUNCTIONS
    for position in range(len(statements(ast.parse(textwrap.dedent(inspect.getsource(function))))))
]


def test_the_examination_passes_on_the_code_as_it_is():
    examine()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function, position", CASES)
def test_a_deleted_statement_is_noticed(monkeypatch, function, position):
    code, line = without(function, position)
    monkeypatch.setattr(function, "__code__", code)
    spared = (function.__qualname__, line) in SPARED
    try:
        examine()
    except Exception:
        assert not spared, f"{line!r} is needed: take it out of SPARED"
    else:
        assert spared, f"nothing notices that {line!r} is deleted"
