"""The page of a concentrator: one module, five algorithms."""

import json
from pathlib import Path

import numpy as np

from flows.common.journal import Journal
from flows.designs.catalogue import design
from flows.report.write import write_report


def test_one_module_through_every_algorithm(tmp_path: Path) -> None:
    """Every algorithm is a row with its own figures, and the one that is nearest to the truth is the tile."""
    chosen = design("ECON_T_PRODUCTION")
    names = [number.label for number in chosen.spec.numbers]
    folder = tmp_path / chosen.name
    folder.mkdir()
    chosen = chosen.save(folder)
    rng = np.random.default_rng(2)
    charges = rng.integers(0, 400, (30, 48))
    arrays = {f"{name}_decoded": charges + number for number, name in enumerate(names)}
    arrays |= {f"{name}_emd": np.full(30, 0.25 + abs(number - 2)) for number, name in enumerate(names)}
    np.savez(folder / "algorithms.npz", charges=charges, occupancy=np.full(30, 15), **arrays)
    facts = {
        name: {"links": 5, "bits": 100 + number, "truncated_percent": 7.5, "latency_clocks": 6, "median_emd": emd}
        for number, (name, emd) in enumerate(zip(names, (2.25, 1.25, 0.25, 1.25, 2.25), strict=True))
    }
    about = {"pile_up": 200, "layer": 11, "eta": 2.2, "algorithms": facts}
    (folder / "algorithms.json").write_text(json.dumps(about))
    Journal().save(folder / "journal.json")
    report = write_report(folder, chosen)
    text = (folder / "report.md").read_text()
    assert "One module, five algorithms" in text
    for number, name in enumerate(names):
        row = next(line for line in text.splitlines() if line.startswith(f"| {name.replace('_', ' ')} |"))
        assert f"| {100 + number} | 7.5 |" in row
        assert f"{0.25 + abs(number - 2):.3f}" in row
    page = report.read_text()
    assert page.count("<svg") > 4 * 6
    assert "least median EMD of this module on 5 links or fewer" in page
    assert "best choice" in page
