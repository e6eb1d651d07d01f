"""Records: trials that are computed once, kept in a ledger, and repeated bit by bit.

A trial's key is the hash of its specification, its problem, the sources that compute it and the versions below; its
generator comes from seed and specification alone, so that a result depends on neither order, worker nor interruption.
One process appends to a ledger of JSON lines (fsync per trial; a torn last line is run again), beside a manifest of
the machine. Nothing here knows of attention or theorems.

Begin with ``run``: it computes what a ``Ledger`` lacks, on any ``concurrent.futures`` executor.
- ``run``: computes the missing trials of a study
- ``Task``: a trial to run (``runner``)
- ``process_pool``: an executor with one BLAS thread per worker
- ``Ledger``: the lines of a study, appended by one writer (``store``)
- ``LedgerLocked``: raised where another process writes
- ``export``: a table as CSV or Parquet
- ``trial_key``: hash of a specification (``keys``)
- ``generator``: random generator of a trial
- ``content_hash``: hash of arrays
- ``encode``: values as portable JSON
- ``decode``: and back
- ``manifest``: versions, BLAS, threads, machine, device, commit
- ``finished``: a manifest with the time of its end
- ``write_manifest``: beside the ledger
- ``source_hash``: hash of the code of a method and of all that it imports (``sources``)
- ``package_hash``: hash of a package
- ``environment``: versions of the libraries that compute
- ``is_foreign``: whether code lies outside the packages
"""

from theory.records.keys import content_hash, decode, encode, generator, trial_key
from theory.records.manifest import finished, manifest, write_manifest
from theory.records.runner import Task, process_pool, run
from theory.records.sources import environment, is_foreign, package_hash, source_hash
from theory.records.store import Ledger, LedgerLocked, export

__all__ = [
    "Ledger",
    "LedgerLocked",
    "Task",
    "content_hash",
    "decode",
    "encode",
    "environment",
    "export",
    "finished",
    "generator",
    "is_foreign",
    "manifest",
    "package_hash",
    "process_pool",
    "run",
    "source_hash",
    "trial_key",
    "write_manifest",
]
