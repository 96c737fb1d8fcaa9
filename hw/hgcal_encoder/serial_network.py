"""Convolution and dense layer with multipliers that serve several multiplications in a bunch crossing."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Module, ResetSignal, Value, signed
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.dot_product import ActivationMultiples, ActivationOffset
from hw.common.hierarchy import place
from hw.common.isolation_latch import isolated
from hw.common.pipeline_register import PipelineRegister
from hw.common.registered import delayed, watched
from hw.hgcal_encoder.coded_words import DenseWords
from hw.hgcal_encoder.dense import TOGETHER
from hw.hgcal_encoder.serial_convolution import SerialConvolution
from hw.hgcal_encoder.serial_dense import SerialDense
from hw.hgcal_encoder.serial_neuron import serial_format
from hw.hgcal_encoder.serial_window import SerialWindow, connect, wires
from hw.hgcal_encoder.slot_sequence import SlotSequence
from sim.hgcal_encoder.spec import CELLS, EncoderSpec

__all__ = ["FAST", "SerialNetwork", "place_serial_network", "serial_latency", "serial_registers"]

FAST = "fast"
"""Clock domain of the internal clock."""
_REGISTERS = ("activations", "window", "multiples")
"""Registers on the way, in the order in which clocks become free for them."""


def serial_registers(reuse: int, few: bool = False) -> tuple[str, ...]:
    """Registers on the way through the network; each delays by one internal clock.

    The sums of a crossing are complete ``reuse`` internal clocks, and one for each register, after its pixels. The
    latents are kept one internal clock later, and must be there before the second edge of the crossing clock.

    Parameters
    ----------
    reuse : int
    few : bool
        At 4 without the register behind the window, which costs three flip-flops a bit where registers are voted.
    """
    return _REGISTERS[: max(0, reuse - 2 - (few and reuse == 4))]


def serial_latency(reuse: int, few: bool = False) -> int:
    """Internal clocks from pixels to latents: below twice the factor, so the second edge of the clock sees them."""
    return reuse + len(serial_registers(reuse, few)) + 1


class SerialNetwork(Component):
    """The network in slots: each internal clock computes one position per unit and adds its products to all latents.

    Between two edges of the crossing clock there are ``spec.reuse`` internal clocks, the first of which coincides with
    the edge. In slot t every unit convolves the position that `Schedule` gives it, and the activations go straight to
    the dense layer, where each weight of the slot reaches its multiplier through an AND-OR; 16 sums (one per latent)
    grow by the products of the slot. There is no register for all activations. All arithmetic is that of `Convolution`
    and `Dense`, bit for bit: a product is complete before it is rounded, and sums are exact in any order.

    Every other crossing takes its slots backwards: the weights of its first slot are those of the last one before and
    stand still (`SlotSequence`).

    Throughput one crossing per ``spec.reuse`` clocks. The latents of pixels that change at an edge of the crossing
    clock are there ``internal_latency`` internal clocks later, before the second edge, and stay for ``spec.reuse``.
    With `exchange`, weights may change at an edge of the crossing clock while crossings flow, if each changes in the
    right one (`hw.hgcal_encoder.encoder.swap_parts`): a dense weight is read in one slot, the same clocks behind the
    edge in all crossings, which therefore all take their slots in one order, and the kernel follows the registered
    window through a register of its own. Otherwise the crossing in flight would see old and new weights.

    Reset: asynchronous, all registers 0; the first slot of a crossing does not look at what the sums hold.

    Parameters
    ----------
    spec : EncoderSpec
        With a `reuse` above 1.
    register : class of Component
        `PipelineRegister` or a component with the same ports and constructor.
    exchange : bool
        Weights may change while crossings flow.
    coded : bool
        Dense weights come as code words (`DenseWords`, whose schedule holds), and there are few registers
        (`serial_registers`).
    latched : bool
        Latches stand in front of the neurons of both layers, where no registers do: pixels, activations, multiples,
        pair sums and offsets reach them together when the internal clock falls, after `CLOCK_HIGH` of its period.

    Members
    -------
    toggle : In(1)
        Changes at each edge of the crossing clock.
    pixels : In(spec.pixel.width) x 48
        Change at edges of the crossing clock only.
    kernel, kernel_bias, weights, bias : In
        As `Convolution` and `Dense` take them. (`coded`: `words` and `begin` in place of `weights` and `bias`, as
        `SerialDense` takes them.)
    latents : Out(spec.latent.width) x latents
    error : Out(1)
        If `register` has one: a register disagreed; stays until an edge of the crossing clock has seen it.

    Raises
    ------
    ValueError
        If `spec` does not reuse multipliers.
    """

    clocked = True

    def __init__(
        self,
        *,
        spec: EncoderSpec,
        register: Callable[..., Component] = PipelineRegister,
        exchange: bool = False,
        coded: bool = False,
        latched: bool = False,
    ):
        if spec.reuse < 2:
            raise ValueError(f"a serial network needs a reuse factor of at least 2, got {spec.reuse}")
        self._spec = spec
        self._register = register
        self._exchange = exchange
        self._coded = coded
        self._latched = latched
        self._watched = watched(register)
        weight = spec.weight.width
        super().__init__(
            {
                "toggle": In(1),
                "pixels": In(ArrayLayout(spec.pixel.width, CELLS)),
                "kernel": In(ArrayLayout(ArrayLayout(weight, spec.filters), spec.kernel_taps)),
                "kernel_bias": In(ArrayLayout(weight, spec.filters)),
                **(
                    {"words": In(DenseWords(spec=spec).raw_bits * spec.latents)}
                    if coded
                    else {"weights": In(ArrayLayout(ArrayLayout(weight, spec.activations), spec.latents))}
                ),
                **(
                    {"begin": In(ArrayLayout(signed(serial_format(spec, coded=True).sum_width), spec.latents))}
                    if coded
                    else {"bias": In(ArrayLayout(weight, spec.latents))}
                ),
                "latents": Out(ArrayLayout(spec.latent.width, spec.latents)),
                **({"error": Out(1)} if self._watched else {}),
            }
        )

    @property
    def internal_latency(self) -> int:
        """Internal clocks from pixels to latents."""
        return serial_latency(self._spec.reuse, self._coded)

    def elaborate(self, platform: object) -> Module:
        spec = self._spec
        m = Module()
        errors: list[Value] = []

        register = partial(delayed, m, platform, register=self._register, errors=errors)

        stages = serial_registers(spec.reuse, self._coded)
        slots = place(
            m, platform, "slots", SlotSequence, reuse=spec.reuse, deepest=max(len(stages) - 1, 0),
            one_order=self._exchange, register=self._register,
        )  # fmt: skip
        m.d.comb += slots.toggle.eq(self.toggle)
        if self._watched:
            errors.append(slots.error)
        depth = 0

        def cut(stage: str, *values: Value) -> list[Value]:
            nonlocal depth
            if stage not in stages:
                return list(values)
            depth += 1
            kept = register(stage, Cat(values))
            ends = [sum(len(value) for value in values[:i]) for i in range(len(values) + 1)]
            return [kept[first:last] for first, last in pairwise(ends)]

        folded = self._coded and DenseWords(spec=spec).schedule.folded
        window = place(m, platform, "window", SerialWindow, spec=spec, folded=folded)
        m.d.comb += [window.pixels.eq(self.pixels), window.slot.eq(slots.slot[depth])]
        x, triple, pair = cut("window", *(wires(window, name) for name in ("x", "triple", "pair")))

        convolution = place(
            m, platform, "convolution", SerialConvolution, spec=spec, latched=self._latched, folded=folded
        )
        connect(m, convolution, x=x, triple=triple, pair=pair)
        kernel = Cat(self.kernel.as_value(), self.kernel_bias.as_value())
        if self._exchange and depth:
            kernel = register("kernel", kernel)
        m.d.comb += Cat(convolution.kernel.as_value(), convolution.bias.as_value()).eq(kernel)
        (activations,) = cut("activations", convolution.activations.as_value())

        f = serial_format(spec, coded=self._coded)
        multiples = place(
            m, platform, "multiples", ActivationMultiples, count=f.taps, width=f.activation_width, pairs=f.pairs
        )
        offset = place(m, platform, "offset", ActivationOffset, label="dense", dot_format=f)
        m.d.comb += [
            Cat(multiples.x).eq(activations),
            Cat(offset.x).eq(activations),
            Cat(offset.pair).eq(Cat(multiples.pair)),
        ]
        x, triple, pair, excess = cut(
            "multiples", activations, Cat(multiples.triple), Cat(multiples.pair), offset.offset
        )
        if self._latched and "multiples" not in stages:
            x, triple, pair, excess = (
                isolated(m, platform, name, value) if len(value) else value
                for name, value in (("x", x), ("triple", triple), ("pair", pair), ("excess", excess))
            )

        # neurons hold the slot in a register of their own, where there is a register to take over
        ahead = depth > 0
        dense = place(
            m, platform, "dense", SerialDense, spec=spec, ahead=ahead, register=self._register, coded=self._coded,
            group=TOGETHER if self._latched else 0,
        )  # fmt: skip
        connect(m, dense, x=x, triple=triple, pair=pair)
        m.d.comb += [
            dense.offset.eq(excess),
            dense.slot.eq(slots.slot[depth - ahead]),
            dense.first.eq(slots.first[depth - ahead]),
            dense.words.eq(self.words) if self._coded else dense.weights.eq(self.weights),
            dense.begin.eq(self.begin) if self._coded else dense.bias.eq(self.bias),
            self.latents.eq(dense.latents),
        ]
        if self._watched:
            errors.append(dense.error)
        if self._watched:
            seen = place(m, platform, "error_register", self._register, width=1)
            m.d.comb += [
                seen.i.eq(Cat(errors).any() | (seen.o & ~slots.last[0])),
                self.error.eq(seen.o),
            ]
        return m


def place_serial_network(
    m: Module,
    platform: Any,
    *,
    spec: EncoderSpec,
    register: Callable[..., Component],
    fast_clk: Value,
    exchange: bool = False,
    coded: bool = False,
    latched: bool = False,
) -> Any:
    """Add a `SerialNetwork` to a module of the crossing clock, with its clock domain and the toggle that it follows.

    Parameters
    ----------
    m, platform : Module, object
        Parent, and what its `elaborate` was given.
    spec : EncoderSpec
    register : class of Component
        For all registers.
    fast_clk : Value
        Internal clock: ``spec.reuse`` rising edges in a period of the crossing clock, one with each of its edges.
    exchange, coded, latched : bool
        As `SerialNetwork` takes them.

    Returns
    -------
    object
        Interface of the network; `toggle` is connected.
    """
    domain = ClockDomain(FAST, async_reset=True)
    m.domains += domain
    toggle = place(m, platform, "toggle", register, width=1)
    network = place(
        m, platform, "network", SerialNetwork, domain=FAST, spec=spec, register=register, exchange=exchange,
        coded=coded, latched=latched,
    )  # fmt: skip
    m.d.comb += [
        ClockSignal(FAST).eq(fast_clk),
        ResetSignal(FAST).eq(ResetSignal()),
        toggle.i.eq(~toggle.o),
        network.toggle.eq(toggle.o),
    ]
    return network
