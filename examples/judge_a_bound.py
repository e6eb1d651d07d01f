# %% [markdown]
# Test a theorem: predicted and observed errors, and the verdicts on it and on a false version of it.

# %%
import numpy as np

from theory.bounds.randnla.range_finder import rrf_fro_expected
from theory.comparison.compare import compare
from tnattn import QB, RangeFinder
from tnattn.gallery import gap_spectrum, matrix_with_spectrum

# %% The theorem is a function: it checks the hypotheses and returns the right-hand side.
print(rrf_fro_expected.statement)
print("source:", rrf_fro_expected.source)

# %% A matrix on which the theorem is nearly sharp: five large singular values, the others one.
rng = np.random.default_rng(0)
matrix = matrix_with_spectrum(gap_spectrum(5, 40), (40, 40), rng)
method = QB(RangeFinder(rank=5, oversampling=5, power_iterations=0))
print("predicted:", float(rrf_fro_expected(method, matrix).value))

# %% Verdict on the theorem, and on the same theorem with a constant that is too small.
for theorem in (rrf_fro_expected, rrf_fro_expected.scaled(0.5)):
    (comparison,) = compare(method, matrix, [theorem], trials=400, rng=rng)
    print(f"times {theorem.factor}: {comparison.verdict}; slack {comparison.slack:.2f}; {comparison.detail}")
