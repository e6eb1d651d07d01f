"""The constructor of structured matrices: what it takes, and what it refuses with which words."""

import numpy as np
import pytest
import scipy.sparse
from scipy.sparse.linalg import aslinearoperator

from tnattn.structured.conversion import as_structured, checked_array, require_precision, worth_forming
from tnattn.structured.dense import Dense
from tnattn.structured.gaussian_kernel import GaussianKernel
from tnattn.structured.host_operator import HostOperator
from tnattn.structured.implicit import EntriesOperator
from tnattn.structured.low_rank import LowRank

A = np.arange(12.0).reshape(3, 4)
TAKEN = {
    "array": (A, Dense),
    "foreign byte order": (A.astype(">f8"), Dense),
    "sparse matrix": (scipy.sparse.csr_matrix(A), HostOperator),
    "sparse array": (scipy.sparse.coo_array(A), HostOperator),
    "operator": (aslinearoperator(A), HostOperator),
    "structured": (LowRank(A, np.eye(4)), LowRank),
}


@pytest.mark.parametrize("name", TAKEN)
def test_every_kind_of_matrix_is_the_same_matrix(name):
    given, cls = TAKEN[name]
    matrix = as_structured(given)
    assert type(matrix) is cls
    np.testing.assert_array_equal(matrix.to_dense(), A)


def test_kernel_entries_become_an_operator():
    assert isinstance(as_structured(GaussianKernel(A)), EntriesOperator)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ([[1.0]], TypeError, "b is a list; pass an array"),
        (np.ones((2, 2), np.int64), TypeError, "b"),
        (np.ones((2, 2), np.float16), TypeError, "convert it to float32 or float64"),
        (np.ma.masked_array(A), TypeError, "masked array"),
        (np.ones(3), ValueError, "at least two axes"),
        (np.ones((0, 3)), ValueError, "length 0"),
        (np.full((2, 2), np.nan), ValueError, "finite"),
        (scipy.sparse.csr_array(np.diag([1.0, np.inf])), ValueError, "b.data"),
        (LowRank(np.ones((2, 1)), np.full((1, 2), np.inf)).mT, ValueError, "an array of b"),
    ],
)
def test_the_argument_is_named_in_every_refusal(given, error, words):
    with pytest.raises(error, match=words):
        as_structured(given, "b")


def test_arrays_are_brought_to_native_byte_order():
    assert checked_array(A.astype(">f8"), "b").dtype.isnative
    with pytest.raises(TypeError, match="float32 or float64"):
        require_precision(np.ones(2, np.float16), "b")


@pytest.mark.parametrize(("n", "formed"), [(1024, True), (1025, False)])
def test_implicit_matrices_are_formed_up_to_a_million_entries(n, formed):
    assert worth_forming(LowRank(np.ones((n, 1)), np.ones((1, n)))) is formed
    assert worth_forming(Dense(np.broadcast_to(1.0, (n, n))))
