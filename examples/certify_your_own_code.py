# %% [markdown]
# Certify the output of attention code that knows nothing of this package, and see a planted bug refused.

# %%
import numpy as np

from tnattn import AttentionProblem, CausalMask, Quantile, certify

# %% An implementation of its own: causal attention in blocks of 64 keys with a running maximum, in plain NumPy.


def blocked_attention(q, k, v, *, first_key_of_block=0):
    """Return causal attention; ``first_key_of_block=1`` plants a bug: every block forgets its first key."""
    n, d = q.shape[-2:]
    top = np.full((*q.shape[:-1], 1), -np.inf)
    total, mass = np.zeros_like(v), np.zeros_like(top)
    for start in range(0, n, 64):
        keys = np.arange(start + first_key_of_block, min(start + 64, n))
        scores = q @ k[..., keys, :].mT / d**0.5
        scores = np.where(keys <= np.arange(n)[:, None], scores, -np.inf)
        highest = np.maximum(top, scores.max(axis=-1, keepdims=True))
        unit = np.where(np.isfinite(highest), highest, 0.0)
        decay, kernel = np.exp(top - unit), np.exp(scores - unit)
        total, mass = decay * total + kernel @ v[..., keys, :], decay * mass + kernel.sum(axis=-1, keepdims=True)
        top = highest
    return total / np.where(mass > 0, mass, 1.0)


# %% Certificates: 256 of 2048 rows of every head are computed exactly, an eighth of exact attention.
rng = np.random.default_rng(0)
q, k, v = rng.standard_normal((3, 4, 2048, 32))
problem = AttentionProblem(q, k, v, mask=CausalMask())
for name, first in (("right", 0), ("one key of 64 forgotten", 1)):
    output = blocked_attention(q, k, v, first_key_of_block=first)
    certificate = certify(output, problem, kind=Quantile(relative=True), failure=1e-3, rows=256, rng=rng)
    print(f"{name}: {certificate.statement()}")
    print(f"{name}: certified to 1e-6: {certificate.certifies(1e-6)}")
