"""Spectra of a problem in a folder: arrays, tables and, where Matplotlib is installed, figures."""

from __future__ import annotations

from pathlib import Path

from theory.studies.spectra_result import SpectraResult

try:
    from theory.reports.figures import corner, spectra, tensor_spectra
except ModuleNotFoundError as error:  # Matplotlib is an extra
    if "theory" in str(error.name):
        raise
    spectra = None  # type: ignore[assignment]

__all__ = ["save_spectra"]


def save_spectra(result: SpectraResult, folder: str | Path) -> list[Path]:
    """Write the arrays (.npz), two tables (.csv) and, where Matplotlib is installed, four figures (.svg, .png).

    Parameters
    ----------
    result : SpectraResult
    folder : path-like
        Created if missing.

    Returns
    -------
    list of Path
        The arrays first; ``SpectraResult.load`` reads them.
    """
    written = result.save(folder)
    if spectra is None:
        return written
    drawn = {
        "corner": corner.draw(result),
        "inputs": spectra.draw(result, spectra.INPUTS),
        "attention": spectra.draw(result, spectra.ATTENTION),
        "tensor": tensor_spectra.draw(result),
    }
    for name, figure in drawn.items():
        for suffix in ("svg", "png"):
            written.append(Path(folder) / f"{result.stem}-{name}.{suffix}")
            spectra.save(figure, written[-1])
    return written
