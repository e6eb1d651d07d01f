"""Every structure against its dense form, on every array library, with storage and operations counted by hand."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from tnattn.arrays import array_namespace
from tnattn.discovery import subclasses
from tnattn.structured import (
    BandProduct,
    BlockDiagonal,
    BlockSparse,
    Columns,
    Complement,
    Dense,
    Diagonal,
    ExponentialKernel,
    LowRank,
    Product,
    Rows,
    Selection,
    ShiftedBlocks,
    Sparse,
    StructuredMatrix,
    Sum,
    Transposed,
)
from tnattn.structured.band import Band
from tnattn.structured.transform import Cosine, SubsampledTransform, WalshHadamard
from tnattn.testing import ConformanceError, check_structured

BATCH = (2, 3)


@dataclass(frozen=True)
class Made:
    """A matrix with its shape, scalars stored and operations of a product with one column, all counted by hand."""

    make: Callable
    shape: tuple[int, ...]
    storage: int
    flops: int
    fixed: int = 0  # operations that do not depend on the number of columns


def _random(xp, *shape):
    return xp.asarray(np.random.default_rng(list(shape)).standard_normal(shape))


def _indices(xp, high, *shape):
    return xp.asarray(np.random.default_rng(list(shape)).integers(high, size=shape))


def _dense(xp, m, n, batch=()):
    return Dense(_random(xp, *batch, m, n))


MADE = {
    "dense": Made(lambda xp: _dense(xp, 5, 4, BATCH), (*BATCH, 5, 4), 120, 240),
    "dense, one matrix": Made(lambda xp: _dense(xp, 5, 4), (5, 4), 20, 40),
    "dense, one row": Made(lambda xp: _dense(xp, 1, 4), (1, 4), 4, 8),
    "diagonal": Made(lambda xp: Diagonal(_random(xp, *BATCH, 5)), (*BATCH, 5, 5), 30, 30),
    # the shared tall factor is stored once: 5 * 2, and 6 wide ones of 2 * 4; per matrix 2 * 2 * (5 + 4)
    "low rank": Made(lambda xp: LowRank(_random(xp, 5, 2), _random(xp, *BATCH, 2, 4)), (*BATCH, 5, 4), 58, 216),
    # entries and indices; repeated indices add up
    "sparse": Made(
        lambda xp: Sparse(_random(xp, *BATCH, 5, 2), _indices(xp, 4, *BATCH, 5, 2), 4), (*BATCH, 5, 4), 120, 120
    ),
    "sparse, shared pattern": Made(
        lambda xp: Sparse(_random(xp, *BATCH, 5, 2), _indices(xp, 4, 5, 2), 4), (*BATCH, 5, 4), 70, 120
    ),
    # three tiles of two rows, one of them padding, over three columns each; indices are shared by the stack
    "block sparse": Made(
        lambda xp: BlockSparse(_random(xp, *BATCH, 3, 2, 3), _indices(xp, 4, 3, 3), 5, 4), (*BATCH, 5, 4), 117, 216
    ),
    "block sparse, stacked columns": Made(
        lambda xp: BlockSparse(_random(xp, *BATCH, 1, 5, 2), _indices(xp, 4, *BATCH, 1, 2), 5, 4),
        (*BATCH, 5, 4),
        72,
        120,
    ),
    # 6 matrices of 5 x 3 queries and 5 shifts, 2 of 4 x 3 keys; 2 * 5 * 4 * (3 + 1) per matrix
    "exponential kernel": Made(
        lambda xp: ExponentialKernel(_random(xp, *BATCH, 5, 3), _random(xp, 2, 1, 4, 3), _random(xp, *BATCH, 5)),
        (*BATCH, 5, 4),
        144,
        960,
        720,
    ),
    # 6 matrices of 5 x 2 and 2 x 4 entries, and two bounds of 5 rows; tiles of 3 blocks, 2 x 3 entries each
    "band product": Made(
        lambda xp: BandProduct(
            Band(xp.asarray(np.arange(5) - 1), xp.asarray(np.arange(5) + 1), 2, 2, 4),
            _dense(xp, 5, 2, BATCH),
            _dense(xp, 2, 4, BATCH),
        ),
        (*BATCH, 5, 4),
        6 * 18 + 10,
        6 * 18 * (4 + 2),
        6 * 18 * 4,
    ),
    "complement of a band": Made(
        lambda xp: Complement(
            BandProduct(
                Band(xp.asarray(np.arange(5) - 1), xp.asarray(np.arange(5) + 1), 2, 2, 4),
                _dense(xp, 5, 2),
                _dense(xp, 2, 4),
            )
        ),
        (5, 4),
        10,
        # 4 additions of columns; 6 rows of padded blocks over all 3 slots, and 2 additions
        4 + 6 * (2 * 3 + 2),
    ),
    # one level of pairs, 5 rows of one slot each and 2 additions, leaves 2 sums: 10 + 2 + 20
    "complement": Made(
        lambda xp: Complement(Sparse(_random(xp, *BATCH, 5, 1), _indices(xp, 4, *BATCH, 5, 1), 4)),
        (*BATCH, 5, 4),
        30,
        6 * (10 + 2 + 20),
    ),
    # sums over the 4 columns for 3 blocks, 24, the tiles of 2 x 2 once more, 24, and 5 additions
    "complement of tiles": Made(
        lambda xp: Complement(
            BlockSparse(
                _random(xp, *BATCH, 3, 2, 2),
                xp.asarray(np.array([[0, 1], [1, 2], [3, 0]])),
                5,
                4,
                xp.asarray(np.random.default_rng(1).integers(2, size=(*BATCH, 3, 2, 2)) > 0),
            )
        ),
        (*BATCH, 5, 4),
        6 + 72,
        6 * (24 + 24 + 5),
    ),
    "selection": Made(lambda xp: Selection(_indices(xp, 4, 5), 4, _random(xp, 1)), (5, 4), 5, 0),
    "stacked selection": Made(
        lambda xp: Selection(_indices(xp, 4, *BATCH, 5), 4, _random(xp, 1)), (*BATCH, 5, 4), 30, 0
    ),
    # 20 + 9 operations twice, and 6 * 5 additions
    "sum": Made(
        lambda xp: Sum((_dense(xp, 5, 4, BATCH), LowRank(_random(xp, *BATCH, 5, 1), _random(xp, *BATCH, 1, 4)))),
        (*BATCH, 5, 4),
        6 * (20 + 9),
        6 * (2 * 20 + 2 * 9 + 5),
    ),
    "product": Made(
        lambda xp: Product(_dense(xp, 5, 3, BATCH), _dense(xp, 3, 4, BATCH)), (*BATCH, 5, 4), 6 * 27, 6 * 54
    ),
    "columns": Made(
        lambda xp: Columns((_dense(xp, 5, 1, BATCH), _dense(xp, 5, 3, BATCH))), (*BATCH, 5, 4), 6 * 20, 6 * (40 + 5)
    ),
    "rows": Made(lambda xp: Rows((_dense(xp, 2, 4, BATCH), _dense(xp, 3, 4, BATCH))), (*BATCH, 5, 4), 120, 240),
    "rows, one shared": Made(lambda xp: Rows((_dense(xp, 2, 4), _dense(xp, 3, 4, BATCH))), (*BATCH, 5, 4), 80, None),
    "block diagonal": Made(
        lambda xp: BlockDiagonal((_dense(xp, 2, 1, BATCH), _dense(xp, 3, 3, BATCH))), (*BATCH, 5, 4), 66, 132
    ),
    # length 5, three levels of 5 / 2 operations per entry, signs and scale
    "cosine": Made(
        lambda xp: SubsampledTransform(Cosine(), _random(xp, 5), _indices(xp, 5, 4), 0.5), (5, 4), 9, 37 + 9
    ),
    "hadamard": Made(
        lambda xp: SubsampledTransform(WalshHadamard(), _random(xp, 5), _indices(xp, 8, 4), 0.5), (5, 4), 9, 60 + 9
    ),
    # two blocks of 3 x 2 whose rows overlap, the second one cut off at the top
    "placed": Made(lambda xp: ShiftedBlocks(_dense(xp, 3, 2, (2, *BATCH)), (1, -1), 5), (*BATCH, 5, 4), 72, 144),
    "placed, one matrix everywhere": Made(
        lambda xp: ShiftedBlocks(_dense(xp, 3, 2, BATCH), (1, -1), 5, shared=True), (*BATCH, 5, 4), 36, 144
    ),
    "transposed": Made(lambda xp: Transposed(_dense(xp, 4, 5, BATCH)), (*BATCH, 5, 4), 120, 240),
    "nested": Made(
        lambda xp: Columns(
            (Product(Diagonal(_random(xp, 5)), _dense(xp, 5, 2)), Selection(_indices(xp, 2, 5), 2, _random(xp, 1)))
        ),
        (5, 4),
        5 + 10 + 5,
        5 + 20 + 0 + 5,
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_a_structure_is_the_matrix_that_it_shows(xp, name):
    made = MADE[name]
    matrix = made.make(xp)
    assert tuple(matrix.shape) == made.shape
    check_structured(matrix, storage=made.storage)


@pytest.mark.parametrize("name", [name for name in MADE if MADE[name].flops is not None])
def test_operations_of_a_product_are_counted(xp, name):
    matrix = MADE[name].make(xp)
    assert matrix.matmul_flops(1) == MADE[name].flops
    assert matrix.matmul_flops(7) == 7 * (MADE[name].flops - MADE[name].fixed) + MADE[name].fixed


@pytest.mark.parametrize("name", MADE)
def test_single_precision_stays(xp, name):
    single = _cast(MADE[name].make(xp), "float32")
    assert "float32" in str((single @ xp.asarray(np.ones((4, 2) if name != "diagonal" else (5, 2)), "float32")).dtype)
    check_structured(single)


def test_every_structure_of_the_vocabulary_is_checked(xp):
    checked = {type(made.make(xp)).__name__ for made in MADE.values()}
    missing = set(subclasses("tnattn.structured", StructuredMatrix)) - checked
    # the tests of tensors, Kronecker products and operators check their own
    others = {"TensorMatrix", "TTMatrix", "Kronecker", "KroneckerSum", "KhatriRao", "HostOperator", "EntriesOperator"}
    assert missing <= others


def test_a_shared_matrix_is_stored_once(xp):
    shared = _dense(xp, 5, 4)
    assert Sum((shared, shared)).storage == 20


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda xp: Dense(_random(xp, 5)), "two axes"),
        (lambda xp: LowRank(_random(xp, 5, 2), _random(xp, 3, 4)), "must agree"),
        (lambda xp: Sparse(_random(xp, 5, 2), _indices(xp, 4, 5, 3), 4), "share"),
        (lambda xp: Sum((_dense(xp, 5, 4), _dense(xp, 4, 5))), "one shape"),
        (lambda xp: Product(_dense(xp, 5, 4), _dense(xp, 5, 4)), "cannot be multiplied"),
        (lambda xp: Columns((_dense(xp, 5, 4), _dense(xp, 4, 4))), "rows"),
        (lambda xp: Rows((_dense(xp, 5, 4), _dense(xp, 5, 3))), "columns"),
        (lambda xp: ShiftedBlocks(_dense(xp, 3, 2, (2,)), (0, 3), 5), "do not lie"),
        (lambda xp: ShiftedBlocks(_dense(xp, 3, 2, (2,)), (0,), 5), "a stack of 2"),
    ],
)
def test_parts_that_do_not_fit_are_refused(xp, call, message):
    with pytest.raises(ValueError, match=message):
        call(xp)


class _Broken(Dense):
    """A dense matrix with a planted mistake."""


def _with(name, value):
    return type("Broken", (_Broken,), {name: value})(np.random.default_rng(0).standard_normal((2, 5, 4)))


@pytest.mark.parametrize(
    ("law", "broken"),
    [
        ("product", _with("_matmul", lambda self, x: self.array @ x * (1 + 1e-9))),
        ("product", _with("_matmul", lambda self, x: (self.array @ x)[:1])),
        ("product", _with("_matmul", lambda self, x: (self.array @ x).astype("f4"))),
        ("adjoint", _with("_rmatmul", lambda self, y: self.array.mT @ y + 1e-9)),
        ("transpose", _with("_rmatmul", lambda self, y: -self.array.mT @ y)),
        ("dense", _with("shape", property(lambda self: (2, 5, 5)))),
        ("entries", _with("entries", lambda self, rows, columns: self.array[..., :3, :2])),
        ("flops", _with("matmul_flops", lambda self, columns: 7.5)),
        ("flops", _with("matmul_flops", lambda self, columns: 40 - columns)),
        ("storage", _with("storage", property(lambda self: 40.0))),
    ],
)
def test_a_broken_structure_is_rejected(law, broken):
    with pytest.raises(ConformanceError, match=law):
        check_structured(broken)


def test_a_wrong_storage_is_rejected():
    with pytest.raises(ConformanceError, match="by hand they are 19"):
        check_structured(Dense(np.ones((5, 4))), storage=19)


def test_the_shape_of_a_deep_nesting_takes_no_power_of_the_depth():
    """Thirty levels would take 2^30 evaluations of a shape if every level asked its parts twice."""
    matrix: StructuredMatrix = Dense(np.ones((2, 2)))
    for _ in range(30):
        matrix = Columns((Product(matrix, Dense(np.full((matrix.shape[-1], 1), 0.5))), Dense(np.ones((2, 1)))))
    assert matrix.shape == (2, 2)
    assert matrix.matmul_flops(1) > 0


def _cast(matrix, dtype):
    """Return a structure with its floating arrays in another dtype."""
    if isinstance(matrix, Transposed):
        return Transposed(_cast(matrix.mT, dtype))

    def cast(value):
        if isinstance(value, StructuredMatrix):
            return _cast(value, dtype)
        if isinstance(value, tuple):
            return tuple(cast(part) for part in value)
        if hasattr(value, "dtype") and "float" in str(value.dtype):
            xp = array_namespace(value)
            return xp.astype(value, getattr(xp, dtype))
        return value

    return type(matrix)(**{f.name: cast(getattr(matrix, f.name)) for f in dataclasses.fields(matrix)})
