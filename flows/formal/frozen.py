"""Proof that an encoder with constant weights computes what the loadable encoder computes with these weights.

No solver decides sums of a hundred products. The proof uses that the hardware is a sum:

1. From the netlist: every word of a frozen layer, down to the sum of each output, is a sum of functions of one input
   each (`_Layer.separate`). Additions are taken apart where the exact largest value shows that nothing is cut off,
   complements into all ones less the word, the sum of an output that is proved into its formula; whatever else is found
   must depend on one input alone, and is tried with all of its values.
2. So the sum of an output is ``c + f_0(x_0) + f_1(x_1) + ...``. It equals ``bias + round(w_0 x_0) + ...`` everywhere if
   it does for one set of inputs, and if ``f_i(x)`` and ``round(w_i x)`` differ by the same for every value x.
3. ReLU, rounding and overflow depend on the sum alone, and are tried with every sum.

`flows.formal.dot_product.prove_dot_product` proves the same formula of the loadable neuron for all weights, so both
are equal for the weights that are folded in; all else in the data path is the same module.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flows.common.errors import ToolTimeout
from flows.formal.dot_product import FlatNetlist, dot_products
from flows.formal.solver import Proof, Status
from flows.tools.rtlil import Cell, constant, parse_rtlil
from flows.tools.yosys import YosysError, run_abc, run_yosys
from hw.common.dot_product import DotProductFormat
from hw.common.export import to_rtlil
from hw.common.frozen_layer import FrozenFormat, FrozenLayer
from hw.common.whole_dot_product import WholeDotProduct
from hw.hgcal_encoder.frozen_network import FrozenWeights, convolution_layer, dense_layer
from sim.hgcal_encoder.spec import EncoderSpec
from sim.hgcal_encoder.weights import Weights

__all__ = ["prove_folded_neuron", "prove_folded_neurons", "prove_frozen", "prove_frozen_layer"]

Bits = npt.NDArray[np.bool_]
Values = npt.NDArray[np.int64]
_Separate = dict[int, Values]
"""A word as a sum of functions: by input its values, by -1 a constant."""


class NotASumError(ValueError):
    """The netlist is no sum of functions of one input each."""


def _add(total: _Separate, part: _Separate, shift: int = 0) -> None:
    """Add another word, shifted left, to a word as a sum of functions."""
    for source, values in part.items():
        total[source] = total.get(source, np.zeros(1, np.int64)) + (values << shift)


class _Layer:
    """The netlist of a frozen layer, and what its words are."""

    def __init__(self, layer: FrozenFormat, netlist: FlatNetlist) -> None:
        self.layer = layer
        self.netlist = netlist
        self._separate: dict[tuple[str, ...], _Separate] = {}
        self._tables: dict[str, Bits] = {}
        self._proved: dict[str, tuple[tuple[str, ...], _Separate]] = {}

    def learn(self, number: int, word: Sequence[str]) -> None:
        """Take the sum of an output for its formula from here on: that is proved."""
        functions: _Separate = {-1: np.array([self.layer.bias[number]])}
        codes = np.arange(1 << self.layer.width)
        for source, weight in self.layer.rows[number]:
            products = np.array([self.layer.round_product(weight * int(code)) for code in codes])
            _add(functions, {source: products})
        self._proved[word[0]] = tuple(word), functions
        self._separate.clear()

    def _known(self, bits: tuple[str, ...]) -> tuple[int, _Separate] | None:
        """Whether a word begins with a sum that is proved: its size and its functions, as an unsigned word."""
        word, functions = self._proved.get(bits[0], ((), {}))
        size = len(word)
        if not size or len(bits) < size or bits[: size - 1] != word[:-1]:
            return None
        if self.extremes(functions)[1] >= 0:
            return (size, functions) if bits[size - 1] == word[-1] else None
        # with its sign inverted a word of two's complement is larger by half
        driven = self.netlist.driver(bits[size - 1])
        if driven is None or driven[0].type != "$not":
            return None
        if self.netlist.bits(driven[0].connections["A"])[driven[1]] != word[-1]:
            return None
        return size, functions | {-1: functions[-1] + (1 << (size - 1))}

    def source(self, bit: str) -> int:
        """The one input that a bit depends on."""
        inputs = {int(name.rpartition("[")[2][:-1]) // self.layer.width for name in self.netlist.cone(bit)}
        if len(inputs) != 1:
            raise NotASumError(f"{bit} depends on inputs {sorted(inputs)}")
        return inputs.pop()

    def separate(self, word: Sequence[str]) -> _Separate:
        """A word, unsigned, as a sum of functions of one input each."""
        key = tuple(word)
        if key not in self._separate:
            found: _Separate = {-1: np.zeros(1, np.int64)}
            at = 0
            while at < len(key):
                at += self._piece(key[at:], at, found)
            self._separate[key] = found
        return self._separate[key]

    def _piece(self, bits: tuple[str, ...], at: int, found: _Separate) -> int:
        """Add what the lowest bits are, at their place; returns how many they were."""
        if constant(bits[0]):
            if bits[0] not in "01":
                raise NotASumError(f"undefined bit {bits[0]}")
            found[-1] = found[-1] + (int(bits[0]) << at)
            return 1
        if (known := self._known(bits)) is not None:
            _add(found, known[1], at)
            return known[0]
        driven = self.netlist.driver(bits[0])
        if driven is not None and driven[0].type in ("$add", "$not") and driven[1] == 0:
            result = self.netlist.bits(driven[0].connections["Y"])
            size = next((i for i, (a, b) in enumerate(zip(bits, result, strict=False)) if a != b), None)
            size = min(len(bits), len(result)) if size is None else size
            part = self._cell(driven[0], size)
            if part is not None:
                _add(found, part, at)
                return size
        table = self.table(bits[0]).astype(np.int64)
        _add(found, {self.source(bits[0]): table}, at)
        return 1

    def _cell(self, cell: Cell, size: int) -> _Separate | None:
        """The lowest bits of a sum or complement, or None where they are not all of it."""
        if any(cell.parameters.get(f"{pin}_SIGNED", "0")[-1] == "1" for pin in "AB"):
            return None
        operands = [self.netlist.bits(cell.connections[pin]) for pin in "AB" if pin in cell.connections]
        if cell.type == "$not":
            if len(operands[0]) != size or len(self.netlist.bits(cell.connections["Y"])) != size:
                return None
            inner = self.separate(operands[0])
            return {source: (-values if source >= 0 else (1 << size) - 1 - values) for source, values in inner.items()}
        total: _Separate = {}
        for operand in operands:
            _add(total, self.separate(operand))
        highest, lowest = self.extremes(total)
        return total if lowest >= 0 and highest < 1 << size else None

    def extremes(self, word: _Separate) -> tuple[int, int]:
        """Largest and smallest value of a sum over the values that inputs can have."""
        ends = [self._allowed(source, values) for source, values in word.items()]
        return sum(int(v.max()) for v in ends), sum(int(v.min()) for v in ends)

    def _allowed(self, source: int, values: Values) -> Values:
        if source < 0:
            return values
        low, high = self.layer.ranges[source]
        return values[low : high + 1]

    def table(self, bit: str) -> Bits:
        """A bit that depends on one input, for each of its values."""
        if bit not in self._tables:
            source, width = self.source(bit), self.layer.width
            codes = np.arange(1 << width)
            given = {f"\\x [{width * source + place}]": (codes >> place & 1).astype(bool) for place in range(width)}
            self._tables[bit] = _evaluate(self.netlist, bit, given)
        return self._tables[bit]

    def sum_equals(self, number: int, word: Sequence[str]) -> tuple[bool, dict[str, int]]:
        """Whether the sum of an output is the formula, modulo ``2**len(word)``; with an input where not."""
        layer, modulus = self.layer, 1 << len(word)
        found: _Separate = {}
        # the last addition may cut bits off: it is taken apart modulo 2**len(word)
        driven = self.netlist.driver(word[0])
        if driven is not None and driven[0].type == "$add" and driven[1] == 0:
            if list(word) != self.netlist.bits(driven[0].connections["Y"])[: len(word)]:
                raise NotASumError(f"the sum of output {number} is put together from several")
            for pin in "AB":
                _add(found, self.separate(self.netlist.bits(driven[0].connections[pin])))
        else:
            found = dict(self.separate(word))
        weights: dict[int, list[int]] = {}
        for source, weight in layer.rows[number]:
            weights.setdefault(source, []).append(weight)
        at_low = layer.bias[number] - int(found.pop(-1, np.zeros(1, np.int64))[0])
        for source in sorted({*weights, *found}):
            low, high = layer.ranges[source]
            codes = np.arange(low, high + 1)
            wanted = np.array(
                [sum(layer.round_product(weight * int(code)) for weight in weights.get(source, ())) for code in codes]
            )
            values = np.broadcast_to(found.get(source, np.zeros(1, np.int64)), (1 << layer.width,))[low : high + 1]
            if (wrong := np.flatnonzero((values - values[0] - wanted + wanted[0]) % modulus)).size:
                return False, {f"x_{source}": int(codes[wrong[0]])}
            at_low += int(wanted[0]) - int(values[0])
        return at_low % modulus == 0, {}

    def output_equals(self, number: int, word: Sequence[str], output: Sequence[str]) -> tuple[bool, dict[str, int]]:
        """Whether an output is the stored sum, for every sum that can be; with a sum where not."""
        layer = self.layer
        assert layer.output is not None
        low, high = layer.bounds(number)
        sums = np.arange(low, high + 1)
        given = {bit: (sums >> place & 1).astype(bool) for place, bit in enumerate(word)}
        got = sum(_evaluate(self.netlist, bit, given).astype(np.int64) << place for place, bit in enumerate(output))
        wanted = layer.output.requantise(np.maximum(sums, 0), layer.fraction)
        wrong = np.flatnonzero(np.broadcast_to(got, sums.shape) != wanted)
        return not wrong.size, {"sum": int(sums[wrong[0]])} if wrong.size else {}


def _evaluate(netlist: FlatNetlist, bit: str, given: dict[str, Bits]) -> Bits:
    """Values of a bit for values of others; those found on the way join them."""
    rows = len(next(iter(given.values())))

    def value(one: str) -> Bits:
        if one in given:
            return given[one]
        if constant(one):
            if one not in "01":
                raise NotASumError(f"undefined bit {one}")
            return np.full(rows, one == "1")
        driven = netlist.driver(one)
        if driven is None:
            raise NotASumError(f"{one} is an input that should not matter here")
        cell, index = driven
        pins = {pin: netlist.bits(spec) for pin, spec in cell.connections.items() if pin != "Y"}

        def operand(pin: str) -> Bits:
            if index < len(pins[pin]):
                return value(pins[pin][index])
            return (
                value(pins[pin][-1]) if cell.parameters.get(f"{pin}_SIGNED", "0")[-1] == "1" else np.zeros(rows, bool)
            )

        match cell.type:
            case "$not":
                result = ~operand("A")
            case "$pos":
                result = operand("A")
            case "$and":
                result = operand("A") & operand("B")
            case "$or":
                result = operand("A") | operand("B")
            case "$xor":
                result = operand("A") ^ operand("B")
            case "$mux":
                result = np.where(value(pins["S"][0]), operand("B"), operand("A"))
            case "$reduce_or" | "$reduce_bool" if index == 0:
                result = np.logical_or.reduce([value(other) for other in pins["A"]])
            case "$add" if cell.parameters["A_SIGNED"][-1] == cell.parameters["B_SIGNED"][-1] == "0":
                words = [sum(value(b).astype(np.int64) << i for i, b in enumerate(pins[pin])) for pin in "AB"]
                result = (np.asarray(words[0] + words[1]) >> index & 1).astype(bool)
            case _:
                raise NotASumError(f"cell {cell.type} is not understood")
        given[one] = result
        return result

    return value(bit)


def prove_frozen_layer(name: str, layer: FrozenFormat, *, hardware: FrozenFormat | None = None) -> Iterator[Proof]:
    """One proof per output of a layer: its netlist computes the formula for every input.

    Parameters
    ----------
    name : str
        Start of the names of the proofs.
    layer : FrozenFormat
        The formula.
    hardware : FrozenFormat, optional
        Another layer to generate the netlist from; the proofs must then fail.

    Yields
    ------
    Proof
        `Status.UNDECIDED` where the netlist is no sum of functions of one input.
    """
    with tempfile.TemporaryDirectory(prefix="liquidcal-frozen-") as folder:
        work = Path(folder)
        (work / "design.il").write_text(to_rtlil(FrozenLayer(layer=hardware or layer), name))
        script = f"read_rtlil design.il\nhierarchy -top {name}\nproc\nflatten -noscopeinfo\nopt_clean\n"
        run_yosys(script + "write_rtlil flat.il\n", directory=work, timeout_s=300.0)
        netlist = FlatNetlist(parse_rtlil((work / "flat.il").read_text())[name])
    parts = _Layer(layer, netlist)
    left, found = list(range(len(layer.rows))), dict[int, Proof]()
    while left:
        # an output may be formed from another one, which then has to be proved first
        waiting = [number for number in left if not _prove_output(name, parts, number, found)]
        if len(waiting) == len(left):
            break
        left = waiting
    yield from (found.get(number) or _proof(name, layer, number, Status.UNDECIDED) for number in range(len(layer.rows)))


def _prove_output(name: str, parts: _Layer, number: int, found: dict[int, Proof]) -> bool:
    """Try an output, note its proof, and learn its sum; False where the netlist is no sum that is understood so far."""
    start = time.monotonic()
    layer, netlist, width = parts.layer, parts.netlist, parts.layer.output_shape.width
    output = netlist.bits("\\y")[number * width : (number + 1) * width]
    low, high = layer.bounds(number)
    example: dict[str, int] = {}
    if f"\\total_{number}" not in netlist.module.wires:
        # a sum of nothing, or one that is never positive, is not formed
        least, most = layer.stored_bounds(number)
        proved = least == most and all(bit == str(least >> place & 1) for place, bit in enumerate(output))
    else:
        word = netlist.bits(f"\\total_{number}")
        fits = -(1 << len(word) - 1) <= low and high < 1 << (len(word) - (low < 0))
        try:
            proved, example = parts.sum_equals(number, word)
        except NotASumError:
            return False
        proved = proved and fits
        if proved:
            parts.learn(number, word)
            if layer.output is not None:
                proved, example = parts.output_equals(number, word, output)
    status = Status.PROVED if proved else Status.REFUTED
    found[number] = _proof(name, layer, number, status, example, time.monotonic() - start)
    return True


def _proof(
    name: str,
    layer: FrozenFormat,
    number: int,
    status: Status,
    example: dict[str, int] | None = None,
    wall_s: float = 0,
) -> Proof:
    return Proof(
        name=f"{name}_{number}", status=status, counterexample=example or {}, wall_s=wall_s,
        statement=f"constant weights: stored sum of {len(layer.rows[number])} products, for every input",
        input_bits=layer.width * len(layer.rows[number]),
    )  # fmt: skip


def prove_frozen(weights: Weights) -> Iterator[Proof]:
    """Every output of both layers of an encoder with these weights folded in."""
    frozen = FrozenWeights.of(weights)
    yield from prove_frozen_layer("frozen_convolution", convolution_layer(weights.spec, frozen))
    yield from prove_frozen_layer("frozen_dense", dense_layer(weights.spec, frozen))


def prove_folded_neuron(
    name: str,
    dot_format: DotProductFormat,
    weights: Sequence[int],
    bias: int,
    *,
    folded: tuple[Sequence[int], int] | None = None,
    timeout_s: float = 300.0,
) -> Proof:
    """The neuron with constant weights, optimised, equals the loadable neuron that holds the same weights.

    The loadable neuron's weight inputs are tied to the image; the other side is the same neuron generated for these
    constants and minimised by yosys and abc, which leaves no multiplexer and no weight in it. abc's combinational
    equivalence checker (``&cec``) decides equality for every activation.

    Parameters
    ----------
    name : str
    dot_format : DotProductFormat
        Sum of products of one neuron.
    weights : sequence of int
        Codes, one for each tap.
    bias : int
        Code.
    folded : (weights, bias), optional
        Another image for the constant side; the proof must then fail.
    timeout_s : float
        Limit of each tool in seconds.

    Returns
    -------
    Proof
        `Status.UNDECIDED` if abc runs into its limit.

    Raises
    ------
    ValueError
        If the number of weights or a code does not fit.
    """
    f = dot_format
    start = time.monotonic()
    sides = {"held": (weights, bias), "folded": folded or (weights, bias)}
    lines = ["read_rtlil neuron.il"]
    with tempfile.TemporaryDirectory(prefix="liquidcal-folded-") as folder:
        work = Path(folder)
        text = to_rtlil(WholeDotProduct(dot_format=f), "neuron")
        (work / "neuron.il").write_text(text.replace("attribute \\top 1\n", ""))
        for side, (codes, offset) in sides.items():
            (work / f"{side}.v").write_text(_held(side, f, codes, offset))
            lines.append(f"read_verilog {side}.v")
        lines.append("design -save both")
        for side in sides:
            lines += [f"design -load both\nhierarchy -top {side}", "proc", "flatten"]
            if side == "folded":
                lines += ["opt -full", "techmap", "opt -full", "abc -g AND,NAND,OR,NOR,XOR,XNOR,MUX", "opt_clean"]
            lines += ["techmap", "aigmap", "opt_clean", f"write_aiger -symbols {side}.aig"]
        run_yosys("\n".join(lines) + "\n", directory=work, name="fold", timeout_s=timeout_s)
        try:
            log = run_abc(f"&cec -T {int(timeout_s)} held.aig folded.aig", directory=work, timeout_s=timeout_s + 20)
        except ToolTimeout:
            status = Status.UNDECIDED
        else:
            verdict = re.search(r"Networks are (equivalent|not equivalent|undecided)", log, re.IGNORECASE)
            if verdict is None:
                raise YosysError(f"proof {name!r} ended without a verdict", log)
            status = {
                "equivalent": Status.PROVED, "not equivalent": Status.REFUTED, "undecided": Status.UNDECIDED,
            }[verdict[1].lower()]  # fmt: skip
    return Proof(
        name=name, status=status, input_bits=f.taps * f.activation_width, wall_s=time.monotonic() - start,
        statement=f"constant-folded neuron of {f.taps} taps equals the loadable one with these weights",
        counterexample={},
    )  # fmt: skip


def _held(name: str, f: DotProductFormat, weights: Sequence[int], bias: int) -> str:
    """Verilog of the neuron with tied weights."""
    if len(weights) != f.taps:
        raise ValueError(f"weights: expected {f.taps}, got {len(weights)}")
    for what, code, width in [("bias", bias, f.bias_width), *(("weight", int(w), f.weight_width) for w in weights)]:
        if not -(1 << width - 1) <= code < 1 << width - 1:
            raise ValueError(f"{what}: expected {width} bits, got {code}")
    bits = "".join(f"{int(w) & (1 << f.weight_width) - 1:0{f.weight_width}b}" for w in reversed(weights))
    wide = f.taps * f.activation_width
    return (
        f"module {name}(input [{wide - 1}:0] x, output [{f.sum_width - 1}:0] y);\n"
        f"  neuron dut(.x(x), .weight({len(bits)}'b{bits}), .sum(y),\n"
        f"    .bias({f.bias_width}'d{bias & (1 << f.bias_width) - 1}));\nendmodule\n"
    )


def prove_folded_neurons(spec: EncoderSpec, weights: Weights, timeout_s: float = 600.0) -> Iterator[Proof]:
    """Every neuron of an image, constant against loaded: one for each filter and number of taps, one for each latent.

    The rest of the data path is the same module on both sides, so the whole encoder follows neuron by neuron.
    """
    for name, f in dot_products(spec).items():
        layer, _, _ = name.partition("_")
        if layer == "dense":
            for latent in range(spec.latents):
                codes = [int(code) for code in weights.dense[:, latent]]
                yield prove_folded_neuron(
                    f"{name}_{latent}", f, codes, int(weights.dense_bias[latent]), timeout_s=timeout_s
                )
            continue
        flat = weights.kernel.reshape(spec.kernel_taps, spec.filters)
        position = next(taps for taps in spec.taps if len(taps) == f.taps)
        for number in range(spec.filters):
            codes = [int(flat[tap, number]) for _, tap in position]
            bias = int(weights.kernel_bias[number])
            yield prove_folded_neuron(f"{name}_{number}", f, codes, bias, timeout_s=timeout_s)
