"""What a chip's file of this room takes and gives: options of the stimulus, and a checked simulation of the gates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.netlist.gate_simulation import GateSimulator
from flows.power.activity import Activity

__all__ = ["PowerOptions", "Run"]


@dataclass(frozen=True, kw_only=True)
class PowerOptions:
    """Stimulus and what is made of it; a chip takes what is for it.

    Attributes
    ----------
    crossings : int
        Encoder: clocks in each stream, those that fill the pipeline included.
    streams : int
        Encoder: modules side by side, rounded up to whole machine words of 64.
    recordings : int
        Crossbar: streams, each with another recording first.
    clocks : int or None
        Crossbar: clocks of each stream; None: until all have given their first class.
    weights : Path or None
        Trained model: of a crossbar its macro and readout run; None: the shipped one of the spec. Of an encoder its
        weights, multiplexer and links; None: `model`.
    model : str
        Encoder: shipped weights, decoder and multiplexer; random weights where the network has another shape.
    algorithm : str or None
        Concentrator: the algorithm that its registers select, by its name in the spec; None: the last one that it has.
    modality : str
        Association: what asks, ``audio`` or ``vision``; the other liquid is idle.
    events, labels : Path or None
        Astrocyte liquid: folder of recordings and label file, as of `flows.stimulus.astrocyte_samples.SampleFiles`;
        None: an event camera in front of digits.
    seed : int
        Of showers or recordings.
    glitch_clocks : int
        Clocks replayed with delays; 0: no glitches.
    supply_v : float or None
        Another supply, at which power, leakage and clock are estimated in addition (`flows.estimates.supply`).
    """

    crossings: int = 24
    streams: int = 512
    recordings: int = 32
    clocks: int | None = None
    weights: Path | None = None
    model: str = "econ_t_5elinks"
    algorithm: str | None = None
    modality: str = "audio"
    events: Path | None = None
    labels: Path | None = None
    seed: int = 1
    glitch_clocks: int = 16
    supply_v: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """A checked gate-level simulation.

    Attributes
    ----------
    simulator : GateSimulator
    activity : Activity
    result : dict
        What goes into ``power.json`` about it.
    compared : int
        Words of the netlist that were compared with the golden model.
    clocks_per_inference : float
        Mean over the streams.
    """

    simulator: GateSimulator
    activity: Activity
    result: dict[str, Any]
    compared: int
    clocks_per_inference: float = 1.0
