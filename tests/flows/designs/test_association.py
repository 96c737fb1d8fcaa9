"""Files of an association chip, and the design by name, file and folder."""

import csv
from pathlib import Path

import pytest

from flows.common.journal import Journal
from flows.designs.association import AssociationDesign
from flows.designs.association_files import registers
from flows.designs.catalogue import design, load_design
from flows.designs.generated import FileOptions
from flows.tools.verilog import read_ports
from sim.lsm_crossbar.association.example_specs import small_chip
from sim.lsm_crossbar.association.spec import DIGITS_8BIT


def test_design_by_name_file_and_folder(tmp_path: Path) -> None:
    assert design("DIGITS_8BIT").spec == DIGITS_8BIT
    (tmp_path / "s.toml").write_text(small_chip().to_toml())
    found = design(str(tmp_path / "s.toml"))
    assert isinstance(found, AssociationDesign)
    assert found.spec == small_chip()
    found.save(tmp_path)
    assert load_design(tmp_path) == found


def test_generated_files_agree_with_each_other(tmp_path: Path) -> None:
    spec = small_chip()
    made = design(spec).generate(tmp_path / "out", Journal(), FileOptions(seed=3))
    names = {path.name for path in made.files}
    assert {"SMALL_CHIP.v", "SMALL_CHIP_asic.v", "SMALL_CHIP_asic_black_boxes.v", "spec.toml", "design.json"} <= names
    images = [name for name in names if name.endswith(".mem")]
    verilog = (tmp_path / "out" / "SMALL_CHIP.v").read_text()
    assert len(images) == 2
    assert all(f'$readmemh("{name}"' in verilog for name in images)
    asic = (tmp_path / "out" / "SMALL_CHIP_asic.v").read_text()
    boxes = (tmp_path / "out" / "SMALL_CHIP_asic_black_boxes.v").read_text()
    assert boxes.count("blackbox") == 5  # two macros, two memories of projections, one of embeddings
    for box in [line.split()[1] for line in boxes.splitlines() if line.startswith("module")]:
        assert f"  {box} " in asic
    with (tmp_path / "out" / "ports.csv").open() as file:
        ports = {row["name"]: int(row["width"]) for row in csv.DictReader(file)}
    assert ports == {port.name: port.width for port in read_ports(verilog, "SMALL_CHIP")}
    fields = registers(spec)
    taken = [address for f in fields for address in range(f.address, f.address + f.size)]
    assert len(taken) == len(set(taken))
    with pytest.raises(ValueError, match="--scheme is for an encoder"):
        design(spec).generate(tmp_path / "no", Journal(), FileOptions(scheme="tmr"))  # type: ignore[arg-type]
