import hashlib
import re
from importlib import resources

import numpy as np
import pytest

from tnattn.models.safetensors_file import open_safetensors
from tnattn.models.sample import SAMPLE, load_sample, passage, sample_layers

DATA = resources.files("tnattn.models") / "data"
# Of numerical ranks at 1e-2 for N = 512, over the 72 heads of the model and three other texts.
LOWEST_TENTH, HIGHEST_TENTH = 33, 414


def attention_ranks(q, k, threshold=1e-2):
    """Numerical ranks of the attention matrices of heads, from the eigenvalues of their Gram matrices."""
    scores = q.astype(np.float64) @ k.astype(np.float64).transpose(0, 2, 1) / np.sqrt(q.shape[-1])
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    squares = np.linalg.eigvalsh(weights @ weights.transpose(0, 2, 1))
    return (squares > threshold**2 * squares[:, -1:]).sum(axis=-1)


@pytest.fixture(scope="module")
def ranks():
    return {layer: attention_ranks(load_sample(layer).q, load_sample(layer).k) for layer in sample_layers()}


def test_the_sample_holds_an_early_a_middle_and_a_last_layer():
    assert sample_layers() == (1, 3, 5)


@pytest.mark.parametrize("layer", sample_layers())
def test_each_layer_has_twelve_finite_heads_of_512_tokens(layer):
    sample = load_sample(layer)
    assert sample.q.shape == sample.k.shape == sample.v.shape == (12, 512, 32)
    assert sample.q.dtype == sample.k.dtype == sample.v.dtype == np.float32
    assert (sample.layer, sample.causal, sample.scale) == (layer, False, None)


def test_float16_defines_the_sample():
    sample = load_sample(5)
    for array in (sample.q, sample.k, sample.v):
        np.testing.assert_array_equal(array.astype(np.float16).astype(np.float32), array)


def test_without_a_layer_the_typical_one_is_loaded(ranks):
    typical = load_sample()
    assert np.median(ranks[typical.layer]) == sorted(np.median(r) for r in ranks.values())[1]


def test_a_layer_outside_the_sample_is_refused():
    with pytest.raises(ValueError, match="layer 2 is not in the sample; it has the layers 1, 3, 5"):
        load_sample(2)


def test_loaded_arrays_belong_to_the_caller():
    sample = load_sample()
    sample.q[0, 0, 0] = 7.0
    assert load_sample().q[0, 0, 0] != 7.0


def test_the_content_hash_is_the_one_of_the_provenance():
    stated = re.search(rf"`{SAMPLE}`.*?`([0-9a-f]{{64}})`", (DATA / "PROVENANCE.md").read_text(), re.S).group(1)
    assert hashlib.sha256((DATA / SAMPLE).read_bytes()).hexdigest() == stated


def test_the_text_hash_is_the_one_of_the_provenance_and_of_the_file():
    text = hashlib.sha256(passage().encode()).hexdigest()
    assert text in (DATA / "PROVENANCE.md").read_text()
    with resources.as_file(DATA / SAMPLE) as path:
        assert open_safetensors(path).metadata["text_sha256"] == text


def test_the_provenance_states_both_licences_and_the_text_carries_its_own():
    page = (DATA / "PROVENANCE.md").read_text()
    assert "Apache-2.0" in page
    assert "Python Software Foundation License Version 2" in page
    assert "PSF hereby" in (DATA / "PSF-LICENSE.txt").read_text()


def test_the_data_stay_below_six_megabytes():
    assert sum(len(item.read_bytes()) for item in DATA.iterdir()) <= 6e6


@pytest.mark.parametrize("layer", sample_layers())
def test_median_ranks_lie_in_the_range_of_the_whole_model(ranks, layer):
    assert LOWEST_TENTH <= np.median(ranks[layer]) <= HIGHEST_TENTH


def test_the_provenance_states_the_median_ranks(ranks):
    stated = re.search(r"is ([0-9, ]+) for layers 0 to 5", (DATA / "PROVENANCE.md").read_text().replace("\n", " "))
    medians = [int(number) for number in stated.group(1).split(",")]
    assert [medians[layer] for layer in sample_layers()] == pytest.approx(
        [np.median(ranks[layer]) for layer in sample_layers()], abs=0.5
    )  # 0.5: stated as integers


def test_ranks_fall_from_the_early_to_the_last_layer(ranks):
    early, middle, last = (np.median(ranks[layer]) for layer in sample_layers())
    assert early > 2 * middle > 4 * last


def test_gaussian_heads_of_the_same_shape_and_size_would_not_pass():
    q, k = np.random.default_rng(0).standard_normal((2, 4, 512, 32)) * load_sample().q.std()
    assert np.median(attention_ranks(q, k)) > HIGHEST_TENTH
