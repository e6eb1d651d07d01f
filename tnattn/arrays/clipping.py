"""Values brought into an interval, without a wait of a device."""

from __future__ import annotations

import array_api_compat

from tnattn.arrays.libraries import Array, array_namespace


def clipped(x: Array, low: float, high: float) -> Array:
    """Return ``x`` brought into [low, high], of its dtype; ``low <= high``, both numbers of that dtype.

    Notes
    -----
    Not a number stays so. ``clip`` of array-api-compat writes the lower and the upper entries by boolean index on CuPy:
    the host waits twice and copies once. Minimum and maximum take Python numbers there and wait for nothing.
    """
    xp = array_namespace(x)
    if array_api_compat.is_cupy_array(x):
        return xp.minimum(xp.maximum(x, low), high)
    return xp.clip(x, low, high)
