"""The conformance kit: laws of methods, sketches, decompositions and structures, checked for users' classes too.

A check runs a subject on small problems with a known answer, one law at a time, and returns a report of named outcomes:
a law *holds*, is *waived* by the class with a reason, is *not applicable*, or is *violated*, which raises
``ConformanceError`` with the numbers and what to do. What a class needs or promises stands in its class variables (its
traits, such as ``domain``, ``repeats`` or ``exact_at_full_rank``); the kit reads them and shows that they are true.

Which one to take, each on a value, as in ``check_method(TopK())``:

- ``check_method``: an attention method; laws P1 to P12 and more, listed in ``LAWS``; seconds
- ``check_matrix_method``: a factorisation of matrices; ``MATRIX_LAWS``: accuracy, arguments, robustness
- ``check_decomposition``: a tensor decomposition; ``TENSOR_LAWS``: recovery, certificates, arguments, robustness
- ``check_sketch``: a distribution of test matrices with E[Omega Omega^T] = I
- ``check_selection``: a rule that selects columns; ``SELECTION_LAWS``
- ``check_structured``: a structured matrix against its dense form
- ``theory.testing.check_bound``: a theorem, on its instances, on variants of them and with a false constant

``laws=["P1", "P9"]`` checks a few, ``report.of("waived")`` lists outcomes, ``conformance_table`` sets methods beside
laws. A check is one line of a test: ``check_method(MyMethod())``.

- ``LAWS``, ``Law``: the laws of attention methods, each with its statement
- ``MATRIX_LAWS``, ``TENSOR_LAWS``, ``SELECTION_LAWS``: functions by the name of the law
- ``Report``, ``Finding``, ``ConformanceError``: the outcome of a check, of one law, and the refusal
"""

from tnattn.testing.decompositions import TENSOR_LAWS, check_decomposition
from tnattn.testing.laws import LAWS, Law
from tnattn.testing.matrix_methods import MATRIX_LAWS, check_matrix_method
from tnattn.testing.methods import check_method
from tnattn.testing.report import ConformanceError, Finding, Report
from tnattn.testing.selections import SELECTION_LAWS, check_selection
from tnattn.testing.sketch_laws import check_sketch
from tnattn.testing.structures import check_structured
from tnattn.testing.table import conformance_table

__all__ = [
    "LAWS",
    "MATRIX_LAWS",
    "SELECTION_LAWS",
    "TENSOR_LAWS",
    "ConformanceError",
    "Finding",
    "Law",
    "Report",
    "check_decomposition",
    "check_matrix_method",
    "check_method",
    "check_selection",
    "check_sketch",
    "check_structured",
    "conformance_table",
]
