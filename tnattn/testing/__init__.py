"""The conformance kit: laws that every structure, sketch, decomposition and attention method must obey."""

from tnattn.testing.decompositions import check_decomposition
from tnattn.testing.laws import LAWS, Law
from tnattn.testing.methods import check_method
from tnattn.testing.report import ConformanceError, Finding, Report
from tnattn.testing.sketches import check_sketch
from tnattn.testing.structures import check_structured
from tnattn.testing.table import conformance_table

__all__ = [
    "LAWS",
    "ConformanceError",
    "Finding",
    "Law",
    "Report",
    "check_decomposition",
    "check_method",
    "check_sketch",
    "check_structured",
    "conformance_table",
]
