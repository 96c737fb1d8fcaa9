"""Projection: scores of a crossbar become the components of an embedding, which waits for its match."""

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from sim.lsm_crossbar.association.spec import LEAK_SHIFT, SHIFT_BITS, Activation, AssociationSpec

__all__ = ["Projection", "dimension_bits"]


def dimension_bits(spec: AssociationSpec) -> int:
    """Bits of the number of a component."""
    return max((spec.dimensions - 1).bit_length(), 1)


class Projection(Component):
    """Activation, shift and saturation of scores, one per clock, into a buffer of one embedding.

    A score becomes ``saturate(activation(score) >> shift)``, the shift towards minus infinity. One clock later it
    leaves at `component` and stands in the buffer. After the last one of an embedding `full` rises and stays until
    `take`; meanwhile no score may come.

    Throughput one score per clock, latency 1. Reset: empty, asynchronous.

    Parameters
    ----------
    spec : AssociationSpec
    score_width : int
        Bits of a score of this modality's crossbar.

    Members
    -------
    score : In(signed(score_width))
    score_valid : In(1)
        Component 0 first.
    take : In(1)
        The embedding is done with: `full` falls.
    shift : In(SHIFT_BITS)
        Not of a binary embedding, nor the next two.
    read_index : In(bits of spec.dimensions)
    read_component : Out(signed(spec.embedding_bits))
        Component `read_index` of the buffer; combinational.
    embedding : Out(spec.dimensions)
        Of a binary embedding: the buffer, component 0 lowest.
    component : Out(signed(spec.embedding_bits))
    component_valid : Out(1)
    full : Out(1)
        The buffer holds an embedding.
    """

    clocked = True
    latency = 1

    def __init__(self, *, spec: AssociationSpec, score_width: int):
        self._spec, self._score_width = spec, score_width
        shape = signed(spec.embedding_bits)
        members = {
            "score": In(signed(score_width)),
            "score_valid": In(1),
            "take": In(1),
            "component": Out(shape),
            "component_valid": Out(1),
            "full": Out(1),
        }
        if spec.binary:
            members |= {"embedding": Out(spec.dimensions)}
        else:
            members |= {"shift": In(SHIFT_BITS), "read_index": In(dimension_bits(spec)), "read_component": Out(shape)}
        super().__init__(members)

    def elaborate(self, _platform: object) -> Module:
        spec, width = self._spec, self._score_width
        m = Module()
        active, value = Signal(signed(width)), Signal(signed(spec.embedding_bits), name="value")
        match spec.activation:
            case Activation.RELU:
                m.d.comb += active.eq(Mux(self.score < 0, 0, self.score))
            case Activation.LEAKY:
                m.d.comb += active.eq(Mux(self.score < 0, self.score >> LEAK_SHIFT, self.score))
            case _:
                m.d.comb += active.eq(self.score)
        if spec.binary:
            m.d.comb += value.eq(active[-1].as_signed())
        else:
            top = spec.embedding_max
            shifted = Signal(signed(width))
            m.d.comb += [
                shifted.eq(active >> self.shift),
                value.eq(Mux(shifted > top, top, Mux(shifted < -top - 1, -top - 1, shifted))),
            ]
        index = Signal(dimension_bits(spec))
        last = index == spec.dimensions - 1
        buffer = [Signal(signed(spec.embedding_bits), name=f"buffer_{d}") for d in range(spec.dimensions)]
        m.d.sync += self.component_valid.eq(self.score_valid)
        with m.If(self.score_valid):
            m.d.sync += [index.eq(Mux(last, 0, index + 1)), self.component.eq(value)]
        for number, held in enumerate(buffer):
            if spec.binary:
                m.d.comb += self.embedding[number].eq(held[0])
            with m.If(self.score_valid & (index == number)):
                m.d.sync += held.eq(value)
        if not spec.binary:
            m.d.comb += self.read_component.eq(Array(buffer)[self.read_index])
        with m.If(self.score_valid & last):
            m.d.sync += self.full.eq(1)
        with m.Elif(self.take):
            m.d.sync += self.full.eq(0)
        return m
