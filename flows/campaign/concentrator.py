"""Upsets in the mapped netlist of a concentrator: flip-flop by flip-flop, 64 in each machine word.

The data path runs a module at pile-up 200 with one algorithm selected. All lanes start from the state of a run without
fault, whose every word is that of the golden model; lane 0 stays without fault. In each other lane one flip-flop is
inverted at the start of a crossing, and the words that leave are compared until the flip-flops of all lanes are those
of lane 0 again, or `WATCHED` crossings are over: a packet waits at most 12 crossings in the buffer where T1 is 24 n.

Settings are put into their flip-flops, as in `flows.campaign.netlist`; a wrong map would show in lane 0.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.campaign.beam import Beam
from flows.campaign.engine import EngineError
from flows.campaign.netlist import ChipNetlist, compare_lanes
from flows.campaign.statistics import clopper_pearson
from flows.common.journal import Check, Journal, origin
from flows.designs.concentrator import ConcentratorDesign
from flows.designs.storage_bits import StorageBit, Stratum
from flows.netlist.gate_simulation import GateSimulator, to_lanes
from flows.stimulus.concentrator import algorithm_settings, module_showers
from sim.files import replacing
from sim.hgcal_encoder.algorithms.concentrator_model import ConcentratorModel, ConcentratorSettings
from sim.hgcal_encoder.concentrator_spec import AlgorithmNumber, ConcentratorSpec
from sim.hgcal_encoder.configuration.concentrator_registers import concentrator_fields, concentrator_writes
from sim.hgcal_encoder.spec import ETX_WORDS
from sim.hgcal_encoder.words import bunch_crossings

__all__ = ["WATCHED", "ConcentratorEngine", "Upsets", "group_of", "inject_upsets"]

WATCHED = 48
"""Crossings that an upset is watched at most."""
_FIRST, _TIMES = 40, 8
"""Crossing of the first upset, and crossings from there on at which there are some."""
_SECONDS_OF_DAY = 86400
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_ONE = np.uint64(1)
_ROWS = "buffer words"
_GROUPS = {
    "words": "front end", "words_tags": "front end", "charges": "front end", "charges_tags": "front end",
    "packet": "formatter", "codes": "cell codes", "codes_of_best_choice": "cell codes", "frames": "eTx words",
    "overflow_1": "eTx words", "overflow_2": "eTx words",
}  # fmt: skip
"""What registers of the core are for, where their name does not say so."""


def group_of(bit: StorageBit) -> str:
    """What a flip-flop is for: a stored setting or weight, a block of the core."""
    if bit.stratum is not Stratum.DATA_PATH:
        return bit.stratum.value
    block = bit.path.split(".")[1].removesuffix("_register")
    if block == "output_buffer":
        return _ROWS if ".row_" in bit.path else "buffer control"
    if block.startswith("tags_"):
        return "front end"
    return _GROUPS.get(block, block.replace("_", " "))


@dataclass(frozen=True, kw_only=True, eq=False)
class Upsets:
    """What became of upsets, one row each.

    Attributes
    ----------
    bits : tuple of StorageBit
        Flip-flops that were inverted.
    words, crossings : ndarray of int64
        Wrong words of the links, and crossings with one.
    kept : ndarray of bool
        A flip-flop was still wrong at the end, words in the buffer left out.
    """

    bits: tuple[StorageBit, ...]
    words: npt.NDArray[np.int64]
    crossings: npt.NDArray[np.int64]
    kept: npt.NDArray[np.bool_]


class ConcentratorEngine:
    """A mapped data path at work with one algorithm after the other, see `select`.

    Parameters
    ----------
    chip : ChipNetlist
    design : ConcentratorDesign
        Without clock gates.
    seed : int
        Of the module and its showers.
    words : int
        Machine words per net.

    Attributes
    ----------
    bits : tuple of StorageBit
        All flip-flops of the netlist.
    source : str
        What the module and its showers are.
    compared : int
        Words of the last run without fault that equal the golden model.

    Raises
    ------
    ValueError
        If a flip-flop of the design is not in the netlist.
    """

    def __init__(self, chip: ChipNetlist, design: ConcentratorDesign, *, seed: int = 1, words: int = 8) -> None:
        self.chip, self.design = chip, design
        bits = design.storage_bits()
        one = GateSimulator(chip.netlist, chip.library, words=1, clock=("clk",))
        if one.latches.any():
            raise ValueError("upsets of a concentrator need a netlist without clock gates")
        place = {int(cell): storage for storage, cell in enumerate(one.storage_cells)}
        missing = [bit.path for bit in bits if (bit.path, bit.bit) not in chip.names]
        if missing and design.protected:
            raise ValueError(f"{len(missing)} flip-flops are not in the netlist, the first is {missing[0]}")
        # without copies to keep apart, synthesis may leave out what is constant, and share what is equal
        shared = {chip.names[bit.path, bit.bit]: bit for bit in bits if (bit.path, bit.bit) in chip.names}
        self.bits = tuple(shared.values())
        self._storage = {(bit.path, bit.bit): place[cell] for cell, bit in shared.items()}
        # words that were sent lie in the buffer until others take their places
        self._sent = np.zeros(one.storages, np.bool_)
        self._sent[[self._storage[bit.path, bit.bit] for bit in self.bits if group_of(bit) == _ROWS]] = True
        self._module, self._weights = module_showers(
            design.spec, streams=1, crossings=_FIRST + _TIMES + WATCHED, seed=seed
        )
        self.source = self._module.source
        self.compared = 0
        self._frame_nets = chip.netlist.ports["frames"].nets
        self._one, self._lane_words = one, words

    def select(self, number: AlgorithmNumber) -> None:
        """Run one algorithm without fault, and keep its states for what `run` does.

        Raises
        ------
        EngineError
            If the chip without fault does not do what the golden model says.
        """
        spec = self.design.spec
        settings = algorithm_settings(spec, number, self._module.settings[0], self._weights)
        self._latency = self.design.latency_of(number)
        self._stimulus(spec, settings, self._module.words[0])
        self._states = self._run(self._one, spec, settings)
        # its ports stand as the run left them
        self._wide = self._one.widened(self._lane_words)

    def _stimulus(self, spec: ConcentratorSpec, settings: ConcentratorSettings, words: npt.NDArray[np.uint32]) -> None:
        """Masks over all lanes by crossing: words, number, and expected words of the links."""
        shifts = np.arange(32, dtype=np.uint32)

        def masks(values: npt.NDArray[Any], width: int) -> npt.NDArray[np.uint64]:
            bits = (values[..., None] >> shifts[:width] & np.uint32(1)).reshape(len(values), -1)
            return np.where(bits.astype(bool), _ALL, np.uint64(0))

        self._words = masks(words, 32)
        self._bx = masks(bunch_crossings(words >> 28, 0).astype(np.uint32), 12)
        pins = np.zeros((len(words), ETX_WORDS), np.uint32)
        pins[self._latency :] = ConcentratorModel(spec, settings).frames(words)[: len(words) - self._latency]
        self._frames = masks(pins, 32)

    def _run(
        self, one: GateSimulator, spec: ConcentratorSpec, settings: ConcentratorSettings
    ) -> dict[int, npt.NDArray[np.uint64]]:
        """Reset, settings, and all crossings without fault; the states at which upsets may begin."""
        for name, port in self.chip.netlist.ports.items():
            if port.direction == "input":
                one.set_port(name, np.full((len(port.nets), 1), _ALL if name == "rst" else 0, np.uint64))
        for _ in range(2):
            one.step()
        one.set_port("rst", np.zeros((1, 1), np.uint64))
        one.set_port("run", np.full((1, 1), _ALL))
        states = one.state.copy()
        image = dict(concentrator_writes(spec, settings.registers(spec)))
        used: dict[int, list[int]] = {}
        for field in concentrator_fields(spec):
            for bit in range(field.lsb, field.lsb + field.width):
                used.setdefault(field.address + bit // 8, []).append(bit % 8)
        for stored in self.bits:
            if stored.path.startswith("registers."):
                address = int(stored.path.partition("byte_")[2][:4], 16)
                value = image[address] >> sorted(used[address])[stored.bit] & 1
                states[self._storage[stored.path, stored.bit]] = _ALL if value else 0
        one.state = states
        one.lower_clocks()
        kept = {}
        self.compared = 0
        for crossing in range(len(self._words)):
            if _FIRST <= crossing < _FIRST + _TIMES:
                kept[crossing] = one.state.copy()
            self._drive(one, crossing)
            one.evaluate()
            if crossing >= self._latency:
                seen = one.values[self._frame_nets, 0]
                if (seen != self._frames[crossing]).any():
                    raise EngineError(
                        f"{self.chip.netlist.top} without fault: words sent {self._latency} clocks after those of "
                        f"crossing {crossing - self._latency} differ from the golden model"
                    )
                self.compared += ETX_WORDS
            one.capture()
        return kept

    def _drive(self, simulator: GateSimulator, crossing: int) -> None:
        simulator.set_port("words", self._words[crossing][:, None])
        simulator.set_port("bx", self._bx[crossing][:, None])

    def run(
        self, bits: Sequence[StorageBit], *, seed: int = 1, advance: Callable[[int], None] = lambda _: None
    ) -> Upsets:
        """Invert these flip-flops, each in a chip without any other fault, with the selected algorithm at work.

        Parameters
        ----------
        bits : sequence of StorageBit
            Those beside each other share a crossing: upsets of one kind live equally long.
        seed : int
            Of the crossings.
        advance : callable, optional
            Called with the number of upsets done since the last call.
        """
        rng, lanes = np.random.default_rng(seed), 64 * self._wide.words - 1
        words, crossings = (np.zeros(len(bits), np.int64) for _ in range(2))
        kept = np.zeros(len(bits), np.bool_)
        for first in range(0, len(bits), lanes):
            part = bits[first : first + lanes]
            at = slice(first, first + len(part))
            found = self._batch([self._storage[bit.path, bit.bit] for bit in part], _FIRST + int(rng.integers(_TIMES)))
            words[at], crossings[at], kept[at] = (column[1 : len(part) + 1] for column in found)
            advance(len(part))
        return Upsets(bits=tuple(bits), words=words, crossings=crossings, kept=kept)

    def _batch(self, storages: Sequence[int], clock: int) -> tuple[npt.NDArray[Any], ...]:
        """Wrong words, wrong crossings, and whether a flip-flop stays wrong, by lane."""
        sim = self._wide
        sim.state = np.broadcast_to(self._states[clock], (sim.storages, sim.words))
        masks = np.zeros((len(storages), sim.words), np.uint64)
        for row in range(len(storages)):
            masks[row, (row + 1) // 64] = _ONE << np.uint64((row + 1) % 64)
        sim.flip_state(storages, masks)
        sim.set_port("rst", np.zeros((1, 1), np.uint64))
        sim.lower_clocks()
        words, crossings = (np.zeros(64 * sim.words, np.int64) for _ in range(2))
        for crossing in range(clock, clock + WATCHED):
            self._drive(sim, crossing)
            sim.evaluate()
            change = sim.values[self._frame_nets] ^ self._frames[crossing][:, None]
            if change.any():
                wrong = to_lanes(np.bitwise_or.reduce(change.reshape(ETX_WORDS, 32, sim.words), axis=1))
                if wrong[:, 0].any():
                    raise EngineError(f"lane without fault: words at crossing {crossing} differ from the golden model")
                words += wrong.sum(axis=0)
                crossings += wrong.any(axis=0)
            sim.capture()
            different, in_rows = compare_lanes(sim.values, sim.state_rows, self._sent)
            if not (different.any() or in_rows.any()):
                break
        return words, crossings, to_lanes(different[None])[0]


def inject_upsets(
    design: ConcentratorDesign, folder: Path, journal: Journal, *, engine: str, limit: int | None, seed: int
) -> dict[Path, dict[str, Any]]:
    """Upsets with each algorithm of a concentrator at work, judged.

    Parameters
    ----------
    design : ConcentratorDesign
        Protected or not, as it was synthesised.
    folder : Path
        Result folder of the plain design; the netlist lies beside it.
    journal : Journal
        Receives what was compared, and the verdict: a protected design corrects every upset of what is there three
        times.
    engine : str
        ``netlist``.
    limit : int or None
        Upsets with each algorithm at most, drawn at random; None: one in every flip-flop.
    seed : int
        Of module, showers and upsets.

    Returns
    -------
    dict of Path to dict
        The summary by its file.

    Raises
    ------
    ValueError
        Another engine, or a variant that has no netlist of the data path alone.
    FileNotFoundError
        If it was not synthesised.
    """
    if engine != "netlist":
        raise ValueError(f"engine: expected netlist for {design.name}, got {engine}")
    if design.clock_gating or design.loading is not None:
        raise ValueError(f"{design.name}: upsets are for the data path without clock gates")
    synthesis = folder.parent / design.name / "synthesis"
    if not (synthesis / "modules.json").is_file():
        raise FileNotFoundError(f"{synthesis} holds no netlist: run `{design.command('synth')}` first")
    with journal.step(f"{design.name}: netlist with the names of its flip-flops"):
        running = ConcentratorEngine(ChipNetlist.load(synthesis), design, seed=seed)
    bits = _chosen(running.bits, limit, seed)
    population = _by_group(running.bits)
    copied = {bit.protected for bit in running.bits if bit.copy == 1}
    rows: list[dict[str, Any]] = []
    outcomes: list[tuple[AlgorithmNumber, Upsets]] = []
    uncorrected = protected = compared = 0
    for number in design.spec.numbers:
        with journal.step(f"{number.label}: run without fault"):
            running.select(number)
        compared += running.compared
        with journal.step(f"{number.label}: {len(bits):,} upsets", total=len(bits)) as advance:
            found = running.run(bits, seed=seed, advance=advance)
        outcomes.append((number, found))
        for group, places in _by_group(bits).items():
            rows.append(_row(number, group, len(population[group]), found, np.array(places)))
        for place, bit in enumerate(bits):
            if bit.protected in copied:
                protected += 1
                uncorrected += bool(found.words[place] or found.kept[place])
    journal.check(
        Check(
            name=f"{design.name}: netlist without fault against the golden model, {len(outcomes)} algorithms",
            passed=compared > 0, compared=compared, unit="eTx words",
        )
    )  # fmt: skip
    if design.protected:
        journal.check(
            Check(
                name=f"netlist: single upsets in protected state that {design.scheme} does not correct",
                passed=protected > 0 and uncorrected == 0, compared=protected, unit="single flips",
                detail=f"{uncorrected} uncorrected",
            )
        )  # fmt: skip
    summary = {
        "design": design.name, "netlist_sha256": running.chip.digest, "source": running.source, "watched": WATCHED,
        "protected": protected, "uncorrected_single": uncorrected, "rows": rows, "origin": origin(),
    }  # fmt: skip
    path = folder / f"campaign-netlist-{design.scheme or 'none'}{'' if limit is None else f'-{limit}'}.json"
    with replacing(path) as file:
        json.dump(summary, file, indent=1)
        file.write("\n")
    with replacing(path.with_suffix(".npz"), "wb") as file:
        np.savez_compressed(
            file, algorithm=np.concatenate([np.full(len(found.bits), int(number)) for number, found in outcomes]),
            path=[bit.path for _, found in outcomes for bit in found.bits],
            bit=[bit.bit for _, found in outcomes for bit in found.bits],
            words=np.concatenate([found.words for _, found in outcomes]),
            crossings=np.concatenate([found.crossings for _, found in outcomes]),
            kept=np.concatenate([found.kept for _, found in outcomes]),
        )  # fmt: skip
    return {path: summary}


def _chosen(bits: Sequence[StorageBit], limit: int | None, seed: int) -> list[StorageBit]:
    """Flip-flops to invert, those of a group together."""
    places = np.arange(len(bits))
    if limit is not None and limit < len(bits):
        places = np.random.default_rng(seed).choice(places, limit, replace=False)
    return sorted((bits[place] for place in places.tolist()), key=lambda bit: (group_of(bit), bit.path, bit.bit))


def _by_group(bits: Sequence[StorageBit]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place, bit in enumerate(bits):
        found.setdefault(group_of(bit), []).append(place)
    return found


def _row(
    number: AlgorithmNumber, group: str, flip_flops: int, found: Upsets, places: npt.NDArray[np.int64]
) -> dict[str, Any]:
    """Counts of a group, and its wrong words in a day at the highest flux of HGCAL, those of settings left out."""
    words, kept = found.words[places], found.kept[places]
    shows = words > 0
    interval = clopper_pearson(int(shows.sum()), len(places))
    upsets = Beam().rates_hz[0] * _SECONDS_OF_DAY * flip_flops
    # what stays in a setting is no matter of so many words: how many there are tells how long it was watched
    passing = group not in (Stratum.SETTING, Stratum.WEIGHT)
    return {
        "kind": "flip", "stratum": f"{number.label}: {group}", "algorithm": number.label, "group": group,
        "population": flip_flops, "faults": len(places), "masked": int((~shows).sum()), "corrected": 0,
        "corrupted": int(shows.sum()), "hang": 0,
        "persistent": int(kept.sum()), "shown": interval.value, "shown_low": interval.low, "shown_high": interval.high,
        "words_per_upset": float(words.mean()), "words_worst": int(words.max()),
        "crossings_per_upset": float(found.crossings[places].mean()), "upsets_per_day": upsets,
        "words_per_day": upsets * float(words.mean()) if passing else 0.0,
    }  # fmt: skip
