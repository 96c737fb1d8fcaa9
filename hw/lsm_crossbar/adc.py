"""Control of the shared converters, and the difference of each pair of columns."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = ["Adc"]


class Adc(Component):
    """Samples a batch, converts its columns in turns, subtracts minus from plus.

    As soon as a batch is `ready` and the converters are free, `sample` makes the macro hold the sums of all columns.
    `spec.settle_clocks` later they have settled, and the `spec.columns_per_adc` pairs of each lane are converted one
    after another, one every `spec.convert_clocks`. Their codes come `spec.convert_clocks` later; the difference is
    registered once, in the clock of `fetch`, in which the neurons register what it will be added to. A batch without
    rows is not converted: its differences are 0, one select per clock.

    Throughput one batch in `spec.read_clocks`. Reset: idle; asynchronous.

    Parameters
    ----------
    spec : CrossbarSpec

    Members
    -------
    ready, last, empty : In(1)
        Of the row driver.
    take : Out(1)
        The batch is sampled, or passed over because it is empty.
    sample : Out(1)
        The macro holds the columns' sums.
    select : Out(bits of spec.columns_per_adc)
        Pair to convert, with `convert`.
    convert : Out(1)
    codes : In(spec.adc_bits) x 2 * spec.active_lanes
        Code of the plus column of lane l at index 2 * l, of the minus column at 2 * l + 1.
    codes_valid : In(1)
    fetch : Out(1)
        Differences of the select `fetch_index` are there in the next clock.
    fetch_index : Out(bits of spec.columns_per_adc)
        Never `index` in a clock with `valid`, unless that is the only select.
    valid : Out(1)
        Differences of one select are there.
    index : Out(bits of spec.columns_per_adc)
        Their select.
    first_batch : Out(1)
        They are of the first batch of a step.
    fire : Out(1)
        They are of the last batch of a step.
    differences : Out(signed(spec.differential_width)) x spec.active_lanes
    """

    clocked = True
    latency = 1

    def __init__(self, *, spec: CrossbarSpec):
        self._spec = spec
        super().__init__(
            {
                "ready": In(1),
                "last": In(1),
                "empty": In(1),
                "take": Out(1),
                "sample": Out(1),
                "select": Out(spec.select_bits),
                "convert": Out(1),
                "codes": In(ArrayLayout(spec.adc_bits, 2 * spec.active_lanes)),
                "codes_valid": In(1),
                "fetch": Out(1),
                "fetch_index": Out(spec.select_bits),
                "valid": Out(1),
                "index": Out(spec.select_bits),
                "first_batch": Out(1),
                "fire": Out(1),
                "differences": Out(ArrayLayout(signed(spec.differential_width), spec.active_lanes)),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        spec = self._spec
        m = Module()
        top = spec.columns_per_adc - 1
        busy = Signal()
        passing = Signal()
        settle = Signal(max((spec.settle_clocks - 1).bit_length(), 1))
        phase = Signal(max((spec.convert_clocks - 1).bit_length(), 1))
        # of the batch that is converted: first of its step, last of its step
        first_batch, fire = Signal(), Signal(name="fire")
        # the next batch to be taken is the first of its step
        fresh = Signal(init=1)
        m.d.comb += [
            self.take.eq(self.ready & ~busy),
            self.sample.eq(self.take & ~self.empty),
            self.convert.eq(busy & ~passing & (settle == 0) & (phase == 0)),
            self.fetch.eq(self.codes_valid | passing),
        ]
        with m.If(self.take):
            m.d.sync += [
                busy.eq(1),
                passing.eq(self.empty),
                self.select.eq(0),
                phase.eq(0),
                settle.eq(Mux(self.empty, 0, spec.settle_clocks - 1)),
                first_batch.eq(fresh),
                fire.eq(self.last),
                fresh.eq(self.last),
            ]
        with m.Elif(busy & (settle != 0)):
            m.d.sync += settle.eq(settle - 1)
        with m.Elif(busy):
            with m.If(passing | (phase == spec.convert_clocks - 1)):
                m.d.sync += [phase.eq(0), self.select.eq(self.select + 1)]
                with m.If(self.select == top):
                    m.d.sync += [busy.eq(0), passing.eq(0), self.select.eq(0)]
            with m.Else():
                m.d.sync += phase.eq(phase + 1)
        with m.If(self.fetch):
            m.d.sync += self.fetch_index.eq(Mux(self.fetch_index == top, 0, self.fetch_index + 1))
        m.d.sync += self.valid.eq(self.fetch)
        codes = [code & (~passing).replicate(spec.adc_bits) for code in self.codes]
        with m.If(self.fetch):
            m.d.sync += [
                self.index.eq(self.fetch_index),
                self.first_batch.eq(first_batch),
                self.fire.eq(fire),
                self.differences.eq(
                    Cat(
                        (codes[2 * lane] - codes[2 * lane + 1])[: spec.differential_width]
                        for lane in range(spec.active_lanes)
                    )
                ),
            ]
        return m
