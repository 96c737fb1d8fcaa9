"""Upsets of a concentrator by what they hit: ``python -m benchmarks.concentrator_upsets SUMMARY ...``.

Takes summaries that ``liquidcal campaign DESIGN --scheme SCHEME`` left below ``report/`` and writes
``concentrator_upsets.json``: wrong words by an upset, and in a day of one chip at the highest flux of HGCAL.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.measured import LIQUIDCAL, RESULTS, Rows
from flows.campaign.beam import Beam
from flows.common.metrics import write_metrics


def add(summary: dict[str, Any], rows: Rows) -> None:
    """Rows of one campaign."""
    design = summary["design"]
    beam = Beam()
    where = (
        f"{summary['design']}, netlist; {summary['source']}; {beam.flux_per_cm2_s:g} per cm2 and s, "
        f"{beam.cross_section_cm2:g} cm2 for each flip-flop"
    )
    for row in summary["rows"]:
        case = f"{design}_{row['algorithm']}_{row['group']}".replace(" ", "_")
        rows.add(f"flip_flops__case:{case}", row["population"], "", where)
        rows.add(f"upsets__case:{case}", row["faults"], "", where)
        rows.add(f"show__case:{case}", round(100 * row["shown"], 2), "%", f"{where}; upsets that a word shows")
        rows.add(f"words_mean__case:{case}", round(row["words_per_upset"], 3), "",
                 f"{where}; wrong words of an upset in {summary['watched']} crossings")  # fmt: skip
        rows.add(f"words_worst__case:{case}", row["words_worst"], "", f"{where}; the most of one")
        rows.add(f"words_per_day__case:{case}", round(row["words_per_day"], 2), "", f"{where}; wrong words in a day")
    rows.add(f"protected__case:{design}", summary["protected"], "", f"{where}; upsets of what is there three times")
    rows.add(f"uncorrected__case:{design}", summary["uncorrected_single"], "", f"{where}; of them not corrected")
    for algorithm in dict.fromkeys(row["algorithm"] for row in summary["rows"]):
        total = sum(row["words_per_day"] for row in summary["rows"] if row["algorithm"] == algorithm)
        rows.add(
            f"words_per_day__case:{design}_{algorithm}_all",
            round(total, 1),
            "",
            f"{where}; all flip-flops but settings and weights",
        )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("summaries", nargs="+", type=Path)
    rows = Rows("python -m benchmarks.concentrator_upsets", version=LIQUIDCAL)
    for path in parser.parse_args().summaries:
        add(json.loads(path.read_text()), rows)
    write_metrics(RESULTS / "concentrator_upsets.json", rows)


if __name__ == "__main__":
    main()
