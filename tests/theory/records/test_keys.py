"""Keys depend on what a trial is, and on nothing else."""

import enum
import json
from dataclasses import dataclass

import numpy as np
import pytest

from theory.records.keys import content_hash, decode, encode, generator, trial_key
from tnattn.discovery import load_file


class Kind(enum.StrEnum):
    FIRST = "first"


@dataclass(frozen=True)
class Method:
    rank: int = 3


def test_key_is_the_sha256_of_the_canonical_json():
    """sha256 of the text {"a":1,"b":[2,"x"]}, from sha256sum."""
    assert trial_key({"b": (2, "x"), "a": 1}) == "454597f51f0e5988dd7d0864f82e826d91fd43ed815a21bb06cd7181e8547a2f"


def test_key_ignores_the_order_of_names():
    assert trial_key({"a": 1, "b": 2}) == trial_key({"b": 2, "a": 1})


@pytest.mark.parametrize("other", [{"a": 2}, {"a": 1, "b": None}, {"a": "1"}, {"a": 1.0}, {"a": [1]}, {"a": Method(1)}])
def test_key_changes_with_the_specification(other):
    assert trial_key({"a": 1}) != trial_key(other)


def test_key_depends_on_class_and_fields_of_a_method():
    assert len({trial_key({"m": Method(1)}), trial_key({"m": Method(2)}), trial_key({"m": {"rank": 1}})}) == 3


@pytest.mark.parametrize(
    "value", [0.1, 1e-320, -0.0, 1e300, float("inf"), float("-inf"), 3, True, None, "NaN", [1, [2]]]
)
def test_values_survive_a_round_trip(value):
    assert decode(encode({"x": value}))["x"] == value


def test_nan_survives_a_round_trip_as_valid_json():
    text = encode({"x": [float("nan"), 1.0]})
    assert np.isnan(decode(text)["x"][0])
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_numpy_values_become_plain_ones():
    row = {"i": np.int64(3), "f": np.float32(0.1), "b": np.bool_(True), "a": np.arange(3), "n": np.float64("nan")}
    assert encode(row).startswith('{"a":[0,1,2],"b":true,"f":0.10000000149011612,"i":3,')


def test_an_enumeration_of_strings_becomes_its_text():
    assert encode(Kind.FIRST) == '"first"'


@pytest.mark.parametrize("value", [1j, object(), {1: 2}, {"$float": "nan"}, b"x", {"x"}])
def test_values_without_a_portable_form_are_refused(value):
    with pytest.raises(TypeError):
        encode({"x": value})


def test_generator_is_fixed_by_seed_and_key():
    key = trial_key({"a": 1})
    words = [int(key[i : i + 8], 16) for i in range(0, 64, 8)]
    expected = np.random.default_rng([5, *words]).random(4)
    np.testing.assert_array_equal(generator(5, key).random(4), expected)


def test_generators_of_other_keys_and_seeds_differ():
    a, b = trial_key({"a": 1}), trial_key({"a": 2})
    assert len({generator(s, k).integers(2**63) for s in (0, 1) for k in (a, b)}) == 4


@pytest.mark.parametrize("seed, key", [(-1, "0" * 64), (0, "xyz"), (0, "00")])
def test_bad_seeds_and_keys_are_refused(seed, key):
    with pytest.raises(ValueError, match="seed|key"):
        generator(seed, key)


def test_content_hash_ignores_memory_layout_and_byte_order():
    a = np.arange(6.0).reshape(2, 3)
    assert content_hash(a) == content_hash(np.asfortranarray(a)) == content_hash(a.astype(">f8"))


@pytest.mark.parametrize(
    "other", [np.arange(6.0), np.arange(6.0).reshape(3, 2), np.arange(6).reshape(2, 3), np.zeros((2, 3))]
)
def test_content_hash_sees_values_shape_and_dtype(other):
    assert content_hash(np.arange(6.0).reshape(2, 3)) != content_hash(other)


def test_content_hash_keeps_arrays_apart():
    assert content_hash([1.0, 2.0], [3.0]) != content_hash([1.0], [2.0, 3.0])


def test_a_class_of_a_users_file_has_one_name_in_every_folder(tmp_path):
    text = "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Mine:\n    rank: int = 3\n"
    made = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(text)
        made.append(load_file(tmp_path / folder / "mine.py").Mine())
    assert type(made[0]) is not type(made[1])
    assert encode(made[0]) == encode(made[1]) == '{"class":"mine.Mine","rank":3}'
