"""Every read that a structure answers wrongly is named by the check of structures."""

import numpy as np
import pytest

from tnattn.structured.dense import Dense
from tnattn.testing.read_laws import reads
from tnattn.testing.report import ConformanceError
from tnattn.testing.structures import check_structured

A = np.random.default_rng(0).standard_normal((2, 4, 4))
WRONG = {
    "columns": lambda self, indices: self.array[..., :2],
    "rows": lambda self, indices: (
        2 * np.take_along_axis(self.array, np.broadcast_to(indices, (2, 3))[..., None], axis=-2)
    ),
    "diagonal": lambda self: self.array[..., 0, :],
    "trace": lambda self: np.trace(self.array[..., ::-1], axis1=-2, axis2=-1),
    "squared_norm": lambda self: np.linalg.norm(self.array, axis=(-2, -1)),
    "sketch": lambda self, omega: self.array.mT @ (omega if isinstance(omega, np.ndarray) else omega.to_dense()),
    "sketch_rows": lambda self, psi: psi.to_dense().T @ self.array.mT,
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_read_is_refused(name):
    with pytest.raises(ConformanceError) as caught:
        check_structured(type("Wrong", (Dense,), {name: WRONG[name]})(A))
    assert {finding.law for finding in caught.value.report.of("violated")} - {"entries"} == {"reads"}


def test_every_read_of_the_matrix_and_of_its_transpose_is_compared():
    names = [name for name, *_ in reads(Dense(A), np.random.default_rng(0))]
    assert len(names) == len(set(names)) == 2 * 12
