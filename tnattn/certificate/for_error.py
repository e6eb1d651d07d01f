"""The cheapest method of every head that is certified to have a given error, or exact attention where that is best."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tnattn.arrays import Rng, integers, require_rng, to_host, widened
from tnattn.attention.head_problems import head_problem
from tnattn.attention.method import AttentionMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.certificate.candidates import default_methods
from tnattn.certificate.certificate import CertificateKind, Quantile
from tnattn.certificate.confidence import probability
from tnattn.certificate.head_search import Aim, HeadSearch
from tnattn.certificate.suggestion import HeadMethod, Suggestion
from tnattn.scalars import as_integer, as_real


def for_error(
    problem: AttentionProblem,
    error: float,
    *,
    failure: float = 1e-3,
    kind: CertificateKind | None = None,
    methods: Sequence[AttentionMethod] | None = None,
    rows: int | None = None,
    effort: float = 1.0,
    rng: Rng,
    on_head: Callable[[HeadMethod], None] | None = None,
) -> Suggestion:
    """Find, for every head, the cheapest method that is certified to have an error.

    Parameters
    ----------
    problem : AttentionProblem
    error : float
        Positive; what the kind of certificate bounds.
    failure : float
        Probability that any certificate of any head is wrong.
    kind : CertificateKind, optional
        ``Quantile(relative=True)`` by default: all rows but 3 % err by at most ``error`` times their own size.
        ``Quantile()`` and ``MeanError()`` bound absolute errors, ``RelativeMeanError()`` the root mean square relative
        to that of the exact rows.
    methods : sequence of AttentionMethod, optional
        Each from its own budget on, doubled again and again; by default all methods of the package that are no
        oracles. Key methods without probes are made causal where the mask asks for it.
    rows : int, optional
        Rows that certify; by default as many as a quantile of 97 % needs, or as bring the floor of a mean below the
        error.
    effort : float
        Limit of what the search of a head may cost, as a share of exact attention, which it costs at most once more
        where nothing is found. A larger one pays where the methods serve many problems of the same kind.
    rng : numpy.random.Generator or DeviceDraws
        Decides everything: rows, and the draws of the methods, which the result keeps.
    on_head : callable, optional
        Called with the result of every head.

    Returns
    -------
    Suggestion
        Its ``method`` is one ``PerHead`` method, which gives the output that was certified.

    Raises
    ------
    ValueError
        If ``error``, ``failure``, ``effort`` or ``rows`` is out of range, or ``methods`` is empty.
    TypeError
        If ``problem``, ``kind`` or a method is something else, or ``rng`` is None.

    Notes
    -----
    64 pilot rows screen: candidates run in the order of their predicted cost, and where the pilot rows suggest an error
    that is too large, the next budget is tried. Fresh rows, independent of the pilot rows, certify the others. The
    failure is split evenly over the heads, and for the look of number t by 1 / (t (t + 1)). All looks of a head share
    their rows: which candidates are looked at, when and on how many rows follows from the pilot rows alone, so that the
    failures of the looks add. Rows that chose a candidate must not certify it: among 20 candidates the best on 64 rows
    understates its error nearly always. The search of a head ends where the next candidate and its certificate cost as
    much as exact attention, or where ``effort`` is spent. A method that raises is skipped and named.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, SlidingWindow, for_error
    >>> t = np.arange(2048.0)[:, None] / 8
    >>> k = np.concatenate([np.cos(t / 40), np.sin(t / 40)], axis=-1)[None]  # neighbours attend to each other
    >>> problem = AttentionProblem(k, k, k, scale=400.0)
    >>> found = for_error(problem, 0.05, methods=[SlidingWindow(16)], rng=np.random.default_rng(0))
    >>> found.heads[0].method.width, found.heads[0].certificate.certifies(0.05), found.share < 0.2
    (16, True, True)
    """
    if not isinstance(problem, AttentionProblem):
        raise TypeError(f"problem must be an AttentionProblem; got {type(problem).__name__}")
    kind = Quantile(relative=True) if kind is None else kind
    if not isinstance(kind, CertificateKind):
        raise TypeError(f"kind must be a value such as Quantile() or MeanError(); got {kind!r}")
    chosen = _checked(methods)
    rng = require_rng(rng, "for_error")
    seed = int(to_host(integers(rng, 0, 2**31, (1,), like=widened(problem.q)))[0])
    aim = Aim(
        _positive(error, "error"),
        probability(failure) / problem.heads,
        kind,
        None if rows is None else as_integer(rows, "rows", least=1),
        _positive(effort, "effort"),
        seed,
    )
    heads: list[HeadMethod] = []
    streams: list[Rng] = list(rng.spawn(problem.heads))
    for head, stream in enumerate(streams):
        part = head_problem(problem, slice(head, head + 1))
        heads.append(HeadSearch(part, aim, rng=stream).run(head, chosen))
        if on_head is not None:
            on_head(heads[-1])
    return Suggestion(tuple(heads), aim.error, float(failure), seed)


def _checked(methods: Sequence[AttentionMethod] | None) -> tuple[AttentionMethod, ...]:
    """Return the methods of a search, those of the package for None."""
    found = default_methods() if methods is None else tuple(methods)
    for method in found:
        if not isinstance(method, AttentionMethod):
            raise TypeError(f"methods must hold attention methods such as SlidingWindow(16); got {method!r}")
    if not found:
        raise ValueError("methods is empty; give at least one, or None for all of the package")
    return found


def _positive(value: float, name: str) -> float:
    number = as_real(value, name)
    if not 0 < number < float("inf"):
        raise ValueError(f"{name} is {number}; it must be a positive number")
    return number
