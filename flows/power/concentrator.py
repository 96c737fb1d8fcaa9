"""Real stimulus for a mapped concentrator: shower words at pile-up, one detector module per stream, checked as it runs.

The algorithm that is measured is selected in the registers, with the settings that it is used with; the others are in
the netlist and rest. Each stream is another module of the endcap with its own calibration, density and multiplexer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from flows.designs.concentrator import ConcentratorDesign
from flows.netlist.gate_simulation import GateSimulator, from_lanes, to_lanes
from flows.physical.mapped import Mapped, clocks_of
from flows.power.activity import Activity, record
from flows.power.run import PowerOptions, Run
from flows.power.write_port import evaluate_only, same_bits, write_through_port
from flows.stimulus.showers import EncoderStimulus, shower_stimulus
from sim.hgcal_encoder.algorithms.concentrator_model import ConcentratorModel, ConcentratorSettings
from sim.hgcal_encoder.algorithms.output_buffer import BufferThresholds
from sim.hgcal_encoder.concentrator_spec import AlgorithmNumber, ConcentratorSpec
from sim.hgcal_encoder.configuration.concentrator_registers import concentrator_writes
from sim.hgcal_encoder.learning.decoder import TrainedModel
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import CELLS, ERX_WORDS, ETX_WORDS
from sim.hgcal_encoder.weights import Weights
from sim.hgcal_encoder.words import bunch_crossings

__all__ = ["LINKS", "algorithm_activity", "algorithm_settings", "chosen_algorithm", "showers", "simulate"]

_A = AlgorithmNumber
LINKS = {_A.THRESHOLD_SUM: 5, _A.SUPER_TRIGGER_CELL: 4, _A.BEST_CHOICE: 5, _A.REPEATER: 11, _A.AUTOENCODER: 5}
"""Links of each algorithm: 5; as many as super trigger cells of type 3 fill; as many as all codes need."""
_THRESHOLD = 47
"""Counts, as in the published settings."""
_STC_TYPE = 3


def chosen_algorithm(spec: ConcentratorSpec, name: str | None) -> AlgorithmNumber:
    """An algorithm of a chip by name; the last one, which is the autoencoder where the chip has it, if left out.

    Raises
    ------
    ValueError
        If the chip has no such algorithm.
    """
    names = {number.label: number for number in spec.numbers}
    if name is None:
        return spec.numbers[-1]
    if name not in names:
        raise ValueError(f"algorithm: expected one of {', '.join(names)} for {spec.name}, got {name[:200]!r}")
    return names[name]


def algorithm_settings(
    spec: ConcentratorSpec, number: AlgorithmNumber, front: Settings, weights: Weights | None
) -> ConcentratorSettings:
    """Settings of a module that runs an algorithm on `LINKS` links, or on as many as the chip has."""
    links = min(LINKS[number], spec.etx_links)
    return ConcentratorSettings(
        settings=front, alg_type=int(number), threshold=np.full(CELLS, _THRESHOLD), stc_type=_STC_TYPE, use_sum=False,
        buffer=BufferThresholds.for_links(links), active_etxs=(1 << links) - 1, weights=weights,
    )  # fmt: skip


def showers(
    spec: ConcentratorSpec, options: PowerOptions, stage: Callable[..., Any]
) -> tuple[EncoderStimulus, Weights | None]:
    """Words of modules over the endcap at pile-up 200, their settings, and weights where the chip has a network."""
    lanes, crossings = 64 * -(-options.streams // 64), options.crossings
    trained = TrainedModel.load(options.weights or options.model)
    same = trained.spec.weight_bits == spec.encoder.weight_bits and trained.spec.grid == spec.encoder.grid
    weights = None
    if spec.has(_A.AUTOENCODER):
        rng = np.random.default_rng(options.seed)
        weights = replace(trained.weights, spec=spec.encoder) if same else Weights.random(spec.encoder, rng)
    with stage(f"showers at pile-up 200: {lanes} modules, {crossings} crossings", crossings) as advance:
        stimulus = shower_stimulus(
            spec.encoder, streams=lanes, crossings=crossings, seed=options.seed,
            select=trained.multiplexer if same else None, advance=advance,
        )  # fmt: skip
    return stimulus, weights


def algorithm_activity(
    simulator: GateSimulator,
    design: ConcentratorDesign,
    number: AlgorithmNumber,
    stimulus: EncoderStimulus,
    weights: Weights | None,
) -> tuple[Activity, int]:
    """Activity of a netlist with one algorithm selected, and how many of its words were compared.

    Raises
    ------
    ValueError
        A frame of the netlist differs from the golden model.
    """
    spec, latency, words = design.spec, design.latency_of(number), simulator.words
    lanes, crossings, _ = stimulus.words.shape
    settings = [algorithm_settings(spec, number, front, weights) for front in stimulus.settings]
    _load(simulator, spec, settings)
    frames = np.zeros((lanes, crossings, ETX_WORDS), np.uint32)
    shifts = np.arange(32, dtype=np.uint32)
    bx = bunch_crossings(stimulus.words[0] >> 28, 0)

    def drive(sim: GateSimulator, clock: int) -> None:
        bits = (stimulus.words[:, clock, :, None] >> shifts & 1).reshape(lanes, 32 * ERX_WORDS)
        sim.set_port("words", from_lanes(np.ascontiguousarray(bits.T)))
        sim.set_port("bx", same_bits(int(bx[clock]), 12, words))

    def watch(sim: GateSimulator, clock: int) -> None:
        bits = to_lanes(sim.values[sim.netlist.ports["frames"].nets])[:, :lanes]
        values = bits.reshape(ETX_WORDS, 32, lanes).astype(np.uint32)
        frames[:, clock] = (values << shifts[None, :, None]).sum(1, dtype=np.uint32).T

    warm_up = latency + 1
    activity = record(
        simulator, drive, clocks=crossings - warm_up, warm_up=warm_up, lanes=lanes, period_ns=design.period_ns,
        source=f"{number.label} selected; {stimulus.source}", snapshots=2, watch=watch,
    )  # fmt: skip
    actual = frames[:, latency:]
    for stream, chosen in enumerate(settings):
        expected = ConcentratorModel(spec, chosen).frames(stimulus.words[stream])[: crossings - latency]
        if not np.array_equal(actual[stream], expected):
            crossing, word = (int(i) for i in np.argwhere(actual[stream] != expected)[0])
            raise ValueError(
                f"{number.label}, stream {stream}, crossing {crossing}, eTx {word}: the netlist sends "
                f"{actual[stream, crossing, word]:08x}, the golden model {expected[crossing, word]:08x}"
            )
    return activity, int(actual.size)


def simulate(mapped: Mapped, design: ConcentratorDesign, options: PowerOptions, stage: Callable[..., Any]) -> Run:
    """Showers at pile-up 200 in modules over the endcap, on the gates and in the golden model.

    Raises
    ------
    ValueError
        A frame of the netlist differs, or the chip has no such algorithm.
    """
    number = chosen_algorithm(design.spec, options.algorithm)
    stimulus, weights = showers(design.spec, options, stage)
    streams = len(stimulus.words)
    with stage(f"gate-level simulation: {mapped.netlist.cells:,} cells, {streams} streams, {number.label}"):
        simulator = GateSimulator(mapped.netlist, mapped.library, words=streams // 64, clock=clocks_of(mapped, 1))
        activity, compared = algorithm_activity(simulator, design, number, stimulus, weights)
    result = {"frames_compared": compared, "occupancy": stimulus.occupancy, "algorithm": number.label}
    return Run(simulator=simulator, activity=activity, result=result, compared=compared)


def _load(simulator: GateSimulator, spec: ConcentratorSpec, settings: list[ConcentratorSettings]) -> None:
    """Reset, then write the settings, each stream its own; packets enter the buffer from then on."""
    netlist, words = simulator.netlist, simulator.words
    images = [concentrator_writes(spec, chosen.registers(spec)) for chosen in settings]
    data = np.array([[byte for _, byte in image] for image in images])
    for name, port in netlist.ports.items():
        if port.direction == "input" and name not in simulator.clocks:
            simulator.set_port(name, same_bits(0, len(port.nets), words))
    simulator.set_port("rst", same_bits(1, 1, words))
    for _ in range(3):
        simulator.step()
    simulator.set_port("rst", same_bits(0, 1, words))
    simulator.settle()
    evaluate_only(simulator, "registers")
    write = write_through_port(simulator)
    for place, (address, _) in enumerate(images[0]):
        write(address, from_lanes(data[:, place][None, :] >> np.arange(8)[:, None] & 1))
    simulator.restrict(None)
    simulator.set_port("write_enable", same_bits(0, 1, words))
    simulator.set_port("run", same_bits(1, 1, words))
    simulator.settle()
