"""Proof of a whole dot product: every term exhausted, the structure of the sum walked on the netlist."""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flows.formal.solver import Proof, Status
from flows.simulation.native import NativeModel, build_native
from flows.tools.rtlil import Cell, RtlilModule, constant, parse_rtlil
from flows.tools.yosys import run_yosys
from hw.common.dot_product import DotProductFormat
from hw.common.export import rtlil_to_verilog, to_rtlil
from hw.common.whole_dot_product import WholeDotProduct
from hw.hgcal_encoder.convolution import conv_format
from hw.hgcal_encoder.dense import dense_format
from hw.hgcal_encoder.schedule import Schedule
from hw.hgcal_encoder.serial_neuron import serial_format
from sim.fixed_point import Rounding
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = ["FlatNetlist", "dot_products", "prove_dot_product"]


class FlatNetlist:
    """A flat combinational module, seen bit by bit."""

    _BITWISE = frozenset({"$and", "$or", "$xor", "$xnor", "$not", "$pos"})

    def __init__(self, module: RtlilModule) -> None:
        self.module = module
        self._alias: dict[str, str] = {}
        self._driver: dict[str, tuple[Cell, int]] = {}
        self._cones: dict[str, frozenset[str]] = {}
        for left, right in module.connections:
            self._alias |= dict(zip(module.bits(left), module.bits(right), strict=True))
        for cell in module.cells:
            for index, bit in enumerate(module.bits(cell.connections["Y"])):
                self._driver[bit] = (cell, index)

    def bits(self, spec: str) -> list[str]:
        """Bits of a sigspec, each traced back to the cell output, input or constant that it is."""
        found = []
        for bit in self.module.bits(spec):
            while bit in self._alias:
                bit = self._alias[bit]
            found.append(bit)
        return found

    def driver(self, bit: str) -> tuple[Cell, int] | None:
        """Cell that drives a bit, and the place of the bit in its output; None for inputs and constants."""
        return self._driver.get(bit)

    def cone(self, bit: str) -> frozenset[str]:
        """Input bits that a bit can depend on."""
        stack = [bit]
        while stack:
            top = stack[-1]
            if top in self._cones:
                stack.pop()
                continue
            sources = self._sources(top)
            if missing := [source for source in sources if source not in self._cones]:
                stack += missing
                continue
            leaf = frozenset() if constant(top) else frozenset({top})
            driven = self.driver(top) is not None
            self._cones[top] = frozenset().union(*(self._cones[s] for s in sources)) if driven else leaf
        return self._cones[bit]

    def _sources(self, bit: str) -> list[str]:
        driven = self.driver(bit)
        if driven is None:
            return []
        cell, index = driven
        # a constant 0 may have no bits at all
        pins = {pin: bits for pin, spec in cell.connections.items() if pin != "Y" and (bits := self.bits(spec))}
        if cell.type in self._BITWISE or cell.type == "$mux":
            # beyond its width an operand repeats its sign or is 0
            return [bits[0 if pin == "S" else min(index, len(bits) - 1)] for pin, bits in pins.items()]
        if cell.type in ("$add", "$sub", "$neg"):
            return [source for bits in pins.values() for source in {*bits[: index + 1], bits[-1]}]
        return [source for bits in pins.values() for source in bits]

    def addends(self, word: list[str]) -> list[str]:
        """Bits whose sum, each at its own weight and with some constant, is the word modulo ``2**len(word)``.

        Additions are taken apart where that is exact: unsigned, and either with room for the carry or cut at the end
        of the word. Whatever is no such addition stays as it is, bit by bit.
        """
        size = len(word)
        words = [word]
        found = []
        while words:
            bits = words.pop()
            start = next((i for i, bit in enumerate(bits) if not constant(bit)), size)
            if start == size:
                continue
            driven = self.driver(bits[start])
            if driven is not None and driven[0].type == "$add" and driven[1] == 0:
                cell = driven[0]
                result = self.bits(cell.connections["Y"])
                operands = [self.bits(cell.connections[pin]) for pin in "AB"]
                room = len(result) > max(map(len, operands)) or start + len(result) >= size
                plain = cell.parameters["A_SIGNED"] == cell.parameters["B_SIGNED"] == "0"
                whole = bits[start : start + len(result)] == result[: size - start]
                rest = bits[start + len(result) :]
                if room and plain and whole and all(map(constant, rest)):
                    words += [(["0"] * start + operand + ["0"] * size)[:size] for operand in operands]
                    continue
            found += [bit for bit in bits if not constant(bit)]
        return found


_MOST_BITS = 20
"""Bits that are tried exhaustively together."""


def prove_dot_product(name: str, dot_format: DotProductFormat, timeout_s: float = 900.0) -> Proof:
    """Sum of rounded products plus bias, for every activation, weight and bias.

    No solver decides a sum of many products at once, so the proof uses that the hardware is a sum:

    1. From the netlist: modulo ``2**sum_width``, the complement of the output is a constant plus bits, each at its own
       weight, that depend on few inputs each (`FlatNetlist.addends`, `FlatNetlist.cone`). The formula is such a sum:
       its terms depend on one activation and its weight, or on one bit of the bias.
    2. So the difference of hardware and formula is a sum of functions, each of one of these small sets of inputs. Such
       a sum is zero everywhere if it is zero wherever all inputs outside one of the sets are 0, for each set in turn
       (inclusion and exclusion over subsets, as in an analysis of variance).
    3. The simulator runs the whole dot product through all values of each set, the rest at 0.
    4. The extremes of the formula fit the output, so that equality modulo ``2**sum_width`` is equality.

    Parameters
    ----------
    name : str
        Short name of the proof.
    dot_format : DotProductFormat
        Dot product.
    timeout_s : float
        Limit of the build in seconds.

    Returns
    -------
    Proof
        `Status.UNDECIDED` if a set has more than 20 bits.
    """
    f = dot_format
    start = time.monotonic()
    text = to_rtlil(WholeDotProduct(dot_format=f), name)
    with tempfile.TemporaryDirectory(prefix="liquidcal-proof-") as folder:
        work = Path(folder)
        (work / "design.il").write_text(text)
        script = f"read_rtlil design.il\nhierarchy -top {name}\nproc\nflatten -noscopeinfo\nopt_clean\n"
        run_yosys(script + "write_rtlil flat.il\n", directory=work, timeout_s=timeout_s)
        netlist = FlatNetlist(parse_rtlil((work / "flat.il").read_text())[name])
    sets = _input_sets(netlist, f)
    status, example = Status.PROVED, {}
    if max(map(len, sets)) > _MOST_BITS:
        status = Status.UNDECIDED
    else:
        library, ports = build_native(rtlil_to_verilog(text), name, timeout_s=timeout_s)
        with NativeModel(library, ports, None) as model:
            for inputs in sets:
                example = _first_difference(model, f, sorted(inputs))
                if example:
                    status = Status.REFUTED
                    break
    return Proof(
        name=name, status=status, counterexample=example, wall_s=time.monotonic() - start,
        statement=f"sum of {f.taps} products, each rounded ({f.rounding}) by {f.shift} bits, plus bias; "
        f"{len(sets)} sets of up to {max(map(len, sets))} input bits tried exhaustively",
        input_bits=f.taps * (f.activation_width + f.weight_width) + f.bias_width,
    )  # fmt: skip


def _input_sets(netlist: FlatNetlist, f: DotProductFormat) -> list[frozenset[str]]:
    """Largest sets of input bits on which one term of hardware or formula depends."""
    word = []
    for bit in netlist.bits("\\sum"):
        driven = netlist.driver(bit)
        if driven is None or driven[0].type != "$not":
            raise ValueError(f"{netlist.module.name}: expected the output to be a complement, got {driven} for {bit}")
        word.append(netlist.bits(driven[0].connections["A"])[driven[1]])
    found = {netlist.cone(bit) for bit in netlist.addends(word)}
    a, w = f.activation_width, f.weight_width
    for tap in range(f.taps):
        found.add(frozenset(
            [f"\\x [{a * tap + bit}]" for bit in range(a)] + [f"\\weight [{w * tap + bit}]" for bit in range(w)]
        ))  # fmt: skip
    found |= {frozenset({f"\\bias [{bit}]"}) for bit in range(f.bias_width)}
    by_bit: dict[str, list[frozenset[str]]] = {}
    for inputs in sorted(found, key=lambda inputs: (-len(inputs), sorted(inputs))):
        first = next(iter(inputs), "")
        if not any(inputs <= other for other in by_bit.get(first, ())):
            for bit in inputs:
                by_bit.setdefault(bit, []).append(inputs)
    return list(dict.fromkeys(inputs for several in by_bit.values() for inputs in several))


def _rounded(product: npt.NDArray[np.int64], f: DotProductFormat) -> npt.NDArray[np.int64]:
    """``product / 2**shift`` rounded: floor; floor of one half more; that, and one less if a tie made it odd."""
    if f.rounding is Rounding.TRN or f.shift == 0:
        return product >> f.shift
    half = 1 << (f.shift - 1)
    up = (product + half) >> f.shift
    tie = (product & ((1 << f.shift) - 1)) == half
    return up - (tie & (up & 1 == 1)) if f.rounding is Rounding.RND_CONV else up


def _first_difference(model: NativeModel, f: DotProductFormat, inputs: list[str]) -> dict[str, int]:
    """Inputs, all others 0, for which hardware and formula differ; empty if there are none."""
    low, high = _extremes(f)
    if f.width is None and not -(1 << (f.sum_width - 1)) <= low <= high < 1 << (f.sum_width - 1):
        raise ValueError(f"sums of {low} to {high} do not fit {f.sum_width} bits")
    offsets, offset = {}, 0
    for port in model.inputs:
        offsets[port.name] = 32 * offset
        offset += port.words
    widths = {"x": f.activation_width, "weight": f.weight_width, "bias": f.bias_width}
    for first in range(0, 1 << len(inputs), 1 << 14):
        number = np.arange(first, min(first + (1 << 14), 1 << len(inputs)))
        rows = np.zeros((len(number), model.input_words), np.uint32)
        values: dict[tuple[str, int], npt.NDArray[np.int64]] = {}
        for place, bit in enumerate(inputs):
            name, position = re.fullmatch(r"\\(\w+) \[(\d+)\]", bit).groups()  # type: ignore[union-attr]
            chosen = number >> place & 1
            at = offsets[name] + int(position)
            rows[:, at // 32] |= (chosen << (at % 32)).astype(np.uint32)
            index, low_bit = divmod(int(position), widths[name])
            key = (name, index)
            values[key] = values.get(key, np.zeros(len(number), np.int64)) + (chosen << low_bit)
        expected = np.zeros(len(number), np.int64)
        for (name, index), value in values.items():
            if name == "bias":
                expected += _signed(value, f.bias_width) << f.bias_shift
            elif name == "weight" and ("x", index) in values:
                x = values["x", index]
                x = _signed(x, f.activation_width) if f.signed else x
                expected += _rounded(x * _signed(value, f.weight_width), f)
        got = model.unpack(model.run_rows(rows))["sum"]
        wrong = np.flatnonzero((got - expected) & ((1 << f.sum_width) - 1))
        if len(wrong):
            return {f"{name}_{index}": int(value[wrong[0]]) for (name, index), value in values.items()} | {
                "expected": int(expected[wrong[0]]), "got": int(got[wrong[0]]),
            }  # fmt: skip
    return {}


def _signed(value: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.int64]:
    """Two's complement of that many bits."""
    return value - 2 * (value & (1 << (width - 1)))


def _extremes(f: DotProductFormat) -> tuple[int, int]:
    x, w = np.arange(1 << f.activation_width), np.arange(-(1 << (f.weight_width - 1)), 1 << (f.weight_width - 1))
    x = _signed(x, f.activation_width) if f.signed else x
    terms = _rounded(x[:, None] * w, f)
    bias = 1 << (f.bias_width - 1)
    low = f.taps * int(terms.min()) - (bias << f.bias_shift)
    return low, f.taps * int(terms.max()) + ((bias - 1) << f.bias_shift)


def dot_products(spec: EncoderSpec) -> dict[str, DotProductFormat]:
    """Every dot product of an encoder by name: one for each number of taps of the convolution, one dense."""
    if spec.reuse > 1:
        counts, dense = {len(taps) for taps in Schedule(spec=spec).unit_taps}, serial_format(spec)
    else:
        counts, dense = {len(taps) for taps in spec.taps}, dense_format(spec)
    formats = {f"conv_{count}_taps": conv_format(spec, count) for count in sorted(counts - {0})}
    return formats | {f"dense_{dense.taps}_taps": dense}
