"""Upper limits of what a call costs a device beside its arithmetic: launches, waits of the host and copies."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

from tnattn.arrays import array_namespace
from tnattn.scalars import Parameters


@dataclass(frozen=True)
class DeviceCounts(Parameters):
    """Numbers of launches, waits and copies.

    Parameters
    ----------
    launches : int
        Calls of the array library that compute or move an array: a product, a factorisation or a sum of a whole stack
        is one, a view none. What a library launches within a call is not counted.
    waits : int
        Moments at which the host waits for the device: reads of a number, and copies to the host.
    copies : int
        Copies between host and device, in either direction.

    Examples
    --------
    >>> from tnattn.device_budget import DeviceCounts
    >>> found = DeviceCounts(20, waits=1) + DeviceCounts(3) * 4
    >>> found, found.within(DeviceCounts(40, waits=0))
    (DeviceCounts(launches=32, waits=1, copies=0), False)
    """

    launches: int = 0
    waits: int = 0
    copies: int = 0

    def __add__(self, other: DeviceCounts) -> DeviceCounts:
        return DeviceCounts(self.launches + other.launches, self.waits + other.waits, self.copies + other.copies)

    def __mul__(self, times: int) -> DeviceCounts:
        return DeviceCounts(times * self.launches, times * self.waits, times * self.copies)

    def within(self, limit: DeviceCounts) -> bool:
        """Return true if no number exceeds that of a limit."""
        return self.launches <= limit.launches and self.waits <= limit.waits and self.copies <= limit.copies


@dataclass(frozen=True)
class DeviceBudget:
    """Limit of a call: a fixed part, and one for each unit of its work.

    Units are those of the algorithm, such as "sweep", "level", "pivot" or "block of 32 pivots", never heads: a stack
    costs what one matrix does. No unit that grows with the columns one by one may wait or copy.

    Parameters
    ----------
    call : DeviceCounts
    each : mapping of str to DeviceCounts

    Examples
    --------
    >>> from tnattn.device_budget import DeviceBudget, DeviceCounts
    >>> budget = DeviceBudget(DeviceCounts(60, waits=4), {"sweep": DeviceCounts(100, waits=2)})
    >>> budget.limit({"sweep": 10})
    DeviceCounts(launches=1060, waits=24, copies=0)
    """

    call: DeviceCounts
    each: Mapping[str, DeviceCounts] = field(default_factory=dict)

    def limit(self, units: Mapping[str, int]) -> DeviceCounts:
        """Return the limit of a call that takes given numbers of units; raise ValueError if a number is missing."""
        if missing := self.each.keys() - units.keys():
            raise ValueError(
                f"the number of units {', '.join(sorted(missing))} is not given; return it by device_units"
            )
        total = self.call
        for name, counts in self.each.items():
            total = total + counts * units[name]
        return total


class Budgeted:
    """Base of frozen dataclasses whose calls have a device budget.

    Where a field is a budgeted value itself, as the inner method of a wrapper, a call may use it as often as the unit
    of the field's name says, once by default.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import PivotedQR
    >>> for rank in 32, 64:  # a launch or more for each pivot, a wait for 32 of them
    ...     print(PivotedQR(rank=rank).device_limit(np.eye(512)))
    DeviceCounts(launches=3132, waits=9, copies=1)
    DeviceCounts(launches=6184, waits=10, copies=2)
    """

    device_budget: ClassVar[DeviceBudget]

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        """Return the number of units of ``device_budget`` that a call takes.

        Parameters
        ----------
        target : what the call takes
        result : what the call has returned, optional
            Units that depend on the data, such as sweeps, are read from it; without it the largest number is returned.
        """
        return {}

    @final
    def device_limit(self, target: Any, result: Any = None) -> DeviceCounts:
        """Return the upper limit of what a call costs a device, whatever the number of heads; see ``device_units``.

        Notes
        -----
        Counted on a stand-in that computes on the host, for targets that fit one tile; see ``DeviceCounts``.
        """
        units = self.device_units(target, result)
        total = self.device_budget.limit(units)
        for f in dataclasses.fields(self):  # type: ignore[arg-type]
            inner = getattr(self, f.name)
            if isinstance(inner, Budgeted):
                total = total + inner.device_limit(target) * units.get(f.name, 1)
        return total


def sweeps_taken(most: int, result: Any) -> int:
    """Return the largest number of sweeps in the stack that a result was made by; without a result, the limit."""
    if result is None:
        return most
    sweeps = result.sweeps
    return int(sweeps if isinstance(sweeps, int) else array_namespace(sweeps).max(sweeps))


def blocks(count: int, length: int) -> int:
    """Return the number of blocks of a length that hold a count, at least one."""
    return max(1, math.ceil(count / length))
