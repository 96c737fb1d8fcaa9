"""Data path of a concentrator: aligned eRx words in, eTx words out, by the algorithm that is selected."""

from collections.abc import Callable

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.one_hot import any_of, one_of
from hw.common.pipeline_register import PipelineRegister
from hw.common.registered import delayed
from hw.hgcal_encoder.autoencoder import Autoencoder
from hw.hgcal_encoder.best_choice import BestChoice
from hw.hgcal_encoder.calibrate import Calibrate
from hw.hgcal_encoder.cell_codes import CellCodes
from hw.hgcal_encoder.decode import Decode
from hw.hgcal_encoder.etx_words import EtxWords
from hw.hgcal_encoder.formatter import COUNT_WIDTH, PACKET_WORDS, WORD_WIDTH, Formatter, best_choice_cells
from hw.hgcal_encoder.frame import Frame, frame_words
from hw.hgcal_encoder.held_register import isolated, place_held
from hw.hgcal_encoder.multiplex import Multiplex
from hw.hgcal_encoder.output_buffer import OutputBuffer
from hw.hgcal_encoder.super_trigger_cell import SuperTriggerCells
from hw.hgcal_encoder.threshold_sum import ThresholdSum
from hw.hgcal_encoder.words import Words
from sim.hgcal_encoder.concentrator_spec import AlgorithmNumber, ConcentratorSpec, SpareAlgTypes
from sim.hgcal_encoder.spec import CELLS, ERX_WORDS, ETX_WORDS

__all__ = ["ConcentratorCore", "algorithm_latency"]

_A = AlgorithmNumber
_ALGORITHM_CLOCKS = {
    _A.THRESHOLD_SUM: 1, _A.SUPER_TRIGGER_CELL: 1, _A.BEST_CHOICE: 2, _A.REPEATER: 1, _A.AUTOENCODER: 3,
}  # fmt: skip
_OTHER_CLOCKS = 5
"""Registers behind the word stage, the calibration, the formatter, in the buffer and at the output."""


def algorithm_latency(number: AlgorithmNumber) -> int:
    """Clocks from the words of a crossing to the eTx words that are sent in it, with this algorithm selected."""
    return _OTHER_CLOCKS + _ALGORITHM_CLOCKS[number]


class ConcentratorCore(Component):
    """Every algorithm of a chip between one front end and one formatter, buffer and word stage.

    Ports, settings and what no public source decides: `sim.hgcal_encoder.concentrator_spec`. Fixed rate: one crossing
    per clock, no stall. Bit for bit the golden model of the same spec.

    Only the selected algorithm works: its inputs are zeros and its registers keep what they have while another one is
    selected, so none of its logic toggles. Latency is that of `algorithm_latency`; an algorithm that the chip lacks
    takes that of a short one. In the first crossings after a change of `alg_type`, old and new packets mix.

    Reset is asynchronous and reaches every flip-flop: the pipeline carries crossings without charge, the buffer is
    empty. Until the first crossing has passed, what is sent are frames of such crossings with counter 0.

    Parameters
    ----------
    spec : ConcentratorSpec
    register : class of Component
        `PipelineRegister` or a component with the same ports and constructor: all state but the words in the buffer.

    Members
    -------
    words : In(32) x 12
        eRx words of one bunch crossing; headers are not read.
    bx : In(12)
        Its number in the orbit.
    link_reset_econt : In(1)
        It belongs to a link reset.
    run : In(1)
        Its packet enters the buffer.
    <setting> : In
        Those of `ConcentratorSpec.settings`, flat, element 0 in the lowest bits.
    frames : Out(32) x 13
        eTx words.
    overflow : Out(1)
        A packet was truncated because of the depth of the buffer alone: in the clock in which its crossing is sent.
    """

    clocked = True

    def __init__(self, *, spec: ConcentratorSpec, register: Callable[..., Component] = PipelineRegister) -> None:
        self._spec, self._register = spec, register
        super().__init__({
            "words": In(ArrayLayout(32, ERX_WORDS)), "bx": In(12), "link_reset_econt": In(1),
            "run": In(1), **{name: In(bits) for name, bits in spec.settings.items()},
            "frames": Out(ArrayLayout(32, ETX_WORDS)), "overflow": Out(1),
        })  # fmt: skip

    @property
    def spec(self) -> ConcentratorSpec:
        """What was generated."""
        return self._spec

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec = self._spec

        def later(name: str, value: Value) -> Value:
            return delayed(m, platform, name, value, register=self._register, errors=[])

        selected = [Signal(name=f"selected_{number.label}") for number in _A]
        m.d.comb += [
            chosen.eq(self.alg_type == number if number is not _A.REPEATER else self._repeats(self.alg_type))
            for number, chosen in zip(_A, selected, strict=True)
            if spec.has(number)
        ]
        etx = place(m, platform, "etx_words", EtxWords, links=spec.etx_links, gaps=spec.mask_gaps)
        m.d.comb += etx.active.eq(self.active_etxs)
        links = etx.count

        charges, tags = self._front_end(m, platform, later)
        # counter, link reset and run of the crossing, so many clocks behind the charges
        most = max((_ALGORITHM_CLOCKS[number] for number in spec.numbers), default=1)
        behind = [tags]
        for clocks in range(1, most + 1):
            behind.append(later(f"tags_{clocks}", behind[-1]))

        formatter = place(m, platform, "formatter", Formatter, spec=spec)
        self._algorithms(m, platform, charges, selected, links, formatter)
        slow = {number: selected[number] for number in spec.numbers if _ALGORITHM_CLOCKS[number] > 1}
        fast = ~any_of(list(slow.values())) if slow else None
        now = behind[1]
        run = Signal()
        if slow:
            values = [behind[1], *(behind[_ALGORITHM_CLOCKS[number]] for number in slow)]
            now = one_of(values, [fast, *slow.values()])
        m.d.comb += [
            Cat(formatter.counter, formatter.link_reset, run).eq(now),
            formatter.selected.eq(Cat(selected)),
            formatter.links.eq(links),
            formatter.link_reset_pattern.eq(self.link_reset_pattern),
        ]

        packet = later(
            "packet",
            Cat(formatter.packet, formatter.length, formatter.truncated, formatter.early, formatter.counter, run),
        )
        buffer = place(m, platform, "output_buffer", OutputBuffer, rows=spec.buffer_rows, register=self._register)
        bits = PACKET_WORDS * WORD_WIDTH
        m.d.comb += [
            buffer.packet.eq(packet[:bits]),
            Cat(buffer.length, buffer.truncated, buffer.early_mark, buffer.counter, buffer.run).eq(packet[bits:]),
            buffer.links.eq(links),
            buffer.t1.eq(self.buff_t1),
            buffer.t2.eq(self.buff_t2),
            buffer.t3.eq(self.buff_t3),
            buffer.idle_pattern.eq(self.idle_pattern),
            etx.words.eq(buffer.words),
        ]
        sent = 32 * spec.etx_links
        m.d.comb += [
            self.frames.eq(later("frames", etx.frames.as_value()[:sent])),
            self.overflow.eq(later("overflow_2", later("overflow_1", buffer.overflow))),
        ]
        return m

    def _repeats(self, number: Value) -> Value:
        """Whether a number in `alg_type` selects the repeater."""
        own = number == _A.REPEATER
        return own | (number > _A.AUTOENCODER) if self._spec.spare_alg_types is SpareAlgTypes.REPEATER else own

    def _front_end(self, m: Module, platform: object, later: Callable[[str, Value], Value]) -> tuple[Value, Value]:
        """Calibrated charges; counter, link reset and run of their crossing."""
        words = place(m, platform, "words", Words, spec=self._spec.encoder)
        multiplex = place(m, platform, "multiplex", Multiplex)
        decode = place(m, platform, "decode", Decode)
        calibrate = place(m, platform, "calibrate", Calibrate)
        counter = Signal(COUNT_WIDTH)
        # 31 at crossing 0, else the crossing modulo 16
        m.d.comb += counter.eq(Cat(self.bx[:4], 0) | (~self.bx.any()).replicate(COUNT_WIDTH))
        m.d.comb += [
            words.words.eq(self.words),
            multiplex.codes.eq(later("words", words.codes.as_value())),
            multiplex.select.eq(self.mux),
            decode.codes.eq(multiplex.cells),
            decode.high_density.eq(self.alg_high_density),
            calibrate.mantissas.eq(decode.mantissas),
            calibrate.shifts.eq(decode.shifts),
            calibrate.factors.eq(self.cal),
        ]
        tags = later("words_tags", Cat(counter, self.link_reset_econt, self.run))
        return later("charges", calibrate.charges.as_value()), later("charges_tags", tags)

    def _algorithms(
        self, m: Module, platform: object, charges: Value, selected: list[Signal], links: Value, formatter: Component
    ) -> None:
        """All algorithms between charges and formatter."""
        spec = self._spec

        def kept(name: str, value: Value, *users: AlgorithmNumber) -> Value:
            enable = any_of([selected[number] for number in users])
            return place_held(m, platform, name, value, enable, register=self._register)

        cell_users = [number for number in (_A.THRESHOLD_SUM, _A.BEST_CHOICE, _A.REPEATER) if spec.has(number)]
        if cell_users:
            cells = place(m, platform, "cell_codes", CellCodes)
            m.d.comb += [
                cells.charges.eq(isolated(charges, any_of([selected[number] for number in cell_users]))),
                cells.drop.eq(self.drop_lsb),
            ]
            codes = kept("codes", cells.codes.as_value(), *cell_users)
        found = []
        if spec.has(_A.THRESHOLD_SUM):
            chosen = selected[_A.THRESHOLD_SUM]
            threshold = place(m, platform, "threshold_sum", ThresholdSum)
            m.d.comb += [
                threshold.charges.eq(isolated(charges, chosen)),
                threshold.threshold.eq(self.threshold),
                threshold.use_sum.eq(self.use_sum),
            ]
            value = kept("threshold_sum", Cat(threshold.above, threshold.sum_code, threshold.total_code),
                         _A.THRESHOLD_SUM)  # fmt: skip
            m.d.comb += formatter.total_code.eq(value[-len(threshold.total_code) :])
            found.append(isolated(value[: -len(threshold.total_code)], chosen))
        if spec.has(_A.BEST_CHOICE):
            chosen = selected[_A.BEST_CHOICE]
            best = place(m, platform, "best_choice", BestChoice, register=self._register)
            m.d.comb += [
                best.dropped.eq(isolated(cells.dropped.as_value(), chosen)),
                best.enable.eq(chosen),
                best.wanted.eq(_wanted(links)),
                best.use_sum.eq(self.use_sum),
            ]
            value = kept("best_choice", Cat(best.chosen, best.sum_code), _A.BEST_CHOICE)
            found.append(isolated(value, chosen))
            slower = kept("codes_of_best_choice", codes, _A.BEST_CHOICE)
            codes = isolated(codes, ~chosen) | isolated(slower, chosen)
        if cell_users:
            m.d.comb += formatter.codes.eq(codes)
        if found:
            m.d.comb += Cat(formatter.sent, formatter.sum_code).eq(any_of(found))
        if spec.has(_A.SUPER_TRIGGER_CELL):
            stc = place(m, platform, "super_trigger_cells", SuperTriggerCells, equal=spec.equal_largest)
            m.d.comb += [
                stc.charges.eq(isolated(charges, selected[_A.SUPER_TRIGGER_CELL])),
                stc.drop.eq(self.drop_lsb),
                stc.kind.eq(self.stc_type),
                stc.links.eq(links),
                formatter.body.eq(kept("super_trigger_cells", stc.body, _A.SUPER_TRIGGER_CELL)),
                formatter.some.eq(stc.some),
            ]
        if spec.has(_A.AUTOENCODER):
            chosen = selected[_A.AUTOENCODER]
            encoder = place(m, platform, "autoencoder", Autoencoder, spec=spec.encoder, register=self._register)
            frame = place(m, platform, "frame", Frame, spec=spec.encoder)
            m.d.comb += [
                encoder.charges.eq(isolated(charges, chosen)),
                encoder.enable.eq(chosen),
                encoder.weights.eq(self.weights),
                frame.counter.eq(isolated(formatter.counter, chosen)),
                frame.sum_code.eq(encoder.sum_code),
                frame.latents.eq(encoder.latents),
                frame.keep_mask.eq(self.keep_auto_encoder_bits),
                frame.etx_count.eq(links),
                formatter.frames.eq(frame.frames.as_value()[: 32 * frame_words(spec.encoder)]),
            ]


def _wanted(links: Value) -> Value:
    """As many low bits set as best choice sends cells on so many links."""
    return Cat(
        any_of([links == n for n in range(1, ETX_WORDS + 1) if best_choice_cells(n) > rank]) for rank in range(CELLS)
    )
