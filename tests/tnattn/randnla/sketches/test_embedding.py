"""Embeddings: the transposed test matrix, one for a whole stack."""

import numpy as np
import pytest

from tnattn.randnla.sketches.count_sketch import CountSketch
from tnattn.randnla.sketches.embedding import Embedding
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.sketches.trigonometric import SubsampledCosine


@pytest.mark.parametrize("sketch", [Gaussian(), CountSketch(), SubsampledCosine()], ids=repr)
def test_an_embedding_is_the_transposed_test_matrix(xp, sketch, assert_close):
    a = xp.asarray(np.random.default_rng(0).standard_normal((2, 30, 3)))
    embedding = Embedding(7, sketch)(a, rng=np.random.default_rng(1))
    omega = sketch.draw(30, 7, rng=np.random.default_rng(1), like=a)
    assert embedding.shape == (7, 30)
    assert_close(embedding @ a, omega.mT @ a, rtol=0, atol=100 * xp.eps())


def test_lengths_are_kept_on_average():
    x = np.arange(1.0, 21.0)
    squares = [
        np.sum((Embedding(10)(x[:, None], rng=np.random.default_rng(i)) @ x) ** 2) / np.sum(x**2) for i in range(400)
    ]
    # chi-squared of ten degrees over ten: standard deviation sqrt(2/10)
    assert abs(np.mean(squares) - 1) < 5 * np.sqrt(0.2 / 400)


@pytest.mark.parametrize("fields, error", [({"size": 0}, ValueError), ({"sketch": "gaussian"}, TypeError)])
def test_impossible_parameters_are_refused(fields, error):
    with pytest.raises(error, match=next(iter(fields))):
        Embedding(**fields)


def test_without_a_generator_it_raises():
    with pytest.raises(TypeError, match="pass rng"):
        Embedding()(np.ones((4, 2)))
