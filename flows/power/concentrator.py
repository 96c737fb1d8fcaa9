"""Real stimulus for a mapped concentrator: shower words at pile-up, one detector module per stream, checked as it runs.

The algorithm that is measured is selected in the registers, with the settings that it is used with; the others are in
the netlist and rest. Each stream is another module of the endcap with its own calibration, density and multiplexer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flows.designs.concentrator import ConcentratorDesign
from flows.netlist.gate_simulation import GateSimulator, from_lanes, to_lanes
from flows.physical.mapped import Mapped, clocks_of
from flows.power.activity import Activity, record
from flows.power.run import PowerOptions, Run
from flows.power.write_port import evaluate_only, same_bits, write_through_port
from flows.stimulus.concentrator import algorithm_settings, chosen_algorithm, module_showers
from flows.stimulus.showers import EncoderStimulus
from sim.hgcal_encoder.algorithms.concentrator_model import ConcentratorModel, ConcentratorSettings
from sim.hgcal_encoder.concentrator_spec import AlgorithmNumber, ConcentratorSpec
from sim.hgcal_encoder.configuration.concentrator_registers import concentrator_writes
from sim.hgcal_encoder.spec import ERX_WORDS, ETX_WORDS
from sim.hgcal_encoder.weights import Weights
from sim.hgcal_encoder.words import bunch_crossings

__all__ = ["algorithm_activity", "simulate"]


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
    if design.loading is not None:
        raise ValueError(f"{design.name}: the stimulus is words, for the data path: leave out --loading")
    number = chosen_algorithm(design.spec, options.algorithm)
    streams = 64 * -(-options.streams // 64)
    with stage(f"showers at pile-up 200: {streams} modules", options.crossings) as advance:
        stimulus, weights = module_showers(
            design.spec, streams=streams, crossings=options.crossings, seed=options.seed,
            model=options.weights or options.model, advance=advance,
        )  # fmt: skip
    with stage(f"gate-level simulation: {mapped.netlist.cells:,} cells, {streams} streams, {number.label}"):
        simulator = GateSimulator(mapped.netlist, mapped.library, words=streams // 64, clock=clocks_of(mapped, {}))
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
