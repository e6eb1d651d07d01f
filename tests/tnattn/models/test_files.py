import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tnattn.models.files import load_qkv, save_qkv
from tnattn.models.safetensors_file import write_safetensors

FORMATS = (".npz", ".safetensors")


def heads(h=2, n=5, d=3, dtype=np.float32):
    return tuple(np.random.default_rng(3).standard_normal((3, h, n, d)).astype(dtype))


def write(path, arrays):
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        write_safetensors(path, {name: np.asarray(array) for name, array in arrays.items()})
    return path


def named(q, k, v, **others):
    return {"q": q, "k": k, "v": v, **others}


@pytest.mark.parametrize("suffix", FORMATS)
def test_everything_saved_comes_back(tmp_path, suffix):
    q, k, v = heads()
    mask = np.tril(np.ones((5, 5), bool))
    save_qkv(tmp_path / f"mine{suffix}", q, k, v, scale=0.25, causal=True, softcap=30.0, mask=mask)
    problem = load_qkv(tmp_path / f"mine{suffix}")
    np.testing.assert_array_equal(problem.q, q)
    np.testing.assert_array_equal(problem.k, k)
    np.testing.assert_array_equal(problem.v, v)
    np.testing.assert_array_equal(problem.mask, mask)
    assert (problem.scale, problem.causal, problem.softcap, problem.name) == (0.25, True, 30.0, "mine")


@pytest.mark.parametrize("suffix", FORMATS)
def test_options_left_out_take_their_defaults(tmp_path, suffix):
    save_qkv(tmp_path / f"a{suffix}", *heads())
    problem = load_qkv(str(tmp_path / f"a{suffix}"))
    assert (problem.scale, problem.causal, problem.softcap, problem.mask) == (None, False, None, None)


@pytest.mark.parametrize("spelling", [("q", "k", "v"), ("Q", "K", "V"), ("query", "key", "value")])
@pytest.mark.parametrize("suffix", FORMATS)
def test_three_spellings_are_understood(tmp_path, suffix, spelling):
    q, k, v = heads()
    problem = load_qkv(write(tmp_path / f"a{suffix}", dict(zip(spelling, (q, k, v), strict=True))))
    np.testing.assert_array_equal(problem.v, v)
    np.testing.assert_array_equal(problem.k, k)


@pytest.mark.parametrize("shape, seen", [((5, 3), (1, 5, 3)), ((2, 5, 3), (2, 5, 3)), ((4, 2, 5, 3), (4, 2, 5, 3))])
def test_one_head_is_lifted_and_a_batch_is_kept(tmp_path, shape, seen):
    array = np.random.default_rng(0).standard_normal(shape)
    problem = load_qkv(write(tmp_path / "a.npz", named(array, array, array)))
    assert problem.q.shape == problem.k.shape == problem.v.shape == seen


@pytest.mark.parametrize("suffix", FORMATS)
def test_half_precision_files_are_read_exactly_as_float32(tmp_path, suffix):
    q, k, v = heads(dtype=np.float16)
    save_qkv(tmp_path / f"a{suffix}", q, k, v)
    problem = load_qkv(tmp_path / f"a{suffix}")
    assert problem.q.dtype == np.float32
    np.testing.assert_array_equal(problem.q, q.astype(np.float32))


def test_bfloat16_files_are_read_exactly_as_float32(tmp_path):
    torch = pytest.importorskip("torch")
    reference = pytest.importorskip("safetensors.torch")
    q, k, v = (torch.from_numpy(array).to(torch.bfloat16) for array in heads())
    reference.save_file({"q": q, "k": k, "v": v}, tmp_path / "a.safetensors")
    np.testing.assert_array_equal(load_qkv(tmp_path / "a.safetensors").q, q.float().numpy())


def nan_at_the_third_token():
    q, k, v = heads()
    k[0, 2, 1] = np.nan
    return named(q, k, v)


BAD_CONTENTS = {
    "nothing in it": ({}, ValueError, r"no array q or k or v; found: nothing; expected q, k, v"),
    "no values": ({"q": heads()[0], "k": heads()[1]}, ValueError, r"no array v; found: k, q;"),
    "two spellings": (named(*heads(), Q=heads()[0]), ValueError, r"holds q and Q, which mean the same"),
    "a misspelt option": (named(*heads(), sclae=0.5), ValueError, r"unknown meaning: sclae"),
    "three heads for two": (named(heads(3)[0], *heads(2)[1:]), ValueError, r"q has 3 heads and k has 2"),
    "lengths": (named(heads()[0], heads(n=4)[1], heads()[2]), ValueError, r"k has 4 tokens and v has 5"),
    "head dimensions": (named(heads(d=4)[0], *heads()[1:]), ValueError, r"q has head dimension 4 and k has 3"),
    "axes": (named(*(array[0, 0] for array in heads())), ValueError, r"must all have the axes"),
    "integers": (named(*(array.astype(np.int32) for array in heads())), TypeError, r"q has dtype int32"),
    "a NaN": (nan_at_the_third_token(), ValueError, r"k .* holds 1 non-finite number .*\(0, 2, 1\)"),
    "a scale for every head": (named(*heads(), scale=np.ones(2)), ValueError, r"scale has shape \(2,\)"),
    "a negative scale": (named(*heads(), scale=-1.0), ValueError, r"scale is -1\.0; it must be a finite positive"),
    "a doubtful switch": (named(*heads(), causal=2), ValueError, r"causal is 2; it must be true or false"),
    "a real switch": (named(*heads(), causal=0.5), ValueError, r"causal has .* must be one boolean"),
    "a mask of another length": (named(*heads(), mask=np.ones((4, 4), bool)), ValueError, r"mask has shape \(4, 4\)"),
}


@pytest.mark.parametrize("contents, kind, message", BAD_CONTENTS.values(), ids=BAD_CONTENTS)
@pytest.mark.parametrize("suffix", FORMATS)
def test_unusable_contents_are_refused_in_one_sentence_naming_the_file(tmp_path, suffix, contents, kind, message):
    path = write(tmp_path / f"bad{suffix}", contents)
    with pytest.raises(kind, match=message) as caught:
        load_qkv(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def a_single_array():
    stream = io.BytesIO()
    np.save(stream, np.ones(3))
    return stream.getvalue()


def an_archive():
    stream = io.BytesIO()
    np.savez(stream, **named(*heads()))
    return stream.getvalue()


def a_changed_byte():
    content = bytearray(an_archive())
    content[200] ^= 0xFF  # in the first array's numbers
    return bytes(content)


DAMAGED = {
    "empty": (b"", "not an .npz archive"),
    "text": (b"q = [[1, 2], [3, 4]]", "not an .npz archive"),
    "a pickle": (pickle.dumps({"q": 1}), "not an .npz archive"),
    "cut in half": (an_archive()[: len(an_archive()) // 2], "not an .npz archive or is cut short"),
    "one unnamed array": (a_single_array(), "holds one unnamed array"),
    "a changed byte": (a_changed_byte(), "array 'q' cannot be read"),
}


@pytest.mark.parametrize("content, message", DAMAGED.values(), ids=DAMAGED)
def test_damaged_archives_are_refused_in_one_sentence(tmp_path, content, message):
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        load_qkv(path)
    assert "\n" not in str(caught.value)


def test_python_objects_are_never_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("the file was unpickled",))

    q, k, v = heads()
    np.savez(tmp_path / "a.npz", **named(np.asarray([Trap()], dtype=object), k, v))
    with pytest.raises(ValueError, match="array 'q' holds Python objects"):
        load_qkv(tmp_path / "a.npz")


@pytest.mark.parametrize("name", ["a.npy", "a.pt", "a"])
def test_other_suffixes_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(ValueError, match=r"the suffix must be \.npz or \.safetensors"):
        load_qkv(tmp_path / name)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.npz does not exist"):
        load_qkv(tmp_path / "nowhere.npz")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not a file; pass the path of a file"):
        load_qkv(tmp_path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_that_may_not_be_opened_is_refused_with_the_reason(tmp_path, monkeypatch, suffix):
    save_qkv(tmp_path / f"a{suffix}", *heads())

    def refuse(self, mode):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ValueError, match="cannot be opened: Permission denied"):
        load_qkv(tmp_path / f"a{suffix}")


def test_tensors_of_another_library_are_saved(tmp_path):
    torch = pytest.importorskip("torch")
    q, k, v = heads()
    save_qkv(tmp_path / "a.npz", *(torch.from_numpy(array) for array in (q, k, v)))
    np.testing.assert_array_equal(load_qkv(tmp_path / "a.npz").v, v)


@pytest.mark.parametrize("suffix", FORMATS)
def test_nothing_is_written_that_could_not_be_read(tmp_path, suffix):
    with pytest.raises(ValueError, match="non-finite"):
        save_qkv(tmp_path / f"a{suffix}", **nan_at_the_third_token())
    assert not (tmp_path / f"a{suffix}").exists()


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("field", ["q", "k", "v", "mask"])
def test_hidden_entries_are_refused_before_anything_is_written(tmp_path, suffix, field):
    arrays = dict(zip("qkv", heads(), strict=True)) | {"mask": np.zeros((5, 5), np.float32)}
    hidden = np.ma.array(arrays[field])
    hidden[..., 0, 0] = np.ma.masked
    path = tmp_path / f"mine{suffix}"
    with pytest.raises(TypeError, match=f"{field} is a masked array"):
        save_qkv(path, **{**arrays, field: hidden})
    assert not path.exists()


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">f2"])
def test_big_endian_arrays_in_an_archive_are_read(tmp_path, dtype):
    q, k, v = heads()
    path = write(tmp_path / "mine.npz", named(q.astype(dtype), k.astype(dtype), v.astype(dtype)))
    np.testing.assert_array_equal(load_qkv(path).q, q.astype(dtype).astype("f8"))
    assert load_qkv(path).q.dtype.isnative


def test_an_archive_with_a_name_twice_is_refused(tmp_path):
    q, k, v = heads()
    path = write(tmp_path / "mine.npz", named(q, k, v))
    stored = io.BytesIO()
    np.save(stored, 2 * q)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("q.npy", stored.getvalue())
    with pytest.raises(ValueError, match="holds q twice"):
        load_qkv(path)
