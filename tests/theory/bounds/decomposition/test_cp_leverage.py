import numpy as np
import pytest

from theory.bounds.decomposition import cp_leverage as about
from theory.bounds.randnla.leverage import chernoff_lower
from theory.comparison.compare import compare
from theory.statement.bound import HypothesisViolated
from theory.statistics.verdict import Verdict
from tnattn.decomposition.cp.khatri_rao_sampling import KhatriRaoSampling
from tnattn.structured.khatri_rao import KhatriRao


def factors(*sizes, columns=2, seed=0):
    rng = np.random.default_rng(seed)
    return KhatriRao(tuple(rng.standard_normal((n, columns)) for n in sizes))


def test_columns_of_disjoint_support_attain_the_product(seed):
    method, matrix = about.khatri_rao_leverage.extremal(np.random.default_rng(seed))
    comparison = compare(method, matrix, [about.khatri_rao_leverage], rng=np.random.default_rng(0))[0]
    assert comparison.verdict is Verdict.SUPPORTED
    assert comparison.slack == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize("sizes", [(4, 5), (3, 4, 5)], ids=str)
def test_no_score_exceeds_the_product_and_the_sum_is_within_its_factor(sizes):
    matrix = factors(*sizes)
    scores, products = about.scores(matrix), about.products_of_scores(matrix)
    assert np.all(scores <= products * (1 + 1e-12))
    assert products.sum() == pytest.approx(2.0 ** len(sizes))
    assert scores.sum() == pytest.approx(2.0)


def test_worked_example_of_the_catalogue():
    """R = 2, N = 2, s = 120, e = 0.7: s / R^N = 30 in the exponent."""
    assert chernoff_lower(0.7, 2, 60) == pytest.approx(7.7047e-05, rel=1e-4)
    prediction = about.cp_arls_lev_samples(KhatriRaoSampling(samples=120), factors(4, 5))
    assert prediction.failure > 7.7047e-05
    assert prediction.value == 0.7


@pytest.mark.parametrize(
    "method, matrix",
    [
        (KhatriRaoSampling(deterministic=2), factors(4, 5)),
        (KhatriRaoSampling(), KhatriRao((np.ones((4, 2)), np.ones((5, 2))))),
    ],
    ids=["deterministic", "dependent columns"],
)
def test_a_case_outside_the_hypotheses_is_refused(method, matrix):
    with pytest.raises(HypothesisViolated):
        about.cp_arls_lev_samples(method, matrix)


def test_uniform_sampling_does_not_keep_the_bound():
    """Negative control: the row that matters is missed, or counts 64 / 30 each time that it is drawn."""
    _, matrix = about.khatri_rao_leverage.generic(np.random.default_rng(0))
    z = matrix.to_dense()
    u = np.linalg.qr(z)[0]
    picked = np.random.default_rng(0).integers(0, len(z), 30)
    gram = len(z) / 30 * u[picked].T @ u[picked]
    assert np.linalg.norm(gram - np.eye(2), 2) > 0.7
