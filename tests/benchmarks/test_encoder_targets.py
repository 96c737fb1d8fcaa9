"""The table of targets says what the figures say, from figures made up so that it is known."""

import re

from benchmarks.encoder_targets import COLUMNS, rows

ALGORITHMS = [
    "words", "ECON T", "ECON T search", "TNS 2021", "TNS 2021 search", "best choice", "best choice rest",
    "threshold sum", "repeater",
]  # fmt: skip


def table(title: str, network: str, search: str) -> dict[str, object]:
    smaller = ["0.530 (0.100)", "0.450 (0.100)"]
    cells = ["0.010 (0.020)", network, search, *smaller, "0.700 (0.900)", "", "0.650 (2.000)", "3.000 (3.000)"]
    columns = ["links", "cells", *ALGORITHMS]
    listed = [[links, cells_, *cells] for links in ("2", "3", "5") for cells_ in ("1-3", "4-7", "8-48")]
    return {"title": title, "columns": columns, "rows": listed}


def test_a_target_is_reached_by_the_network_by_search_or_not() -> None:
    tables = [
        table("ttbar", "0.520 (0.100)", "0.400 (0.900)"),
        table("electron", "0.221 (0.100)", "0.220 (0.100)"),
        table("busy", "0.900 (0.100)", "0.651 (0.100)"),
    ]
    found = list(rows(tables))
    assert all(len(row) == len(COLUMNS) for row in found)
    of_tns_2021 = {row[0]: row[-1] for row in found if "TNS" in row[0]}
    assert of_tns_2021 == {
        "ttbar, 5 eLinks, 1-3 cells, TNS 2021": "**no**", "ttbar, 5 eLinks, 4-7 cells, TNS 2021": "search",
        "ttbar, 5 eLinks, 8-48 cells, TNS 2021": "search",
    }  # fmt: skip
    reached = {
        (*re.findall(r"(\w+), (\d) eLinks, (\S+) cells", row[0])[0], row[1]): row[-1]
        for row in found if "TNS" not in row[0]
    }  # fmt: skip
    assert reached == {
        ("ttbar", "5", "1-3", "0.30"): "**no**", ("ttbar", "5", "4-7", "0.45"): "search",
        ("ttbar", "5", "8-48", "0.52"): "network",
        ("ttbar", "3", "1-3", "0.35"): "**no**", ("ttbar", "3", "4-7", "0.50"): "search",
        ("ttbar", "3", "8-48", "0.56"): "network",
        ("electron", "5", "8-48", "0.22"): "search",
        ("busy", "5", "1-3", "0.30"): "**no**", ("busy", "5", "4-7", "0.50"): "**no**",
        ("busy", "5", "8-48", "0.65"): "**no**",
        ("ttbar", "5", "1-3", "0.001 (stretch)"): "**no**", ("ttbar", "5", "4-7", "0.310 (stretch)"): "**no**",
        ("ttbar", "5", "8-48", "0.450 (stretch)"): "search",
    } | {
        (data, links, "8-48", "best choice, 0.700"): "search" if data == "busy" else "network"
        for data in ("ttbar", "electron", "busy") for links in ("2", "3")
    }  # fmt: skip
    assert {row[-2] for row in found} == {"threshold sum 0.650 (2.000)"}
    assert {row[-3] for row in found} == {"0.010 (0.020)"}
