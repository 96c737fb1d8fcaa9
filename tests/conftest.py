"""Fixtures that every test may use: shared data, and skips that cannot hide."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
# before any test imports TensorFlow, which then chooses its Keras: QKeras needs Keras 2 (legacy_keras.py)
os.environ["TF_USE_LEGACY_KERAS"] = "1"
IN_CI = os.environ.get("CI", "").lower() == "true"
LONG = IN_CI or os.environ.get("LIQUIDCAL_LONG", "") == "1"
long = pytest.mark.skipif(not LONG, reason="builds for a minute or more: runs with CI=true or LIQUIDCAL_LONG=1")
"""Mark of the tests that only CI and ``LIQUIDCAL_LONG=1`` run."""


def need(condition: bool, what: str) -> None:
    """Skip without `what`, visibly; in CI its absence is a failure."""
    if condition:
        return
    if IN_CI:
        pytest.fail(f"{what} is missing, and CI must not skip", pytrace=False)
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of development data (``$LIQUIDCAL_DATA``, else ``../shared/data`` beside the checkout)."""
    folder = Path(os.environ.get("LIQUIDCAL_DATA", REPOSITORY.parent / "shared" / "data"))
    need(folder.is_dir(), f"shared data at {folder}")
    return folder


@pytest.fixture(scope="session")
def econt_vectors(shared_data: Path) -> Path:
    """Folder of the published ECON-T test vectors."""
    folder = shared_data / "hgcal" / "econt_vectors"
    need(folder.is_dir(), f"ECON-T vectors at {folder}")
    return folder
