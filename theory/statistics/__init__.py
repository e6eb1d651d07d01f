"""Statistics of verdicts: tests valid under optional stopping, exact counts, confidence bounds.

All of them read float64 arrays with the trials on the first axis and the problems of a stack on the others, and cost
O(trials). No function here depends on matrices or theorems. An expectation is tested by betting against it (Ville's
inequality), a probability by exact counts (Clopper and Pearson), a statement that always holds with an allowance for
rounding; a verdict on a stack is corrected by Bonferroni, a family of verdicts by Holm.

Begin with the judges; each returns a ``Judgement``. The tests behind them serve where a p-value or a bound is needed.

Verdicts
--------
- ``Verdict``: words of the reports
- ``Judgement``: a verdict with its p-value and a line of evidence
- ``judge_deterministic``: left <= right for every instance, up to rounding
- ``judge_expectation``: E X <= B by betting, for X >= 0
- ``judge_lower_expectation``: E X >= B by the mirrored bet, or by Bennett's inequality with a known variance
- ``judge_exact_expectation``: E X = B, both sides of it
- ``judge_probability``: P{failure} <= delta by counting
- ``judge_rate``: error ~ size^rate from a log-log fit
- ``is_vacuous``: True where a bound is no better than the trivial one

Tests of a mean (``betting``)
-----------------------------
- ``EProcess``: wealth of a gambler against E X <= B, updated trial by trial
- ``expectation_p_value``: small values refute E X <= B
- ``support_p_value``: small values support E X <= B, for X <= M
- ``empirical_bernstein_upper``: upper confidence bound of a mean; Maurer & Pontil 2009, Theorem 4
- ``bennett_lower_p_value``: small values refute E X >= B where a variance is known

Counts, quantiles, several tests (``intervals``)
------------------------------------------------
- ``clopper_pearson``: confidence bounds of a probability
- ``binomial_p_value``: small values refute a failure probability
- ``median_interval``: interval of a median
- ``quantile_interval``: interval of a quantile
- ``z_p_value``: normal p-value of E X = mu, asymptotic
- ``tost``: equality of a mean within a margin, asymptotic
- ``holm``: adjusted p-values of several tests; Holm 1979
- ``rate_slope``: slope of a log-log fit with its interval
- ``Slope``: fitted exponent with its interval
- ``geometric_mean``: of non-negative ratios
- ``deterministic_slack``: allowance for rounding

Planning (``required_trials``)
------------------------------
- ``required_trials_for_support``: trials without failure that support a probability
- ``required_trials_for_refutation``: trials that refute a too small probability
- ``required_trials_for_excess``: trials that show a mean above its bound
- ``required_trials_for_equivalence``: trials that show equality within a margin
- ``proper_probability``: check of a level (``probability``)

Relative variances in closed form (``moments``)
-----------------------------------------------
- ``quadratic_form_spread``: quadratic form of Gaussian variables
- ``chaos_spread``: sums of squared Gaussian quadratic forms
- ``inverse_wishart_spread``: ||G^+ g||^2 for Gaussian G and g
- ``mean_spread``: square of a mean of independent variables
- ``sum_spread``: sums of dependent non-negative variables
- ``sampled_spread``: means of samples with replacement
- ``distinct_spread``: without replacement
- ``cosine_kurtosis``: kurtosis of trigonometric features
- ``lognormal_kurtosis``: of positive features
- ``hyperbolic_kurtosis``: of hyperbolic features
- ``orthogonal_pair_spread``: of orthogonal pairs of features
"""

from theory.statistics.betting import (
    EProcess,
    bennett_lower_p_value,
    empirical_bernstein_upper,
    expectation_p_value,
    support_p_value,
)
from theory.statistics.intervals import (
    Slope,
    binomial_p_value,
    clopper_pearson,
    deterministic_slack,
    geometric_mean,
    holm,
    median_interval,
    quantile_interval,
    rate_slope,
    tost,
    z_p_value,
)
from theory.statistics.judge import (
    is_vacuous,
    judge_deterministic,
    judge_exact_expectation,
    judge_expectation,
    judge_lower_expectation,
    judge_probability,
)
from theory.statistics.moments import (
    chaos_spread,
    cosine_kurtosis,
    distinct_spread,
    hyperbolic_kurtosis,
    inverse_wishart_spread,
    lognormal_kurtosis,
    mean_spread,
    orthogonal_pair_spread,
    quadratic_form_spread,
    sampled_spread,
    sum_spread,
)
from theory.statistics.probability import proper_probability
from theory.statistics.rates import judge_rate
from theory.statistics.required_trials import (
    required_trials_for_equivalence,
    required_trials_for_excess,
    required_trials_for_refutation,
    required_trials_for_support,
)
from theory.statistics.verdict import Judgement, Verdict

__all__ = [
    "EProcess",
    "Judgement",
    "Slope",
    "Verdict",
    "bennett_lower_p_value",
    "binomial_p_value",
    "chaos_spread",
    "clopper_pearson",
    "cosine_kurtosis",
    "deterministic_slack",
    "distinct_spread",
    "empirical_bernstein_upper",
    "expectation_p_value",
    "geometric_mean",
    "holm",
    "hyperbolic_kurtosis",
    "inverse_wishart_spread",
    "is_vacuous",
    "judge_deterministic",
    "judge_exact_expectation",
    "judge_expectation",
    "judge_lower_expectation",
    "judge_probability",
    "judge_rate",
    "lognormal_kurtosis",
    "mean_spread",
    "median_interval",
    "orthogonal_pair_spread",
    "proper_probability",
    "quadratic_form_spread",
    "quantile_interval",
    "rate_slope",
    "required_trials_for_equivalence",
    "required_trials_for_excess",
    "required_trials_for_refutation",
    "required_trials_for_support",
    "sampled_spread",
    "sum_spread",
    "support_p_value",
    "tost",
    "z_p_value",
]
