"""Parts of a chip that are broken on purpose: proofs, campaigns and gates must find each of them.

Every class keeps the ports and the constructor of the part that it stands for.
"""

from amaranth.hdl import Const, Module, Mux, Signal

from flows.formal.protection import StoredByte, TripleCell
from hw.common.hierarchy import place
from hw.common.i2c_target import I2cTargetLogic
from hw.common.replica import HeldReplica, Replica, majority
from hw.common.scrubber import ScrubberLogic
from hw.common.secded_cell import SecdedCell
from hw.common.triplicated_cell import TriplicatedCell
from hw.common.voted_cell import VotedCell
from hw.common.voted_register import VotedRegister
from hw.common.word_access import WordAccessLogic
from hw.common.word_code import WordCode, WordSyndrome
from hw.common.word_corrector import WordCorrector


def _replicas(m: Module, platform: object, cell: VotedCell, count: int = 3) -> list[HeldReplica]:
    return [place(m, platform, f"replica_{k}", HeldReplica, **cell._kept) for k in range(count)]


class Unvoted(VotedCell):
    """The voter is gone: one copy is the value."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        copies = _replicas(m, platform, self)
        m.d.comb += [copy.data.eq(Mux(self.enable, self.data, self.value)) for copy in copies]
        m.d.comb += [copy.enable.eq(self.enable | self.error) for copy in copies]
        a, b, c = (copy.value for copy in copies)
        m.d.comb += [self.value.eq(a), self.error.eq(((a ^ b) | (a ^ c)).any())]
        return m


class Merged(VotedCell):
    """Two copies are one set of flip-flops, as a synthesiser makes them: the voter sees it twice."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        copies = _replicas(m, platform, self, 2)
        m.d.comb += [copy.data.eq(Mux(self.enable, self.data, self.value)) for copy in copies]
        m.d.comb += [copy.enable.eq(self.enable | self.error) for copy in copies]
        _vote(m, self, copies[0].value, copies[1].value, copies[1].value)
        return m


class Uncorrected(VotedCell):
    """Every copy holds its own value: upsets pile up."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        copies = _replicas(m, platform, self)
        m.d.comb += [copy.data.eq(Mux(self.enable, self.data, copy.value)) for copy in copies]
        m.d.comb += [copy.enable.eq(self.enable | self.error) for copy in copies]
        _vote(m, self, *(copy.value for copy in copies))
        return m


class Asleep(VotedCell):
    """The copies are clocked for writes only."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        copies = _replicas(m, platform, self)
        m.d.comb += [copy.data.eq(Mux(self.enable, self.data, self.value)) for copy in copies]
        m.d.comb += [copy.enable.eq(self.enable) for copy in copies]
        _vote(m, self, *(copy.value for copy in copies))
        return m


class OneGate(VotedCell):
    """All three copies are behind one clock gate."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self._kept["width"]
        kept = place(m, platform, "copies", HeldReplica, width=3 * width, reset=0)
        m.d.comb += [
            kept.data.eq(Mux(self.enable, self.data, self.value).replicate(3)),
            kept.enable.eq(self.enable | self.error),
        ]
        _vote(m, self, *(kept.value.word_select(k, width) for k in range(3)))
        return m


def _vote(m: Module, cell: VotedCell, a, b, c) -> None:
    m.d.comb += [cell.value.eq(majority(a, b, c)), cell.error.eq(((a ^ b) | (a ^ c)).any())]


class Unscrubbed(TriplicatedCell):
    """The scrubber is off."""

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        stored = Signal(self._width, init=self._reset)
        m.d.comb += [
            self.raw.eq(stored),
            self.value.eq(majority(stored, self.peers[: self._width], self.peers[self._width :])),
            self.error.eq(self.scrub & (stored != self.value)),
        ]
        with m.If(self.enable):
            m.d.sync += stored.eq(self.data)
        return m


def unscrubbed(**parameters: int) -> TripleCell:
    """Three cells that nothing scrubs."""
    return TripleCell(cell=Unscrubbed, **parameters)


class Detecting(SecdedCell):
    """An error that is detected makes the output wrong."""

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.submodules.cell = cell = SecdedCell(width=self._width, reset=self._reset)
        m.d.comb += [
            cell.data.eq(self.data),
            cell.checks.eq(self.checks),
            cell.enable.eq(self.enable),
            cell.scrub.eq(self.scrub),
            self.value.eq(cell.value ^ cell.error),
            self.error.eq(cell.error),
            self.double.eq(cell.double),
        ]
        return m


def detecting(**parameters: int) -> StoredByte:
    """A stored byte of such a cell."""
    return StoredByte(cell=Detecting, **parameters)


class OneCopy(VotedRegister):
    """A register without its voter."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        copies = [place(m, platform, f"replica_{k}", Replica, **self._kept) for k in range(3)]
        m.d.comb += [copy.i.eq(self.i) for copy in copies]
        m.d.comb += [self.o.eq(copies[1].o), self.error.eq(0)]
        return m


class Passing(WordCorrector):
    """Hands on what is stored."""

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.d.comb += self.data.eq(self.raw)
        return m


class Blind(WordCode):
    """No syndrome points anywhere."""

    def wrong(self, m: Module, name: str, syndrome: WordSyndrome, bits) -> dict:
        return dict.fromkeys(bits, Const(0, 1))


class Unchecked(WordCode):
    """The change of a byte leaves the check bits as they are."""

    def syndrome(self, m: Module, name: str, data, stored) -> WordSyndrome:
        p, q = self.split
        if name == "changed":
            return WordSyndrome(group=Const(0, p), place=Const(0, q), parity=Const(0, 1))
        return super().syndrome(m, name, data, stored)


class Short(WordAccessLogic):
    """The last word is never reached."""

    def __init__(self, *, words: int) -> None:
        super().__init__(words=words)
        self._words = words - 1


class Eager(WordAccessLogic):
    """Merges what happens to be there."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.merge.eq(1)
        return m


class Stuck(ScrubberLogic):
    """The last row is never left."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [self.row.eq(self.state), self.next_state.eq(Mux(self.state >= 12, 12, self.state + 1))]
        return m


class Promiscuous(I2cTargetLogic):
    """Answers to every device address."""

    def _acknowledge(self, m: Module) -> None:
        self._device_address, kept = self.state.shift[1:], self._device_address
        super()._acknowledge(m)
        self._device_address = kept


class Swapped(WordCode):
    """Two columns of the parity-check matrix are exchanged in the hardware: another code, as good as the first."""

    def numbers(self, bit: int) -> tuple[int, int]:
        return super().numbers({0: 1, 1: 0}.get(bit, bit))


class Careless(WordCode):
    """A column of weight 2: two errors look like one."""

    def syndrome(self, m: Module, name: str, data, stored) -> WordSyndrome:
        found = super().syndrome(m, name, data, stored)
        return WordSyndrome(group=found.group, place=found.place, parity=found.parity ^ data[min(data)])
