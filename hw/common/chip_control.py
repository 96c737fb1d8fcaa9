"""Control of a chip: I2C target, control registers, error counters, loader, scrubber."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from hw.common.error_counters import COUNTER_BITS, ErrorCountersLogic
from hw.common.hierarchy import place
from hw.common.i2c_target import I2cTargetLogic
from hw.common.loader import LoaderLogic
from hw.common.registered import described, plain
from hw.common.scrubber import ScrubberLogic
from hw.common.word_access import WordAccessLogic
from sim.chip_registers import DEVICE_ADDRESS, LOAD_BEGIN, LOAD_COMMIT, ChipField, masks_of

__all__ = ["ChipControlLogic"]

_WORD_PORTS = ("word", "merge", "value", "found", "read")


class ChipControlLogic(Component):
    """Next state and outputs of everything that is neither store nor data path; for `Registered`.

    Bytes of the image go to the bank that is written (the store, or the shadow bank), all other addresses are decoded
    here. Unmapped addresses read as 0.

    Parameters
    ----------
    fields : tuple of ChipField
        Register map: the image, and of the control registers those that the chip has. Guarded loading if it has
        ``load_command``; the output `run` if it has ``run``.
    steps : int
        Parts of the active bank that are swapped one after the other (guarded loading).
    counters : tuple of str
        Error counters, fields of the map, in the order of `events`.
    scrub : bool
        With a walk over the rows of the store.
    words : int
        Code words of a store that is reached word by word (`hw.common.word_store.WordStore`), which scrubs as well; 0
        for one that is reached byte by byte.
    device_address : int
        7-bit I2C address.

    Attributes
    ----------
    reset : int
        State after reset.
    state_fields : dict of str to range
        Bits of the state that belong to ``i2c``, ``direct`` (control registers), ``counters``, ``loader``, ``scrub``,
        ``words``.

    Members
    -------
    scl, sda : In(1)
        The lines.
    sda_low : Out(1)
        Pull SDA low.
    address : Out(16)
        Byte address for the banks.
    write_data : Out(8), write_enable : Out(1)
        Write to the bank.
    read_data : In(8), mapped : In(1)
        Byte at `address` in the bank that the data path uses, and whether there is one.
    shadow_data : In(8), bad : In(1), mark : Out(1), swap : Out(steps)
        Guarded loading: shadow bank, and copy commands.
    events : In(number of counters)
        Errors to count.
    scrub_row : Out(12)
        Row of 16 bytes to scrub.
    word, merge, value : Out, found, read : In
        Only with `words`, in place of `write_data`, `write_enable`, `read_data`, `mapped`: as `WordAccessLogic`;
        `address` is the one to look for.
    run : Out(1)
        Its register, where the map has it.
    state : In, next_state : Out
    """

    def __init__(
        self,
        *,
        fields: tuple[ChipField, ...],
        steps: int = 1,
        counters: tuple[str, ...] = (),
        scrub: bool = False,
        words: int = 0,
        device_address: int = DEVICE_ADDRESS,
    ):
        self._counters = counters
        self._fields = {field.name: field for field in fields if not field.image}
        self._guarded = "load_command" in self._fields
        self._switches = [name for name in ("run", "clear_errors") if name in self._fields]
        addresses = list(masks_of(field for field in fields if field.image))
        self._parts: dict[str, tuple[type[Component], dict[str, int]]] = {
            "i2c": (I2cTargetLogic, {"device_address": device_address})
        }
        if counters:
            self._parts["counters"] = (ErrorCountersLogic, {"count": len(counters)})
        if self._guarded:
            self._parts["loader"] = (LoaderLogic, {"first": addresses[0], "last": addresses[-1], "steps": steps})
        if scrub:
            rows = {"first": addresses[0] >> 4, "last": addresses[-1] >> 4, "width": 12}
            self._parts["scrub"] = (ScrubberLogic, rows)
        if words:
            self._parts["words"] = (WordAccessLogic, {"words": words})
        direct = dict.fromkeys(self._switches, 1) | ({"read_shadow": 1, "load_checksum": 32} if self._guarded else {})
        self._models = {name: described(part, **arguments) for name, (part, arguments) in self._parts.items()}
        layout = {name: len(plain(model.state)) for name, model in self._models.items()}
        self._direct = data.StructLayout(direct)
        self._layout = data.StructLayout(layout | {"direct": self._direct.size})
        ports = {
            "scl": In(1), "sda": In(1), "sda_low": Out(1), "address": Out(16),
            **({"run": Out(1)} if "run" in self._switches else {}),
            "state": In(self._layout), "next_state": Out(self._layout),
        }  # fmt: skip
        if words:
            ports |= {name: self._models["words"].signature.members[name] for name in _WORD_PORTS}
        else:
            ports |= {"write_data": Out(8), "write_enable": Out(1), "read_data": In(8), "mapped": In(1)}
        if self._guarded:
            ports |= {"shadow_data": In(8), "bad": In(1), "mark": Out(1), "swap": Out(steps)}
        if counters:
            ports["events"] = In(len(counters))
        if scrub:
            ports["scrub_row"] = Out(12)
        super().__init__(ports)

    @property
    def reset(self) -> int:
        """State after reset."""
        return sum(int(model.reset) << self._layout[name].offset for name, model in self._models.items())

    @property
    def state_fields(self) -> dict[str, range]:
        """Bits of the state by what they belong to."""
        return {str(name): range(f.offset, f.offset + f.width) for name, f in self._layout}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        parts = {}
        for name, (part, arguments) in self._parts.items():
            parts[name] = logic = place(m, platform, name, part, **arguments)
            m.d.comb += [
                plain(logic.state).eq(self.state[name]),
                self.next_state[name].eq(plain(logic.next_state)),
            ]
        i2c = parts["i2c"]
        loader = parts.get("loader")
        direct = data.View(self._direct, self.state.direct)
        after = data.View(self._direct, self.next_state.direct)
        m.d.comb += [
            i2c.scl.eq(self.scl),
            i2c.sda.eq(self.sda),
            self.sda_low.eq(i2c.sda_low),
            self.next_state.direct.eq(self.state.direct),
        ]
        if "run" in self._switches:
            m.d.comb += self.run.eq(direct.run)
        if "words" in parts:
            access = parts["words"]
            m.d.comb += [
                access.write.eq(i2c.write_enable),
                access.write_data.eq(i2c.write_data),
                access.moved.eq(i2c.next_state.pointer != i2c.state.pointer),
                # behind a write the address has counted up, and stays longer than it takes to reach every word
                self.address.eq(i2c.address - access.merge),
            ]
            for name in _WORD_PORTS:
                inner, outer = getattr(access, name), getattr(self, name)
                m.d.comb += inner.eq(outer) if name in ("found", "read") else outer.eq(inner)
            bank = access.byte
        else:
            m.d.comb += [
                self.address.eq(i2c.address),
                self.write_data.eq(i2c.write_data),
                self.write_enable.eq(i2c.write_enable),
            ]
            bank = self.read_data
        known: dict[str, Value] = {name: direct[name] for name in self._switches}
        written = {name: after[name] for name in self._switches}
        if loader is not None:
            m.d.comb += [
                # a byte over the bus comes between two steps of the walk
                self.address.eq(Mux(loader.busy & ~i2c.read_enable, loader.address, i2c.address)),
                self.write_enable.eq(i2c.write_enable & ~loader.busy),
                loader.write.eq(i2c.write_enable & self._is_image(i2c.address)),
                loader.pause.eq(i2c.read_enable),
                loader.mapped.eq(self.mapped),
                loader.shadow.eq(self.shadow_data),
                loader.active.eq(self.read_data),
                loader.bad.eq(self.bad),
                loader.expected.eq(direct.load_checksum),
                self.mark.eq(loader.mark),
                self.swap.eq(loader.swap),
            ]
            command = i2c.write_enable & self._at("load_command", i2c.address)
            m.d.comb += [
                loader.begin.eq(command & (i2c.write_data == LOAD_BEGIN)),
                loader.commit.eq(command & (i2c.write_data == LOAD_COMMIT)),
            ]
            bank = Mux(direct.read_shadow, self.shadow_data, self.read_data)
            known |= {
                "read_shadow": direct.read_shadow,
                "load_checksum": direct.load_checksum,
                "load_status": loader.status,
                "load_dropped": loader.dropped,
            }
            # the checksum belongs to the load that is being judged
            written["read_shadow"] = after.read_shadow
            with m.If(i2c.write_enable & ~loader.busy):
                self._write(m, i2c, "load_checksum", after.load_checksum)
        with m.If(i2c.write_enable):
            for name, target in written.items():
                self._write(m, i2c, name, target)
        if self._counters:
            counters = parts["counters"]
            m.d.comb += [counters.events.eq(self.events), counters.clear.eq(direct.clear_errors)]
            counts = plain(counters.counts)
            known |= {name: counts.word_select(i, COUNTER_BITS) for i, name in enumerate(self._counters)}
        if "scrub" in parts:
            m.d.comb += self.scrub_row.eq(parts["scrub"].row)

        # bytes outside the banks, each behind its own comparison
        values: dict[int, dict[int, Value]] = {}
        for name, value in known.items():
            field: ChipField = self._fields[name]
            for bit in range(field.width):
                address, position = field.address + (field.lsb + bit) // 8, (field.lsb + bit) % 8
                values.setdefault(address, {})[position] = value[bit]
        found = Signal(8)
        m.d.comb += found.eq(0)
        with m.Switch(i2c.address):
            for address, bits in sorted(values.items()):
                with m.Case(address):
                    m.d.comb += found.eq(Cat(bits.get(position, Const(0, 1)) for position in range(8)))
            with m.Default():
                m.d.comb += found.eq(bank)
        m.d.comb += i2c.read_data.eq(found)
        return m

    def _at(self, name: str, address: Value, byte: int = 0) -> Value:
        return address == self._fields[name].address + byte

    def _is_image(self, address: Value) -> Value:
        """Whether an address belongs to the banks rather than to this component."""
        return ~Cat(
            address == field.address + byte for field in self._fields.values() for byte in range(field.size)
        ).any()

    def _write(self, m: Module, i2c: Component, name: str, target: Value) -> None:
        field = self._fields[name]
        for byte in range(field.size):
            with m.If(self._at(name, i2c.address, byte)):
                part = plain(target)[8 * byte : 8 * byte + 8]
                m.d.comb += part.eq(i2c.write_data[field.lsb :] if field.size == 1 else i2c.write_data)
