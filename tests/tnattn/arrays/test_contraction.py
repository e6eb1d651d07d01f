"""Contractions: values, plans and refusals, on every ring."""

import numpy as np
import pytest
from fixtures import rng

from tnattn.arrays import contract, dtype_name, to_host
from tnattn.arrays.contraction import _plan

EXPRESSIONS = {
    "ij,jk->ik": [(3, 4), (4, 5)],
    "ij,jk->ki": [(3, 4), (4, 5)],
    "hij,hjk->hik": [(2, 3, 4), (2, 4, 5)],
    "hij,hkj->ikh": [(2, 3, 4), (2, 5, 4)],
    "ij->ji": [(3, 4)],
    "ij->j": [(3, 4)],
    "ij->": [(3, 4)],
    "ij,ij->ij": [(3, 4), (3, 4)],
    "ij,ij->i": [(3, 4), (3, 4)],
    "ij,ij->": [(3, 4), (3, 4)],
    "i,j->ij": [(3,), (4,)],
    "i,j->ji": [(3,), (4,)],
    "ij,kj->": [(3, 4), (5, 4)],
    "hij,i,j->hi": [(2, 3, 4), (3,), (4,)],
    "abc,ia,jb,kc->ijk": [(2, 3, 4), (5, 2), (6, 3), (7, 4)],
    "ir,jr,kr->ijk": [(3, 2), (4, 2), (5, 2)],
    "ir,jr,r->ij": [(3, 2), (4, 2), (2,)],
    "aib,bjc,ckd->aijkd": [(1, 3, 2), (2, 4, 3), (3, 5, 1)],
    "...ij,...jk->...ik": [(2, 3, 4, 5), (2, 3, 5, 6)],
    "...qd,...kd->...qk": [(2, 3, 6, 4, 5), (2, 3, 1, 7, 5)],
    "...ij,j->...i": [(2, 3, 4), (4,)],
    "...ij,...j->...": [(2, 3, 4), (4,)],
    "h...i,hi->h...": [(2, 3, 4), (2, 4)],
}


@pytest.mark.parametrize("subscripts", EXPRESSIONS)
def test_contraction_is_the_sum_of_products(xp, subscripts, assert_close):
    host = [rng(i).standard_normal(shape) for i, shape in enumerate(EXPRESSIONS[subscripts])]
    arrays = [xp.asarray(x) for x in host]
    expected = xp.asarray(np.einsum(subscripts, *(to_host(x).astype(np.float64) for x in arrays)))
    scale = np.einsum(subscripts, *(np.abs(x) for x in host)).max()
    assert_close(contract(subscripts, *arrays), expected, rtol=0, atol=100 * xp.eps() * scale)


def test_contraction_keeps_float32(xp):
    x = xp.asarray(np.ones((3, 3)), "float32")
    assert dtype_name(contract("ij,jk,kl->il", x, x, x).dtype) == "float32"


def test_contraction_of_empty_axes_is_zero(xp):
    product = contract("ij,jk->ik", xp.asarray(np.ones((2, 0))), xp.asarray(np.ones((0, 3))))
    np.testing.assert_array_equal(to_host(product), np.zeros((2, 3)))


def test_contraction_plans_a_chain_from_its_cheap_end(xp):
    """(A B) v would cost n^3; in the planned order a vector is all that is ever made."""
    n = 400
    a, v = xp.asarray(np.ones((n, n)), "float32"), xp.asarray(np.ones(n), "float32")
    np.testing.assert_allclose(to_host(contract("ij,jk,k->i", a, a, v)), np.full(n, float(n) ** 2), rtol=1e-5)
    assert all(len(output) == 1 for _, _, output in _plan("ij,jk,k->i", ((n, n), (n, n), (n,))).steps)


@pytest.mark.parametrize(
    "subscripts, shapes, message",
    [
        ("ii->i", [(3, 3)], "traces"),
        ("ij,jk", [(3, 4), (4, 5)], "names no output"),
        ("ij,jk->ik", [(3, 4)], "2 terms for 1 operands"),
        ("ij,jk->ik", [(3, 4), (3, 5)], "both 4 and 3"),
        ("ij,jk->ik", [(3, 1), (4, 5)], "both 1 and 4"),
        ("ij->ik", [(3, 4)], "output 'ik'"),
        ("ij->ii", [(3, 4)], "output 'ii'"),
        ("ijk->i", [(3, 4)], "does not fit"),
        ("i->i", [(3, 4)], "does not fit"),
        ("...i->i", [(3, 4)], "drops the axes"),
        ("i$->i", [(3, 4)], "ASCII letters"),
    ],
)
def test_malformed_contractions_are_refused_with_the_reason(xp, subscripts, shapes, message):
    with pytest.raises(ValueError, match=message):
        contract(subscripts, *(xp.asarray(np.ones(shape)) for shape in shapes))
