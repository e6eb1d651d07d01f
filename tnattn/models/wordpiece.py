"""The uncased WordPiece tokenizer of BERT."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tnattn.scalars import Parameters

__all__ = ["WordPiece", "read_vocabulary"]

# the blocks of unified Chinese, Japanese and Korean ideographs; each such character is a word of its own
IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


@dataclass(frozen=True, eq=False)
class WordPiece(Parameters):
    """Text to token numbers: normalise, split into words, and split each word greedily into the longest known pieces.

    Attributes
    ----------
    vocabulary : mapping of str to int
        Pieces that continue a word begin with ``##``; must hold ``[UNK]``, ``[CLS]`` and ``[SEP]``.
    longest_word : int
        A word of more characters than this becomes ``[UNK]``.

    Notes
    -----
    Devlin, Chang, Lee & Toutanova 2019 (BERT), uncased vocabulary: lower case, accents removed. Linear in the text;
    quadratic in the length of a word at most. The special tokens are added here and are not recognised in the text.

    Examples
    --------
    >>> from tnattn.models.wordpiece import WordPiece
    >>> vocabulary = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "low": 3, "##rank": 4}
    >>> WordPiece(vocabulary)("Low lowrank high")
    [1, 3, 3, 4, 0, 2]
    """

    vocabulary: Mapping[str, int]
    longest_word: int = 100

    def __post_init__(self) -> None:
        missing = [token for token in ("[UNK]", "[CLS]", "[SEP]") if token not in self.vocabulary]
        if missing:
            raise ValueError(f"the vocabulary lacks {', '.join(missing)}; read it from the model's vocab.txt")

    def __call__(self, text: str, *, length: int | None = None) -> list[int]:
        """Return the token numbers of a text between ``[CLS]`` and ``[SEP]``, cut to a total length.

        Parameters
        ----------
        text : str
            Of any length and script.
        length : int, optional
            At least 2, both special tokens counted; None keeps all tokens.
        """
        if length is not None and length < 2:
            raise ValueError(f"length is {length}; it counts [CLS] and [SEP] and must be at least 2")
        tokens = [token for word in words(text) for token in self._pieces(word)]
        kept = tokens if length is None else tokens[: length - 2]
        return [self.vocabulary["[CLS]"], *kept, self.vocabulary["[SEP]"]]

    def _pieces(self, word: str) -> list[int]:
        """Return the longest known prefix of a word, then of what remains, and so on; ``[UNK]`` if that gets stuck."""
        unknown = [self.vocabulary["[UNK]"]]
        if len(word) > self.longest_word:
            return unknown
        pieces: list[int] = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            for stop in range(len(word), start, -1):  # the longest prefix first
                piece = self.vocabulary.get(prefix + word[start:stop])
                if piece is not None:
                    pieces.append(piece)
                    start = stop
                    break
            else:  # no piece fits: the whole word is unknown, as in BERT
                return unknown
        return pieces


def read_vocabulary(path: Path) -> dict[str, int]:
    """Return the vocabulary of a file with one token per line, numbered from zero."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return {token: number for number, token in enumerate(lines) if token}


def words(text: str) -> Iterator[str]:
    """Yield the words of a text: lower case without accents, every punctuation mark and ideograph on its own."""
    clean = "".join(_cleaned(character) for character in text)
    # Accents go before the case does, so that one character with a mark never becomes two letters.
    plain = "".join(c for c in unicodedata.normalize("NFD", clean) if unicodedata.category(c) != "Mn")
    for chunk in plain.lower().split():
        start = 0
        for place, character in enumerate(chunk):
            if _is_punctuation(character):
                if start < place:
                    yield chunk[start:place]
                yield character
                start = place + 1
        if start < len(chunk):
            yield chunk[start:]


def _cleaned(character: str) -> str:
    """Return a character, a space for white space, nothing for control characters, and ideographs between spaces."""
    if character in "\t\n\r" or character.isspace():
        return " "
    # U+FFFD stands for bytes that are not UTF-8
    if character == "\ufffd" or unicodedata.category(character).startswith("C"):
        return ""
    code = ord(character)
    return f" {character} " if any(first <= code <= last for first, last in IDEOGRAPHS) else character


def _is_punctuation(character: str) -> bool:
    """Return whether a character is Unicode punctuation or one of the ASCII symbols that BERT counts as such."""
    return character in "$+<=>^`|~" or unicodedata.category(character).startswith("P")
