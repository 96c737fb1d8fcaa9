"""A code for long words that corrects one error and detects two, made for a small corrector."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from amaranth.hdl import Cat, Const, Module, Signal, Value

__all__ = ["WordCode", "WordSyndrome"]


@dataclass(frozen=True, kw_only=True)
class WordSyndrome:
    """Check bits of a word, or their difference from the stored ones.

    Attributes
    ----------
    group, place : Value
        Number of the group, and of the place in it, plus one: of the bit that is wrong, if one is.
    parity : Value
        Bit that makes the weight of every column odd.
    """

    group: Value
    place: Value
    parity: Value

    @property
    def bits(self) -> Value:
        """All of them: group, place, parity."""
        return Cat(self.group, self.place, self.parity)


@dataclass(frozen=True, kw_only=True)
class WordCode:
    """Linear code with the bits of a word in groups: check bits number the group and the place of a single error.

    Bit ``j`` is place ``i = j % (2**q - 1)`` of group ``g = j // (2**q - 1)``. Its column of the parity-check matrix is
    the number g + 1 (p bits), the number i + 1 (q bits) and one bit that makes the weight odd; columns of check bits
    have weight 1. Both numbers are above 0, so each column of a data bit has weight 3 or more, all are different and
    of odd weight: by the theorem of M. Y. Hsiao (A class of optimal minimum odd-weight-column SEC-DED codes, IBM J.
    Res. Dev. 14 (1970) 395) one error is corrected, two are detected. His columns of least weight take fewer gates if
    each row is a tree of its own; here the rows share the parities of groups and places, two gates a bit, and the
    place of an error is one AND of two decoded numbers.

    Attributes
    ----------
    width : int
        Data bits.

    Raises
    ------
    ValueError
        If the width is below 1.
    """

    width: int

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"a code word needs at least 1 data bit, got {self.width}")

    @cached_property
    def split(self) -> tuple[int, int]:
        """Bits of the number of a group, and of a place."""
        total = 2
        while True:
            for q in range(total // 2, 0, -1):
                if ((1 << total - q) - 1) * ((1 << q) - 1) >= self.width:
                    return total - q, q
            total += 1

    @property
    def check_bits(self) -> int:
        """Check bits: group, place, parity."""
        return sum(self.split) + 1

    def numbers(self, bit: int) -> tuple[int, int]:
        """Group and place of a data bit, plus one each."""
        group, place = divmod(bit, (1 << self.split[1]) - 1)
        return group + 1, place + 1

    @cached_property
    def columns(self) -> tuple[int, ...]:
        """Column of each data bit as a number; bits as in `WordSyndrome.bits`."""
        p, q = self.split
        found = []
        for bit in range(self.width):
            group, place = self.numbers(bit)
            column = group | place << p
            found.append(column | (~column.bit_count() & 1) << p + q)
        return tuple(found)

    def checks_of(self, data: int) -> int:
        """Check bits of a number."""
        found = 0
        for bit, column in enumerate(self.columns):
            found ^= column if data >> bit & 1 else 0
        return found

    def syndrome(self, m: Module, name: str, data: Mapping[int, Value], stored: WordSyndrome | None) -> WordSyndrome:
        """Check bits of data bits (others are 0), less the stored ones if given; signals are named after `name`."""
        p, q = self.split
        groups, places = self._parities(m, name, data, 0), self._parities(m, name, data, 1)
        given = stored or WordSyndrome(group=Const(0, p), place=Const(0, q), parity=Const(0, 1))
        group = [Cat(*(v for g, v in groups.items() if g >> row & 1), given.group[row]).xor() for row in range(p)]
        place = [Cat(*(v for i, v in places.items() if i >> row & 1), given.place[row]).xor() for row in range(q)]
        # 1 + weight of the group's number + weight of the place's number, summed over bits by group and by place
        parity = Cat(
            *(v for g, v in groups.items() if not g.bit_count() & 1),
            *(v for i, v in places.items() if i.bit_count() & 1),
            given.parity,
        ).xor()
        return WordSyndrome(group=Cat(group), place=Cat(place), parity=parity)

    def _parities(self, m: Module, name: str, data: Mapping[int, Value], which: int) -> dict[int, Signal]:
        """Parity of each group (0), or of each place over all groups (1)."""
        members: dict[int, list[Value]] = {}
        for bit, value in sorted(data.items()):
            members.setdefault(self.numbers(bit)[which], []).append(value)
        found = {}
        for number, values in members.items():
            found[number] = Signal(name=f"{name}_{('group', 'place')[which]}_{number}")
            m.d.comb += found[number].eq(Cat(values).xor())
        return found

    def wrong(self, m: Module, name: str, syndrome: WordSyndrome, bits: Mapping[int, object]) -> dict[int, Value]:
        """For each of the data bits, whether the syndrome of a single error points to it."""
        groups, places = {}, {}
        for bit in bits:
            for number, found, value, kind in zip(
                self.numbers(bit), (groups, places), (syndrome.group, syndrome.place), ("in_group", "at_place"),
                strict=True,
            ):  # fmt: skip
                if number not in found:
                    found[number] = Signal(name=f"{name}_{kind}_{number}")
                    m.d.comb += found[number].eq(value == number)
        return {bit: groups[self.numbers(bit)[0]] & places[self.numbers(bit)[1]] for bit in bits}

    def cut(self, checks: Value) -> WordSyndrome:
        """Stored check bits by what they are."""
        p, q = self.split
        return WordSyndrome(group=checks[:p], place=checks[p : p + q], parity=checks[p + q])
