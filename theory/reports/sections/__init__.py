"""Sections of the report, one question each; they need Matplotlib through the figures."""
