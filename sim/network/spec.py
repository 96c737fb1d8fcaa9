"""The specification of a network: one object that the model, the hardware, the benches and the report all read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from functools import cached_property, partial
from math import prod
from typing import Any

from sim.fixed_point import FixedPoint, Overflow, Rounding
from sim.messages import shown
from sim.network.nodes import KINDS, Dense, Node, Store, Tensor, WeightedSum, exact_accumulator
from sim.spec_file import check_fields, check_integer, check_name, check_real, load_preset, parse_toml, toml_value

__all__ = ["INPUT", "JET_TAGGER", "NetworkSpec", "PRESETS", "SMART_PIXEL", "load_spec"]

INPUT = "input"
"""Name under which nodes read the input of the network."""
MOST_DIMENSIONS = 4


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """A feed-forward network: nodes in an order in which each reads only what stands before it.

    Attributes
    ----------
    name : str
        Name of the design; also the stem of generated file names.
    input_shape : tuple of int
        Shape of one sample, channel last; it is read flat, row-major.
    input : FixedPoint
        Format of the input codes. Values are stored in it first.
    nodes : mapping of str to Node
        By name.
    outputs : tuple of str
        Nodes whose results leave, in this order.
    clock_period_ns : float
        Period of the clock, one sample each.

    Raises
    ------
    ValueError
        If the fields do not describe a network; the message says which node and why.
    """

    name: str
    input_shape: tuple[int, ...]
    input: FixedPoint
    nodes: Mapping[str, Node]
    outputs: tuple[str, ...]
    clock_period_ns: float = 25.0

    def __post_init__(self) -> None:
        check_name(self.name)
        check_real("clock_period_ns", self.clock_period_ns, 1e-3, 1e9, "a positive time in ns")
        if not isinstance(self.input_shape, tuple) or not 1 <= len(self.input_shape) <= MOST_DIMENSIONS:
            raise ValueError(
                f"input_shape: expected a list of 1 to {MOST_DIMENSIONS} integers, got {shown(self.input_shape)}"
            )
        for place, size in enumerate(self.input_shape):
            check_integer(f"input_shape[{place}]", size, 1, 1 << 16)
        if not isinstance(self.input, FixedPoint):
            raise ValueError(f"input: expected a number format, got {shown(self.input)}")
        if not self.nodes:
            raise ValueError("nodes: expected at least one node, got none")
        object.__setattr__(self, "nodes", dict(self.nodes))
        if not self.outputs or not isinstance(self.outputs, tuple):
            raise ValueError(f"outputs: expected names of nodes, got {shown(self.outputs)}")
        tensors = self.tensors
        for name in self.outputs:
            if name not in self.nodes:
                raise ValueError(f"outputs: expected names of nodes, got {shown(name)}")
        if unread := sorted(
            set(self.nodes) - set(self.outputs) - {x for node in self.nodes.values() for x in node.inputs}
        ):
            raise ValueError(f"{unread[0]}: expected a node that reads it, or its name among the outputs")
        if sum(tensors[name].size for name in self.outputs) > 1 << 16:
            raise ValueError("outputs: expected at most 65536 elements")

    def __hash__(self) -> int:
        return hash((self.name, tuple(self.nodes.items()), self.outputs))

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """Size and format of the input and of every node's result, by name."""
        found = {INPUT: Tensor(size=prod(self.input_shape), form=self.input)}
        for name, node in self.nodes.items():
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", str(name)):
                raise ValueError(f"nodes: expected identifiers of at most 64 letters as names, got {shown(name)}")
            if name == INPUT:
                raise ValueError(f"{name}: expected another name for a node, which is that of the input")
            count = len(node.inputs)
            if count < 1 or (node.arity is not None and count != node.arity):
                raise ValueError(f"{name}: expected {node.arity or 'some'} inputs, got {count}")
            if unknown := [x for x in node.inputs if x not in found]:
                raise ValueError(f"{name}: expected inputs that stand before it, got {shown(unknown[0])}")
            try:
                for field in fields(node):
                    if field.type == "FixedPoint" and not isinstance(form := getattr(node, field.name), FixedPoint):
                        raise ValueError(f"{field.name}: expected a number format, got {shown(form)}")
                node.check_fields()
                found[name] = node.output(tuple(found[x] for x in node.inputs))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return found

    @property
    def layers(self) -> dict[str, WeightedSum]:
        """Nodes that have weights, by name."""
        return {name: node for name, node in self.nodes.items() if isinstance(node, WeightedSum)}

    def stores_behind(self, name: str) -> tuple[str, ...]:
        """Stores that follow a node and that nothing else reads: with it, they are one layer of hardware."""
        found: list[str] = []
        while name not in self.outputs and len(readers := self._readers.get(name, [])) == 1:
            name = readers[0]
            if not isinstance(self.nodes[name], Store):
                break
            found.append(name)
        return tuple(found)

    @cached_property
    def _readers(self) -> dict[str, list[str]]:
        """For each node that is read those that read it."""
        readers: dict[str, list[str]] = {}
        for name, node in self.nodes.items():
            for x in node.inputs:
                readers.setdefault(x, []).append(name)
        return readers

    def size_into(self, name: str) -> int:
        """Elements that a node of one input reads."""
        return self.tensors[self.nodes[name].inputs[0]].size

    @property
    def multiplies(self) -> int:
        """Multiplications per sample, those of padding left out."""
        return sum(len(taps) for name, node in self.layers.items() for taps in node.taps(self.size_into(name)))

    @property
    def weight_bits(self) -> int:
        """Bits of all weights and biases."""
        total = 0
        for name, node in self.layers.items():
            weights, biases = node.counts(self.size_into(name))
            total += weights * node.weight.width + biases * node.bias.width
        return total

    def to_toml(self) -> str:
        """The spec as TOML text that `from_toml` reads back to an equal spec."""
        lines = [
            f"name = {toml_value(self.name)}",
            f"input_shape = {toml_value(self.input_shape)}",
            f"input = {_inline(self.input)}",
            f"outputs = {toml_value(self.outputs)}",
            f"clock_period_ns = {self.clock_period_ns!r}",
        ]
        for name, node in self.nodes.items():
            lines += ["", f"[nodes.{name}]", f"kind = {toml_value(node.kind)}"]
            for field in fields(node):
                value = getattr(node, field.name)
                if value is not None and value != field.default:
                    text = _inline(value) if isinstance(value, FixedPoint) else toml_value(value)
                    lines.append(f"{field.name} = {text}")
        return "\n".join(lines) + "\n"

    @classmethod
    def from_toml(cls, text: str) -> NetworkSpec:
        """Read a spec.

        Raises
        ------
        ValueError
            If the text is not TOML, or a field is missing, unknown or illegal; the message names the node.
        """
        table = parse_toml(text)
        if not isinstance(nodes := table.get("nodes"), dict):
            raise ValueError(f"nodes: expected a table for each node, got {shown(nodes)}")
        table["nodes"] = {name: _node(name, entries) for name, entries in nodes.items()}
        values = _fields(cls, table)
        return cls(**values)


def _inline(form: FixedPoint) -> str:
    modes = [f"rounding = {toml_value(form.rounding)}"] if form.rounding is not Rounding.TRN else []
    modes += [f"overflow = {toml_value(form.overflow)}"] if form.overflow is not Overflow.WRAP else []
    words = [f"width = {form.width}", f"fraction = {form.fraction}", f"signed = {toml_value(form.signed)}", *modes]
    return "{ " + ", ".join(words) + " }"


def _node(name: str, entries: object) -> Node:
    if not isinstance(entries, dict):
        raise ValueError(f"{name}: expected a table, got {shown(entries)}")
    kind = entries.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"{name}: expected kind {' or '.join(KINDS)}, got {shown(kind)}")
    try:
        return KINDS[kind](**_fields(KINDS[kind], entries))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _fields(kind: type[Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the fields of a dataclass: lists as tuples, tables as number formats where the field is one."""
    known = {field.name: field for field in fields(kind)}
    if unknown := sorted(set(table) - set(known)):
        raise ValueError(f"unknown field {shown(unknown[0])}; expected {', '.join(known)}")
    if missing := [name for name, field in known.items() if field.default is MISSING and name not in table]:
        raise ValueError(f"field {missing[0]} is missing")
    found = {}
    for name, value in table.items():
        if known[name].type == "FixedPoint":
            if not isinstance(value, Mapping):
                raise ValueError(f"{name}: expected a number format, got {shown(value)}")
            check_fields(value, FixedPoint, f"{name}.")
            try:
                found[name] = FixedPoint(**value)
            except (TypeError, ValueError) as error:
                raise ValueError(f"{name}: {shown(error, quoted=False)}") from None
        else:
            found[name] = _tuples(value)
    return found


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _stack(
    name: str, inputs: int, units: tuple[int, ...], *, form: FixedPoint, weight: FixedPoint, hidden: FixedPoint
) -> NetworkSpec:
    """Dense layers with rectifiers between them; all sums are whole, and so are the results of the last layer."""
    nodes: dict[str, Node] = {}
    before, size, read = INPUT, inputs, form
    for number, count in enumerate(units, 1):
        exact = exact_accumulator(read, weight, weight, size)
        nodes[f"fc{number}"] = Dense(
            inputs=(before,), units=count, weight=weight, bias=weight, accumulator=exact, result=exact
        )
        before, size, read = f"fc{number}", count, hidden
        if number < len(units):
            nodes[f"relu{number}"] = Store(inputs=(before,), result=hidden, relu=True)
            before = f"relu{number}"
    return NetworkSpec(name=name, input_shape=(inputs,), input=form, nodes=nodes, outputs=(before,))


_SIX_BITS = FixedPoint(width=6, fraction=5, signed=True)
_HIDDEN = FixedPoint(width=6, fraction=6, signed=False, rounding=Rounding.RND_CONV, overflow=Overflow.SAT)

SMART_PIXEL = _stack(
    "SMART_PIXEL", 14, (58, 3), form=FixedPoint(width=8, fraction=8, signed=False), weight=_SIX_BITS,
    hidden=replace(_HIDDEN, width=8, fraction=8),
)  # fmt: skip
"""The shape of the on-sensor filter of J. Yoo et al., "Smart pixel sensors: towards on-sensor filtering of pixel
clusters with deep learning", Machine Learning: Science and Technology 5 (2024) 035047; the widths are ours."""

JET_TAGGER = _stack(
    "JET_TAGGER", 16, (64, 32, 32, 5), form=FixedPoint(width=8, fraction=4, signed=True), weight=_SIX_BITS,
    hidden=_HIDDEN,
)  # fmt: skip
"""The jet tagger of J. Duarte et al., "Fast inference of deep neural networks in FPGAs for particle physics", JINST 13
(2018) P07027, with the six bits of hls4ml's example model ``qkeras_3layer``; the input's eight are ours."""

PRESETS = {spec.name: spec for spec in (SMART_PIXEL, JET_TAGGER)}

load_spec = partial(load_preset, presets=PRESETS, from_toml=NetworkSpec.from_toml)
"""A preset by name, or a spec from a TOML file; see `sim.spec_file.load_preset`."""
