"""Certificates: what is known about the errors of all rows, with what probability, from few rows computed exactly."""

from __future__ import annotations

import abc
import dataclasses
import math
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from tnattn.arrays import Array, Rng
from tnattn.attention.approximation import Approximation
from tnattn.attention.problem import AttentionProblem
from tnattn.certificate.confidence import (
    exceeding_rows,
    mean_floor,
    mean_upper,
    probability,
    winsorised_mean_upper,
)
from tnattn.certificate.sampled_rows import RowErrors
from tnattn.display import Displayed
from tnattn.scalars import Parameters, as_real


@dataclass(frozen=True, repr=False)
class Certificate(Parameters, Displayed):
    """An upper bound on the error of every head, and the probability that one of them is wrong.

    Parameters
    ----------
    kind : str
        What is bounded, in words, with ``{}`` for the value.
    values : tuple of float
        By head; infinite where nothing can be certified.
    failure : float
        Probability, over the draw of the rows, that any of the statements is wrong.
    rows, population : int
        Rows drawn, of how many.
    floors : tuple of float
        By head: no statement of this kind from as many rows could give less.
    sizes : tuple of float
        By head: root mean square norm of the exact rows that were drawn, for orientation.

    Examples
    --------
    >>> from tnattn.certificate import Certificate
    >>> kind = "at least 97.3 % of the rows have an error of at most {}"
    >>> print(Certificate(kind, (0.12,), 1e-3, 256, 8192, (0.0,), (1.0,)).statement())
    With confidence 0.999, at least 97.3 % of the rows have an error of at most 0.12 (256 of 8192 rows exact).
    """

    kind: str
    values: tuple[float, ...]
    failure: float
    rows: int
    population: int
    floors: tuple[float, ...]
    sizes: tuple[float, ...]

    @property
    def value(self) -> float:
        """The largest of the bounds of the heads."""
        return max(self.values)

    @property
    def cost(self) -> float:
        """Share of exact attention that the rows took."""
        return self.rows / self.population

    def certifies(self, error: float) -> bool:
        """Return whether every head is certified to have at most this error."""
        return self.value <= as_real(error, "error")

    def statement(self, head: int | None = None) -> str:
        """Return one sentence about a head, or about all of them."""
        value = self.value if head is None else self.values[head]
        where = f" of head {head}" if head is not None else " of every head" if len(self.values) > 1 else ""
        if not math.isfinite(value):
            return f"Nothing is certified{where}: some row of the approximation is not finite, or its envelope is not."
        claim = self.kind.replace(" rows ", f" rows{where} ", 1).format(f"{value:.3g}")
        drawn = f"{self.rows} of {self.population} rows exact"
        return f"With confidence {1 - self.failure:g}, {claim} ({drawn})."

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as numbers, strings and lists, of which JSON is made."""
        return {name: list(x) if isinstance(x, tuple) else x for name, x in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Certificate:
        """Return the certificate of which ``as_dict`` gave the fields."""
        fitting: dict[str, Any] = {name: tuple(x) if isinstance(x, list) else x for name, x in fields.items()}
        return cls(**fitting)


class CertificateKind(Parameters, abc.ABC):
    """A statement about the errors of all rows that follows from those of drawn ones; a value."""

    reads_envelope: ClassVar[bool] = True  # False: rows that were not drawn need no bound on their errors

    @final
    def certify(self, measured: RowErrors, failure: float) -> Certificate:
        """Return the certificate of all heads, which is wrong for any of them with at most this probability."""
        return self._certify(measured, probability(failure))

    @abc.abstractmethod
    def _certify(self, measured: RowErrors, failure: float) -> Certificate:
        """Certify with a failure that is a probability."""


@dataclass(frozen=True)
class Quantile(CertificateKind):
    """All rows but a small share have at most the error of the worst drawn row, but for ``spared`` of these.

    The share follows from the number of rows: 2.7 % for 256, 0.7 % for 1024, at a failure of 1e-3. Nothing is assumed.

    Parameters
    ----------
    spared : int
        Number of drawn rows that may be worse; fixed before the draw.
    relative : bool
        Errors relative to the norm of the exact row.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.certificate import Quantile, RowErrors
    >>> errors = np.linspace(0, 0.1, 256)[None]
    >>> measured = RowErrors(errors, np.ones_like(errors), np.asarray([2.0]), 10_000)
    >>> print(Quantile().certify(measured, 1e-3).statement())
    With confidence 0.999, at least 97.3 % of the rows have an error of at most 0.1 (256 of 10000 rows exact).
    """

    reads_envelope: ClassVar[bool] = False

    spared: int = 0
    relative: bool = False

    def __post_init__(self) -> None:
        if self.spared < 0:
            raise ValueError(f"spared must be a non-negative integer; got {self.spared!r}")

    def _certify(self, measured: RowErrors, failure: float) -> Certificate:
        heads, m = measured.errors.shape
        if self.spared >= m:
            raise ValueError(f"spared={self.spared} of {m} drawn rows leaves none; draw more rows")
        errors = measured.errors
        if self.relative:
            with np.errstate(divide="ignore", invalid="ignore"):
                errors = np.where(errors == 0, 0.0, errors / measured.sizes)
        worst = np.sort(errors, axis=-1)[:, m - 1 - self.spared]
        few = exceeding_rows(measured.population, m, failure / heads, exceeding=self.spared)
        share = math.floor(1000 * (1 - few / measured.population)) / 10  # rounded to the safe side
        what = "a relative error" if self.relative else "an error"
        return certificate_of(
            f"at least {share:g} % of the rows have {what} of at most {{}}", worst, failure, measured, np.zeros(heads)
        )


@dataclass(frozen=True)
class MeanError(CertificateKind):
    """The root mean square error over all rows, from the drawn ones and the envelope of all.

    Parameters
    ----------
    cap : float, optional
        Error above which rows are counted instead of averaged, fixed before the draw, for instance from pilot rows.
        A cap lowers the bound where few rows carry most of the error.

    Notes
    -----
    A few bad rows that were not drawn cannot be excluded: the bound has a floor of about
    envelope sqrt(log(1 / failure) / rows), see ``mean_floor``.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.certificate import MeanError, RowErrors
    >>> errors = np.full((1, 256), 0.1)
    >>> measured = RowErrors(errors, np.ones_like(errors), np.asarray([2.0]), 10_000)
    >>> certificate = MeanError().certify(measured, 1e-3)
    >>> print(certificate.statement(), round(certificate.floors[0], 2))
    With confidence 0.999, the root mean square error of the rows is at most 0.35 (256 of 10000 rows exact). 0.32
    """

    cap: float | None = None

    def __post_init__(self) -> None:
        if self.cap is not None and not self.cap > 0:
            raise ValueError(f"cap must be a positive error or None; got {self.cap!r}")

    def _certify(self, measured: RowErrors, failure: float) -> Certificate:
        heads, n = measured.errors.shape[0], measured.population
        values, floors = [], []
        for errors, envelope in zip(measured.errors, measured.envelope, strict=True):
            if not (math.isfinite(envelope) and np.all(np.isfinite(errors))):
                values.append(math.inf)
                floors.append(math.inf)
                continue
            values.append(self._root_mean_square(errors, envelope, n, failure / heads))
            floors.append(envelope * math.sqrt(mean_floor(n, measured.rows, failure / heads)))
        kind = "the root mean square error of the rows is at most {}"
        return certificate_of(kind, np.asarray(values), failure, measured, np.asarray(floors))

    def _root_mean_square(self, errors: Any, envelope: float, n: int, failure: float) -> float:
        if envelope == 0:
            return 0.0
        x = np.minimum((errors / envelope) ** 2, 1.0)  # by rounding an error may exceed its bound by a unit
        if self.cap is None or self.cap >= envelope:
            return envelope * math.sqrt(float(mean_upper(x, population=n, failure=failure)))
        cap = (self.cap / envelope) ** 2
        return envelope * math.sqrt(
            float(winsorised_mean_upper(x, cap=cap, largest=1.0, population=n, failure=failure))
        )


def certify(
    output: Array | Approximation,
    problem: AttentionProblem,
    *,
    kind: CertificateKind | None = None,
    failure: float = 1e-3,
    rows: int = 256,
    rng: Rng,
) -> Certificate:
    """Certify the error of an output that any code has computed, from few rows computed exactly.

    Parameters
    ----------
    output : Array, (..., H, n_q, d_v), or Approximation
    problem : AttentionProblem
        What the output approximates.
    kind : CertificateKind, optional
        ``Quantile()`` by default.
    failure : float
        Probability that the certificate is wrong for any head.
    rows : int
        Rows computed exactly, which costs the share rows / n_q of exact attention.
    rng : numpy.random.Generator or DeviceDraws
        Of fresh draws: rows that were looked at when the method or its budget was chosen certify nothing.

    Raises
    ------
    ValueError
        If shapes do not fit.
    TypeError
        If ``kind`` is no ``CertificateKind``.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, Performer
    >>> from tnattn.certificate import certify
    >>> rng = np.random.default_rng(0)
    >>> problem = AttentionProblem(*rng.standard_normal((3, 2, 512, 4)) / 2)
    >>> approximation = Performer(features=256)(problem, rng=rng)
    >>> certificate = certify(approximation, problem, rows=256, rng=rng)
    >>> certificate.rows, certificate.certifies(0.1), certificate.certifies(0.001)
    (256, True, False)
    """
    kind = Quantile() if kind is None else kind
    if not isinstance(kind, CertificateKind):
        raise TypeError(f"kind must be a value such as Quantile() or MeanError(); got {kind!r}")
    values = output.output if isinstance(output, Approximation) else output
    return kind.certify(RowErrors.measured(values, problem, rows=rows, rng=rng), failure)


def certificate_of(kind: str, values: Any, failure: float, measured: RowErrors, floors: Any) -> Certificate:
    """Return the certificate with these values and floors (H,), of a statement with ``{}`` for the value."""
    sizes = np.sqrt(np.mean(measured.sizes**2, axis=-1))
    numbers = (tuple(float(x) for x in column) for column in (values, floors, sizes))
    found, floor, size = numbers
    return Certificate(kind, found, failure, measured.rows, measured.population, floor, size)
