"""The whole encoder: eRx words in, eTx words out, one bunch crossing per clock."""

from collections.abc import Callable, Collection

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

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
from hw.hgcal_encoder.multiplex import Multiplex
from hw.hgcal_encoder.normalise import Normalise
from hw.hgcal_encoder.words import Words
from sim.hgcal_encoder.registers import ADDRESS_WIDTH, register_map
from sim.hgcal_encoder.spec import ERX_WORDS, ETX_WORDS, EncoderSpec

__all__ = ["Encoder", "STAGES"]

STAGES = ("words", "multiplex", "decode", "calibrate", "normalise", "convolution", "dense", "frame")
"""Stages in the order of the data path; the grid is wiring."""


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
        Stages (of `STAGES`) behind which pipeline registers stand. Each adds one clock of latency.
    register : class of Component
        Pipeline register: `PipelineRegister` or a component with the same ports and constructor.
    cell : class of Component
        Storage of one byte of settings or weights: `StorageCell` or a component with the same ports and constructor.

    Members
    -------
    words : In(32) x 12
        eRx words of one bunch crossing.
    write_address : In(16)
        Byte address in `sim.hgcal_encoder.registers.register_map`.
    write_data : In(8)
    write_enable : In(1)
        Write at the next clock edge.
    frames : Out(32) x 13
        eTx words.

    Raises
    ------
    ValueError
        If a name in `registers_after` is not a stage.
    """

    clocked = True

    def __init__(
        self,
        *,
        spec: EncoderSpec,
        registers_after: Collection[str] = ("words", "normalise", "convolution", "dense", "frame"),
        register: Callable[..., Component] = PipelineRegister,
        cell: Callable[..., Component] = StorageCell,
    ):
        if unknown := sorted(set(registers_after) - set(STAGES)):
            raise ValueError(f"registers_after: expected stages among {', '.join(STAGES)}, got {', '.join(unknown)}")
        self._spec = spec
        self._cuts = frozenset(registers_after)
        self._register = register
        self._cell = cell
        super().__init__(
            {
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
        """Clocks from words at the pins to their frame at the pins."""
        return len(self._cuts)

    @property
    def network_latency(self) -> int:
        """Clocks of convolution and dense layer."""
        return len(self._cuts & {"convolution", "dense"})

    def elaborate(self, platform: object) -> Module:
        spec = self._spec
        m = Module()

        def cut(stage: str, **signals: Value) -> list[Value]:
            """The signals behind a stage, registered if a register stands there."""
            if stage not in self._cuts:
                return list(signals.values())
            registered = []
            for name, value in signals.items():
                value = Value.cast(value)
                step = place(m, platform, f"{stage}_{name}_register", self._register, width=len(value))
                m.d.comb += step.i.eq(value)
                registered.append(step.o)
            return registered

        settings = place(
            m,
            platform,
            "registers",
            RegisterFile,
            fields=register_map(spec),
            address_width=ADDRESS_WIDTH,
            cell=self._cell,
        )
        m.d.comb += [
            settings.write_address.eq(self.write_address),
            settings.write_data.eq(self.write_data),
            settings.write_enable.eq(self.write_enable),
        ]
        kernel, kernel_bias, dense_weights, dense_bias = _parts(settings.weights, spec)

        words = place(m, platform, "words", Words, spec=spec)
        # the first crossing after reset starts an orbit, whatever its header
        first = Signal(init=1)
        m.d.sync += first.eq(0)
        m.d.comb += words.words.eq(self.words)
        start, codes = cut("words", orbit_start=words.orbit_start | first, codes=words.codes)

        multiplex = place(m, platform, "multiplex", Multiplex)
        m.d.comb += [multiplex.codes.eq(codes), multiplex.select.eq(settings.select)]
        start, cells = cut("multiplex", orbit_start=start, cells=multiplex.cells)

        decode = place(m, platform, "decode", Decode)
        m.d.comb += [decode.codes.eq(cells), decode.high_density.eq(settings.high_density)]
        start, mantissas, shifts = cut("decode", orbit_start=start, mantissas=decode.mantissas, shifts=decode.shifts)

        calibrate = place(m, platform, "calibrate", Calibrate)
        m.d.comb += [
            calibrate.mantissas.eq(mantissas),
            calibrate.shifts.eq(shifts),
            calibrate.factors.eq(settings.factors),
        ]
        start, charges = cut("calibrate", orbit_start=start, charges=calibrate.charges)

        normalise = place(m, platform, "normalise", Normalise, spec=spec)
        m.d.comb += normalise.charges.eq(charges)
        start, sum_code, pixels = cut(
            "normalise", orbit_start=start, sum_code=normalise.sum_code, pixels=normalise.pixels
        )

        convolution = place(m, platform, "convolution", Convolution, spec=spec)
        m.d.comb += [
            convolution.pixels.eq(pixels),
            convolution.kernel.eq(kernel),
            convolution.bias.eq(kernel_bias),
        ]
        # activations that depend on no pixel are static: they need no register
        static = static_activations(spec)
        moving = [index for index in range(spec.activations) if index not in static]
        passed = {index: convolution.activations[index] for index in static}
        start, sum_code, moved = cut(
            "convolution",
            orbit_start=start,
            sum_code=sum_code,
            activations=Cat(convolution.activations[index] for index in moving),
        )
        passed |= {index: moved.word_select(i, spec.activation.width) for i, index in enumerate(moving)}

        dense = place(m, platform, "dense", Dense, spec=spec)
        m.d.comb += [
            dense.activations.eq(Cat(passed[index] for index in range(spec.activations))),
            dense.weights.eq(dense_weights),
            dense.bias.eq(dense_bias),
        ]
        start, sum_code, latents = cut("dense", orbit_start=start, sum_code=sum_code, latents=dense.latents)

        counter = place(m, platform, "counter", Counter)
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
        (frames,) = cut("frame", frames=frame.frames.as_value()[:used])
        m.d.comb += self.frames.eq(Cat(frames, Const(0, 32 * ETX_WORDS - used)))
        return m


def _parts(weights: Value, spec: EncoderSpec) -> list[Value]:
    """The weight image cut into kernel, kernel bias, dense weights, dense bias."""
    lengths = (spec.kernel_taps * spec.filters, spec.filters, spec.activations * spec.latents, spec.latents)
    parts = []
    start = 0
    for length in lengths:
        parts.append(weights[start : start + length * spec.weight.width])
        start += length * spec.weight.width
    return parts
