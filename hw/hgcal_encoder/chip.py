"""The encoder with its control: I2C, store, protection against upsets."""

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Cat, Module, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.parity_cell import ParityCell
from hw.common.pipeline_register import PipelineRegister
from hw.common.register_file import RegisterFile, Role, stored_bits
from hw.common.registered import Registered
from hw.common.registered_replica import RegisteredReplica
from hw.common.replica import majority
from hw.common.scheme import Scheme
from hw.common.secded_cell import SecdedCell
from hw.common.storage_cell import StorageCell
from hw.common.triplicated_cell import TriplicatedCell
from hw.common.voted_cell import VotedCell
from hw.common.voted_register import VotedRegister
from hw.common.word_store import WordStore
from hw.hgcal_encoder.coded_words import WordMap
from hw.hgcal_encoder.control import ControlLogic
from hw.hgcal_encoder.encoder import (
    REGISTERS_AFTER,
    STAGES,
    path_latency,
    place_data_path,
    swap_parts,
)
from hw.hgcal_encoder.folded_sums import FoldedSums
from sim.hgcal_encoder.configuration.chip_registers import BLOCKS_OF_ERRORS, DEVICE_ADDRESS, Loading, image_fields
from sim.hgcal_encoder.configuration.registers import ADDRESS_WIDTH
from sim.hgcal_encoder.settings import AUTOENCODER
from sim.hgcal_encoder.spec import ERX_WORDS, ETX_WORDS, EncoderSpec

__all__ = ["CELLS", "Chip"]

CELLS = {
    Scheme.NONE: StorageCell,
    Scheme.TMR_REGISTERS: VotedCell,
    Scheme.TMR_MODULE: TriplicatedCell,
    Scheme.SECDED: SecdedCell,
}
"""What stores a byte of settings or weights; with `Scheme.SECDED_WORDS` there are no bytes but words."""
_SCRUBBED = (Scheme.TMR_MODULE, Scheme.SECDED)


class Chip(Component):
    """Encoder that is configured over I2C, with a scheme of protection and a way of loading.

    Data path, latency and arithmetic are those of `hw.hgcal_encoder.encoder.Encoder`. Frames are sent while the
    register `run` is 1 and the autoencoder is selected as algorithm, and are 0 otherwise; both hold for a crossing as a
    whole. Registers: `sim.hgcal_encoder.configuration.chip_registers.chip_fields`.

    With `Loading.DIRECT` every byte acts one clock after it was written, as on ECON-T: crossings see whatever mix of
    old and new weights the bus has written so far. With `Loading.GUARDED` the frame of every crossing comes from
    the old or from the new image as a whole, and a bad or partial image is refused.

    Reset is asynchronous and reaches every flip-flop: settings take the reset values of the register map, `run` is 0.

    Parameters
    ----------
    spec : EncoderSpec
    scheme : Scheme
        Protection of store, control and registers of the data path.
    loading : Loading
    registers_after : collection of str, optional
        As for `Encoder`; if left out as there, but with `Scheme.SECDED_WORDS` without the one after the dense layer:
        latents are kept by the neurons, and the frame has the internal clocks after them.
    device_address : int
        7-bit I2C address.
    isolation : bool
        As for `Encoder`. The latches are in no scheme's care: what one of them passes while it is upset is a transient.

    Members
    -------
    fast_clk : In(1)
        As for `Encoder`, where `spec` reuses multipliers only.
    words : In(32) x 12
        eRx words of one bunch crossing.
    scl, sda : In(1)
        I2C lines as at the pins, asynchronous.
    sda_low : Out(1)
        Pull SDA low. SCL is never driven.
    frames : Out(32) x 13
        eTx words.

    Raises
    ------
    ValueError
        If a name in `registers_after` is not a stage, the device address is reserved, or `Scheme.SECDED_WORDS` is asked
        for with guarded loading, or with a spec that does not reuse multipliers or has too many words for the bus.
    """

    clocked = True

    def __init__(
        self,
        *,
        spec: EncoderSpec,
        scheme: Scheme = Scheme.NONE,
        loading: Loading = Loading.GUARDED,
        registers_after: Collection[str] | None = None,
        device_address: int = DEVICE_ADDRESS,
        isolation: bool = False,
    ):
        self._isolation = isolation
        self._spec, self._scheme, self._loading = spec, Scheme(scheme), Loading(loading)
        if registers_after is None:
            coded = self._scheme is Scheme.SECDED_WORDS
            registers_after = ("words", "normalise", "frame") if coded else REGISTERS_AFTER
        if unknown := sorted(set(registers_after) - set(STAGES)):
            raise ValueError(f"registers_after: expected stages among {', '.join(STAGES)}, got {', '.join(unknown)}")
        self._cuts = frozenset(registers_after)
        self._device_address = device_address
        self._words = None
        if self._scheme is Scheme.SECDED_WORDS:
            if self._loading is not Loading.DIRECT:
                raise ValueError(f"{self._scheme}: expected direct loading, got {self._loading}")
            self._words = WordMap(spec=spec)
        super().__init__({
            **({"fast_clk": In(1)} if spec.reuse > 1 else {}),
            "words": In(ArrayLayout(32, ERX_WORDS)), "scl": In(1), "sda": In(1), "sda_low": Out(1),
            "frames": Out(ArrayLayout(32, ETX_WORDS)),
        })  # fmt: skip

    @property
    def spec(self) -> EncoderSpec:
        """What was generated."""
        return self._spec

    @property
    def scheme(self) -> Scheme:
        """Protection."""
        return self._scheme

    @property
    def loading(self) -> Loading:
        """How settings and weights arrive."""
        return self._loading

    @property
    def latency(self) -> int:
        """Clocks from words at the pins to their frame at the pins."""
        return path_latency(self._spec, self._cuts)

    @property
    def parts(self) -> tuple[int, ...]:
        """For each bit of the image, how many clocks after the first ones it is swapped in."""
        groups = {"algorithm": [0] * 3, "drop_lsb": [0] * 8} | swap_parts(self._spec, self._cuts)
        by_place: dict[tuple[int, int], int] = {}
        taken = dict.fromkeys(groups, 0)
        for field in sorted(image_fields(self._spec), key=lambda field: field.index):
            start = taken[field.name]
            for bit, part in enumerate(groups[field.name][start : start + field.width]):
                by_place[field.address + (field.lsb + bit) // 8, (field.lsb + bit) % 8] = part
            taken[field.name] += field.width
        return tuple(by_place[place_] for place_ in stored_bits(image_fields(self._spec)))

    def control_parameters(self) -> dict[str, Any]:
        """Constructor arguments of `ControlLogic`."""
        counters = {Scheme.NONE: 0, Scheme.SECDED: 10, Scheme.SECDED_WORDS: 10}.get(self._scheme, 6)
        return {
            "spec": self._spec, "loading": self._loading, "counters": counters, "scrub": self._scheme in _SCRUBBED,
            "steps": 1 + max(self.parts) if self._loading is Loading.GUARDED else 1,
            "words": len(self._words.words) if self._words else 0, "device_address": self._device_address,
        }  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        guarded, triple = self._loading is Loading.GUARDED, self._scheme is Scheme.TMR_MODULE
        register = PipelineRegister if self._scheme is Scheme.NONE else VotedRegister

        controls = []
        for copy in range(3 if triple else 1):
            if triple:
                control = place(
                    m, platform, f"control_{copy}", RegisteredReplica, logic=ControlLogic, **self.control_parameters()
                )
            else:
                control = place(
                    m, platform, "control", Registered, logic=ControlLogic, register=register,
                    **self.control_parameters(),
                )  # fmt: skip
            m.d.comb += [control.scl.eq(self.scl), control.sda.eq(self.sda)]
            controls.append(control)
        _join(m, controls)
        if self._words:
            self._with_words(m, platform, control)
            return m

        banks = [self._bank(m, platform, copy, triple) for copy in range(len(controls))]
        _join(m, banks)
        shadow = None
        if guarded:
            shadow = place(
                m, platform, "shadow", RegisterFile, label="shadow", fields=image_fields(self._spec),
                address_width=ADDRESS_WIDTH, cell=ParityCell, role=Role.SHADOW, readable=True,
            )  # fmt: skip
            m.d.comb += shadow.mark.eq(controls[0].mark)
            _connect_port(m, shadow, controls[0])
        for bank, control in zip(banks, controls, strict=True):
            if shadow is not None:
                m.d.comb += [bank.image.eq(shadow.image), bank.swap.eq(control.swap)]
            else:
                _connect_port(m, bank, control)
            if self._scheme in _SCRUBBED:
                m.d.comb += bank.scrub_row.eq(control.scrub_row)
        if shadow is not None:
            m.d.comb += banks[0].read_address.eq(controls[0].address)
        for control in controls:
            m.d.comb += [control.read_data.eq(banks[0].read_data), control.mapped.eq(banks[0].mapped)]
            if shadow is not None:
                m.d.comb += [control.shadow_data.eq(shadow.read_data), control.bad.eq(shadow.bad)]

        settings = banks[0]
        run = majority(*(control.run for control in controls)) if triple else controls[0].run
        frames, errors = place_data_path(
            m, platform, spec=self._spec, registers_after=self._cuts, register=register, words=self.words,
            settings=settings, running=run & (settings.algorithm == AUTOENCODER),
            fast_clk=self.fast_clk if self._spec.reuse > 1 else None, exchange=guarded, isolation=self._isolation,
        )  # fmt: skip
        pull = majority(*(control.sda_low for control in controls)) if triple else controls[0].sda_low
        m.d.comb += [self.frames.eq(frames), self.sda_low.eq(pull)]

        if self._scheme is not Scheme.NONE:
            corrected = [_any(bank.errors[i] for bank in banks) for i in range(len(BLOCKS_OF_ERRORS))]
            corrected += [_any(control.error for control in controls), _any(errors)]
            double = list(banks[0].doubles) if self._scheme is Scheme.SECDED else []
            m.d.comb += [control.events.eq(Cat(corrected, double)) for control in controls]
        return m

    def _with_words(self, m: Module, platform: object, control: Any) -> None:
        """Store and data path of a chip with long code words."""
        words = self._words
        assert words is not None
        store = place(
            m, platform, "registers", WordStore, words=words.words, addresses=words.addresses,
            address_width=ADDRESS_WIDTH, blocks=len(BLOCKS_OF_ERRORS),
        )  # fmt: skip
        for name in ("word", "address", "merge", "value"):
            m.d.comb += getattr(store, name).eq(getattr(control, name))
        m.d.comb += [control.found.eq(store.found), control.read.eq(store.read)]

        def values(numbers: Collection[int]) -> Value:
            return Cat(store.static[words.static_place[number]] for number in numbers)

        weight, spec = self._spec.weight.width, self._spec
        settings = SimpleNamespace(
            **{name: values(numbers) for name, numbers in words.field_bits.items() if name != "weights"}
        )
        weights = words.field_bits["weights"]
        kernel = spec.kernel_taps * spec.filters * weight
        settings.kernel = values(weights[:kernel])
        settings.kernel_bias = values(weights[kernel : words.first_dense])
        settings.words = store.raw
        folded = place(m, platform, "folded", FoldedSums, spec=spec, register=VotedRegister)
        m.d.comb += [
            folded.word.eq(control.word),
            folded.data.eq(store.data),
            folded.kernel_bias.eq(settings.kernel_bias),
            folded.bias.eq(values(weights[len(weights) - spec.latents * weight :])),
        ]
        settings.begin = folded.sums
        frames, errors = place_data_path(
            m, platform, spec=spec, registers_after=self._cuts, register=VotedRegister, words=self.words,
            settings=settings, running=control.run & (settings.algorithm == AUTOENCODER), fast_clk=self.fast_clk,
            coded=True, isolation=self._isolation,
        )  # fmt: skip
        m.d.comb += [
            self.frames.eq(frames),
            self.sda_low.eq(control.sda_low),
            control.events.eq(Cat(store.errors, control.error, _any([*errors, folded.error]), store.doubles)),
        ]

    def _bank(self, m: Module, platform: object, copy: int, triple: bool) -> Any:
        """The bank that the data path uses, or one of its three copies."""
        guarded = self._loading is Loading.GUARDED
        return place(
            m, platform, f"registers_{copy}" if triple else "registers", RegisterFile,
            label="replica" if triple else "", fields=image_fields(self._spec), address_width=ADDRESS_WIDTH,
            cell=CELLS[self._scheme], role=Role.ACTIVE if guarded else Role.STORE, readable=copy == 0,
            parts=self.parts if guarded else (), blocks=tuple(BLOCKS_OF_ERRORS.values()),
        )  # fmt: skip


def _any(values: Any) -> Value:
    return Cat(values).any()


def _join(m: Module, copies: list[Any]) -> None:
    """Show each of three copies what the other two hold."""
    if len(copies) == 3:
        for k, copy in enumerate(copies):
            m.d.comb += copy.peers.eq(Cat(copies[(k + 1) % 3].raw, copies[(k + 2) % 3].raw))


def _connect_port(m: Module, bank: Any, control: Any) -> None:
    m.d.comb += [
        bank.write_address.eq(control.address),
        bank.write_data.eq(control.write_data),
        bank.write_enable.eq(control.write_enable),
    ]
