"""Functional coverage of the crossbar's benches: cover groups of its stages and of the whole chip."""

from collections.abc import Iterable

import numpy as np

from sim.lsm_crossbar.registers import register_map, weight_address
from sim.lsm_crossbar.spec import CrossbarSpec
from tests.cosim.coverage import ENDS, Coverage, Point, ends, share, shares

__all__ = ["chip_coverage", "region", "stage_coverage"]

_NO_YES = (False, True)


def _reads(count: int) -> str:
    return "none" if not count else "one" if count == 1 else "several"


def _sides(values: np.ndarray, middle: int) -> Iterable[str]:
    """On which sides of a number there are any."""
    return [name for name, there in (("below", values < middle), ("at", values == middle), ("above", values > middle))
            if there.any()]  # fmt: skip


def _there(**bins: bool) -> list[str]:
    """Names of the bins that a spec can have."""
    return [name for name, there in bins.items() if there]


def _counts(spec: CrossbarSpec) -> list[str]:
    return _there(lowest=True, highest=True, between=spec.count_max > 1)


def stage_coverage(name: str, spec: CrossbarSpec) -> Coverage:
    """The cover group of a stage; what it is sampled with stands at its points.

    Bins that a spec cannot have, such as a partial read where a read takes one row, are none of it.
    """
    per_read = min(spec.rows_per_read, spec.used_rows)

    def row_kind(row: int) -> str:
        return "input" if row < spec.inputs else "recurrent" if row < spec.used_rows else "unused"

    groups: dict[str, dict[str, Point]] = {
        # rows of the events of a step, and whether one was no input
        "input": {
            "rows": (lambda rows, _: [share(len(set(rows)), spec.inputs)], shares(spec.inputs)),
            "row": (lambda rows, _: ends(np.array(rows), 0, spec.inputs - 1), ENDS),
            "repeated": (lambda rows, _: [len(set(rows)) < len(rows)], _NO_YES),
            "dropped": (lambda _, wrong: [wrong], _NO_YES if spec.inputs < 1 << spec.row_bits else (False,)),
        },
        # input spikes, liquid spikes, reads that they make, clocks that each waited to be taken
        "row_driver": {
            "inputs_by_spikes": (
                lambda inputs, spikes, *_: [
                    (share(int(inputs.sum()), spec.inputs), share(int(spikes.sum()), spec.neurons))
                ],
                [(one, other) for one in shares(spec.inputs) for other in shares(spec.neurons)],
            ),
            "reads": (
                lambda _, __, reads, ___: [_reads(len(reads))],
                _there(none=True, one=True, several=spec.batches_per_step > 1),
            ),
            "last_read": (
                lambda _, __, reads, ___: ["full" if len(reads[-1]) == spec.rows_per_read else "partial"]
                if reads else [],
                _there(full=spec.rows_per_read <= spec.used_rows, partial=spec.rows_per_read > 1),
            ),
            "wait": (lambda *seen: set(seen[3]), range(3)),
        },
        # rows of a read, its number since the start of the sample
        "macro": {
            "rows": (
                lambda rows, _: ["one" if len(rows) == 1 else "most" if len(rows) == per_read else "some"],
                _there(one=True, most=per_read > 1, some=per_read > 2),
            ),
            "row": (
                lambda rows, _: {row_kind(row) for row in rows},
                _there(input=True, recurrent=True, unused=spec.rows > spec.used_rows),
            ),
            "read": (lambda _, number: ["later" if number else "first"], ("first", "later")),
        },
        # whether a batch is the first and the last of its step, and has no row; plus and minus codes by select
        "adc": {
            "batch": (
                lambda fresh, last, empty, _: [(fresh, last, empty)],
                [(True, False, False), (True, True, False), (True, True, True), (False, False, False),
                 (False, True, False)],
            ),
            "difference": (
                lambda *seen: ends(seen[3][0::2] - seen[3][1::2], 1 - (1 << spec.adc_bits), (1 << spec.adc_bits) - 1),
                ENDS,
            ),
            "sign": (lambda *seen: _sides(seen[3][0::2] - seen[3][1::2], 0), ("below", "at", "above")),
        },
        # first step of a sample, batches, potentials and refractory steps before the end of a step, threshold, spikes
        "neuron": {
            "first_step": (lambda first, *_: [first], _NO_YES),
            "batches": (
                lambda _, count, *__: [_reads(count)], _there(one=True, several=spec.batches_per_step > 1),
            ),
            "potential": (lambda _, __, u, *___: _sides(u, 0), ("below", "above")),
            # of those that may spike: at the threshold is not above it
            "threshold": (
                lambda _, __, u, held, threshold, ___: [
                    name for name, value in (("at", threshold), ("one above", threshold + 1))
                    if (u[held == 0] == value).any()
                ],
                ("at", "one above"),
            ),
            "held": (
                lambda _, __, u, held, threshold, ___: [bool(((u > threshold) & (held > 0)).any())],
                _NO_YES if spec.refractory_steps else (False,),
            ),
            "spikes": (lambda *seen: [share(int(seen[5].sum()), spec.neurons)], shares(spec.neurons)),
        },
        # spikes of a step; clocks without `valid` meanwhile
        "router": {
            "spikes": (lambda spikes, _: [share(int(spikes.sum()), spec.neurons)], shares(spec.neurons)),
            "pauses": (lambda _, pauses: [pauses > 0], _NO_YES),
        },
        # counts of a window
        "counter": {"count": (lambda counts: ends(counts, 0, spec.count_max), _counts(spec))},
        # kind of weights, counts, scores, class
        "readout": {
            "weights": (lambda kind, *_: [kind], ("uniform", "equal", "lowest", "highest")),
            "count": (lambda _, counts, *__: ends(counts, 0, spec.count_max), _counts(spec)),
            "score": (lambda _, __, scores, ___: _sides(scores, 0), ("below", "above")),
            "class": (lambda *seen: [seen[3]], range(spec.outputs)),
            "tie": (
                lambda _, __, scores, ___: [bool((scores == scores.max()).sum() > 1)],
                _NO_YES if spec.outputs > 1 else (False,),
            ),
        },
    }  # fmt: skip
    return Coverage(f"crossbar_stage.{name}", groups[name])


def region(spec: CrossbarSpec, address: int) -> str:
    """What a register write loads: a field, or readout weights."""
    if address >= weight_address(spec, 0):
        return "weights"
    return next(f.name for f in register_map(spec) if f.address <= address < f.address + f.size)


def chip_coverage(spec: CrossbarSpec) -> dict[str, Coverage]:
    """Cover groups of the whole chip by name.

    ``step`` is sampled with rows of the events of a step and the liquid's spikes, ``sample`` with counts and whether
    the readout is known, ``event`` with pauses before it and clocks that it waited, ``write`` with an address and
    whether a sample runs, ``reset`` with what it finds. Registers of a homeostat are not written here: the native
    harness does that.
    """
    fields = dict.fromkeys(field.name for field in register_map(spec) if not field.name.startswith("homeostat"))
    written = [(name, False) for name in (*fields, "weights")]
    # a new seed starts the count of samples anew: it is not written while one runs
    written += [(name, True) for name in (*fields, "weights") if name != "noise_seed"]
    return {
        "step": Coverage("crossbar.step", {
            "rows": (lambda rows, _: [share(len(set(rows)), spec.inputs)], shares(spec.inputs)),
            "repeated": (lambda rows, _: [len(set(rows)) < len(rows)], _NO_YES),
            "spikes": (lambda _, fired: [share(int(fired.sum()), spec.neurons)], shares(spec.neurons)),
        }),
        "sample": Coverage("crossbar.sample", {
            "count": (lambda counts, _: ends(counts, 0, spec.count_max), _counts(spec)),
            "readout": (lambda _, known: [known], _NO_YES),
        }),
        "event": Coverage("crossbar.event", {
            "pauses": (lambda pauses, _: [pauses > 0], _NO_YES),
            "waited": (lambda _, clocks: [clocks > 0], _NO_YES),
        }),
        "write": Coverage("crossbar.write", {
            "field": (
                lambda address, runs: [(region(spec, address), runs)], written,
            ),
        }),
        "reset": Coverage("crossbar.reset", {
            "when": (lambda when: [when], ("power up", "in a sample", "of a loaded chip")),
        }),
    }  # fmt: skip
