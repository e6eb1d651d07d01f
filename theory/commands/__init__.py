"""Commands of the terminal, one file each; ``app`` assembles them and imports the one that is asked for.

``tnattn --help`` imports none of them. A command parses its options, calls a study, and prints tables or JSON; it
computes nothing itself. A mistake of the user is a ``ValueError``, which ``theory.cli`` turns into one sentence and
exit status 2.
- ``app``: the application (``application``)

Inside
------
- ``compare``: methods on one problem, and the report
- ``verify``: theorems against data
- ``certify``: the error of an output of any code
- ``suggest``: the cheapest certified method of every head
- ``rank``: the least budget of every method for an error
- ``spectra``: singular values of a problem
- ``report``: the report of a folder, again
- ``inventory``: methods, theorems, versions
- ``options``: options that several commands share
- ``console``: tables, progress and JSON
- ``writing``: tables and report of a folder
"""

from theory.commands.application import app

__all__ = [
    "app",
]
