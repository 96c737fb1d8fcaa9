"""Functional coverage of the stages of a concentrator, and of the whole chip at its pins."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from sim.hgcal_encoder.algorithms.best_choice import CELLS_SENT
from sim.hgcal_encoder.algorithms.output_buffer import Admission
from sim.hgcal_encoder.algorithms.super_trigger_cell import SuperTriggerCellType
from sim.hgcal_encoder.concentrator_spec import AlgorithmNumber, ConcentratorSpec
from sim.hgcal_encoder.configuration.register_maps import Chip, MapField, register_fields
from sim.hgcal_encoder.link_spec import CODES, LINKS_PRODUCTION, Command
from sim.hgcal_encoder.spec import CELLS, CHARGE_WIDTH, ETX_WORDS
from tests.cosim.coverage import ENDS, OCCUPANCIES, Coverage, Point, ends, occupancy, share, shares

__all__ = ["chip_coverage", "chip_fields", "stage_coverage"]

Values = Mapping[str, Any]
_COUNTERS = (31, *range(16))
_NO_YES = (False, True)
_LINKS = range(1, ETX_WORDS + 1)


def _occupied(inputs: Values) -> Iterable[str]:
    return [occupancy(int((inputs["charges"] > 0).sum()))]


def _packet_kind(inputs: Values) -> str:
    """Layout of a packet: the algorithm and, where it has several, what its cells ask for."""
    if not inputs["selected"]:
        return "none"
    chosen = AlgorithmNumber(int(inputs["selected"]).bit_length() - 1)
    cells = int(inputs["sent"]).bit_count()
    match chosen:
        case AlgorithmNumber.THRESHOLD_SUM:
            return f"{chosen.name} {'empty' if not cells else 'numbers' if cells < 8 else 'map'}"
        case AlgorithmNumber.BEST_CHOICE:
            return f"{chosen.name} {'numbers' if cells < 8 else 'map'}"
        case AlgorithmNumber.SUPER_TRIGGER_CELL:
            return f"{chosen.name} {'some' if inputs['some'] else 'none'}"
        case _:
            return chosen.name


def _packet_kinds(spec: ConcentratorSpec) -> Iterable[str]:
    layouts = {
        AlgorithmNumber.THRESHOLD_SUM: ("empty", "numbers", "map"), AlgorithmNumber.BEST_CHOICE: ("numbers", "map"),
        AlgorithmNumber.SUPER_TRIGGER_CELL: ("some", "none"),
    }  # fmt: skip
    return ["none", *(f"{n.name} {layout}".strip() for n in spec.numbers for layout in layouts.get(n, ("",)))]


def stage_coverage(name: str, spec: ConcentratorSpec) -> Coverage:
    """The cover group of a stage, sampled with inputs of a row and what must come out of it."""
    top = (1 << CHARGE_WIDTH) - 1
    occupied: Point = (lambda i, _: _occupied(i), OCCUPANCIES)
    drop: Point = (lambda i, _: [i["drop"]], range(8))
    use_sum: Point = (lambda i, _: [bool(i["use_sum"])], _NO_YES)

    def beside(i: Values, _: Values) -> Iterable[int]:
        """How far charges are from their thresholds, where that decides."""
        return set((i["charges"] - i["threshold"]).tolist()) & {-1, 0, 1}

    def cut(i: Values, expected: Values) -> Iterable[str]:
        """Whether the least charge that is sent equals the largest that is not."""
        sent = np.array([expected["chosen"][0] >> cell & 1 for cell in range(CELLS)], bool)
        if sent.all():
            return ["all sent"]
        least, most = int(i["dropped"][sent].min()), int(i["dropped"][~sent].max())
        return ["equal" if least == most else "apart"]

    groups: dict[str, dict[str, Point]] = {
        "cell_codes": {
            "drop": drop, "occupancy": occupied, "charge": (lambda i, _: ends(i["charges"], 0, top), ENDS),
            "dropped": (lambda _, out: ends(out["dropped"], 0, (1 << 18) - 1), ENDS),
            "code": (lambda _, out: set(out["codes"].tolist()), range(128)),
        },
        "threshold_sum": {
            "above": (lambda _, out: [share(out["above"][0].bit_count(), CELLS)], shares(CELLS)),
            "charge_less_threshold": (beside, (-1, 0, 1)),
            "use_sum": use_sum, "exponent_of_total": (lambda _, out: [out["total_code"][0] >> 3], range(26)),
        },
        "best_choice": {
            "wanted": (lambda i, _: [i["wanted"].bit_length()], CELLS_SENT), "use_sum": use_sum,
            "cut": (cut, ("equal", "apart", "all sent")),
            "occupancy": (lambda i, _: [occupancy(int((i["dropped"] > 0).sum()))], OCCUPANCIES),
        },
        "super_trigger_cells": {
            "kind_by_links": (
                lambda i, _: [(i["kind"], i["links"] if i["links"] <= 5 else "more")],
                [(kind, links) for kind in SuperTriggerCellType for links in (*range(1, 6), "more")],
            ),
            "no_kind": (lambda i, _: [i["kind"]], range(len(SuperTriggerCellType), 8)),
            "drop": drop, "occupancy": occupied,
        },
        "formatter": {
            "packet": (lambda i, _: [_packet_kind(i)], _packet_kinds(spec)),
            "links": (lambda i, _: [i["links"]], _LINKS), "counter": (lambda i, _: [i["counter"]], _COUNTERS),
            "link_reset": (lambda i, _: [bool(i["link_reset"])], _NO_YES),
            "early": (lambda _, out: [bool(out["early"][0])], _NO_YES),
        },
        "output_buffer": {
            "packet": (lambda _, out: [out["kept"]], ("whole", "no room", "early", "not running")),
            "length": (lambda i, _: [i["length"]], range(1, 27)),
            "links_carry": (lambda _, out: [out["carried"]], ("idle words", "all words", "as many as they can")),
            "links": (lambda i, _: [i["links"]], (1, 2, 5, 7, 12, 13)),
            "counter": (lambda i, _: [i["counter"]], _COUNTERS),
        },
        "etx_words": {"active": (lambda _, out: [out["count"][0]], range(spec.etx_links + 1))},
    }  # fmt: skip
    return Coverage(f"concentrator_stage.{name}", groups[name])


def _command(code: int) -> str:
    """A fast command by name; of codes that no one assigned, whether they are codes at all."""
    if code in CODES:
        return Command(code).name
    if code in LINKS_PRODUCTION.spare_codes:
        return f"SPARE_{LINKS_PRODUCTION.spare_codes.index(code)}"
    return "unassigned" if code.bit_count() == 4 else "not four ones"


def _burst(count: int) -> str:
    return "none" if not count else "one byte" if count == 1 else "some" if count < 32 else "many"


def chip_fields() -> dict[tuple[str, int], MapField]:
    """Registers of a production chip without autoencoder, by name and index."""
    fields = register_fields(Chip.PRODUCTION)
    return {(field.name, field.index): field for field in fields if field.block != "Encoder"}


def chip_coverage() -> dict[str, Coverage]:
    """Cover groups of the whole chip by name.

    ``register`` is sampled with ``write`` or ``read``, bytes of a transfer or 0, and a field or None; ``link`` with the
    bits by which an aligned link is late; ``command`` with a code of the command line; ``crossing`` with cells above
    threshold, what the buffer took, whether it is of a link reset, and the headers of its words.
    """
    ways = {"rw": ("write", "read"), "ro": ("read",), "wo": ("write",)}
    accesses = dict.fromkeys((f.block, f.access.value) for f in chip_fields().values())
    codes = [*CODES, *LINKS_PRODUCTION.spare_codes, 0x17, 0x01]
    return {
        "register": Coverage("concentrator.register", {
            "field": (
                lambda way, _, field: [] if field is None else [(field.block, field.access.value, way)],
                [(block, access, way) for block, access in accesses for way in ways[access]],
            ),
            "burst": (
                lambda way, count, _: [(way, _burst(count))],
                [(way, burst) for way in ("write", "read") for burst in ("one byte", "some", "many")],
            ),
        }),
        "link": Coverage("concentrator.link", {
            "offset": (lambda delay: [delay % 32 // 4], range(8)), "skew": (lambda delay: [delay // 32], range(4)),
        }),
        "command": Coverage("concentrator.command", {"code": (lambda code: [_command(code)], map(_command, codes))}),
        "crossing": Coverage("concentrator.crossing", {
            "cells": (lambda cells, *_: [occupancy(cells)], OCCUPANCIES),
            "packet": (lambda _, taken, *__: [Admission(taken).name], [one.name for one in Admission]),
            "link_reset": (lambda _, __, reset, ___: [bool(reset)], _NO_YES),
            "headers": (
                lambda _, __, ___, found: {{9: "orbit", 10: "crossing"}.get(header, "wrong") for header in found},
                ("orbit", "crossing", "wrong"),
            ),
        }),
    }  # fmt: skip
