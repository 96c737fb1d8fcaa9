"""The whole encoder: eRx words in, eTx words out, one bunch crossing per clock."""

from collections.abc import Callable, Collection
from typing import Any

from amaranth.hdl import Cat, Const, Module, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.frozen_layer import FrozenLayer
from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister
from hw.common.register_file import RegisterFile
from hw.common.storage_cell import StorageCell
from hw.hgcal_encoder.calibrate import Calibrate
from hw.hgcal_encoder.convolution import Convolution, static_activations
from hw.hgcal_encoder.counter import Counter
from hw.hgcal_encoder.decode import Decode
from hw.hgcal_encoder.dense import Dense
from hw.hgcal_encoder.frame import Frame, frame_words
from hw.hgcal_encoder.frozen_network import FrozenWeights, convolution_layer, dense_layer, frozen_activations
from hw.hgcal_encoder.multiplex import Multiplex
from hw.hgcal_encoder.normalise import Normalise
from hw.hgcal_encoder.schedule import Schedule
from hw.hgcal_encoder.serial_network import place_serial_network, serial_latency, serial_registers
from hw.hgcal_encoder.words import Words
from sim.hgcal_encoder.configuration.registers import ADDRESS_WIDTH, register_map
from sim.hgcal_encoder.spec import ERX_WORDS, ETX_WORDS, EncoderSpec

__all__ = ["Encoder", "REGISTERS_AFTER", "STAGES", "path_latency", "place_data_path", "swap_parts"]

STAGES = ("words", "multiplex", "decode", "calibrate", "normalise", "convolution", "dense", "frame")
"""Stages in the order of the data path; the grid is wiring."""
REGISTERS_AFTER = ("words", "normalise", "convolution", "dense", "frame")
"""Stages behind which pipeline registers stand if nothing else is asked for."""


class Encoder(Component):
    """The autoencoder's data path with its settings and weights.

    Twelve eRx words enter at every clock, the frame of the same bunch crossing leaves `latency` clocks later. Fixed
    rate: no flow control, no stall. All arithmetic is exact and equal to the golden model of the same spec, bit for
    bit.

    Settings and weights are static while data flows. A write shows at the data path one clock later; crossings in
    flight meanwhile mix old and new values.

    Reset is asynchronous and reaches every flip-flop: settings take the reset values of the register map (so weights
    are 0), the pipeline is empty. The first crossing sampled after reset counts as bunch crossing 0, with or without
    orbit header; frames leave as zero words, then as frames of empty crossings, until the first crossing has passed.

    Parameters
    ----------
    spec : EncoderSpec
    registers_after : collection of str
        Stages (of `STAGES`) behind which pipeline registers stand. Each adds one clock of latency, except that a
        network that reuses multipliers takes one clock in any case and has registers of its own where the convolution
        would have one.
    register : class of Component
        Pipeline register: `PipelineRegister` or a component with the same ports and constructor.
    cell : class of Component
        Storage of one byte of settings or weights: `StorageCell` or a component with the same ports and constructor.
    frozen : FrozenWeights, optional
        Weights that are folded into the logic: none are stored, and writes to their addresses do nothing.
    isolation : bool
        Latches in front of both layers: see `Convolution`. Latency and frames are the same.

    Members
    -------
    fast_clk : In(1)
        Where `spec` reuses multipliers only: internal clock, ``spec.reuse`` times as fast as the clock and in phase
        with it.
    words : In(32) x 12
        eRx words of one bunch crossing.
    write_address : In(16)
        Byte address in `sim.hgcal_encoder.configuration.registers.register_map`.
    write_data : In(8)
    write_enable : In(1)
        Write at the next clock edge.
    frames : Out(32) x 13
        eTx words.

    Raises
    ------
    ValueError
        If a name in `registers_after` is not a stage; if weights to be folded in do not fit the spec, or it reuses
        multipliers, of which none are left, or isolation is asked for with them.
    """

    clocked = True

    def __init__(
        self,
        *,
        spec: EncoderSpec,
        registers_after: Collection[str] = REGISTERS_AFTER,
        register: Callable[..., Component] = PipelineRegister,
        cell: Callable[..., Component] = StorageCell,
        frozen: FrozenWeights | None = None,
        isolation: bool = False,
    ):
        if frozen is not None:
            if isolation:
                raise ValueError(f"isolation: expected weights that are loaded, but those of {spec.name} are folded in")
            frozen.check(spec)
            if spec.reuse > 1:
                raise ValueError(f"{spec.name} reuses multipliers {spec.reuse} times; frozen weights leave none")
        if unknown := sorted(set(registers_after) - set(STAGES)):
            raise ValueError(f"registers_after: expected stages among {', '.join(STAGES)}, got {', '.join(unknown)}")
        self._spec = spec
        self._cuts = frozenset(registers_after)
        self._register = register
        self._cell = cell
        self._frozen = frozen
        self._isolation = isolation
        super().__init__(
            {
                **({"fast_clk": In(1)} if spec.reuse > 1 else {}),
                "words": In(ArrayLayout(32, ERX_WORDS)),
                "write_address": In(ADDRESS_WIDTH),
                "write_data": In(8),
                "write_enable": In(1),
                "frames": Out(ArrayLayout(32, ETX_WORDS)),
            }
        )

    @property
    def spec(self) -> EncoderSpec:
        """What was generated."""
        return self._spec

    @property
    def registers_after(self) -> tuple[str, ...]:
        """Stages behind which pipeline registers stand, in the order of the data path."""
        return tuple(stage for stage in STAGES if stage in self._cuts)

    @property
    def latency(self) -> int:
        """Clocks from words at the pins to their frame at the pins, of 25 ns each."""
        return path_latency(self._spec, self._cuts)

    @property
    def network_latency(self) -> int:
        """Clocks of convolution and dense layer, of 25 ns each."""
        return path_latency(self._spec, self._cuts & {"convolution", "dense"})

    @property
    def internal_latency(self) -> int:
        """Clocks of ``25 ns / spec.reuse`` from the pixels to the latents of a network that reuses multipliers.

        A register behind the dense layer takes the latents at the next edge of the clock. 0 for a network without an
        internal clock.
        """
        return serial_latency(self._spec.reuse) if self._spec.reuse > 1 else 0

    def elaborate(self, platform: object) -> Module:
        m = Module()
        settings = place(
            m,
            platform,
            "registers",
            RegisterFile,
            fields=tuple(f for f in register_map(self._spec) if self._frozen is None or f.name != "weights"),
            address_width=ADDRESS_WIDTH,
            cell=self._cell,
        )
        m.d.comb += [
            settings.write_address.eq(self.write_address),
            settings.write_data.eq(self.write_data),
            settings.write_enable.eq(self.write_enable),
        ]
        frames, _ = place_data_path(
            m,
            platform,
            spec=self._spec,
            registers_after=self._cuts,
            register=self._register,
            words=self.words,
            settings=settings,
            fast_clk=self.fast_clk if self._spec.reuse > 1 else None,
            frozen=self._frozen,
            isolation=self._isolation,
        )
        m.d.comb += self.frames.eq(frames)
        return m


def path_latency(spec: EncoderSpec, registers_after: Collection[str]) -> int:
    """Clocks of 25 ns of a data path with these registers; a network that reuses multipliers has one of its own."""
    return len(set(registers_after) - ({"convolution"} if spec.reuse > 1 else set())) + (spec.reuse > 1)


def place_data_path(
    m: Module,
    platform: Any,
    *,
    spec: EncoderSpec,
    registers_after: Collection[str],
    register: Callable[..., Component],
    words: Value,
    settings: Any,
    running: Value | None = None,
    fast_clk: Value | None = None,
    exchange: bool = False,
    coded: bool = False,
    frozen: FrozenWeights | None = None,
    isolation: bool = False,
) -> tuple[Value, list[Value]]:
    """Add the stages of the data path to a module.

    Parameters
    ----------
    m, platform : Module, object
        Parent, and what its `elaborate` was given.
    spec : EncoderSpec
    registers_after : collection of str
        Stages behind which pipeline registers stand.
    register : class of Component
        Pipeline register.
    words : ArrayLayout(32, 12)
        eRx words of one bunch crossing.
    settings : object
        Has the groups of the register map as attributes; if `coded`, `kernel`, `kernel_bias`, `words` and `begin` (as
        `SerialNetwork` takes them) in place of `weights`.
    running : Value, optional
        One bit that joins the crossing at the multiplexer and travels with it: where it is 0, the frame is all 0.
    fast_clk : Value, optional
        Internal clock of a spec that reuses multipliers; see `place_serial_network`.
    exchange : bool
        Settings and weights change while crossings flow, in the order of `swap_parts`.
    coded : bool
        Dense weights are code words (`hw.hgcal_encoder.coded_words.DenseWords`).
    frozen : FrozenWeights, optional
        Weights that are folded into the logic; the settings then hold none.
    isolation : bool
        Latches in front of both layers.

    Returns
    -------
    frames : Value
        32 bits for each of 13 eTx words.
    errors : list of Value
        The outputs `error` of the registers, if they have one.
    """
    errors: list[Value] = []

    def delayed(stage: str, **signals: Value) -> list[Value]:
        """The signals one clock later."""
        registered = []
        for name, value in signals.items():
            value = Value.cast(value)
            step = place(m, platform, f"{stage}_{name}_register", register, width=len(value))
            m.d.comb += step.i.eq(value)
            registered.append(step.o)
            if hasattr(step, "error"):
                errors.append(step.error)
        return registered

    def cut(stage: str, **signals: Value) -> list[Value]:
        """The signals behind a stage, registered if a register stands there."""
        return delayed(stage, **signals) if stage in registers_after else list(signals.values())

    def cut_flags(stage: str, **signals: Value) -> list[Value]:
        """As `cut`, with the running bit."""
        nonlocal running
        if running is None:
            return cut(stage, **signals)
        *others, running = cut(stage, **signals, running=running)
        return others

    if coded:
        kernel, kernel_bias, dense_weights, dense_bias = (
            settings.kernel, settings.kernel_bias, settings.words, settings.begin,
        )  # fmt: skip
    elif frozen is None:
        kernel, kernel_bias, dense_weights, dense_bias = _parts(settings.weights, spec)

    word_stage = place(m, platform, "words", Words, spec=spec)
    # the first crossing after reset starts an orbit, whatever its header
    begun = place(m, platform, "begun", register, width=1)
    if hasattr(begun, "error"):
        errors.append(begun.error)
    m.d.comb += [begun.i.eq(1), word_stage.words.eq(words)]
    start, codes = cut("words", orbit_start=word_stage.orbit_start | ~begun.o, codes=word_stage.codes)

    multiplex = place(m, platform, "multiplex", Multiplex)
    m.d.comb += [multiplex.codes.eq(codes), multiplex.select.eq(settings.select)]
    start, cells = cut_flags("multiplex", orbit_start=start, cells=multiplex.cells)

    decode = place(m, platform, "decode", Decode)
    m.d.comb += [decode.codes.eq(cells), decode.high_density.eq(settings.high_density)]
    start, mantissas, shifts = cut_flags("decode", orbit_start=start, mantissas=decode.mantissas, shifts=decode.shifts)

    calibrate = place(m, platform, "calibrate", Calibrate)
    m.d.comb += [
        calibrate.mantissas.eq(mantissas),
        calibrate.shifts.eq(shifts),
        calibrate.factors.eq(settings.factors),
    ]
    start, charges = cut_flags("calibrate", orbit_start=start, charges=calibrate.charges)

    normalise = place(m, platform, "normalise", Normalise, spec=spec)
    m.d.comb += normalise.charges.eq(charges)
    start, sum_code, pixels = cut_flags(
        "normalise", orbit_start=start, sum_code=normalise.sum_code, pixels=normalise.pixels
    )

    if spec.reuse == 1:
        if frozen is None:
            convolution = place(m, platform, "convolution", Convolution, spec=spec, isolated=isolation)
            m.d.comb += [
                convolution.pixels.eq(pixels),
                convolution.kernel.eq(kernel),
                convolution.bias.eq(kernel_bias),
            ]
            activations, static = convolution.activations, static_activations(spec)
        else:
            layer = convolution_layer(spec, frozen)
            convolution = place(m, platform, "convolution", FrozenLayer, label="convolution", layer=layer)
            m.d.comb += convolution.x.eq(pixels)
            activations, static = convolution.y, frozen_activations(spec, frozen)
        # activations that depend on no pixel are static: they need no register
        moving = [index for index in range(spec.activations) if index not in static]
        passed = {index: activations[index] for index in static}
        start, sum_code, moved = cut_flags(
            "convolution",
            orbit_start=start,
            sum_code=sum_code,
            activations=Cat(activations[index] for index in moving),
        )
        passed |= {index: moved.word_select(i, spec.activation.width) for i, index in enumerate(moving)}

        inputs = Cat(passed[index] for index in range(spec.activations))
        if frozen is None:
            dense = place(m, platform, "dense", Dense, spec=spec, isolated=isolation)
            m.d.comb += [dense.activations.eq(inputs), dense.weights.eq(dense_weights), dense.bias.eq(dense_bias)]
            computed = dense.latents
        else:
            dense = place(m, platform, "dense", FrozenLayer, label="dense", layer=dense_layer(spec, frozen))
            m.d.comb += dense.x.eq(inputs)
            computed = dense.y
    else:
        if fast_clk is None:
            raise ValueError(f"{spec.name} reuses multipliers {spec.reuse} times and needs the internal clock")
        network = place_serial_network(
            m, platform, spec=spec, register=register, fast_clk=fast_clk, exchange=exchange, coded=coded,
            latched=isolation,
        )  # fmt: skip
        if hasattr(network, "error"):
            errors.append(network.error)
        m.d.comb += [
            network.pixels.eq(pixels),
            network.kernel.eq(kernel),
            network.kernel_bias.eq(kernel_bias),
            network.words.eq(dense_weights) if coded else network.weights.eq(dense_weights),
            network.begin.eq(dense_bias) if coded else network.bias.eq(dense_bias),
        ]
        beside = {"orbit_start": start, "sum_code": sum_code} | ({} if running is None else {"running": running})
        start, sum_code, *flags = delayed("network", **beside)
        running = flags[0] if flags else None
        computed = network.latents
    start, sum_code, latents = cut_flags("dense", orbit_start=start, sum_code=sum_code, latents=computed)

    counter = place(m, platform, "counter", Counter, register=register)
    if hasattr(counter, "error"):
        errors.append(counter.error)
    frame = place(m, platform, "frame", Frame, spec=spec)
    m.d.comb += [
        counter.orbit_start.eq(start),
        frame.counter.eq(counter.counter),
        frame.sum_code.eq(sum_code),
        frame.latents.eq(latents),
        frame.keep_mask.eq(settings.keep_mask),
        frame.etx_count.eq(settings.etx_count),
    ]
    used = 32 * frame_words(spec)
    sent = frame.frames.as_value()[:used]
    if running is not None:
        sent = sent & running.replicate(used)
    (frames,) = cut("frame", frames=sent)
    return Cat(frames, Const(0, 32 * ETX_WORDS - used)), errors


def swap_parts(spec: EncoderSpec, registers_after: Collection[str]) -> dict[str, list[int]]:
    """For each bit of each group of settings, how many clocks behind the first ones a crossing needs it.

    A bunch crossing that the multiplexer sees in one clock reaches the dense layer clocks later: settings that are
    exchanged in this order serve every crossing as a whole.

    A network that reuses multipliers reads a dense weight in one internal clock, which for the last slots lies behind
    the edge that brings the next crossing: those weights follow one clock later.
    """

    def behind(stage: str) -> int:
        return sum(1 for other in STAGES[1 : STAGES.index(stage)] if other in registers_after)

    lengths = _part_bits(spec)
    frame = behind("frame")
    if spec.reuse > 1:
        begin, registers = behind("convolution"), len(serial_registers(spec.reuse))
        slot_of = Schedule(spec=spec).slots
        late = [begin + (slot_of[activation] + registers) // spec.reuse for activation in range(spec.activations)]
        dense = [clock for clock in late for _ in range(spec.weight.width)] * spec.latents
        layers = [begin] * sum(lengths[:2]) + dense + [begin] * lengths[3]
        frame = begin + 1 + ("dense" in registers_after)
    else:
        layers = [behind("convolution")] * sum(lengths[:2]) + [behind("dense")] * sum(lengths[2:])
    return {
        "select": [behind("multiplex")] * (48 * 6),
        "high_density": [behind("decode")],
        "factors": [behind("calibrate")] * (48 * 12),
        "weights": layers,
        "keep_mask": [frame] * spec.keep_bits,
        "etx_count": [frame] * 4,
    }


def _parts(weights: Value, spec: EncoderSpec) -> list[Value]:
    """The weight image cut into kernel, kernel bias, dense weights, dense bias."""
    parts = []
    start = 0
    for length in _part_bits(spec):
        parts.append(weights[start : start + length])
        start += length
    return parts


def _part_bits(spec: EncoderSpec) -> list[int]:
    """Bits of kernel, kernel bias, dense weights, dense bias."""
    counts = (spec.kernel_taps * spec.filters, spec.filters, spec.activations * spec.latents, spec.latents)
    return [count * spec.weight.width for count in counts]
