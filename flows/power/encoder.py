"""Real stimulus for a mapped encoder: shower words at pile-up, one detector module per stream, checked as it runs.

Each stream is another module of the simulated endcap with its own calibration and density settings, so the mean over
streams is the mean over the detector, from nearly empty outer modules to full inner ones. While toggles are counted,
the frames that the netlist sends are compared with the golden model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.designs.encoder import EncoderDesign
from flows.netlist.gate_simulation import GateSimulator, from_lanes, to_lanes
from flows.physical.mapped import Mapped, clocks_of
from flows.power.activity import Activity, record
from flows.power.run import PowerOptions, Run
from flows.power.write_port import (
    Words,
    banks_of,
    evaluate_only,
    free_ports,
    hold_ports,
    same_bits,
    swap_all,
    write_into_banks,
    write_through_port,
)
from flows.stimulus.i2c import waveform
from flows.stimulus.showers import EncoderStimulus, shower_stimulus
from hw.hgcal_encoder.coded_words import WordMap
from sim.hgcal_encoder.configuration.chip_registers import DEVICE_ADDRESS, Loading, chip_fields, image_bytes
from sim.hgcal_encoder.configuration.registers import register_writes
from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.learning.decoder import TrainedModel
from sim.hgcal_encoder.spec import ETX_WORDS, EncoderSpec
from sim.hgcal_encoder.weights import Weights

__all__ = ["encoder_activity", "simulate"]


def load_registers(
    simulator: GateSimulator,
    spec: EncoderSpec,
    stimulus: EncoderStimulus,
    weights: Weights,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Reset, then write settings and weights, each stream its own settings.

    Of an encoder through its write port. Of a whole chip at the write ports of its banks, which are held from outside
    meanwhile, since the bus would take some hundred clocks for each byte; then `run` is set over I2C. With guarded
    loading the bytes go to the shadow bank, and one swap of all parts brings them into the banks.
    """
    netlist, lanes = simulator.netlist, 64 * simulator.words
    chip = "scl" in netlist.ports
    if chip:
        images = [list(image_bytes(spec, settings, weights).items()) for settings in stimulus.settings]
    else:
        images = [register_writes(spec, settings, weights) for settings in stimulus.settings]
    addresses = [address for address, _ in images[0]]
    data = np.array([[byte for _, byte in image] for image in images])
    data = data[np.arange(lanes) % len(data)]
    ones = np.full((1, simulator.words), 0xFFFF_FFFF_FFFF_FFFF, np.uint64)
    zeros = ~ones
    for name, port in netlist.ports.items():
        if port.direction == "input" and name not in simulator.clocks:
            simulator.set_port(name, np.zeros((len(port.nets), simulator.words), np.uint64))
    for line in ("scl", "sda") if chip else ():
        simulator.set_port(line, ones)
    simulator.set_port("rst", ones)
    for _ in range(3):
        simulator.step()
    simulator.set_port("rst", zeros)
    if chip:  # the filters of the bus lines have to see it free
        for _ in range(8):
            simulator.step()
    simulator.settle()
    bank = "shadow" if banks_of(netlist, "shadow") else "registers"
    write = _write_through_banks(simulator, spec, bank) if chip else write_through_port(simulator)
    evaluate_only(simulator, bank)
    for number, address in enumerate(addresses):
        write(address, from_lanes(data[:, number][None, :] >> np.arange(8)[:, None] & 1))
        if advance is not None:
            advance(1)
    if bank == "shadow":
        swap_all(simulator)
    simulator.restrict(None)
    if chip:
        free_ports(simulator)
        _run_over_i2c(simulator, spec)
        if _has_words(banks_of(netlist, bank)):
            for _ in WordMap(spec=spec).words:  # sums are formed on a walk of the store
                simulator.step()
    else:
        simulator.set_port("write_enable", zeros)
    # the counter counts from the last reset: the settings stay, the crossing with the orbit header starts it anew
    simulator.settle()


def _has_words(banks: Sequence[Any]) -> bool:
    """Whether a store is one of long code words."""
    return "merge" in banks[0].names


def _write_through_banks(simulator: GateSimulator, spec: EncoderSpec, prefix: str) -> Callable[[int, Words], None]:
    """Writing a byte at the ports of the banks inside a chip, all copies at once.

    A store of long code words takes a byte into each word that has bits of it, one word in a clock.
    """
    banks = banks_of(simulator.netlist, prefix)
    if not banks:
        raise ValueError(f"{simulator.netlist.top} has no bank of registers")
    if not _has_words(banks):
        return write_into_banks(simulator, banks)
    words = WordMap(spec=spec)
    words_of: dict[int, list[int]] = {}
    for number, word in enumerate(words.words):
        for byte in sorted({bit // 8 for bit in word.image_bits}):
            words_of.setdefault(words.addresses[byte], []).append(number)

    def write(address: int, data: Words) -> None:
        place, on = same_bits(address, 16, simulator.words), same_bits(1, 1, simulator.words)
        for number in words_of.get(address, ()):
            word = same_bits(number, len(banks[0].names["word"]), simulator.words)
            hold_ports(simulator, banks, word=word, address=place, merge=on, value=data)

    return write


def _run_over_i2c(simulator: GateSimulator, spec: EncoderSpec) -> None:
    """Set the register `run` as a controller on the bus does."""
    field = next(field for field in chip_fields(spec, Loading.DIRECT) if field.name == "run")
    sent = bytes([DEVICE_ADDRESS << 1, field.address >> 8, field.address & 0xFF, 1 << field.lsb])
    wave = waveform((sent, 0))
    ones = np.full((1, simulator.words), 0xFFFF_FFFF_FFFF_FFFF, np.uint64)
    evaluate_only(simulator, "control")
    for scl, sda in zip(wave.scl, wave.sda, strict=True):
        simulator.set_port("scl", ones if scl else ~ones)
        simulator.set_port("sda", ones if sda else ~ones)
        simulator.step()
    simulator.restrict(None)


def encoder_activity(
    simulator: GateSimulator,
    spec: EncoderSpec,
    stimulus: EncoderStimulus,
    weights: Weights,
    *,
    latency: int,
    period_ns: float,
    snapshots: int = 4,
    clock_high: float = 0.5,
    advance: Callable[[int], None] | None = None,
) -> tuple[Activity, npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Activity of a loaded netlist of encoder or chip, and its frames beside those of the golden model.

    Parameters
    ----------
    simulator : GateSimulator
        After `load_registers`.
    latency : int
        Clocks from words to frames.
    clock_high : float
        Share of its period that the fastest clock is high.

    Returns
    -------
    activity : Activity
        Of the crossings after the pipeline is filled.
    actual, expected : ndarray of uint32, shape (streams, crossings - latency, 13)
    """
    streams, crossings, _ = stimulus.words.shape
    lanes = 64 * simulator.words
    words = stimulus.words[np.arange(lanes) % streams]
    frames = np.zeros((streams, crossings, ETX_WORDS), np.uint32)
    shifts = np.arange(32, dtype=np.uint32)

    def drive(sim: GateSimulator, clock: int) -> None:
        bits = (words[:, clock, :, None] >> shifts & 1).reshape(lanes, -1)
        sim.set_port("words", from_lanes(np.ascontiguousarray(bits.T)))

    def watch(sim: GateSimulator, clock: int) -> None:
        bits = to_lanes(sim.values[sim.netlist.ports["frames"].nets])[:, :streams]
        values = bits.reshape(ETX_WORDS, 32, streams).astype(np.uint32)
        frames[:, clock] = (values << shifts[None, :, None]).sum(1, dtype=np.uint32).T

    warm_up = latency + 1
    activity = record(
        simulator, drive, clocks=crossings - warm_up, warm_up=warm_up, lanes=min(streams, lanes), period_ns=period_ns,
        source=stimulus.source, snapshots=snapshots, pulses=spec.reuse, clock_high=clock_high, watch=watch,
        advance=advance,
    )  # fmt: skip
    expected = np.stack([
        Encoder(spec, weights, settings).frames(stimulus.words[stream])
        for stream, settings in enumerate(stimulus.settings)
    ])  # fmt: skip
    return activity, frames[:, latency:], expected[:, : crossings - latency]


def simulate(mapped: Mapped, design: EncoderDesign, options: PowerOptions, stage: Callable[..., Any]) -> Run:
    """Showers at pile-up 200 in modules over the endcap, on the gates and in the golden model.

    Raises
    ------
    ValueError
        A frame of the netlist differs, or the model is of another network.
    """
    spec, seed, words = design.spec, options.seed, -(-options.streams // 64)
    trained = TrainedModel.load(options.weights or options.model)
    if options.weights is not None and not trained.spec.same_network(spec):
        raise ValueError(f"{options.weights}: expected a model of {spec.name}, got one of another network")
    same = trained.spec.weight_bits == spec.weight_bits and trained.spec.grid == spec.grid
    weights = replace(trained.weights, spec=spec) if same else Weights.random(spec, np.random.default_rng(seed))
    crossings = options.crossings
    with stage(f"showers at pile-up 200: {64 * words} modules, {crossings} crossings", crossings) as advance:
        stimulus = shower_stimulus(
            spec, streams=64 * words, crossings=crossings, seed=seed,
            select=trained.multiplexer if same else None, etx_count=trained.elinks,
            keep_mask=trained.keep_mask if same else None, advance=advance,
        )  # fmt: skip
    with stage(f"gate-level simulation: {mapped.netlist.cells:,} cells, {64 * words} streams"):
        clocks = clocks_of(mapped, design.internal_clocks)
        simulator = GateSimulator(mapped.netlist, mapped.library, words=words, clock=clocks)
        load_registers(simulator, spec, stimulus, weights)
        activity, actual, expected = encoder_activity(
            simulator, spec, stimulus, weights, latency=design.latency, period_ns=design.period_ns, snapshots=2,
            clock_high=design.clock_high,
        )  # fmt: skip
    if not np.array_equal(actual, expected):
        stream, crossing, word = (int(i) for i in np.argwhere(actual != expected)[0])
        raise ValueError(
            f"stream {stream}, crossing {crossing}, eTx {word}: the netlist sends "
            f"{actual[stream, crossing, word]:08x}, the golden model {expected[stream, crossing, word]:08x}"
        )
    result = {
        "frames_compared": int(actual.size), "occupancy": stimulus.occupancy,
        "weights": Path(options.weights or options.model).name if same else f"random, seed {seed}",
    }  # fmt: skip
    return Run(simulator=simulator, activity=activity, result=result, compared=int(actual.size))
