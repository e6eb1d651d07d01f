"""Sections of the report, one question each; they need Matplotlib through the figures.

Each returns a title and a piece of the page, with the numbers of its figures; ``theory.reports.report`` puts them in
order.
- ``errors``: error against budget and against cost
- ``ranking``: order of the methods at equal cost
- ``verdicts``: verdicts on the theorems, with slack
- ``heads``: errors of every head, and on the map of one
- ``spectra``: singular values of the problem
"""
