# %% [markdown]
# A new attention method in 30 lines: blocks of neighbouring keys are replaced by their mean.
# To rank it among the others: tnattn compare --methods examples/pooled_keys.py:PooledKeys

# %%
from dataclasses import dataclass
from typing import ClassVar

from tnattn import Approximation, AttentionProblem, Cost, Dense, JointMethod, budget, columns_cost
from tnattn.arrays import Rng, array_namespace, device


@dataclass(frozen=True)
class PooledKeys(JointMethod):
    """Replace every block of neighbouring keys by its mean."""

    blocks: int = budget(64)
    waives: ClassVar = {"P11": "blocks are formed by position, so permuted keys make other blocks"}

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        xp = array_namespace(problem.q)
        m = min(self.blocks, problem.n_k)
        block = xp.arange(problem.n_k, device=device(problem.q)) * m // problem.n_k  # of every key
        pool = xp.astype(block == xp.arange(m, device=device(problem.q))[:, None], problem.q.dtype)  # (m, n_k)
        sizes = xp.sum(pool, axis=-1)
        scores = problem.scaled_queries @ (pool @ problem.keys / sizes[:, None]).mT  # (..., G, R, n_q, m)
        shift = xp.max(scores, axis=-1)  # exp stays within [0, 1]; the shift cancels in the quotient
        return Approximation(
            kernel=Dense(xp.exp(scores - shift[..., None])),
            shift=shift,
            values=pool @ problem.values,  # sums over the blocks
            mass=sizes,
            expand=Dense(pool),
        )

    def cost(self, problem: AttentionProblem) -> Cost:
        return columns_cost(problem, min(self.blocks, problem.n_k))


# %% The laws of attention, and the error as a function of the budget.
if __name__ == "__main__":
    import numpy as np

    from tnattn import load_sample
    from tnattn.testing import check_method

    print(check_method(PooledKeys()))
    problem = load_sample().problem()
    for blocks in (16, 64, 256, 512):
        output = PooledKeys(blocks=blocks)(problem).output
        error = np.linalg.norm(output - problem.output) / np.linalg.norm(problem.output)
        print(f"{blocks:4d} blocks: relative error {error:.3f}")
