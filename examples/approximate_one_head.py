# %% [markdown]
# Approximate one head of a trained model: errors and operations of four methods.

# %%
import numpy as np

from tnattn import (
    AttentionProblem,
    LowRankWeights,
    Performer,
    SlidingWindow,
    TopK,
    TruncatedSVD,
    attend,
    exact_cost,
    load_sample,
)

# %% Queries, keys and values of all-MiniLM-L6-v2 on 512 tokens of real text; any arrays of this shape will do.
sample = load_sample()
head = 4
q, k, v = (array[head : head + 1] for array in (sample.q, sample.k, sample.v))
problem = AttentionProblem(q, k, v)
print(problem)

# %% A method is a value; calling it gives a structured approximation.
methods = [SlidingWindow(width=64), TopK(keys=64), Performer(features=64), LowRankWeights(TruncatedSVD(rank=64))]
for method in methods:
    approximation = method(problem, rng=np.random.default_rng(0))
    error = np.linalg.norm(approximation.output - problem.output) / np.linalg.norm(problem.output)
    flops = method.cost(problem).flops / exact_cost(problem).flops
    print(f"{method!r:60.60} relative error {error:.3f} at {flops:.2f} of the exact operations")

# %% Or in one line, with a mask.
output = attend(q, k, v, method=TopK(keys=64), mask=np.tril(np.ones((512, 512), dtype=bool)))
print(output.shape, output.dtype)
