"""Array libraries: namespaces and what is an array, on every ring."""

import numpy as np
import pytest

from tnattn.arrays import array_namespace, is_array


def test_namespace_is_that_of_the_arrays_and_scalars_are_ignored(xp):
    x = xp.asarray(np.ones(3))
    assert array_namespace(x, None, 2.0).__name__ == xp.namespace.__name__


@pytest.mark.parametrize("bad", [[1.0, 2.0], "text", {1: 2}])
def test_namespace_refuses_what_is_no_array_and_says_the_cure(bad):
    with pytest.raises(TypeError, match=r"expected an array, got .*numpy\.asarray"):
        array_namespace(np.ones(2), bad)


def test_namespace_refuses_scalars_alone():
    with pytest.raises(TypeError, match="at least one array"):
        array_namespace(1.0, None)


@pytest.mark.parametrize("xp", ["strict", "torch", "cupy-standin"], indirect=True)
def test_namespace_refuses_arrays_of_two_libraries(xp):
    with pytest.raises(TypeError, match="different libraries"):
        array_namespace(np.ones(2), xp.asarray(np.ones(2)))


def test_is_array_tells_arrays_from_lists(xp):
    assert is_array(xp.asarray(np.ones(2)))
    assert not is_array([1.0, 2.0])
