"""Proofs about the links of a concentrator: what the aligner finds, and that nothing it is told stops it.

Each statement is about one crossing, for every state and input. What follows over many crossings follows by counting:
a search begins with the history as snapshot (`aligner_takes`) and turns it by one bit in each of 192 crossings
(`aligner_searches`), so in crossing k its lowest 64 bits are the history shifted by k, for every legal k up to 128; the
first one that matches is kept and no other, and the search ends.
"""

from __future__ import annotations

from collections.abc import Callable

from amaranth.lib.wiring import Component

from flows.formal.solver import Proof, instance, prove_claims, prove_module
from hw.common.export import to_rtlil
from hw.hgcal_encoder.links.fast_commands import FastCommandLogic
from hw.hgcal_encoder.links.link_reset import LinkResetLogic
from hw.hgcal_encoder.links.orbit_counter import OrbitCounterLogic
from hw.hgcal_encoder.links.word_aligner import CHANNEL_REGISTERS, SHARED_REGISTERS, WordAlignerLogic
from sim.hgcal_encoder.link_spec import IDLE, WORD_BITS, Action, LinkSpec

__all__ = ["prove_aligner", "prove_decoder_locks", "prove_links", "prove_orbit", "prove_packet_ends"]

_LOCKING = 8
"""Crossings with IDLEs that lock a decoder from any state: one to be whole, three to lose a phase, three to find one,
and one to spare."""


def prove_links(spec: LinkSpec, timeout_s: float = 120.0) -> list[Proof]:
    """All proofs of this file."""
    return [
        *prove_aligner(spec, timeout_s), prove_orbit(spec, timeout_s), prove_decoder_locks(spec, timeout_s),
        prove_packet_ends(spec, timeout_s),
    ]  # fmt: skip


def _fields(state: str, layout: object, prefix: str = "") -> str:
    """Verilog wires for the fields of a state, named as they are."""
    text = ""
    for name, field in layout:  # type: ignore[attr-defined]
        width = field.width
        text += f"  wire [{width - 1}:0] {prefix}{name} = {state}[{field.offset + width - 1}:{field.offset}];\n"
    return text


def prove_aligner(
    spec: LinkSpec, timeout_s: float = 120.0, aligner: Callable[..., Component] = WordAlignerLogic
) -> list[Proof]:
    """The aligner finds the lowest legal offset that matches, never another one, and shows the words that lie there.

    Parameters
    ----------
    spec : LinkSpec
    timeout_s : float
        Limit of the solver for each proof.
    aligner : class of Component
        `WordAlignerLogic`, or one to be refuted.
    """
    layout = WordAlignerLogic.STATE
    size = layout.size
    inputs = {
        "raw": WORD_BITS, **CHANNEL_REGISTERS, **SHARED_REGISTERS, "take": 1, "restart": 1, "begins": 1, "chip_sync": 1,
        "crossing": 12, "clear": 1, "all_matched": 1, "state": size,
    }  # fmt: skip
    gate = f"  wire [{size - 1}:0] after;\n" + instance(
        "aligner", "dut", **{name: name for name in inputs}, next_state="after"
    )
    gate += _fields("state", layout) + _fields("after", layout, "then_")
    gate += f"""
  wire [7:0] position = 8'd224 - left;
  wire equal = ((snapshot[63:0] ^ match_pattern_val) & ~match_mask_val) == 0;
  wire hit = equal && found == 0 && position <= {spec.select_max};
  wire [7:0] kept = hit ? position : found;
  wire [7:0] chosen = sel_override_en ? sel_override_val : select;
  wire [7:0] legal = chosen < 32 ? 8'd32 : chosen > {spec.select_max} ? 8'd{spec.select_max} : chosen;
  wire [191:0] shifted = history >> (legal - 8'd32);
  wire searching = left != 0 && !take && !chip_sync;
"""
    takes = """
  assign takes = !take || chip_sync || (then_snapshot == history && then_found == 0 && !then_match
                 && then_left == (per_ch_align_en ? 192 : 0) && then_select == select);
  assign rests = take || left != 0 || chip_sync || (then_snapshot == snapshot && then_select == select
                 && then_match == match_ && then_left == 0);
"""
    searches = """
  assign turns = !searching || (then_snapshot == {snapshot[0], snapshot[191:1]} && then_left == left - 8'd1);
  assign keeps = !searching || then_found == kept;
  assign ends = !searching || left != 1 || (then_valid && then_match == (kept != 0)
                && then_select == (kept != 0 ? kept : select));
  assign waits = !searching || left == 1 || (then_select == select && then_match == match_);
"""
    shows = "  assign shows = chip_sync || (then_word == shifted[31:0] && then_history == {history[159:0], raw});\n"
    gate = gate.replace(" match =", " match_ =")
    rtlil = [to_rtlil(aligner(spec=spec), "aligner")]
    found = []
    looked = (
        "in each crossing of a search one offset is looked at, the lowest match is kept, and used after 192 crossings"
    )
    shown = f"the word is the history, shifted by select - 32, for any select within 32 to {spec.select_max}"
    for name, statement, claims, text in (
        ("aligner_takes", "a search begins with the history, and nothing else moves what was found",
         ("takes", "rests"), takes),
        ("aligner_searches", looked, ("turns", "keeps", "ends", "waits"), searches),
        ("aligner_shows", shown, ("shows",), shows),
    ):  # fmt: skip
        found.append(prove_claims(name, statement, inputs, claims, gate + text, rtlil, timeout_s=timeout_s))
    return found


def prove_orbit(spec: LinkSpec, timeout_s: float = 120.0) -> Proof:
    """An armed snapshot is taken within an orbit: the distance to it falls by one in every crossing without a BCR.

    For any registers with a snapshot value that the counter reaches, and any counter within the orbit.
    """
    layout = OrbitCounterLogic.STATE
    bits = ("snapshot_en", "i2c_snapshot_en", "snapshot_arm", "debug_clear", "clear")
    inputs = {
        "actions": len(Action), "load_value": 12, "last_value": 12, "snapshot_value": 12, **dict.fromkeys(bits, 1),
        "state": layout.size,
    }  # fmt: skip
    gate = f"  wire [{layout.size - 1}:0] after;\n  wire take;\n" + instance(
        "orbit", "dut", **{name: name for name in inputs}, next_state="after", take="take"
    )
    gate += _fields("state", layout) + _fields("after", layout, "then_")
    gate += f"""
  wire legal = counter <= last_value && snapshot_value <= last_value && load_value <= last_value;
  wire bcr = actions[{int(Action.BCR)}];
  wire sync = actions[{int(Action.CHIP_SYNC)}];
  wire [13:0] now = snapshot_value >= counter ? snapshot_value - counter
                                              : {{2'd0, last_value}} + 14'd1 + snapshot_value - counter;
  wire [13:0] later = snapshot_value >= then_counter ? snapshot_value - then_counter
                                                     : {{2'd0, last_value}} + 14'd1 + snapshot_value - then_counter;
  assign inside = !legal || bcr || sync || then_counter <= last_value;
  assign closer = !legal || bcr || sync || now == 0 || later + 14'd1 == now;
  assign taken = !(legal && armed && snapshot_en && now == 0) || take;
  assign stays = !armed || take || sync || then_armed;
  assign loads = !(bcr || sync) || then_counter == load_value || !(legal);
"""
    # ChipSync comes without a BCR and loads as well
    return prove_claims(
        "orbit_snapshot", "an armed snapshot is taken within an orbit, whatever commands come, unless a BCR moves it",
        inputs, ("inside", "closer", "taken", "stays", "loads"), gate,
        [to_rtlil(OrbitCounterLogic(spec=spec), "orbit")], timeout_s=timeout_s,
    )  # fmt: skip


def prove_decoder_locks(spec: LinkSpec, timeout_s: float = 120.0) -> Proof:
    """From any state, also one that an upset made, IDLEs at any phase lock the decoder there."""
    size = FastCommandLogic.STATE.size
    inputs = {"shift": 3, "state": size}
    gate = f"  wire [7:0] idle = {IDLE};\n  wire [15:0] twice = {{idle, idle}};\n"
    gate += "  wire [7:0] bits = twice >> shift;\n"
    samples = ", ".join(f"{{4{{bits[{place}]}}}}" for place in range(7, -1, -1))
    gate += f"  wire [31:0] line = {{{samples}}};\n  wire [{size - 1}:0] s0 = state;\n"
    for step in range(_LOCKING):
        gate += f"  wire [{size - 1}:0] s{step + 1};\n"
        gate += instance(
            "decoder", f"dut{step}", samples="line", rising="1'b1", invert="1'b0", force_error="1'b0", clear="1'b0",
            state=f"s{step}", next_state=f"s{step + 1}",
        )  # fmt: skip
    gate += _fields(f"s{_LOCKING}", FastCommandLogic.STATE)
    # the line is the code turned right by `shift`
    gate += "  assign locks = locked && phase == shift - 3'd1;\n"
    return prove_claims(
        "decoder_locks", f"{_LOCKING} IDLEs at one phase lock the decoder at it, from any state", inputs, ("locks",),
        gate, [to_rtlil(FastCommandLogic(spec=spec), "decoder")], timeout_s=timeout_s,
    )  # fmt: skip


def prove_packet_ends(spec: LinkSpec, timeout_s: float = 120.0) -> Proof:
    """The link reset: what a counter with these rules does, so the packet has its length and ends."""
    logic = LinkResetLogic(spec=spec)
    size = len(logic.state)
    start, length = spec.link_reset_crossings + spec.link_reset_delay - 1, spec.link_reset_crossings
    ports = [("command", "input", 1), ("chip_sync", "input", 1), ("state", "input", size)]
    ports += [("active", "output", 1), ("after", "output", size)]
    gold = f"  assign active = state >= 1 && state <= {length};\n"
    gold += f"  assign after = chip_sync ? 0 : command ? {start} : state == 0 ? 0 : state - 1;\n"
    gate = instance(
        "packet", "dut", command="command", chip_sync="chip_sync", state="state", active="active", next_state="after"
    )
    return prove_module(
        "link_reset", f"{length} crossings, the first {spec.link_reset_delay} after the command", ports, gold, gate,
        [to_rtlil(logic, "packet")], timeout_s=timeout_s,
    )  # fmt: skip
