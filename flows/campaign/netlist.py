"""Faults in the mapped netlist of the whole chip, 64 in each machine word.

One sweep goes over the crossings of a workload once. All lanes run the same workload; lane 0 gets no fault and has
to do what the golden model says, crossing by crossing. A fault takes a lane that is free when it is injected,
and gives it back as soon as the flip-flops of its lane are those of lane 0 again, or its window is over; the lane is
then set to lane 0. So a campaign costs about as many evaluations of the netlist as the workload has crossings, times
the words that hold the faults that live at the same time.

Stored bits are set directly: reset is simulated, then settings, weights and the run bit are written into the
flip-flops, which loading over I2C would take thousands of clocks for. A wrong map from bits to flip-flops would show in
lane 0.

A chip that reuses multipliers has an internal clock: after the edge that both clocks have in common the logic is
evaluated, and the flip-flops of the internal clock take their data, as often as it ticks in a crossing. Flips come
before the common edge, and a transient lasts the internal clock before it.

After a clock gate a flip-flop takes its data only where its gate lets the clock through, in each lane as the logic of
that lane says; a flip stays until its flip-flop is clocked. A transient on the enable of a gate is a clock too many, or
one too few. Upsets of the latch inside a gate are not simulated: while it is open its input overrules them, and after
the edge they make a late clock, which a simulation without delays does not have. Those of latches against glitches
(`hw.common.isolation_latch`) are not either: such a latch is open whenever the logic is evaluated, and its input
overrules them.
"""

from __future__ import annotations

import base64
import gc
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numba import njit

from flows.campaign.engine import RESET, WATCHED, ChipEngine, EngineError, check_bus, check_crossing, watched
from flows.campaign.faults import Fault, Kind, Target
from flows.campaign.outcome import Outcome, judged
from flows.campaign.store import stored_values
from flows.campaign.workload import Workload
from flows.common.content_cache import (
    ContentCache,
    cache_directory,
    code_hash,
    content_key,
    module_file,
    tool_versions,
)
from flows.designs.design import INTERNAL_CLOCK
from flows.designs.encoder import EncoderDesign
from flows.designs.mapping import map_design
from flows.designs.storage_bits import StorageBit, Stratum, chip_bits, gate_replicas
from flows.library.catalogue import cell_library
from flows.library.library import CellLibrary
from flows.library.power_library import PowerLibrary, read_power_library
from flows.netlist.gate_simulation import GateSimulator, from_lanes
from flows.netlist.netlist import Netlist, netlist_from_json
from flows.synthesis.recipe import Recipe
from flows.synthesis.result import load_result
from flows.tools.rtlil import parse_rtlil
from hw.common.scheme import Scheme

__all__ = ["ChipNetlist", "NetlistEngine", "compare_lanes", "map_chip"]

Words = npt.NDArray[np.uint64]
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_ONE = np.uint64(1)
INJECTED = 1500
"""Crossings at which faults are injected: from idle into a transfer, more than ten walks of the scrubber."""
WINDOW = 640
"""Crossings for which a fault that stays is watched where nothing says how long it may: two bytes on the bus."""

_CONTROL_OUTPUTS = ("write_enable", "merge", "swap", "run", "mark", "scrub_row", "sda_low")
_SETTINGS = ("weights", "select", "factors", "high_density", "etx_count", "keep_mask", "algorithm", "drop_lsb")

_FLIP_FLOP = re.compile(r"\$_S?DFFE?_")
_BIT = re.compile(r"^(\S+) \[(\d+)\]$")


def map_chip(
    design: EncoderDesign, library: CellLibrary, *, recipe: Recipe | None = None, timeout_s: float = 1800.0
) -> Path:
    """The mapped netlist of a whole chip, the one that `liquidcal synth` makes, from the cache or synthesised.

    Parameters
    ----------
    design : EncoderDesign
        With scheme and loading.
    library : CellLibrary
    recipe : Recipe, optional
        In place of the design's own.
    timeout_s : float
        Limit of each yosys run in seconds.

    Returns
    -------
    Path
        The folder of the result.

    Raises
    ------
    ValueError
        If the design is no whole chip.
    GateError
        If a flip-flop of a copy is missing: see `flows.designs.storage_bits.gate_replicas`.
    """
    if design.scheme is None or design.loading is None:
        raise ValueError(f"{design.name} is no whole chip: it has neither scheme nor loading")
    key = content_key(
        spec=design.spec.to_toml(), design=design.name, library=library.sha256,
        recipe=asdict(recipe or design.recipe), clock_period_ns=design.clock_period_ns,
        sources=code_hash(module_file("flows.designs.mapping"), module_file("flows.designs.storage_bits")),
        tools=tool_versions("amaranth", "pyosys"),
    )  # fmt: skip
    folder = cache_directory() / "chips" / f"{design.name}-{key[:16]}"
    if not (folder / "metrics.json").is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        result = map_design(design, library, folder, recipe=recipe, timeout_s=timeout_s)
        gate_replicas(result.metrics, chip_bits(design.spec, design.scheme, design.loading))
        for name in ("source.il", "elaborated.il", "netlist.il", "map.log", "netlist.log"):
            (folder / name).unlink(missing_ok=True)
    return folder


class ChipNetlist:
    """A mapped chip with the name in the design of every flip-flop.

    Parameters
    ----------
    netlist : Netlist
    library : PowerLibrary
    names : mapping of (str, int) to int
        Cell of each flip-flop by path and bit, all names that it has.
    digest : str
        SHA-256 of the netlist's file; empty where it is of no file.
    """

    def __init__(self, netlist: Netlist, library: PowerLibrary, names: Mapping[Target, int], digest: str = "") -> None:
        self.netlist, self.library, self.names, self.digest = netlist, library, names, digest

    @classmethod
    def load(cls, folder: Path) -> ChipNetlist:
        """Read a synthesised chip."""
        result = load_result(folder)
        text = (folder / "netlist.json").read_text()
        collecting = gc.isenabled()
        # nothing becomes garbage meanwhile: the collector would only search millions of live objects
        gc.disable()
        try:
            netlist = netlist_from_json(json.loads(text), top=result.top)
        finally:
            if collecting:
                gc.enable()
        library = read_power_library(cell_library(result.library).liberty)
        names = _flip_flop_names(netlist, (folder / "mapped.il").read_text())
        return cls(netlist, library, names, hashlib.sha256(text.encode()).hexdigest())


def _flip_flop_names(netlist: Netlist, mapped: str) -> dict[Target, int]:
    """Cell numbers by path and bit, from the netlist before cells were mapped, which still has the design's names."""
    outputs: dict[str, list[tuple[str, str]]] = {}
    aliases: dict[str, dict[str, list[str]]] = {}
    for name, module in parse_rtlil(mapped, _FLIP_FLOP).items():
        outputs[name] = [(cell.name, module.bits(cell.connections["Q"])[0]) for cell in module.cells]
        if outputs[name]:
            aliases[name] = module.aliases()
    found: dict[Target, int] = {}
    for instance in netlist.instances:
        places = {name: instance.first_cell + i for i, name in enumerate(instance.cell_names)}
        prefix = ".".join(instance.path) + "." if instance.path else ""
        for cell, net in outputs.get(instance.module, ()):
            if cell in places:
                for bit in (net, *aliases[instance.module].get(net, ())):
                    matched = _BIT.match(bit)
                    assert matched is not None
                    name = matched[1].removeprefix("\\")
                    found[prefix + name, int(matched[2])] = places[cell]
    return found


@njit(cache=True, nogil=True)
def compare_lanes(values, states, counter):  # type: ignore[no-untyped-def]
    """Which lanes differ from lane 0 in these flip-flops, elsewhere and in error counters."""
    width = values.shape[1]
    different = np.zeros(width, np.uint64)
    counted = np.zeros(width, np.uint64)
    for k in range(len(states)):
        row = states[k]
        one = np.uint64(0) - (values[row, 0] & np.uint64(1))
        for w in range(width):
            change = values[row, w] ^ one
            if counter[k]:
                counted[w] |= change
            else:
                different[w] |= change
    return different, counted


@njit(cache=True, nogil=True)
def _restore(values, states, lanes):  # type: ignore[no-untyped-def]
    """Set the flip-flops of some lanes to those of lane 0."""
    for k in range(len(states)):
        row = states[k]
        one = np.uint64(0) - (values[row, 0] & np.uint64(1))
        for w in range(len(lanes)):
            values[row, w] = (values[row, w] & ~lanes[w]) | (one & lanes[w])


class _Lane:
    """What is known of a fault while it has a lane."""

    __slots__ = (
        "counted",
        "end",
        "first",
        "frames",
        "heard",
        "last",
        "number",
        "silent",
        "start",
        "until",
        "wrong",
        "wrong_bus",
    )  # fmt: skip

    def __init__(self, number: int, start: int, until: int, end: int) -> None:
        self.number, self.start, self.until, self.end = number, start, until, end
        self.first = self.last = self.heard = -1
        self.wrong = self.silent = 0
        self.wrong_bus = self.counted = False
        self.frames: list[npt.NDArray[np.uint32]] = []


class NetlistEngine(ChipEngine):
    """Engine on the mapped netlist.

    Parameters
    ----------
    workload, scheme, bits
        See `ChipEngine`.
    chip : ChipNetlist, optional
        Where it is not the generated one (to show that a broken one is found out).
    words : int
        Machine words per net: 64 faults live in each at the same time, less the lane without fault.
    keep_frames : bool
        Keep wrong frames in the outcomes.
    library : str
        Cell library of the generated chip.
    clock_gating, isolation : bool
        Of the generated chip, as `map_chip` has it.

    Attributes
    ----------
    nets : tuple of Target
        Targets of transients at the heart of protection: the reset and the write enables of bytes.
    compared : int
        Frames of the run without fault that were compared with the golden model.

    Raises
    ------
    EngineError
        If the chip without fault does not do what the golden model says.
    """

    name = "netlist"

    def __init__(
        self,
        workload: Workload,
        scheme: Scheme,
        *,
        chip: ChipNetlist | None = None,
        bits: Sequence[StorageBit] | None = None,
        words: int = 12,
        keep_frames: bool = False,
        library: str = "nangate45",
        clock_gating: bool = False,
        isolation: bool = False,
    ) -> None:
        super().__init__(workload, scheme, bits)
        spec = workload.spec
        self.keep_frames = keep_frames
        self.schedule = replace(self.schedule, last=min(self.schedule.last, self.schedule.first + INJECTED - 1))
        design = EncoderDesign(
            spec=spec, scheme=scheme, loading=workload.loading, isolation=isolation, clock_gating=clock_gating
        )
        self.chip = chip or ChipNetlist.load(map_chip(design, cell_library(library)))
        clocks = ("clk", *design.internal_clocks)
        one = GateSimulator(self.chip.netlist, self.chip.library, words=1, clock=clocks)
        self._place = {int(cell): place for place, cell in enumerate(one.storage_cells)}
        self._storage = self._find_storages()
        self._counter = np.zeros(one.storages, np.bool_)
        for bit in self.bits:
            if bit.stratum is Stratum.COUNTER:
                self._counter[self._storage[bit.path, bit.bit]] = True
        # latches of clock gates: open whenever the logic is evaluated, so never a state of their own
        self._gated = bool(one.latches.any())
        if self._gated and spec.reuse > 1:
            raise ValueError("faults in a chip with an internal clock need a netlist without clock gates")
        self._kept_states = one.state_rows[~one.latches]
        self._kept_counter = self._counter[~one.latches]
        self._latches, self._enables = one.state_rows[one.latches], one.data_rows[one.latches]
        self._gate_enables = one.data_rows[one.latches & ~one.low_latches]
        self._internal = np.flatnonzero(one.clocked_by(INTERNAL_CLOCK)) if spec.reuse > 1 else np.zeros(0, np.int64)
        self._resets = one.reached("rst")
        self._start = self._loaded(one)
        self._stimulus()
        self._snapshots: dict[int, npt.NDArray[np.uint8]] = {}
        self._check_once(one)
        self._one, self._wide = one, one.widened(words)
        self._widest()

    def close(self) -> None:
        """Nothing is held outside; for the sake of engines that do."""

    def _find_storages(self) -> dict[Target, int]:
        missing = [bit for bit in self.bits if (bit.path, bit.bit) not in self.chip.names]
        if missing:
            raise ValueError(f"{len(missing)} flip-flops are not in the netlist, the first is {missing[0].path}")
        return {(b.path, b.bit): self._place[self.chip.names[b.path, b.bit]] for b in self.bits}

    @property
    def nets(self) -> tuple[Target, ...]:
        """Reset, and the outputs of control to the store, as `flows.campaign.rtl.RtlEngine.nets` has them."""
        return (RESET, *self.transient_nets["control outputs"])

    @cached_property
    def transient_nets(self) -> dict[str, tuple[Target, ...]]:
        """Nets that transients may be injected into, by what they are; a net with several names counts once."""
        inputs = {name for name, port in self.chip.netlist.ports.items() if port.direction == "input"}
        found: dict[str, dict[int, Target]] = {}
        for (name, bit), net in self.net_numbers.items():
            scope, _, signal = name.rpartition(".")
            top = name.partition(".")[0]
            if name in inputs:
                kind = "inputs"
            elif re.fullmatch(r"control(_\d)?", scope) and signal in _CONTROL_OUTPUTS:
                kind = "control outputs"
            elif (scope.endswith("_register") and signal == "o") or (
                re.fullmatch(r"registers(_\d)?", scope) and signal in _SETTINGS
            ):
                kind = "voters" if self.scheme is not Scheme.NONE else "registers"
            elif top.startswith("control"):
                kind = "control logic"
            elif top.startswith("registers"):
                kind = "store logic"
            else:
                kind = "data path"
            nets = found.setdefault(kind, {})
            if net not in nets or name < nets[net][0]:
                nets[net] = (name, bit)
        gates = set(self._gate_enables[self._gate_enables < self.chip.netlist.nets].tolist())
        for kind in ("control logic", "store logic", "data path"):
            for net in gates & found.get(kind, {}).keys():
                found.setdefault("clock gates", {})[net] = found[kind].pop(net)
        # the outputs of control and voters are nets of the modules around them, too
        taken: set[int] = set()
        chosen = {}
        for kind in (
            "inputs", "control outputs", "voters", "registers", "clock gates", "control logic", "store logic",
            "data path",
        ):  # fmt: skip
            nets = {net: target for net, target in found.get(kind, {}).items() if net not in taken}
            taken |= nets.keys()
            if nets:
                chosen[kind] = tuple(sorted(nets.values()))
        return chosen

    @cached_property
    def net_numbers(self) -> dict[Target, int]:
        """Nets that transients may be injected into, by name and bit: outputs of logic, inputs but the clock."""
        netlist = self.chip.netlist
        driven = np.zeros(netlist.nets, np.bool_)
        for group in netlist.groups.values():
            cell = self.chip.library[group.type]
            if cell.storage is None:
                for pin in cell.outputs:
                    nets = group.pin(pin)
                    driven[nets[nets >= 0]] = True
        for port in netlist.ports.values():
            if port.direction == "input" and port.name not in ("clk", INTERNAL_CLOCK):
                driven[port.nets] = True
        # what only buffers of the clock drive is the clock
        driven[self._clock_nets()] = False
        found: dict[Target, int] = {}
        # a million names of a bit or two: lists are faster than arrays
        eligible, named = driven.tolist(), [False] * netlist.nets
        for private in (False, True):
            for instance in netlist.instances:
                prefix = ".".join(instance.path) + "." if instance.path else ""
                for name, nets in instance.names.items():
                    if name.startswith("$") is not private:
                        continue
                    for bit, net in enumerate(nets.tolist()):
                        if eligible[net] and not (private and named[net]):
                            found[prefix + name, bit] = net
                            named[net] = True
        return found

    @property
    def samples(self) -> dict[str, tuple[Target, ...]]:
        """Further nets for transients, too many to take all, by what they are."""
        return {kind: nets for kind, nets in self.transient_nets.items() if kind != "control outputs"}

    def _clock_nets(self) -> npt.NDArray[np.int64]:
        rows = np.unique(self._simulator.storage_clock_rows)
        return rows[(rows > 1) & (rows < self.chip.netlist.nets)].astype(np.int64)

    # ------------------------------------------------------------------------------------------------- preparation
    def _loaded(self, one: GateSimulator) -> Words:
        """States of all flip-flops after reset, with the image of the workload in the store and `run` at 1."""
        for name, port in self.chip.netlist.ports.items():
            if port.direction == "input":
                one.set_port(
                    name, np.full((len(port.nets), 1), _ALL if name in ("scl", "sda", "rst") else 0, np.uint64)
                )
        for _ in range(2):
            one.step()
        one.set_port("rst", np.zeros((1, 1), np.uint64))
        states = one.state.copy()
        w = self.workload
        for target, value in stored_values(w.spec, self.scheme, w.loading, w.image, self.bits).items():
            states[self._storage[target]] = _ALL if value else 0
        for bit in self.bits:
            if bit.stratum is Stratum.CONTROL and bit.bit == self.run_bit and _is_control_state(bit.path):
                states[self._storage[bit.path, bit.bit]] = _ALL
        one.lower_clocks()
        return states

    def _advance(self, simulator: GateSimulator, taken: bool = False) -> tuple[Words, Words]:
        """The edge that ends a crossing, and what the internal clock does after it: as `compare_lanes`.

        Parameters
        ----------
        simulator : GateSimulator
            With its logic evaluated.
        taken : bool
            Flip-flops have taken their data at the common edge.
        """
        if not taken:
            self._take(simulator)
        if self._gated:
            simulator.lower_clocks()
        for _ in range(self.workload.spec.reuse - 1 if len(self._internal) else 0):
            simulator.evaluate()
            simulator.capture(self._internal)
        found: tuple[Words, Words] = compare_lanes(simulator.values, self._kept_states, self._kept_counter)
        return found

    def _take(self, simulator: GateSimulator, settled: bool = False) -> None:
        """The edge that all clocks have in common, the logic being evaluated."""
        if self._gated and not settled:
            simulator.values[self._latches] = simulator.values[self._enables]
        if self._gated or settled:
            simulator.edge()
        else:
            simulator.capture()

    def _stimulus(self) -> None:
        """Rows of bits as masks over all lanes: inputs and expected frames of every crossing."""
        w, ports = self.workload, self.chip.netlist.ports
        shifts = np.arange(32, dtype=np.uint32)

        def masks(values: npt.NDArray[np.uint32]) -> Words:
            bits = (values[:, :, None] >> shifts & np.uint32(1)).reshape(len(values), -1)
            return np.where(bits.astype(bool), _ALL, np.uint64(0))

        self._words = masks(w.words)
        self._lines = np.where(np.stack([w.scl, w.sda], 1).astype(bool), _ALL, np.uint64(0))
        pins = np.zeros((w.crossings, w.frames.shape[1]), np.uint32)
        pins[self.latency :] = w.frames[: w.crossings - self.latency]
        self._pins = pins
        self._frames = masks(pins)
        self._frame_nets = ports["frames"].nets
        self._low = ports["sda_low"].nets

    def _drive(self, simulator: GateSimulator, crossing: int) -> None:
        simulator.set_port("words", self._words[crossing][:, None])
        simulator.set_port("scl", self._lines[crossing, :1, None])
        simulator.set_port("sda", self._lines[crossing, 1:, None])

    def _check_once(self, one: GateSimulator) -> None:
        """`_check`, unless it was done before for this netlist and workload: then what it kept."""
        w = self.workload
        self.compared = w.crossings - self.latency
        cache = ContentCache(cache_directory() / "chip-checks")
        key = content_key(
            netlist=self.chip.digest, workload=w.digest(), image=sorted(w.image.items()),
            sources=code_hash(module_file("flows.campaign.netlist")),
        )  # fmt: skip
        kept = cache.get(key) if self.chip.digest else None
        if kept is None:
            self._check(one)
            if self.chip.digest:
                cache.put(key, {str(k): base64.b64encode(v.tobytes()).decode() for k, v in self._snapshots.items()})
            return
        self._snapshots = {int(k): np.frombuffer(base64.b64decode(v), np.uint8) for k, v in kept.items()}

    def _check(self, one: GateSimulator) -> None:
        """Run without fault: frames of the golden model, answers of the register map; keep states on the way."""
        w = self.workload
        low = np.zeros(w.crossings, np.int64)
        one.state = self._start
        for crossing in range(w.crossings):
            if crossing % _EVERY == 0 and crossing <= self.schedule.last:
                self._snapshots[crossing] = np.packbits(one.state[:, 0] & _ONE != 0)
            self._drive(one, crossing)
            one.evaluate()
            low[crossing] = int(one.values[self._low[0], 0] & _ONE)
            if crossing >= self.latency:
                seen = one.values[self._frame_nets, 0]
                if (seen != self._frames[crossing]).any():
                    raise EngineError(
                        f"{self.chip.netlist.top} without fault: the frame of crossing {crossing - self.latency}"
                        f" differs from the golden model in {int((seen != self._frames[crossing]).sum())} bits"
                    )
            self._advance(one)
        check_bus(self.chip.netlist.top, w, w.sda & (1 - low))

    # -------------------------------------------------------------------------------------------------------- faults
    def window(self, fault: Fault) -> int:
        """Crossings that a fault is watched at most: as on the RTL, but control for `WINDOW` crossings only."""
        return watched(fault, self.schedule, self.latency, longest=WINDOW + fault.width)

    def _events(self, number: int, fault: Fault) -> list[tuple[int, int]]:
        """Delay and storage, or net as ``~net``, of what a fault does."""
        found: list[tuple[int, int]] = []
        for target, delay in zip(fault.targets, fault.delays, strict=True):
            if target in self._storage and fault.kind is not Kind.TRANSIENT:
                found.append((delay, self._storage[target]))
            elif fault.kind is Kind.TRANSIENT and (target == RESET or target in self.net_numbers):
                net = int(self.chip.netlist.ports["rst"].nets[0]) if target == RESET else self.net_numbers[target]
                found += [(delay + more, ~net) for more in range(fault.width)]
            else:
                what = "net" if fault.kind is Kind.TRANSIENT else "flip-flop"
                raise ValueError(f"fault {number}: the netlist has no {what} {target[0]!r}, bit {target[1]}")
        check_crossing(number, fault, self.workload, self.latency)
        return found

    def run(self, faults: Sequence[Fault]) -> Sequence[Outcome]:
        """One outcome for each fault, in order. Raises EngineError if lane 0 does not do what the golden model says."""
        events = [self._events(number, fault) for number, fault in enumerate(faults)]
        waiting = sorted(range(len(faults)), key=lambda number: faults[number].clock)
        outcomes: dict[int, Outcome] = {}
        while waiting:
            waiting = self._sweep(faults, events, waiting, outcomes)
        return [outcomes[number] for number in range(len(faults))]

    def _sweep(
        self, faults: Sequence[Fault], events: Sequence[list[tuple[int, int]]], order: Sequence[int],
        outcomes: dict[int, Outcome],
    ) -> list[int]:  # fmt: skip
        """Once over the workload; returns the faults for which no lane was free."""
        sim = self._widest()
        starts = {clock: list(group) for clock, group in groupby(order, key=lambda number: faults[number].clock)}
        first = faults[order[0]].clock // _EVERY * _EVERY
        self._recall(first)
        sim.set_port("rst", np.zeros((1, 1), np.uint64))
        free = list(range(64 * sim.words - 1, 0, -1))
        lanes: dict[int, _Lane] = {}
        due: dict[int, list[tuple[int, int]]] = {}
        left: list[int] = []
        last = faults[order[-1]].clock
        crossing = first
        clocks = sorted(starts)
        while lanes or crossing <= last:
            if not lanes:
                # no lane holds a fault: go on where the next one is injected
                while clocks and clocks[0] < crossing:
                    clocks.pop(0)
                if (ahead := clocks[0] // _EVERY * _EVERY) > crossing:
                    crossing = ahead
                    self._recall(crossing)
            for number in starts.get(crossing, ()):
                if not free:
                    left.append(number)
                    continue
                lane = free.pop()
                until = crossing + max(delay for delay, _ in events[number])
                end = min(crossing + self.window(faults[number]), self.workload.crossings) - 1
                lanes[lane] = _Lane(number, crossing, until, end)
                for delay, what in events[number]:
                    due.setdefault(crossing + delay, []).append((lane, what))
            injected = due.pop(crossing, [])
            flips = [(lane, what) for lane, what in injected if what >= 0]
            pulses = [(lane, ~what) for lane, what in injected if what < 0]
            if flips:
                sim.flip_state([what for _, what in flips], self._masks(lane for lane, _ in flips))
            if pulses:
                self._pulse(pulses)
            self._drive(sim, crossing)
            resets = any(self._resets[net] for _, net in pulses)
            if resets:
                sim.settle()
            else:
                sim.evaluate()
            self._judge(crossing, lanes)
            if pulses:
                self._take(sim, settled=resets)
                self._pulse([])
            different, counted = self._advance(sim, taken=bool(pulses))
            done = self._finished(crossing, lanes, different, counted, outcomes)
            if done:
                _restore(sim.values, sim.state_rows, self._lane_mask(done))
                free += done
            crossing += 1
            # after the last injection few faults are left, and every word of lanes costs as much as any other
            if lanes and crossing > last and len(lanes) < 64 * (sim.words // 2):
                lanes, due = self._narrow(lanes, due)
                sim = self._simulator
        self._widest()
        return left

    def _widest(self) -> GateSimulator:
        """All words again; their values are of no use any more."""
        self._simulator = self._wide
        return self._simulator

    def _narrow(
        self, lanes: Mapping[int, _Lane], due: Mapping[int, Sequence[tuple[int, int]]]
    ) -> tuple[dict[int, _Lane], dict[int, list[tuple[int, int]]]]:
        """Go on in as few words as the lanes need; lanes and what they still wait for, by their new numbers."""
        number = {old: new for new, old in enumerate(sorted(lanes), 1)}
        narrow = self._one.widened(len(lanes) // 64 + 1)
        # lanes without a fault are as lane 0
        source = np.zeros(64 * narrow.words, np.int64)
        source[1 : len(number) + 1] = list(number)
        bits = np.unpackbits(self._simulator.state.view(np.uint8), axis=1, bitorder="little")
        narrow.state = np.ascontiguousarray(np.packbits(bits[:, source], axis=1, bitorder="little")).view(np.uint64)
        narrow.set_port("rst", np.zeros((1, 1), np.uint64))
        narrow.lower_clocks()
        self._simulator = narrow
        return (
            {number[old]: state for old, state in lanes.items()},
            {crossing: [(number[lane], what) for lane, what in waiting] for crossing, waiting in due.items()},
        )

    def _recall(self, crossing: int) -> None:
        """All lanes without fault at a crossing that is kept."""
        stored = np.unpackbits(self._snapshots[crossing], count=self._one.storages).astype(bool)
        self._simulator.state = np.where(stored, _ALL, np.uint64(0))[:, None]

    def _masks(self, lanes: Iterable[int]) -> Words:
        """One row with one bit for each lane."""
        listed = list(lanes)
        masks = np.zeros((len(listed), self._simulator.words), np.uint64)
        for row, lane in enumerate(listed):
            masks[row, lane // 64] = _ONE << np.uint64(lane % 64)
        return masks

    def _lane_mask(self, lanes: Sequence[int]) -> Words:
        chosen = np.zeros(64 * self._simulator.words, np.bool_)
        chosen[list(lanes)] = True
        return from_lanes(chosen)

    def _pulse(self, pulses: list[tuple[int, int]]) -> None:
        """Invert nets in lanes from now on; an empty list ends it."""
        sim = self._simulator
        nets = sorted({net for _, net in pulses})
        flip = np.zeros((len(nets), sim.words), np.uint64)
        for (lane, net), mask in zip(pulses, self._masks(lane for lane, _ in pulses), strict=True):
            del lane
            flip[nets.index(net)] |= mask
        keep = np.full_like(flip, _ALL)
        sim.fault(nets, keep=keep, put=np.zeros_like(flip), flip=flip)
        # ports are no results of logic: they take the fault when they are driven
        sim.set_port("rst", np.zeros((1, 1), np.uint64))

    def _judge(self, crossing: int, lanes: dict[int, _Lane]) -> None:
        """Compare what leaves the chip in this crossing."""
        sim = self._simulator
        seen = sim.values[self._frame_nets]
        change = seen ^ self._frames[crossing][:, None]
        wrong = np.bitwise_or.reduce(change, axis=0)
        if crossing >= self.latency and wrong[0] & _ONE:
            raise EngineError(f"lane without fault: frame {crossing - self.latency} differs from the golden model")
        for lane in _set_bits(wrong):
            state = lanes.get(lane)
            if state is not None:
                state.first = crossing if state.first < 0 else state.first
                state.last = crossing
                state.wrong += 1
                silent = not ((seen[:, lane // 64] >> np.uint64(lane % 64)) & _ONE).any()
                state.silent = state.silent + 1 if silent and state.heard == crossing - 1 else int(silent)
                state.heard = crossing
                if self.keep_frames:
                    bits = (change[:, lane // 64] >> np.uint64(lane % 64) & _ONE).astype(np.uint32).reshape(-1, 32)
                    change_words = (bits << np.arange(32, dtype=np.uint32)).sum(1, dtype=np.uint32)
                    state.frames.append(self._pins[crossing] ^ change_words)
        if self.workload.scl[crossing]:
            low = sim.values[self._low[0]]
            for lane in _set_bits(low ^ (_ALL if low[0] & _ONE else np.uint64(0))):
                if lane in lanes:
                    lanes[lane].wrong_bus = True

    def _finished(
        self, crossing: int, lanes: dict[int, _Lane], different: Words, counted: Words, outcomes: dict[int, Outcome]
    ) -> list[int]:
        """Lanes that can be judged at the end of a crossing; their outcomes are written down."""
        apart = set(_set_bits(different))
        in_counters = set(_set_bits(counted))
        done = []
        for lane, state in lanes.items():
            if lane in in_counters:
                state.counted = True
            equal = lane not in apart and crossing >= state.until
            if not equal and crossing < state.end:
                continue
            done.append(lane)
            outcomes[state.number] = judged(
                state.number, latency=self.latency, wrong=state.wrong, first_wrong=state.first, last_wrong=state.last,
                bus_wrong=state.wrong_bus, stopped=state.heard == crossing and state.silent >= WATCHED,
                counted=state.counted, persistent=not equal, watched=crossing - state.start + 1,
                frames=np.stack(state.frames) if state.frames else None,
            )  # fmt: skip
        for lane in done:
            del lanes[lane]
        return done


_EVERY = 32
"""Crossings between states that are kept of the run without fault."""


def _is_control_state(path: str) -> bool:
    return path.startswith("control") and path.rpartition(".")[2] in ("o", "state") and ".state" in path


def _set_bits(words: Words) -> list[int]:
    """Lanes of the bits that are set."""
    if not words.any():
        return []
    bits = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), bitorder="little")
    return [int(lane) for lane in np.flatnonzero(bits)]
