"""Upsets of a concentrator by what they hit: ``python -m benchmarks.concentrator_upsets``.

Takes the summaries that ``liquidcal campaign ECON_T_PRODUCTION --scheme SCHEME`` left below ``report/`` and writes
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
    scheme = "none" if summary["design"] == "ECON_T_PRODUCTION" else "tmr_registers"
    beam = Beam()
    where = (
        f"{summary['design']}, netlist; {summary['source']}; {beam.flux_per_cm2_s:g} per cm2 and s, "
        f"{beam.cross_section_cm2:g} cm2 for each flip-flop"
    )
    for row in summary["rows"]:
        case = f"{scheme}_{row['algorithm']}_{row['group']}".replace(" ", "_")
        rows.add(f"flip_flops__case:{case}", row["population"], "", where)
        rows.add(f"upsets__case:{case}", row["faults"], "", where)
        rows.add(f"show__case:{case}", round(100 * row["shown"], 2), "%", f"{where}; upsets that a word shows")
        rows.add(f"words_mean__case:{case}", round(row["words_per_upset"], 3), "",
                 f"{where}; wrong words of an upset that goes away")  # fmt: skip
        rows.add(f"words_worst__case:{case}", row["words_worst"], "", f"{where}; the most of one")
        rows.add(f"stay__case:{case}", round(100 * row["persistent"] / row["faults"], 2), "%",
                 f"{where}; still there after {summary['watched']} crossings")  # fmt: skip
        rows.add(f"words_per_day__case:{case}", round(row["words_per_day"], 2), "", f"{where}; wrong words in a day")
        rows.add(f"stay_per_day__case:{case}", round(row["persistent_per_day"], 2), "", f"{where}; upsets that stay")
    rows.add(f"protected__scheme:{scheme}", summary["protected"], "", f"{where}; upsets of what is there three times")
    rows.add(f"uncorrected__scheme:{scheme}", summary["uncorrected_single"], "", f"{where}; of them not corrected")
    for algorithm in dict.fromkeys(row["algorithm"] for row in summary["rows"]):
        total = sum(row["words_per_day"] for row in summary["rows"] if row["algorithm"] == algorithm)
        stay = sum(row["persistent_per_day"] for row in summary["rows"] if row["algorithm"] == algorithm)
        rows.add(f"words_per_day__case:{scheme}_{algorithm}_all", round(total, 1), "", f"{where}; all flip-flops")
        rows.add(f"stay_per_day__case:{scheme}_{algorithm}_all", round(stay, 1), "", f"{where}; all flip-flops")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("report"))
    options = parser.parse_args()
    found = sorted((options.out / "ECON_T_PRODUCTION").glob("campaign-netlist-*.json"))
    if not found:
        raise SystemExit(f"{options.out} holds no campaign of ECON_T_PRODUCTION: run liquidcal campaign first")
    rows = Rows("python -m benchmarks.concentrator_upsets", version=LIQUIDCAL)
    for path in found:
        add(json.loads(path.read_text()), rows)
    write_metrics(RESULTS / "concentrator_upsets.json", rows)


if __name__ == "__main__":
    main()
