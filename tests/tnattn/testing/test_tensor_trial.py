import numpy as np

from tnattn.decomposition.tensor_train.tt_cross import TTCross
from tnattn.testing.tensor_robustness import layouts
from tnattn.testing.tensor_trial import SHAPE, arrays_of


def test_layouts_are_what_they_are_called_and_equal():
    tensor = np.random.default_rng(0).standard_normal((2, 3, 4))
    found = layouts(tensor)
    for layout in found.values():
        np.testing.assert_array_equal(layout, tensor)
    assert found["Fortran-ordered"].flags.f_contiguous
    assert not found["Fortran-ordered"].flags.c_contiguous
    assert min(found["strided"].strides) == 16
    assert max(found["reversed"].strides) < 0
    assert not found["read-only"].flags.writeable
    assert {found["big-endian"].dtype.isnative, found["little-endian"].dtype.isnative} == {True, False}
    assert type(found["of a subclass"]) is not np.ndarray


def test_all_arrays_of_a_result_are_found():
    result = TTCross(ranks=2)(np.random.default_rng(0).standard_normal(SHAPE), rng=np.random.default_rng(0))
    found = {name: declared for name, _, declared in arrays_of(result)}
    assert {name for name, declared in found.items() if declared} == {"cores[2]", "fit.train.cores[2]"}
    assert {"ranks", "fit.rows[0]", "fit.inverses[1]", "residual", "interval[0]", "converged"} <= set(found)
