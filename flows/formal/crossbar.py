"""Formal proofs about the crossbar chip: nothing overflows, every active row is driven once and in order, all is reset.

State is cut out of the generated module (its flip-flops become ports), so that a statement about one clock, for every
state that an invariant allows and every legal input, is one SAT problem (yosys, MiniSat). Invariants hold after reset
and are kept by every clock, so they hold for ever (induction). The contents of the macro never appear: any codes within
the ADC's range are legal, whatever the conductances are.

Formulas are written here as behavioural Verilog in arithmetic that is wide enough, independent of the generator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flows.formal.claim import Claim, cut, state_pins
from flows.formal.loaded import Loaded, prove_reset_values
from flows.formal.solver import Proof, prove_always, prove_reset, run_proofs
from flows.formal.state import cut_state
from hw.common.export import to_rtlil
from hw.common.readout import ReadoutLane
from hw.lsm_crossbar.adc import Adc
from hw.lsm_crossbar.counter import CounterLane
from hw.lsm_crossbar.crossbar import Crossbar
from hw.lsm_crossbar.homeostat import Homeostat
from hw.lsm_crossbar.neuron import NeuronLane
from hw.lsm_crossbar.neuron_homeostat import NeuronHomeostat
from hw.lsm_crossbar.row_driver import RowDriver
from hw.lsm_crossbar.threshold import ThresholdLane
from hw.lsm_crossbar.threshold_step import ThresholdStep, excess_width
from sim.lsm_crossbar.spec import (
    BAND_MAX,
    OFFSET_FRACTION,
    RATE_MAX,
    RATIO_FRACTION,
    RATIO_MAX,
    CrossbarSpec,
)

__all__ = [
    "NEURON_HOMEOSTAT",
    "loaded_registers",
    "proof_count",
    "prove_counter",
    "prove_crossbar",
    "prove_fetch",
    "prove_homeostat",
    "prove_homeostat_settles",
    "prove_homeostat_loaded",
    "prove_loaded",
    "prove_membrane",
    "prove_readout",
    "prove_row_driver",
    "prove_threshold_settles",
    "prove_threshold_step",
    "prove_thresholds_loaded",
]


def _lane(claim: Claim, spec: CrossbarSpec, neurons: int) -> str:
    """A lane of neurons whose state obeys the invariants, in the claim; returns its RTLIL."""
    design = cut(NeuronLane(spec=spec, neurons=neurons), "neuron_lane", loaded=True)
    wide = spec.membrane_width + 10
    width, refractory = spec.membrane_width, max(spec.refractory_width, 1)
    for name in ("fetch", "valid", "first_step", "first_batch", "fire"):
        claim.free(name, 1)
    claim.free("fetch_index", spec.select_bits)
    claim.free("index", spec.select_bits)
    claim.free("difference", spec.differential_width, signed=True)
    claim.free("threshold", spec.threshold_width)
    claim.wire("spike", 1)
    pins = [f".{p}({p})" for p in (
        "fetch", "fetch_index", "valid", "first_step", "first_batch", "fire", "index", "difference", "threshold",
        "spike",
    )]  # fmt: skip
    # batches that the neuron has seen in this step
    claim.free("batches", 16)
    claim.premises += [
        f"index < {neurons}", f"fetch_index < {neurons}", f"batches < {spec.batches_per_step}",
        f"difference <= {spec.adc_max}", f"difference >= -{spec.adc_max}",
    ]  # fmt: skip
    rest, each = spec.membrane_rest_max, spec.adc_max
    for i in range(neurons):
        claim.free(f"u{i}", width, signed=True)
        claim.wire(f"v{i}", width, signed=True)
        if spec.refractory_steps:
            claim.free(f"r{i}", refractory)
            claim.wire(f"q{i}", refractory)
    # registers by the names that the formulas below have for them
    expected = {f"potential_{i}": (f"u{i}", f"v{i}") for i in range(neurons)}
    if spec.refractory_steps:
        expected |= {f"refractory_{i}": (f"r{i}", f"q{i}") for i in range(neurons)}
    if spec.columns_per_adc > 1:
        # what was fetched in the clock before; `prove_fetch` has that the neuron was not stored since
        claim.wire("held_next", width, signed=True)
        claim.premises += ["(!valid || held == u)", "!(valid && fetch && index == fetch_index)"]
        claim.free("held", width, signed=True)
        expected["potential"] = ("held", "held_next")
        if spec.refractory_steps:
            claim.wire("waits_next", refractory)
            claim.premises.append("(!valid || waits == left)")
            claim.free("waits", refractory)
            expected["refractory"] = ("waits", "waits_next")
    if set(design.registers) != set(expected):
        raise ValueError(f"expected the registers {sorted(expected)} in a lane, got {sorted(design.registers)}")
    claim.place(design, "dut", [*pins, *state_pins(design, expected)])

    def chosen(letter: str, index: str = "index") -> str:
        text = f"{letter}0"
        for i in range(1, neurons):
            text = f"({index} == {i} ? {letter}{i} : {text})"
        return text

    claim.wire("u", wide, chosen("u"), signed=True)
    claim.wire("v", wide, chosen("v"), signed=True)
    claim.wire("left", refractory, chosen("r") if spec.refractory_steps else "0")
    claim.wire("r", refractory, "first_step ? 0 : left")
    claim.wire("q", refractory, chosen("q") if spec.refractory_steps else "0")
    claim.wire("fetched", width, chosen("v", "fetch_index"), signed=True)
    if spec.refractory_steps:
        claim.wire("fetched_left", refractory, chosen("q", "fetch_index"))
    claim.wire("d", wide, "difference", signed=True)
    claim.wire("t", wide, "(first_step && first_batch ? 0 : u) + d", signed=True)
    claim.wire("limit", wide, f"{rest} + batches * {each}", signed=True)
    claim.wire("theta", wide, "{1'b0, threshold}", signed=True)
    terms = "".join(f" {'+' if s > 0 else '-'} (t >>> {abs(s)})" for s in spec.leak)
    claim.wire("leaked", wide, f"t{terms}", signed=True)
    claim.wire("fires", 1, "valid && fire && t > theta && r == 0")
    # what a neuron holds before it is loaded, in the first batch of a sample, may be anything
    claim.premises.append("((first_step && first_batch) || (u <= limit && u >= -limit))")
    if spec.refractory_steps:
        claim.premises.append(f"r <= {spec.refractory_steps}")
    return design.rtlil


def prove_membrane(spec: CrossbarSpec, timeout_s: float = 120.0) -> Proof:
    """No membrane potential overflows, for any legal conductance image.

    Invariant: a potential that has seen b batches of the running step lies within V + b * D of 0, with
    V = `spec.membrane_rest_max` and D = `spec.adc_max`, from the first batch of a sample on, which loads it. Shown for
    every neuron of a lane, every state within the invariant, every threshold, and every difference of codes within D,
    up to `spec.batches_per_step` batches: what is stored equals the formula in arithmetic that cannot overflow, the
    spike too, and the invariant holds again. What the lane fetched a clock before is what the neuron has
    (`prove_fetch`).
    """
    claim = Claim()
    neurons = min(spec.columns_per_adc, spec.neurons)
    lane = _lane(claim, spec, neurons)
    rest, each = spec.membrane_rest_max, spec.adc_max
    claim.claims += [
        "spike == fires",
        "(!valid || v == (fire ? (fires ? 0 : leaked) : t))",
        f"(!valid || (fire ? v <= {rest} && v >= -{rest} : v <= limit + {each} && v >= -limit - {each}))",
        *(f"((valid && index == {i}) || v{i} == u{i})" for i in range(neurons)),
    ]
    if spec.refractory_steps:
        claim.claims += [
            f"(!(valid && fire) || q == (fires ? {spec.refractory_steps} : (r == 0 ? 0 : r - 1)))",
            *(f"((valid && fire && index == {i}) || q{i} == r{i})" for i in range(neurons)),
        ]
    if spec.columns_per_adc > 1:
        claim.claims.append("held_next == (fetch ? fetched : held)")
        if spec.refractory_steps:
            claim.claims.append("waits_next == (fetch ? fetched_left : waits)")
    statement = (
        f"membrane potentials of {spec.membrane_width} bits hold u + difference and its leak exactly, with "
        f"|u| <= {rest} + {each} per batch, kept by every clock"
    )
    return prove_always(f"{spec.name}_membrane", statement, claim.text(), [lane], timeout_s)


def prove_fetch(spec: CrossbarSpec, timeout_s: float = 120.0) -> Proof:
    """Differences come one clock behind the fetch of their neurons, and no neuron is stored in the clock of its fetch.

    Invariant: while differences are there, the select that is fetched next is the one after theirs. With one select per
    lane it is theirs again, and lanes have no register in front of the adder.
    """
    claim = Claim()
    design = cut_state(Adc(spec=spec), "adc")
    for name in ("ready", "last", "empty", "codes_valid"):
        claim.free(name, 1)
    codes = 2 * spec.active_lanes * spec.adc_bits
    claim.free("codes", codes)
    pins = [f".{p}({p})" for p in ("ready", "last", "empty", "codes_valid", "codes")]
    pins += claim.state(design)
    claim.wire("fetch", 1)
    claim.place(design, "dut", [*pins, ".fetch(fetch)"])
    top = spec.columns_per_adc - 1

    def follows(when: str) -> str:
        return f"({when}_fetch_index == ({when}_index == {top} ? 0 : {when}_index + 1) && {when}_index <= {top})"

    claim.premises += [f"now_fetch_index <= {top}", f"(!now_valid || {follows('now')})"]
    claim.claims += [
        "next_valid == fetch", "(!fetch || next_index == now_fetch_index)", f"next_fetch_index <= {top}",
        f"(!next_valid || {follows('next')})",
    ]  # fmt: skip
    if top:
        claim.claims.append("!(now_valid && fetch && now_index == now_fetch_index)")
    statement = "differences follow the fetch of their neurons by one clock, none of which is stored meanwhile"
    return prove_always(f"{spec.name}_fetch", statement, claim.text(), [design.rtlil], timeout_s)


def prove_counter(spec: CrossbarSpec, timeout_s: float = 120.0) -> Proof:
    """No spike counter overflows.

    Invariant after p steps of a window: count * (R + 1) <= p + refractory counter, with R = `spec.refractory_steps`.
    Neuron lane and counter lane together, every state within the invariant.
    """
    claim = Claim()
    neurons = min(spec.columns_per_adc, spec.neurons)
    lane = _lane(claim, spec, neurons)
    counter = cut(CounterLane(spec=spec, neurons=neurons), "counter_lane", loaded=True)
    width, gap = spec.count_width, spec.refractory_steps + 1
    pins = [".valid(valid && fire)", ".fresh(passed == 0)", ".spike(spike)", ".index(index)"]
    claim.free("passed", 17)
    claim.premises += [
        f"passed < {spec.window_length}", "(!first_step || passed == 0)", "valid", "fire",
    ]  # fmt: skip
    pins += claim.state(counter)
    claim.wire("read", width)
    claim.place(counter, "counters", [*pins, ".count(read)"])

    def chosen(prefix: str) -> str:
        text = "0"
        for register in counter.registers:
            text = f"(index == {register.removeprefix('counter_')} ? {prefix}_{register} : {text})"
        return text

    if len(counter.registers) != neurons:
        raise ValueError(f"expected {neurons} counters in a lane, got {len(counter.registers)}")
    claim.wire("before", 32, chosen("now"))
    claim.wire("after", 32, chosen("next"))
    claim.wire("exact", 32, "(passed == 0 ? 0 : before) + fires")
    claim.premises.append(f"(passed == 0 || before * {gap} <= passed + r)")
    claim.claims += [
        "after == exact", f"after * {gap} <= passed + 1 + q", f"after <= {spec.count_max}", "read == before",
    ]  # fmt: skip
    statement = f"counts of {width} bits never exceed {spec.count_max} in a window of {spec.window_length} steps"
    return prove_always(f"{spec.name}_counter", statement, claim.text(), [lane, counter.rtlil], timeout_s)


def prove_readout(spec: CrossbarSpec, timeout_s: float = 120.0) -> Proof:
    """No score overflows: after n of the features it lies within the largest bias and n largest products of 0."""
    claim = Claim()
    design = cut(ReadoutLane(spec=spec), "readout_lane")
    product, bias = spec.count_max * -spec.readout_weight_min, spec.bias_max + 1
    claim.free("load", 1)
    claim.free("add", 1)
    claim.free("bias", spec.bias_width, signed=True)
    claim.free("count", spec.count_width)
    claim.free("weight", spec.readout_weight_bits, signed=True)
    claim.free("now", spec.score_width, signed=True)
    claim.free("added", 32)
    claim.wire("next", spec.score_width, signed=True)
    pins = [f".{port}({port})" for port in ("load", "add", "bias", "count", "weight")]
    claim.place(design, "dut", [*pins, ".state(now)", ".next_state(next)"])
    claim.wire("limit", 48, f"{bias} + added * {product}", signed=True)
    claim.wire("factor", 48, "{1'b0, count}", signed=True)
    # a weight of 1 bit is a sign: as a signed number of 1 bit it would be 0 or -1
    other = "weight ? -48'sd1 : 48'sd1" if spec.readout_weight_bits == 1 else "weight"
    claim.wire("other", 48, other, signed=True)
    claim.wire("exact", 48, "load ? bias : (add ? now + factor * other : now)", signed=True)
    claim.premises += [
        f"added < {spec.features}", f"count <= {spec.count_max}", "now <= limit", "now >= -limit",
    ]  # fmt: skip
    claim.claims += [
        "next == exact", f"next <= limit + {product}", f"next >= -limit - {product}",
        f"(!load || (next <= {bias} && next >= -{bias}))",
    ]  # fmt: skip
    statement = f"scores of {spec.score_width} bits hold bias and {spec.features} products exactly"
    return prove_always(f"{spec.name}_readout", statement, claim.text(), [design.rtlil], timeout_s)


def prove_loaded(spec: CrossbarSpec, timeout_s: float = 120.0) -> Proof:
    """Potentials, refractory counters and counts are loaded before they are read: their old values never matter.

    Two copies of the lanes hold different values and see the same inputs. In the first batch of a sample, and in the
    first step of a window, both give the same spike and store the same for the neuron that is served.
    """
    claim = Claim()
    neurons = min(spec.columns_per_adc, spec.neurons)
    lane = cut(NeuronLane(spec=spec, neurons=neurons), "neuron_lane", loaded=True)
    counter = cut(CounterLane(spec=spec, neurons=neurons), "counter_lane", loaded=True)
    claim.free("fetch", 1)
    claim.free("fire", 1)
    claim.free("spike", 1)
    claim.free("index", spec.select_bits)
    claim.free("difference", spec.differential_width)
    claim.free("threshold", spec.threshold_width)
    claim.premises.append(f"index < {neurons}")
    neuron_pins = ".fetch(fetch), .fetch_index(index), .valid(1'b1), .fire(fire), .difference(difference)"
    neuron_pins += ", .first_step(1'b1), .first_batch(1'b1)"
    for design, inputs, spike in (
        (lane, f"{neuron_pins}, .threshold(threshold)", True),
        (counter, ".valid(1'b1), .fresh(1'b1), .spike(spike)", False),
    ):
        for copy in "ab":
            pins = [inputs, ".index(index)", *claim.state(design, f"now_{{}}_{copy}", f"next_{{}}_{copy}")]
            if spike:
                pins.append(f".spike({claim.wire(f'spike_{copy}', 1)})")
            claim.place(design, f"{design.name}_{copy}", pins)
        for register in design.registers:
            number = register.rpartition("_")[2]
            if not number.isdecimal():
                continue  # fetched, from what the neurons have
            # a refractory counter is read and stored with `fire` only
            served = f"index == {number}" + (" && fire" if register.startswith("refractory") else "")
            claim.claims.append(f"(!({served}) || next_{register}_a == next_{register}_b)")
    claim.claims.append("spike_a == spike_b")
    statement = "potentials, refractory counters and counts are stored before they are read"
    return prove_always(f"{spec.name}_loaded", statement, claim.text(), [lane.rtlil, counter.rtlil], timeout_s)


def loaded_registers(spec: CrossbarSpec) -> set[str]:
    """Registers of lanes, by name: none has a reset, since what they hold before they are loaded never matters.

    For potentials, refractory counters and counts that is `prove_loaded`, for what is fetched of them `prove_fetch`.
    """
    words = ("potential", "refractory", "counter")
    return {*words, *(f"{word}_{number}" for word in words for number in range(spec.columns_per_adc))}


def prove_thresholds_loaded(spec: CrossbarSpec, timeout_s: float = 120.0) -> Proof:
    """A neuron's own offset is loaded before it counts: old values never matter.

    Two copies of a lane hold different offsets and see the same inputs. While `own` is low both give the threshold of
    the register; a load leaves the same in both, and what is the same stays so. `own` rises when the last neuron is
    loaded, at the end of a pass in which the readout has named all of them, and falls with a restart.
    """
    claim = Claim()
    neurons = min(spec.columns_per_adc, spec.neurons)
    lane = cut(ThresholdLane(spec=spec, neurons=neurons), "threshold_lane")
    homeostat = cut(NeuronHomeostat(spec=spec), "neuron_homeostat")
    claim.free("base", spec.threshold_width)
    claim.free("own", 1)
    claim.free("load", 1)
    claim.free("index", spec.select_bits)
    claim.free("offset", spec.offset_width)
    claim.premises.append(f"index < {neurons}")
    pins = [f".{port}({port})" for port in ("base", "own", "load", "index", "offset")]
    for copy in "ab":
        claim.wire(f"threshold_{copy}", spec.threshold_width)
        state = claim.state(lane, f"now_{{}}_{copy}", f"next_{{}}_{copy}")
        claim.place(lane, f"lane_{copy}", [*pins, f".threshold(threshold_{copy})", *state])
    claim.claims += ["(own || (threshold_a == base && threshold_b == base))"]
    for neuron in range(neurons):
        now, next_ = (f"{when}_offset_{neuron}_a == {when}_offset_{neuron}_b" for when in ("now", "next"))
        claim.claims.append(f"(!((load && index == {neuron}) || {now}) || {next_})")
    for port in ("restart", "last"):
        claim.free(port, 1)
    for port in ("write", "loads"):
        claim.wire(port, 1)
    claim.wire("write_neuron", max(1, (spec.neurons - 1).bit_length()))
    named = [".restart(restart)", ".last(last)", ".write(write)", ".load(loads)", ".write_neuron(write_neuron)"]
    claim.place(homeostat, "engine", [*named, *claim.state(homeostat)])
    claim.claims += [
        "loads == (write && last)",
        f"next_own == (!restart && (now_own || (loads && write_neuron == {spec.neurons - 1})))",
    ]
    statement = "offsets of neurons are loaded before they count"
    rtlil = [lane.rtlil, homeostat.rtlil]
    return prove_always(f"{spec.name}_thresholds_loaded", statement, claim.text(), rtlil, timeout_s)


NEURON_HOMEOSTAT = Loaded(
    registers={"neuron": "{counted}", "write_neuron": "{write}", "excess": "{write}"},
    outputs={"write_neuron": "{write}", "write_word": "{write}"},
)
"""Registers of the homeostat of neurons that a reading loads on its way through."""


def prove_homeostat_loaded(spec: CrossbarSpec, timeout_s: float = 120.0) -> Proof:
    """What a reset leaves in the pipeline of the homeostat of neurons is never written."""
    statement = "the homeostat of neurons loads what it writes, whatever a reset leaves in it"
    name = f"{spec.name}_homeostat_loaded"
    return prove_reset_values(name, statement, NeuronHomeostat(spec=spec), NEURON_HOMEOSTAT, timeout_s)


def prove_row_driver(spec: CrossbarSpec, timeout_s: float = 120.0) -> Proof:
    """Every active row is driven once, in ascending order, in full batches, the last one as it comes.

    For every state: a row that is set is the lowest one left and is the only one that goes; nothing else goes or comes
    but at `start`, which loads exactly the given rows; `ready` means that the batch is full or nothing is left; while
    rows are left, the batch is not full and the columns are free, a row is set. By induction over clocks the rows that
    are set from a `start` on are the given ones, ascending.
    """
    claim = Claim()
    design = cut(RowDriver(spec=spec), "row_driver")
    state = design.registers
    size, limit = spec.used_rows, spec.rows_per_read
    groups = sorted((name for name in state if name.startswith("pending_")), key=lambda name: int(name[8:]))
    tile = {"macro"} if len(spec.tile_rows) > 1 else set()
    if set(state) != {*groups, *tile, "busy", "count", "settle"} or sum(state[name] for name in groups) != size:
        raise ValueError(f"expected other registers in the row driver, got {sorted(state)}")
    claim.free("inputs", spec.inputs)
    claim.free("spikes", spec.neurons)
    claim.free("start", 1)
    claim.free("take", 1)
    pins = [f".{p}({p})" for p in ("inputs", "spikes", "start", "take")]
    pins += claim.state(design)
    claim.wire("row", spec.row_bits)
    for name in ("row_set", "row_clear", "ready", "last", "empty"):
        claim.wire(name, 1)
    pins += [f".{p}({p})" for p in ("row", "row_set", "row_clear", "ready", "last", "empty")]
    claim.place(design, "dut", pins)
    for when in ("now", "next"):  # the groups side by side, row 0 lowest
        joined = ", ".join(f"{when}_{name}" for name in reversed(groups))
        claim.body.append(f"  wire [{size - 1}:0] {when}_pending = {{{joined}}};")
    claim.body.append(f"""
  reg [{size - 1}:0] rest;
  reg [31:0] lowest;
  integer i;
  always @* begin
    rest = now_pending;
    lowest = 0;
    for (i = {size - 1}; i >= 0; i = i - 1) if (now_pending[i]) lowest = i;
    for (i = 0; i < {size}; i = i + 1) if (row_set && i == lowest) rest[i] = 1'b0;
  end
  wire left = |now_pending;
  wire [31:0] macro_left = lowest / {spec.macro_rows or spec.rows};
  wire full = now_count == {limit} || ({"left && now_count != 0 && macro_left != now_macro" if tile else "1'b0"});
  wire free_ = now_settle == 0;""")
    # the protocol: start while idle, take while ready; and what keeps the counter in its range
    claim.premises += [
        "(!start || !now_busy)", "(!take || ready)", f"now_count <= {limit}", "(now_busy || now_count == 0)",
        f"now_settle <= {spec.settle_clocks - 1}",
    ]  # fmt: skip
    claim.claims += [
        "row_set == (now_busy && left && !full && free_)", "(!row_set || row == lowest)",
        "row_clear == (row_set && now_count == 0)",
        "next_pending == (start ? {spikes, inputs} : rest)",
        "ready == (now_busy && free_ && (full || !left))", "(!ready || last == !left)",
        "(!ready || empty == (now_count == 0))",
        *["next_macro == (row_set ? macro_left : now_macro)" for _ in tile],
        "next_count == (take ? 0 : now_count + row_set)", f"next_count <= {limit}",
        "next_busy == (start || (now_busy && !(take && last)))", "(next_busy || next_count == 0)",
        f"next_settle == (take ? {spec.settle_clocks - 1} : (now_settle == 0 ? 0 : now_settle - 1))",
    ]  # fmt: skip
    statement = f"{size} rows: exactly the active ones are set, ascending, in batches of {limit}, one per clock"
    return prove_always(f"{spec.name}_row_driver", statement, claim.text(), [design.rtlil], timeout_s)


def _homeostat(claim: Claim, spec: CrossbarSpec) -> str:
    """The homeostat with the threshold in its range, in the claim; returns its RTLIL."""
    design = cut(Homeostat(spec=spec), "homeostat")
    width = spec.threshold_width
    if set(design.registers) != {"offset", "balance", "seen"}:
        raise ValueError(f"expected the registers offset, balance, seen in the homeostat, got {design.registers}")
    for name in ("restart", "driven", "decided", "sample"):
        claim.free(name, 1)
    claim.free("threshold", width)
    claim.free("ratio", RATIO_MAX.bit_length())
    claim.free("band", BAND_MAX.bit_length())
    claim.free("row", spec.row_bits)
    claim.free("lanes", spec.active_lanes)
    claim.free("now_offset", width + 1, signed=True)
    claim.free("now_balance", spec.balance_width, signed=True)
    claim.free("now_seen", design.registers["seen"])
    claim.wire("next_offset", width + 1, signed=True)
    claim.wire("next_balance", spec.balance_width, signed=True)
    claim.wire("next_seen", design.registers["seen"])
    claim.wire("moved", width)
    ports = (
        "restart", "threshold", "ratio", "band", "driven", "row", "decided", "lanes", "sample", "moved",
    )  # fmt: skip
    pins = [f".{port}({port})" for port in ports]
    nets = {register: (f"now_{register}", f"next_{register}") for register in design.registers}
    claim.place(design, "dut", [*pins, *state_pins(design, nets)])
    # in numbers that hold everything: the threshold of the register, of this sample, of the next one
    wide = max(spec.balance_width, BAND_MAX.bit_length() + RATIO_FRACTION) + 4
    for name, value in (("base", "{1'b0, threshold}"), ("offset", "now_offset"), ("after", "next_offset")):
        claim.wire(name, wide, value, signed=True)
    claim.wire("theta", wide, "base + offset", signed=True)
    claim.wire("theta_after", wide, "base + after", signed=True)
    claim.wire("low", wide, "base >>> 1", signed=True)
    claim.wire("high", wide, f"2 * base > {spec.threshold_max} ? {spec.threshold_max} : 2 * base", signed=True)
    claim.wire("balance", wide, "now_balance", signed=True)
    claim.wire("dead", wide, f"{{1'b0, band, {RATIO_FRACTION}'d0}}", signed=True)
    claim.wire("ends", 1, f"sample && now_seen == {spec.homeostat.samples - 1 if spec.homeostat else 0}")
    claim.premises += ["theta >= low", "theta <= high", f"now_seen < {spec.homeostat.samples if spec.homeostat else 1}"]
    return design.rtlil


def prove_homeostat(spec: CrossbarSpec, timeout_s: float = 120.0) -> Proof:
    """The homeostat's threshold stays within half and twice that of the register, and nothing overflows.

    For every state within the invariant and every input: the threshold moves by at most one, at the end of a window, in
    the direction that the balance says; it is the register's after a restart. The balance is exact, as long as a window
    has no more spikes than its neurons and inputs can have in its steps.
    """
    claim = Claim()
    rtlil = _homeostat(claim, spec)
    wide = spec.balance_width + 4
    samples = spec.homeostat.samples if spec.homeostat else 0
    steps = samples * spec.steps
    most, least = steps * spec.neurons << RATIO_FRACTION, -steps * spec.inputs * RATIO_MAX
    ones = " + ".join(f"lanes[{lane}]" for lane in range(spec.active_lanes))
    claim.wire("before", wide, "now_balance", signed=True)
    claim.wire("found", wide, "next_balance", signed=True)
    claim.wire("gained", wide, f"decided ? ({ones}) * {1 << RATIO_FRACTION} : 0", signed=True)
    claim.wire("spent", wide, f"driven && row < {spec.inputs} ? ratio : 0", signed=True)
    claim.wire("exact", wide, "before + gained - spent", signed=True)
    # what a window can have had before this clock, and with it
    claim.premises += [f"before <= {most}", f"before >= {least}", f"exact <= {most}", f"exact >= {least}"]
    claim.wire("up", wide, "theta < high ? theta + 1 : theta", signed=True)
    claim.wire("down", wide, "theta > low ? theta - 1 : theta", signed=True)
    claim.wire("wanted", wide, "balance > dead ? up : balance < -dead ? down : theta", signed=True)
    claim.claims += [
        "moved == theta",
        "(restart ? after == 0 : theta_after >= low && theta_after <= high)",
        "(restart || ends || after == offset)",
        "(restart || !ends || theta_after == wanted)",
        "found == (restart || ends ? 0 : exact)",
        "next_seen == (restart || ends ? 0 : now_seen + sample)",
    ]  # fmt: skip
    statement = (
        f"the threshold stays within half and twice the register's, by one at the end of {samples} samples; a balance "
        f"of {spec.balance_width} bits is exact"
    )
    return prove_always(f"{spec.name}_homeostat", statement, claim.text(), [rtlil], timeout_s)


def prove_homeostat_settles(spec: CrossbarSpec, timeout_s: float = 120.0) -> Proof:
    """For every liquid that is above balance below some threshold and below balance above it: the homeostat settles.

    Let the balanced threshold be any one within the range. At the end of a window the distance to it falls by one, or
    is at most one afterwards: from half to twice the register it is reached in as many windows as steps lie between,
    and never left by more than one. What a lower threshold does is all that is asked of the liquid.
    """
    claim = Claim()
    rtlil = _homeostat(claim, spec)
    claim.free("balanced", spec.threshold_width)
    wide = spec.threshold_width + 4
    claim.wire("goal", wide, "{1'b0, balanced}", signed=True)
    claim.wire("away", wide, "theta < goal ? goal - theta : theta - goal", signed=True)
    claim.wire("away_after", wide, "theta_after < goal ? goal - theta_after : theta_after - goal", signed=True)
    claim.premises += [
        "!restart", "ends", "goal >= low", "goal <= high",
        "(theta >= goal || balance > dead)", "(theta <= goal || balance < -dead)",
    ]  # fmt: skip
    claim.claims += ["away_after <= (away > 1 ? away - 1 : 1)"]
    statement = "the distance to the balanced threshold falls by one with every window, and stays at most one"
    return prove_always(f"{spec.name}_homeostat_settles", statement, claim.text(), [rtlil], timeout_s)


def _threshold_step(claim: Claim, spec: CrossbarSpec) -> str:
    """The step of a neuron's own threshold, from any threshold in its range, in the claim; returns its RTLIL."""
    width, offset = spec.threshold_width, spec.offset_width + OFFSET_FRACTION
    claim.free("threshold", width)
    claim.free("rate", RATE_MAX.bit_length())
    claim.free("excess", excess_width(spec), signed=True)
    claim.free("before", offset, signed=True)
    claim.wire("after", offset, signed=True)
    ports = ("threshold", "rate", "excess", "before", "after")
    claim.body.append(f"  threshold_step dut({', '.join(f'.{port}({port})' for port in ports)});")
    # thresholds in units of 2**-OFFSET_FRACTION, in numbers that hold everything
    wide = max(width + OFFSET_FRACTION, excess_width(spec) + RATE_MAX) + 4
    one, reach = 1 << OFFSET_FRACTION, 1 << (spec.offset_width - 1)
    claim.wire("base", wide, "{1'b0, threshold}", signed=True)
    claim.wire("half", wide, "base >>> 1", signed=True)
    claim.wire("twice", wide, f"2 * base > {spec.threshold_max} ? {spec.threshold_max} : 2 * base", signed=True)
    claim.wire("low", wide, f"(half > base - {reach} ? half : base - {reach}) * {one}", signed=True)
    claim.wire("high", wide, f"(twice < base + {reach - 1} ? twice : base + {reach - 1}) * {one}", signed=True)
    claim.wire("old", wide, "before", signed=True)
    claim.wire("new_", wide, "after", signed=True)
    claim.wire("theta", wide, f"base * {one} + old", signed=True)
    claim.wire("theta_after", wide, f"base * {one} + new_", signed=True)
    claim.premises += ["theta >= low", "theta <= high"]
    return to_rtlil(ThresholdStep(spec=spec), "threshold_step")


def prove_threshold_step(spec: CrossbarSpec, timeout_s: float = 120.0) -> Proof:
    """A neuron's own threshold stays in its range and moves by excess / 2**rate, at most one, for every input."""
    claim = Claim()
    rtlil = _threshold_step(claim, spec)
    wide = max(spec.threshold_width + OFFSET_FRACTION, excess_width(spec) + RATE_MAX) + 4
    one, scale = 1 << OFFSET_FRACTION, OFFSET_FRACTION - RATIO_FRACTION
    claim.wire("much", wide, "excess", signed=True)
    # in a division of powers of two nothing is lost: 2**scale is a multiple of 2**rate
    each = [f"rate == {rate} ? much * {(1 << scale) >> rate}" for rate in range(RATE_MAX)]
    claim.wire("quotient", wide, " : ".join([*each, f"much * {(1 << scale) >> RATE_MAX}"]), signed=True)
    claim.wire("step", wide, f"quotient > {one} ? {one} : quotient < -{one} ? -{one} : quotient", signed=True)
    claim.wire("wanted", wide, "theta + step", signed=True)
    claim.claims += [
        "theta_after == (wanted > high ? high : wanted < low ? low : wanted)",
        "theta_after >= low && theta_after <= high",
    ]
    statement = (
        f"a neuron's threshold moves by its excess over 2**rate, at most by one, within half and twice the register's; "
        f"offsets of {spec.offset_width} + {OFFSET_FRACTION} bits are exact"
    )
    return prove_always(f"{spec.name}_threshold_step", statement, claim.text(), [rtlil], timeout_s)


def prove_threshold_settles(spec: CrossbarSpec, timeout_s: float = 120.0) -> Proof:
    """For every neuron that spikes too often below some threshold and too seldom above it: its threshold settles.

    The distance to that threshold, anywhere in the range, shrinks with every counting window that is not in balance
    until it is below one, and never exceeds one again: whatever the rate. It asks of the neuron what
    `prove_homeostat_settles` asks of the liquid.
    """
    claim = Claim()
    rtlil = _threshold_step(claim, spec)
    wide = max(spec.threshold_width + OFFSET_FRACTION, excess_width(spec) + RATE_MAX) + 4
    claim.free("balanced", spec.threshold_width + OFFSET_FRACTION)
    claim.wire("goal", wide, "{1'b0, balanced}", signed=True)
    claim.wire("away", wide, "theta < goal ? goal - theta : theta - goal", signed=True)
    claim.wire("away_after", wide, "theta_after < goal ? goal - theta_after : theta_after - goal", signed=True)
    claim.premises += [
        "goal >= low", "goal <= high", "(theta >= goal || excess >= 0)", "(theta <= goal || excess <= 0)",
    ]  # fmt: skip
    one = 1 << OFFSET_FRACTION
    claim.claims += [
        f"away_after <= (away > {one} ? away : {one})", f"(excess == 0 || away < {one} || away_after < away)",
    ]  # fmt: skip
    statement = "the distance to a neuron's balanced threshold shrinks while above one, and then never exceeds one"
    return prove_always(f"{spec.name}_threshold_settles", statement, claim.text(), [rtlil], timeout_s)


def prove_crossbar(
    spec: CrossbarSpec, *, timeout_s: float = 120.0, advance: Callable[[int], None] | None = None
) -> Iterator[Proof]:
    """All proofs for a spec, in the order of the data path."""
    return run_proofs(_steps(spec, timeout_s), advance)


def proof_count(spec: CrossbarSpec) -> int:
    """How many proofs `prove_crossbar` runs for a spec."""
    return len(_steps(spec, 0.0))


def _steps(spec: CrossbarSpec, timeout_s: float) -> list[Callable[[], Proof]]:
    def reset() -> Proof:
        return prove_reset(to_rtlil(Crossbar(spec=spec), spec.name), loaded=loaded_registers(spec))

    if spec.own_thresholds:
        homeostat = [
            lambda: prove_threshold_step(spec, timeout_s),
            lambda: prove_threshold_settles(spec, timeout_s),
            lambda: prove_thresholds_loaded(spec, timeout_s),
            lambda: prove_homeostat_loaded(spec, timeout_s),
        ]  # fmt: skip
    else:
        homeostat = [
            lambda: prove_homeostat(spec, timeout_s),
            lambda: prove_homeostat_settles(spec, timeout_s),
        ]  # fmt: skip
    return [
        lambda: prove_row_driver(spec, timeout_s),
        lambda: prove_fetch(spec, timeout_s),
        lambda: prove_membrane(spec, timeout_s),
        lambda: prove_counter(spec, timeout_s),
        *(homeostat if spec.homeostat is not None else ()),
        lambda: prove_readout(spec, timeout_s),
        lambda: prove_loaded(spec, timeout_s),
        reset,
    ]
