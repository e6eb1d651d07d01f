"""The tests are no package: what they share is loaded here, as the module ``matrices``."""

import importlib.util
import sys
from pathlib import Path

if "matrices" not in sys.modules:
    spec = importlib.util.spec_from_file_location("matrices", Path(__file__).parent / "matrices.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules["matrices"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["matrices"])
