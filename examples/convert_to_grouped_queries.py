# %% [markdown]
# Convert a layer with one key head for every query head to grouped queries: cache size and error.

# %%
import numpy as np

from tnattn import Converted, GroupedQueries, LayerProblem, Projections

# %% A layer: hidden states and projections of eight heads that have half of their weights in common.
rng = np.random.default_rng(0)
heads, model, width, tokens = 8, 64, 16, 128
shared = rng.standard_normal((1, model, width))


def similar_heads() -> np.ndarray:
    return (shared + rng.standard_normal((heads, model, width))) / np.sqrt(2 * model)


w_o = rng.standard_normal((heads, width, model)) / np.sqrt(heads * width)
layer = LayerProblem(
    rng.standard_normal((tokens, model)), Projections(similar_heads(), similar_heads(), similar_heads(), w_o)
)
exact = layer.attention.output

# %% Fewer key and value heads: a smaller cache, a larger error.
for groups in (8, 4, 2, 1):
    approximation = Converted(GroupedQueries(groups=groups))(layer)
    error = np.linalg.norm(approximation.output - exact) / np.linalg.norm(exact)
    print(f"{groups} key heads: cache {groups / heads:.2f} of the original, relative error of the output {error:.3f}")
