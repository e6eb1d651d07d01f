"""Studies: one file per question, each a grid of independent trials or a measurement, with data as its result.

A study returns values and tables and draws nothing; figures and pages are made by ``theory.reports``. New studies are
welcome as a file of their own.

Begin with ``verify`` for theorems, with ``run_study`` for attention methods on one problem, with ``head_spectra`` for
the singular values of real heads.

Theorems against data
---------------------
- ``verify``: every theorem on an instance where it is sharp and on a generic one, with false controls
  (``verification``)
- ``Verification``: its findings
- ``TheoremFinding``: one of them (``finding``)
- ``cases``: theorems and instances of a verification (``instances``)
- ``over_methods``: verdicts over variants of a method (``robustness``)
- ``over_targets``: verdicts over variants of a target
- ``Outcome``: one of them
- ``varied_methods``: variants of the method of a theorem
- ``varied_targets``: variants of its target

Attention methods on one problem
--------------------------------
- ``AttentionStudy``: methods, budgets and trials on a problem (``attention``)
- ``Settings``: grid of a comparison (``settings``)
- ``run_study``: computes the trials that a folder lacks
- ``remaining``: trials found and missing
- ``select``: methods by name, family or file (``candidates``)
- ``own_definitions``: the module that lists what a user's file or package defines
- ``broken_laws``: laws of attention that a user's method violates (``conformance``)
- ``ProblemSource``: a problem by name (``problems``)
- ``load_problem``: made from its name
- ``load``: rows of a folder (``folder``)
- ``write_tables``: its rows as CSV and Parquet
- ``lines``: one line per method and budget (``summary``)
- ``Line``: such a line
- ``rankings``: order at equal cost (``ranking``)
- ``Ranking``: such an order
- ``Place``: a place in it
- ``certified_errors``: relative errors that 256 fresh rows certify (``certified``)
- ``least_budgets``: least budget of every method for an error (``least_budget``)
- ``LeastBudget``: that of one method
- ``measured_time``: time beside that of exact attention (``timing``)
- ``measurement``: the module that computes one trial

Heads
-----
- ``head_spectra``: singular values and statistics of every head
- ``SpectraResult``: its result (``spectra_result``)
- ``mode_spectra``: singular values of the unfoldings of the tensor of heads (``tensor_spectra``)
- ``TensorSpectra``: its result, with the ranks that follow
- ``entrywise_errors``: errors of approximate weights on one head (``error_map``)
- ``ErrorMap``: its result
"""

from theory.studies import measurement
from theory.studies.attention import AttentionStudy, remaining, run_study
from theory.studies.candidates import select
from theory.studies.certified import certified_errors
from theory.studies.conformance import broken_laws
from theory.studies.error_map import ErrorMap, entrywise_errors
from theory.studies.finding import TheoremFinding, Verification
from theory.studies.folder import load, write_tables
from theory.studies.head_spectra import head_spectra
from theory.studies.instances import cases
from theory.studies.least_budget import LeastBudget, least_budgets
from theory.studies.problems import ProblemSource, load_problem
from theory.studies.ranking import Place, Ranking, rankings
from theory.studies.robustness import Outcome, over_methods, over_targets
from theory.studies.settings import Settings
from theory.studies.spectra_result import SpectraResult
from theory.studies.summary import Line, lines
from theory.studies.tensor_spectra import TensorSpectra, mode_spectra
from theory.studies.timing import measured_time
from theory.studies.varied_methods import varied_methods
from theory.studies.varied_targets import varied_targets
from theory.studies.verification import verify

__all__ = [
    "AttentionStudy",
    "ErrorMap",
    "LeastBudget",
    "Line",
    "Outcome",
    "Place",
    "ProblemSource",
    "Ranking",
    "Settings",
    "SpectraResult",
    "TensorSpectra",
    "TheoremFinding",
    "Verification",
    "broken_laws",
    "cases",
    "certified_errors",
    "entrywise_errors",
    "head_spectra",
    "least_budgets",
    "lines",
    "load",
    "load_problem",
    "measured_time",
    "measurement",
    "mode_spectra",
    "over_methods",
    "over_targets",
    "rankings",
    "remaining",
    "run_study",
    "select",
    "varied_methods",
    "varied_targets",
    "verify",
    "write_tables",
]
