import json

import numpy as np
import pytest

from tnattn.models.safetensors_file import open_safetensors, write_safetensors


def write_raw(path, header, buffer=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + buffer)
    return path


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    "dtype", ["bool", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", ">f4", ">i8"], ids=str
)
def test_what_was_written_is_read_back_exactly(tmp_path, dtype):
    array = (np.arange(24).reshape(2, 3, 4) % 2).astype(dtype)
    write_safetensors(tmp_path / "a.safetensors", {"first": array, "second": array[:, ::2].T})
    file = open_safetensors(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(file["first"], array)
    np.testing.assert_array_equal(file["second"], array[:, ::2].T)
    assert file["first"].dtype == np.dtype(dtype).newbyteorder("=")


def test_half_precision_is_widened_exactly(tmp_path):
    bits = np.arange(2**16, dtype=np.uint16)  # every float16 there is
    halves = bits.view(np.float16)
    write_safetensors(tmp_path / "a.safetensors", {"x": halves})
    read = open_safetensors(tmp_path / "a.safetensors")["x"]
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, halves.astype(np.float32))


def test_bfloat16_is_the_upper_half_of_a_float32(tmp_path):
    values = np.asarray([1.0, -2.5, 3.140625, 0.0, np.inf, 2.0**-130], dtype=np.float32)  # all exact in bfloat16
    upper = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    path = write_raw(tmp_path / "a.safetensors", {"x": entry("BF16", (6,), (0, 12))}, upper)
    np.testing.assert_array_equal(open_safetensors(path)["x"], values)


def test_tensors_stay_on_disk_until_they_are_asked_for(tmp_path):
    write_safetensors(tmp_path / "a.safetensors", {"x": np.zeros(8)})
    assert isinstance(open_safetensors(tmp_path / "a.safetensors")["x"].base, np.memmap)


def test_empty_tensors_scalars_and_metadata_survive(tmp_path):
    tensors = {"scalar": np.asarray(0.5), "empty": np.zeros((0, 3), np.float32)}
    write_safetensors(tmp_path / "a.safetensors", tensors, {"model": "m"})
    file = open_safetensors(tmp_path / "a.safetensors")
    assert file["scalar"] == 0.5
    assert file["scalar"].shape == ()
    assert file["empty"].shape == (0, 3)
    assert file.metadata == {"model": "m"}
    assert list(file) == ["scalar", "empty"]


def test_the_reference_library_reads_what_was_written(tmp_path):
    reference = pytest.importorskip("safetensors.numpy")
    array = np.linspace(-1, 1, 12, dtype=np.float16).reshape(3, 4)
    write_safetensors(tmp_path / "a.safetensors", {"x": array, "n": np.arange(3)}, {"model": "m"})
    read = reference.load_file(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(read["x"], array)
    np.testing.assert_array_equal(read["n"], np.arange(3))


def test_what_the_reference_library_wrote_is_read(tmp_path):
    reference = pytest.importorskip("safetensors.numpy")
    array = np.linspace(-1, 1, 12).reshape(3, 4)
    reference.save_file({"x": array, "odd": np.ones(3, np.uint8), "y": array[0]}, tmp_path / "a.safetensors")
    read = open_safetensors(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(read["x"], array)
    np.testing.assert_array_equal(read["y"], array[0])


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "F4"])
def test_formats_numpy_cannot_hold_are_refused_by_name_when_asked_for(tmp_path, dtype):
    path = write_raw(tmp_path / "a.safetensors", {"x": entry(dtype, (2,), (0, 2))}, b"\0\0")
    file = open_safetensors(path)
    with pytest.raises(ValueError, match=f"tensor 'x' is stored as {dtype}, which NumPy cannot hold; convert it"):
        file["x"]


def test_dtypes_the_format_lacks_are_refused_when_writing(tmp_path):
    with pytest.raises(TypeError, match="tensor 'x' has dtype complex128"):
        write_safetensors(tmp_path / "a.safetensors", {"x": np.ones(2, complex)})


@pytest.mark.parametrize(
    "header, buffer, length, message",
    [
        (b"", b"", 0, "header is not JSON"),
        (b"garbage!" * 4, b"", None, "header is not JSON"),
        (b"PK\x03\x04 an archive of another kind", b"", 2**60, "cut short"),
        ([1, 2], b"", None, "JSON list, not an object"),
        ({"__metadata__": [1]}, b"", None, "__metadata__"),
        ({"x": entry()}, b"\0" * 7, None, "cut short: its header announces"),
        ({"x": entry()}, b"\0" * 9, None, "has bytes after its last tensor"),
        ({"x": entry(shape=(3,))}, b"\0" * 8, None, "tensor 'x' of shape"),
        ({"x": entry(shape=(-2,))}, b"\0" * 8, None, "'x' is malformed"),
        ({"x": {"dtype": "F32"}}, b"", None, "'x' is malformed"),
        ({"x": entry(), "y": entry()}, b"\0" * 8, None, "tensor 'y' begins at byte"),
        ({"x": entry(offsets=(4, 12))}, b"\0" * 12, None, "tensor 'x' begins at byte"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damaged_files_are_refused_with_their_name_and_what_is_wrong(tmp_path, header, buffer, length, message):
    path = write_raw(tmp_path / "bad.safetensors", header, buffer, length)
    with pytest.raises(ValueError, match=message) as caught:
        open_safetensors(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kept", [0, 5, 40, -1])
def test_a_file_cut_anywhere_is_refused(tmp_path, kept):
    path = tmp_path / "cut.safetensors"
    write_safetensors(path, {"x": np.arange(10.0)})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match="cut short"):
        open_safetensors(path)


def test_a_missing_file_is_named():
    with pytest.raises(ValueError, match=r"nowhere\.safetensors does not exist"):
        open_safetensors("nowhere.safetensors")


@pytest.mark.parametrize(
    "header",
    [
        b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b'{"x":{"dtype":"I32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b'{"__metadata__":{"x":"1","x":"2"},"y":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    ],
    ids=["tensor", "field", "metadata"],
)
def test_names_that_occur_twice_are_refused(tmp_path, header):
    path = write_raw(tmp_path / "twice.safetensors", header, b"\0\0\0\0")
    with pytest.raises(ValueError, match=r"twice\.safetensors: the header names '(x|dtype)' twice"):
        open_safetensors(path)


def test_booleans_are_zero_or_one(tmp_path):
    path = write_raw(tmp_path / "a.safetensors", {"x": entry("BOOL", (2,), (0, 2))}, b"\x01\x02")
    with pytest.raises(ValueError, match="other than 0 and 1"):
        open_safetensors(path)["x"]


def test_hidden_entries_cannot_be_written(tmp_path):
    hidden = np.ma.array([1.0, 2.0], mask=[False, True])
    with pytest.raises(TypeError, match="'x' is a masked array"):
        write_safetensors(tmp_path / "a.safetensors", {"x": hidden})
    write_safetensors(tmp_path / "a.safetensors", {"x": np.ma.array([1.0, 2.0])})
