"""Figures of the studies, one per file; the only modules that import Matplotlib."""
