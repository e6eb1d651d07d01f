"""The manifest tells what is needed to repeat a run, keeps earlier runs, and names no folder."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from theory.records.manifest import finished, manifest, write_manifest


@pytest.fixture(scope="module")
def entry():
    return manifest(["/usr/local/bin/tnattn", "compare", "--out=/tmp/results", "q.npz"], {"ranks": [1, 2]}, 7)


def test_manifest_records_what_a_run_depends_on(entry):
    assert entry["packages"]["numpy"] == np.__version__
    assert entry["seed"] == 7
    assert entry["spec"] == {"ranks": [1, 2]}
    assert entry["blas"][0]["internal_api"]
    assert entry["machine"]["cpu"]
    assert entry["machine"]["cores"] >= entry["machine"]["usable_cores"] >= 1
    assert entry["python"] == ".".join(map(str, sys.version_info[:3]))


def test_manifest_names_no_folder(entry):
    text = json.dumps(entry)
    assert str(Path.cwd()) not in text
    assert os.path.expanduser("~") + "/" not in text
    assert entry["command"] == ["tnattn", "compare", "--out=results", "q.npz"]


def test_a_checkout_is_identified_by_its_commit(entry):
    """None where this is no checkout or the file is not in it."""
    source = entry["source"]
    assert source is None or (len(source["commit"]) == 40 and source["dirty"] in (True, False))


def test_devices_are_listed_when_their_library_is_loaded(monkeypatch):
    properties = SimpleNamespace(name="Fast Device", major=9, minor=0)
    cuda = SimpleNamespace(
        is_available=lambda: True, device_count=lambda: 1, get_device_properties=lambda index: properties
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda, version=SimpleNamespace(cuda="12.8")))
    found = manifest([], {}, 0)["devices"]
    assert found == [{"library": "torch", "name": "Fast Device", "capability": "9.0", "cuda": "12.8"}]


def test_earlier_runs_are_kept(tmp_path):
    first, second = manifest(["a"], {}, 0), manifest(["b"], {}, 1)
    write_manifest(tmp_path / "new", first)
    path = write_manifest(tmp_path / "new", second)
    assert [run["command"] for run in json.loads(path.read_text())["runs"]] == [["a"], ["b"]]
    assert [p.name for p in path.parent.iterdir()] == ["manifest.json"]


def test_the_end_of_a_run_replaces_its_entry(tmp_path, entry):
    write_manifest(tmp_path, entry)
    runs = json.loads(write_manifest(tmp_path, finished(entry)).read_text())["runs"]
    assert len(runs) == 1
    assert runs[0]["finished"] >= runs[0]["started"]


@pytest.mark.parametrize("text", ["{", "[]", '{"runs": 3}', '{"runs": [3]}'])
def test_a_file_that_is_no_manifest_is_left_alone(tmp_path, entry, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=r"manifest\.json"):
        write_manifest(tmp_path, entry)
    assert (tmp_path / "manifest.json").read_text() == text
