"""A network behind I2C: weights in a register file, with a scheme of protection and a way of loading."""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Cat, Module
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.chip_control import ChipControlLogic
from hw.common.hierarchy import place
from hw.common.parity_cell import ParityCell
from hw.common.pipeline_register import PipelineRegister
from hw.common.register_file import RegisterFile, Role
from hw.common.registered import Registered, described, plain
from hw.common.scheme import Scheme
from hw.common.secded_cell import SecdedCell
from hw.common.storage_cell import StorageCell
from hw.common.voted_cell import VotedCell
from hw.common.voted_register import VotedRegister
from hw.network.network import Network, output_port
from hw.network.plan import plan
from hw.network.stores import code_shape
from sim.chip_registers import DEVICE_ADDRESS, Loading
from sim.network.registers import ERROR_COUNTERS, chip_fields, weight_fields
from sim.network.spec import INPUT, NetworkSpec
from sim.network.weights import weight_rows

__all__ = ["CELLS", "NetworkChip", "error_counters"]

CELLS: dict[Scheme, Callable[..., Component]] = {
    Scheme.NONE: StorageCell,
    Scheme.TMR_REGISTERS: VotedCell,
    Scheme.SECDED: SecdedCell,
}
"""What stores a byte of weights."""
_ADDRESS_BITS = 16
_MOST_STEPS = 16


def error_counters(scheme: Scheme) -> int:
    """How many of `sim.network.registers.ERROR_COUNTERS` a chip has."""
    return {Scheme.NONE: 0, Scheme.TMR_REGISTERS: 2}.get(scheme, len(ERROR_COUNTERS))


class NetworkChip(Component):
    """Data path, latency and arithmetic of `hw.network.network.Network`; weights arrive over I2C.

    With `Loading.DIRECT` a byte acts one clock after it was written. With `Loading.GUARDED` bytes go to a shadow bank
    with parity; once it is complete and its checksum is right, the layers take their weights one after the other, each
    as many clocks after the first one as a sample does: every sample sees the old or the new image as a whole. A bad or
    partial image is refused. Registers: `sim.network.registers.chip_fields`.

    Reset is asynchronous and reaches every flip-flop: all weights are 0.

    Parameters
    ----------
    spec : NetworkSpec
    scheme : Scheme
        Protection of the weights in use, of control, and of registers of the data path; with `Scheme.SECDED` control
        and data path have three copies, and a walk over the weights corrects what is stored.
    loading : Loading
    device_address : int
        7-bit I2C address.

    Members
    -------
    x, y, y_<node>
        As `Network`.
    scl, sda : In(1)
        I2C lines as at the pins, asynchronous.
    sda_low : Out(1)
        Pull SDA low. SCL is never driven.

    Raises
    ------
    ValueError
        As `Network`; if the weights do not fit the address space, or take more than 16 steps to swap; for a scheme
        that it does not have.
    """

    clocked = True

    def __init__(
        self, *, spec: NetworkSpec, scheme: Scheme = Scheme.NONE, loading: Loading = Loading.GUARDED,
        device_address: int = DEVICE_ADDRESS,
    ):  # fmt: skip
        self._spec, self._scheme, self._loading = spec, Scheme(scheme), Loading(loading)
        if self._scheme not in CELLS:
            raise ValueError(f"scheme: expected {' or '.join(CELLS)} for a network behind I2C, got {scheme}")
        self._fields = chip_fields(spec, self._loading, error_counters(self._scheme))
        self._register = PipelineRegister if self._scheme is Scheme.NONE else VotedRegister
        if self._guarded and max(self.parts) >= _MOST_STEPS:
            raise ValueError(
                f"guarded loading: expected at most {_MOST_STEPS} clocks from the first weights to the last, "
                f"got {max(self.parts) + 1}"
            )
        outputs = {
            output_port(spec, name): Out(ArrayLayout(code_shape(spec.tensors[name].form), spec.tensors[name].size))
            for name in spec.outputs
        }
        super().__init__(
            {
                "x": In(ArrayLayout(code_shape(spec.input), spec.tensors[INPUT].size)),
                "scl": In(1), "sda": In(1), "sda_low": Out(1), **outputs,
            }
        )  # fmt: skip
        self._device_address = device_address

    @property
    def _guarded(self) -> bool:
        return self._loading is Loading.GUARDED

    @property
    def latency(self) -> int:
        """Clocks from a sample at the pins to its results at the pins."""
        return plan(self._spec).latency

    @property
    def parts(self) -> tuple[int, ...]:
        """For each bit of the image, how many clocks after the first ones it is swapped in."""
        reads = {layer.name: layer.reads for layer in plan(self._spec).layers}
        first = min(reads[name] for name in self._spec.layers)
        return tuple(reads[row.layer] - first for row in weight_rows(self._spec) for _ in range(row.bits))

    def _control(self) -> dict[str, Any]:
        """Parameters of the control."""
        return {
            "fields": self._fields, "counters": ERROR_COUNTERS[: error_counters(self._scheme)],
            "steps": 1 + max(self.parts) if self._guarded else 1, "scrub": self._scheme is Scheme.SECDED,
            "device_address": self._device_address,
        }  # fmt: skip

    @property
    def stored_bits(self) -> dict[str, int]:
        """Bits that are stored: in ``registers`` of data path and control, of ``weights``, and of the ``shadow`` bank.

        A shadow bank has a parity bit for each byte, and code words of weights check bits, which are not counted here.
        """
        network = described(Network, spec=self._spec, register=self._register, outside=True)
        control = described(ChipControlLogic, **self._control())
        weights = self._spec.weight_bits
        shadow = weights + sum(field.size for field in weight_fields(self._spec)) if self._guarded else 0
        registers = network.stored_bits["registers"] + len(plain(control.state))
        return {"registers": registers, "weights": weights, "shadow": shadow}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec, guarded = self._spec, self._guarded
        image = weight_fields(spec)
        control = place(
            m, platform, "control", Registered, logic=ChipControlLogic, register=self._register, **self._control()
        )
        m.d.comb += [control.scl.eq(self.scl), control.sda.eq(self.sda), self.sda_low.eq(control.sda_low)]
        bank = place(
            m, platform, "registers", RegisterFile, fields=image, address_width=_ADDRESS_BITS,
            cell=CELLS[self._scheme], role=Role.ACTIVE if guarded else Role.STORE, readable=True,
            parts=self.parts if guarded else (),
        )  # fmt: skip
        m.d.comb += [control.read_data.eq(bank.read_data), control.mapped.eq(bank.mapped)]
        written = bank
        if guarded:
            written = place(
                m, platform, "shadow", RegisterFile, label="shadow", fields=image, address_width=_ADDRESS_BITS,
                cell=ParityCell, role=Role.SHADOW, readable=True,
            )  # fmt: skip
            m.d.comb += [
                written.mark.eq(control.mark), control.shadow_data.eq(written.read_data), control.bad.eq(written.bad),
                bank.image.eq(written.image), bank.swap.eq(control.swap), bank.read_address.eq(control.address),
            ]  # fmt: skip
        m.d.comb += [
            written.write_address.eq(control.address),
            written.write_data.eq(control.write_data),
            written.write_enable.eq(control.write_enable),
        ]
        if self._scheme is Scheme.SECDED:
            m.d.comb += bank.scrub_row.eq(control.scrub_row)
        if self._scheme is not Scheme.NONE:
            doubles = [bank.doubles] if self._scheme is Scheme.SECDED else []
            m.d.comb += control.events.eq(Cat(bank.errors, control.error, *doubles))
        network = place(m, platform, "network", Network, spec=spec, register=self._register, outside=True)
        m.d.comb += [network.x.eq(self.x), network.weights.eq(bank.weights)]
        for name in spec.outputs:
            port = output_port(spec, name)
            m.d.comb += getattr(self, port).eq(getattr(network, port))
        return m
