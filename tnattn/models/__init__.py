"""Real queries, keys and values: the shipped sample, a user's files, and a small trained encoder.

The shipped sample
    ``load_sample`` gives one of its ``sample_layers``: queries, keys and values of all heads of all-MiniLM-L6-v2 on
    512 tokens of English text. ``data/PROVENANCE.md`` describes model, text and licence.
Files
    ``load_qkv`` and ``save_qkv`` read and write ``.npz`` and ``.safetensors`` files, ``load_output`` reads an output
    beside them; a ``QKV`` holds the contents of a
    file, validated once, and makes the attention problem of them. ``SafetensorsFile``, ``open_safetensors`` and
    ``write_safetensors`` handle the format with NumPy alone: a memory map behind a checked header.
The encoder
    ``load_minilm`` gives the ``MiniLM`` encoder from the files of an installed package, and ``capture_heads`` the
    queries, keys and values that it computes from a text.

Take first: ``load_sample().problem()``; then ``load_qkv`` with the heads of a model of your own.
"""

from tnattn.models.files import load_output, load_qkv, save_qkv
from tnattn.models.minilm import MiniLM, capture_heads, load_minilm
from tnattn.models.qkv import QKV
from tnattn.models.safetensors_file import SafetensorsFile, open_safetensors, write_safetensors
from tnattn.models.sample import load_sample, sample_layers

__all__ = [
    "QKV",
    "MiniLM",
    "SafetensorsFile",
    "capture_heads",
    "load_minilm",
    "load_output",
    "load_qkv",
    "load_sample",
    "open_safetensors",
    "sample_layers",
    "save_qkv",
    "write_safetensors",
]
