"""Real queries, keys and values: the shipped sample, a user's files, and a small trained encoder."""

from tnattn.models.files import load_qkv, save_qkv
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
    "load_qkv",
    "load_sample",
    "open_safetensors",
    "sample_layers",
    "save_qkv",
    "write_safetensors",
]
