"""Versions of the libraries in use."""

import numpy as np

from tnattn.arrays import library_info


def test_library_info_names_versions_and_blas(xp):
    info = library_info()
    assert info["numpy"] == np.__version__
    assert {"python", "scipy", "blas", "threads", "torch", "cupy"} <= set(info)
    assert all(isinstance(value, str) and value for value in info.values())
    assert info.get("cupy device", "none") == "none" or xp.name != "cupy stand-in"
