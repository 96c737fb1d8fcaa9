"""Proofs about loading: I2C writes, the guarded loader, the swap of images, error counters, the scrubber."""

from __future__ import annotations

from collections.abc import Callable

from amaranth.lib.wiring import Component

from flows.formal.solver import Proof, instance, prove_claims, prove_module
from hw.common.error_counters import ErrorCountersLogic
from hw.common.export import to_rtlil
from hw.common.i2c_target import DEVICE_ADDRESS, I2cPhase, I2cTargetLogic
from hw.common.loader import LoaderLogic, LoadPhase
from hw.common.registered import described
from hw.common.scrubber import ScrubberLogic

__all__ = ["prove_counters", "prove_i2c_writes", "prove_loader", "prove_scrubber", "prove_swap"]


def prove_scrubber(
    first: int, last: int, timeout_s: float = 120.0, scrubber: Callable[..., Component] = ScrubberLogic
) -> Proof:
    """Every row comes up within ``last - first + 1`` clocks: its distance ahead falls by one in every clock."""
    period = last - first + 1
    gate = "  wire [11:0] after, shown;\n" + instance("walk", "dut", state="state", next_state="after", row="shown")
    gate += f"""
  wire legal = state >= {first} && state <= {last} && row >= {first} && row <= {last};
  wire [12:0] now = (row >= state) ? row - state : row + {period} - state;
  wire [12:0] then = (row >= after) ? row - after : row + {period} - after;
  assign closer = !legal || shown == row || then + 1 == now;
  assign inside = !legal || (shown == state && after >= {first} && after <= {last});
"""
    return prove_claims(
        "scrubber", f"every row is scrubbed within {period} clocks", {"state": 12, "row": 12}, ("closer", "inside"),
        gate, [to_rtlil(scrubber(first=first, last=last, width=12), "walk")], timeout_s=timeout_s,
    )  # fmt: skip


_FIELDS = {"phase": 3, "address": 16, "crc": 32, "step": 4, "status": 4, "dropped": 1}
_LOADER_BITS = sum(_FIELDS.values())


_LOADER_INPUTS = {
    "begin_": 1, "commit": 1, "write": 1, "pause": 1, "mapped": 1, "shadow": 8, "active": 8, "bad": 1, "expected": 32,
    "state": _LOADER_BITS,
}  # fmt: skip
"""Inputs of the loader and their widths; `begin` is a word of Verilog."""


def _loader_gate(first: int, last: int, steps: int) -> tuple[str, str]:
    """Verilog with the loader and its state fields as wires, and RTLIL."""
    logic = LoaderLogic(first=first, last=last, steps=steps)
    text = f"  wire [{_LOADER_BITS - 1}:0] after;\n  wire [{steps - 1}:0] swap;\n  wire mark, busy;\n"
    nets = {f"\\{port.removesuffix('_')} ": port for port in _LOADER_INPUTS}
    text += instance("loader", "dut", **nets, next_state="after", swap="swap", mark="mark", busy="busy")
    low = 0
    for field, width in _FIELDS.items():
        text += f"  wire [{width - 1}:0] {field} = state[{low + width - 1}:{low}];\n"
        text += f"  wire [{width - 1}:0] {field}_after = after[{low + width - 1}:{low}];\n"
        low += width
    return text, to_rtlil(logic, "loader")


def prove_loader(first: int, last: int, steps: int, timeout_s: float = 120.0) -> Proof:
    """The loader cannot hang: from any state, also one that an upset made, a rank falls in every clock.

    The rank is a number of clocks: it is 0 where the loader is idle, and falls by at least one in every clock in which
    the bus does not read. So the loader is idle at the latest after as many clocks as the rank of a commit.
    """
    text, rtlil = _loader_gate(first, last, steps)

    def rank(after: str) -> str:
        left = f"((address{after} >= {last}) ? 20'd0 : {last} - address{after})"
        rest = f"((step{after} >= {steps - 1}) ? 20'd0 : {steps - 1} - step{after})"
        swap = 3 + last - first
        cases = {
            LoadPhase.IDLE: "20'd0",
            LoadPhase.CONFIRM: "20'd1",
            LoadPhase.VERIFY: f"20'd2 + {left}",
            LoadPhase.SWAP: f"20'd{swap} + {rest}",
            LoadPhase.JUDGE: f"20'd{swap + steps}",
            LoadPhase.CHECK: f"20'd{swap + steps + 1} + {left}",
        }
        return "".join(f"(phase{after} == {int(phase)}) ? ({value}) : " for phase, value in cases.items()) + "20'd1"

    bound = 3 + last - first + steps + 1 + last - first
    gate = text + f"  wire [19:0] now = {rank('')};\n  wire [19:0] then = {rank('_after')};\n"
    gate += f"""
  wire walking = phase == {int(LoadPhase.CHECK)} || phase == {int(LoadPhase.VERIFY)};
  assign falls = phase == 0 || (pause && walking ? then <= now : then < now);
  assign starts = phase != 0 || then == 0 || (commit && !bad && then == {bound});
"""
    return prove_claims(
        "loader_ends",
        f"from any state idle again; within {bound} clocks of a commit, and one for each byte read meanwhile",
        _LOADER_INPUTS, ("falls", "starts"), gate, [rtlil], timeout_s=timeout_s,
    )  # fmt: skip


def prove_swap(first: int, last: int, steps: int, timeout_s: float = 120.0) -> Proof:
    """Only a register image with the right checksum and no bad byte is swapped in, and then all of it, part by part."""
    text, rtlil = _loader_gate(first, last, steps)
    swap = int(LoadPhase.SWAP)
    gate = (
        text
        + f"""
  wire right = ~crc == expected;
  wire entered = phase_after == {swap} && phase != {swap};
  wire last_part = step == {steps - 1} || (phase_after == {swap} && step_after == step + 1);
  assign only_judged = !entered || (phase == {int(LoadPhase.JUDGE)} && right && step_after == 0);
  assign only_good = swap == 0 || (phase == {swap} && !(step == 0 && bad));
  assign in_order = phase != {swap} || (step == 0 && bad) || step >= {steps}
                    || (swap == (1 << step) && last_part);
  assign idle_otherwise = !mark || (phase == 0 && begin_);
"""
    )
    return prove_claims(
        "loader_swap", "a swap only after a right checksum and without bad bytes, all parts in order",
        _LOADER_INPUTS, ("only_judged", "only_good", "in_order", "idle_otherwise"), gate, [rtlil], timeout_s=timeout_s,
    )  # fmt: skip


def prove_counters(count: int = 4, timeout_s: float = 120.0) -> Proof:
    """Error counters count events, stop at 255, and are cleared."""
    declared = [("events", "input", count), ("clear", "input", 1), ("state", "input", 8 * count)]
    declared += [("counts", "output", 8 * count), ("after", "output", 8 * count)]
    gate = instance(
        "counters", "dut", events="events", clear="clear", state="state", counts="counts", next_state="after"
    )
    gold = "  assign counts = state;\n" + "".join(
        f"  assign after[{8 * k + 7}:{8 * k}] = clear ? 0 : (state[{8 * k + 7}:{8 * k}] == 255) ? 255 : "
        f"state[{8 * k + 7}:{8 * k}] + events[{k}];\n"
        for k in range(count)
    )
    return prove_module(
        "counters", "each counts its events and stops at 255", declared, gold, gate,
        [to_rtlil(ErrorCountersLogic(count=count), "counters")], timeout_s=timeout_s,
    )  # fmt: skip


def prove_i2c_writes(timeout_s: float = 120.0, logic: Callable[..., Component] = I2cTargetLogic) -> Proof:
    """The target writes nothing outside a write transfer to its own address.

    By induction over clocks. The invariant: in the byte with the device address, once its acknowledge is due, the
    address is the own one. It holds after reset, is kept by every step, and with it:

    * a write happens in the phase for data only, after eight bits, and not in a clock with a START or STOP;
    * that phase is entered from the second address byte, that from the first, that from a device address that is the
      own one with the write bit, each after the acknowledge bit; and the device address after a START only;
    * START and STOP lead out of every phase.

    So between a write and the START before it lie the own address with W, two address bytes and eight data bits, and
    neither START nor STOP.
    """
    layout = I2cTargetLogic.STATE
    text = "  wire [47:0] after;\n  wire write_enable;\n  wire [7:0] write_data;\n  wire [15:0] address;\n"
    text += instance(
        "target", "dut", scl="scl", sda="sda", read_data="read_data", state="state", next_state="after",
        write_enable="write_enable", write_data="write_data", address="address",
    )  # fmt: skip
    for name, field in layout:
        high, low = field.offset + field.width - 1, field.offset
        for suffix, source in (("", "state"), ("_after", "after")):
            text += f"  wire [{high - low}:0] {name}_{suffix[1:] or 'now'} = {source}[{high}:{low}];\n"
    phases = {phase.name.lower(): int(phase) for phase in I2cPhase}

    def invariant(suffix: str) -> str:
        own = f"shift_{suffix}[7:1] == {DEVICE_ADDRESS}"
        due = f"(bits_{suffix} >= 9 || (bits_{suffix} == 8 && !scl_{suffix} && hold_{suffix} == 0))"
        return f"(!(phase_{suffix} == {phases['device']} && {due}) || {own})"

    moves = {"write": "low", "low": "high", "high": "device"}
    entered = " && ".join(
        f"(!(phase_after == {phases[to]} && phase_now != {phases[to]})"
        f" || (phase_now == {phases[source]} && bits_now >= 9))"
        for to, source in moves.items()
    )
    reset = described(I2cTargetLogic).reset
    text += f"""
  wire flips = scl_sync_now[1] != scl_now && scl_count_now == 3;
  wire data_flips = sda_sync_now[1] != sda_now && sda_count_now == 3;
  wire condition = settle_now == 1 && scl_now && !flips && !data_flips;
  wire kept = {invariant("now")};
  assign holds = (!kept || {invariant("after")}) && (state != 48'd{reset} || kept);
  wire due = phase_now == {phases["write"]} && bits_now == 8 && !condition;
  assign writes = !kept || !write_enable || (due && address == pointer_now && write_data == shift_now);
  assign path = !kept || ({entered});
  assign own = !kept || !(phase_after == {phases["high"]} && phase_now == {phases["device"]})
      || shift_now == {DEVICE_ADDRESS << 1};
  wire out = phase_after == {phases["device"]} || phase_after == {phases["idle"]};
  assign ends = !condition || (out && bits_after == 0);
  assign starts = !(phase_after == {phases["device"]} && phase_now != {phases["device"]}) || (condition && !sda_now);
"""
    return prove_claims(
        "i2c_writes", "no write but in a write transfer to the own address, after eight data bits",
        {"scl": 1, "sda": 1, "read_data": 8, "state": 48}, ("holds", "writes", "path", "own", "ends", "starts"), text,
        [to_rtlil(logic(), "target")], timeout_s=timeout_s,
    )  # fmt: skip
