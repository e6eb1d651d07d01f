"""The real sample that ships with the package: heads of a trained encoder on a page of English text."""

from __future__ import annotations

from importlib import resources

from tnattn.models.qkv import QKV
from tnattn.models.safetensors_file import open_safetensors

__all__ = ["load_sample", "passage", "sample_layers"]

SAMPLE = "minilm_l6.safetensors"
# by the median numerical rank (sigma_k > 1e-2 sigma_0) of a head's 512-by-512 attention matrix: layer 1 is the
# hardest of the six (291), layer 3 the typical one (102), layer 5 the easiest (37)
LAYERS = (1, 3, 5)
TYPICAL = 3
SHAPE = (12, 512, 32)


def sample_layers() -> tuple[int, ...]:
    """Return the layers of the sample, early, middle and last."""
    return LAYERS


def load_sample(layer: int | None = None) -> QKV:
    """Return queries, keys and values of one layer of all-MiniLM-L6-v2 on 512 tokens of the Python documentation.

    Parameters
    ----------
    layer : int, optional
        One of `sample_layers`; None: layer 3, whose ranks are typical of the model.

    Returns
    -------
    QKV
        Each array (12, 512, 32), float32: exactly the float16 numbers of the shipped file. Not causal, and the scale
        is 1 / sqrt(32).

    Raises
    ------
    ValueError
        If the sample has no such layer, or if the installed file is damaged.

    Notes
    -----
    Origin, licences and the content hash are in ``data/PROVENANCE.md``; ``make_sample`` made the file.
    """
    layer = TYPICAL if layer is None else layer
    if layer not in LAYERS:
        raise ValueError(f"layer {layer} is not in the sample; it has the layers {', '.join(map(str, LAYERS))}")
    with resources.as_file(resources.files("tnattn.models") / "data" / SAMPLE) as path:
        file = open_safetensors(path)
        q, k, v = (file[f"layer{layer}.{name}"] for name in ("q", "k", "v"))  # widened, hence copies
    if not q.shape == k.shape == v.shape == SHAPE:
        raise ValueError(
            f"the sample's arrays have shapes {q.shape}, {k.shape}, {v.shape}, not {SHAPE}; reinstall tnattn"
        )
    return QKV(
        q,
        k,
        v,
        name=f"MiniLM layer {layer}",
        layer=layer,
        source="all-MiniLM-L6-v2, 512 tokens of Python documentation",
    )


def passage() -> str:
    """Return the text on which the sample was computed; its first 510 tokens were read."""
    return (resources.files("tnattn.models") / "data" / "passage.txt").read_text(encoding="utf-8")
