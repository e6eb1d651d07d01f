"""Reports: figures and pages of the data that studies return.

A report is one HTML file with inline SVG and the table of every number plotted, without script, the same bytes for
the same folder. Figures need Matplotlib, an extra: without it ``write_report`` names the extra to install, and
``save_spectra`` writes arrays and tables alone.

Begin with ``write_report`` for a folder of results.
- ``write_report``: the page of a results folder (``report``)
- ``Results``: a folder read back (``results``)
- ``read``: reads it
- ``save_spectra``: spectra as arrays, tables and figures (``saved_spectra``)
- ``Curve``: error of a method against its budget (``curves``)
- ``html``: the module of the pieces of a page

Inside
------
- ``figures``: one figure per file
- ``sections``: one section of the page per file
"""

from theory.reports import html
from theory.reports.curves import Curve
from theory.reports.report import write_report
from theory.reports.results import Results, read
from theory.reports.saved_spectra import save_spectra

__all__ = [
    "Curve",
    "Results",
    "html",
    "read",
    "save_spectra",
    "write_report",
]
