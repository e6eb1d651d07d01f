"""The conformance kit: laws of structures, sketches, matrix methods, decompositions and attention methods."""

from tnattn.testing.decompositions import check_decomposition
from tnattn.testing.laws import LAWS, Law
from tnattn.testing.matrix_methods import MATRIX_LAWS, check_matrix_method
from tnattn.testing.methods import check_method
from tnattn.testing.report import ConformanceError, Finding, Report
from tnattn.testing.sketch_laws import check_sketch
from tnattn.testing.structures import check_structured
from tnattn.testing.table import conformance_table

__all__ = [
    "LAWS",
    "MATRIX_LAWS",
    "ConformanceError",
    "Finding",
    "Law",
    "Report",
    "check_decomposition",
    "check_matrix_method",
    "check_method",
    "check_sketch",
    "check_structured",
    "conformance_table",
]
