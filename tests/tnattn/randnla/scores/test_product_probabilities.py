"""Sampling probabilities of matrix products: the same at every scale, for dense and implicit factors."""

import numpy as np
import pytest

from tnattn.randnla.scores.product_probabilities import BothNorms, ColumnNorms, NormOptimal, column_lengths
from tnattn.randnla.solvers.matrix_product import SampledProduct
from tnattn.structured.low_rank import LowRank


def test_lengths_of_implicit_columns_are_found_block_by_block(monkeypatch):
    a = np.random.default_rng(0).standard_normal((3, 12))
    monkeypatch.setattr("tnattn.randnla.scores.product_probabilities._BLOCK", 15)
    np.testing.assert_allclose(column_lengths(LowRank(np.eye(3), a)), np.linalg.norm(a, axis=0))


@pytest.mark.parametrize("probabilities", [NormOptimal(), ColumnNorms(), BothNorms()], ids=repr)
@pytest.mark.parametrize("scale", [2.0**-600, 2.0**600])
@pytest.mark.parametrize("implicit", [False, True])
def test_the_indices_drawn_do_not_depend_on_the_scale(probabilities, scale, implicit):
    source = np.random.default_rng(0)
    a, b = source.standard_normal((2, 5, 30)), source.standard_normal((30, 4))
    method = SampledProduct(8, probabilities)
    given, scaled = (
        method(LowRank(x, np.eye(30)) if implicit else x, b, rng=np.random.default_rng(1)) for x in (a, scale * a)
    )
    np.testing.assert_array_equal(given.indices, scaled.indices)
    np.testing.assert_allclose(scaled.to_dense() / scale, given.to_dense(), rtol=1e-9)
