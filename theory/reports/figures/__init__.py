"""Figures of the studies, one per file; the only modules that import Matplotlib.

Each has ``draw(data) -> Figure`` in the look of ``style``; ``style.svg`` makes it part of a page, ``style.save`` a
file. Matplotlib is imported with the figure: this chapter's modules are imported by name, not by the package.
- ``error_budget``: error against budget, a panel per family, with predictions and controls
- ``frontier``: error against time and operations
- ``heat_map``: error of every method on every head
- ``attention_map``: entry-wise errors on the weights of one head
- ``slack``: predicted over observed, theorem by theorem
- ``spectra``: singular values of every head
- ``tensor_spectra``: mode spectra and ranks of the tensor of heads
- ``corner``: first queries and keys of every head's weights
- ``control_methods``: the methods that stand in every figure
- ``style``: palette, marks and text of all figures
"""
