"""Verification of a concentrator's links: the front's RTL against its golden model, crossing by crossing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.simulation.native import NativeModel
from flows.stimulus.link_traffic import LinkTraffic, command_bits
from flows.verification.bench import Tally
from sim.hgcal_encoder.link_spec import (
    CODES,
    ERX_LINKS,
    TAPS,
    Command,
    LinkSpec,
)
from sim.hgcal_encoder.links.front import Front, FrontRegisters, FrontStrobes
from sim.hgcal_encoder.links.word_aligner import AlignerRegisters, ChannelRegisters

__all__ = ["FrontStimulus", "check_front", "expected_status", "port_values", "random_stimulus"]

_PATTERN = 0xACCCCCCC9CCCCCCC
_IDLE_WORD = 0xCCCCCCC
_LOAD, _RUN_UP = 41, 20
"""Value that BCR loads, and rows from a BCR to the next crossing 0 at the ROCs."""
_LATEST = 128
"""Bits by which the latest link is late."""
FIRST_ORBIT = 40
"""Row of the first crossing 0."""
_TRAINING = 50
"""Rows from the first idle word to the crossing 0 that is looked for."""
ALIGNED_AFTER = 210
"""Rows from that crossing 0 until its search is over on all links."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FrontStimulus:
    """What a front gets, row by row.

    Attributes
    ----------
    traffic : LinkTraffic
    raw : ndarray of int64, shape (n, 12)
    edges : ndarray of int64, shape (n, 12)
    commands : ndarray of int64, shape (n,)
        Samples of the fast-command line.
    registers : list of FrontRegisters
        By row; rows with equal registers share the object.
    strobes : list of FrontStrobes
    """

    traffic: LinkTraffic
    raw: npt.NDArray[np.int64]
    edges: npt.NDArray[np.int64]
    commands: npt.NDArray[np.int64]
    registers: list[FrontRegisters]
    strobes: list[FrontStrobes]


def alignment_registers(orbit: int, command_shift: int, **changes: Any) -> FrontRegisters:
    """Registers of the orbit-synchronous procedure for links that are at most 128 bits late.

    The snapshot is taken when word 0 of the latest link has just come; of the others it is older.
    """
    # a command acts in the row in which its last bit comes, and the counter shows the value it loads in the next one
    acts = -_RUN_UP + (command_shift > 0)
    snapshot = (_LOAD + _LATEST // 32 + 1 - acts - 1) % orbit
    registers = FrontRegisters()
    orbit_registers = replace(
        registers.orbit, orbsyn_cnt_load_val=_LOAD, orbsyn_cnt_max_val=orbit - 1, orbsyn_cnt_snapshot=snapshot
    )
    aligner = AlignerRegisters(match_pattern_val=_PATTERN, match_mask_val=0)
    return replace(registers, orbit=orbit_registers, aligner=aligner, **changes)


def random_stimulus(rng: np.random.Generator, spec: LinkSpec, rows: int, *, calm: bool = False) -> FrontStimulus:
    """Traffic with skew, an alignment at its start, and then, unless `calm`, everything that can go wrong.

    Parameters
    ----------
    rng : Generator
    spec : LinkSpec
    rows : int
    calm : bool
        No slips, errors, wrong headers, or changes of registers: the links must be aligned from the end of the search.
    """
    orbit = int(rng.integers(290, 420))
    shift = int(rng.integers(8))
    # within three words of each other, and at most 128 bits late
    delays = np.tile(rng.integers(_LATEST - 3 * 32 - 31, _LATEST + 1, ERX_LINKS), (rows, 1))
    data = rng.integers(0, 1 << 28, (rows, ERX_LINKS))
    codes: dict[int, int] = {}
    training = [FIRST_ORBIT + orbit - _TRAINING]
    headers: dict[tuple[int, int], int] = {}
    flips: dict[tuple[int, int], int] = {}
    registers = [alignment_registers(orbit, shift)] * rows
    strobes = [FrontStrobes()] * rows
    if not calm:
        spare = [*CODES, *spec.spare_codes, *(code for code in range(256) if code.bit_count() == 4)]
        for row in rng.choice(np.arange(400, rows), (rows - 400) // 12, replace=False).tolist():
            codes[row] = int(rng.choice(spare) if rng.random() < 0.9 else rng.integers(256))
        # slips and a new alignment now and then
        for start in range(FIRST_ORBIT + 4 * orbit, rows - orbit, 3 * orbit):
            link = int(rng.integers(ERX_LINKS))
            slip = start - int(rng.integers(60, 200))
            delays[slip:, link] = (delays[slip:, link] + int(rng.integers(-31, 32))).clip(0, 191)
            training.append(start - _TRAINING)
        for row, link in zip(*(rng.integers(0, top, rows // 30) for top in (rows, ERX_LINKS)), strict=True):
            headers[int(row), int(link)] = int(rng.integers(16))
        for row, link in zip(*(rng.integers(0, top, rows // 30) for top in (rows, ERX_LINKS)), strict=True):
            flips[int(row), int(link)] = int(rng.integers(1, 1 << 32))
        for row in range(500, rows, 40):
            # back to normal in time for the next search
            normal = (row - FIRST_ORBIT) // orbit % 3 == 0 or rng.random() < 0.3
            new = registers[0] if normal else _changed(rng, registers[row - 1])
            registers[row:] = [new] * (rows - row)
        for row in rng.integers(400, rows, rows // 20).tolist():
            strobes[row] = FrontStrobes(
                **{
                    item.name: int(rng.integers(1 << ERX_LINKS)) if item.name in _BY_LINK else int(rng.integers(2))
                    for item in fields(FrontStrobes)
                }
            )
    for row in range(FIRST_ORBIT, rows + _RUN_UP, orbit):
        if calm or rng.random() < 0.9:
            codes[row - _RUN_UP] = Command.BCR
    for row in training:
        codes[row - 2] = Command.LINK_RESET_ROC_T
    traffic = LinkTraffic(
        orbit=orbit, start=FIRST_ORBIT, delays=delays, data=data, idle=_IDLE_WORD, training=tuple(training),
        headers=headers, flips=flips,
    )  # fmt: skip
    # edges around a place of its own on each link
    places = rng.integers(TAPS, size=ERX_LINKS)
    wide = rng.integers(0, 3, (rows, ERX_LINKS))
    edges = np.where(wide < 2, 1 << (places + wide) % TAPS, 0)
    if not calm:
        edges = np.where(rng.random((rows, 1)) < 0.01, rng.integers(0, 1 << TAPS, (rows, ERX_LINKS)), edges)
    return FrontStimulus(
        traffic=traffic, raw=traffic.raw(), edges=edges, commands=command_bits(codes, rows, shift),
        registers=registers, strobes=strobes,
    )  # fmt: skip


_BY_LINK = ("clr_on_read", "wren_err", "wren_msk")
_CHANNEL_WIDTHS = {"sel_override_val": 8, "seed_in": 14}
_OWN_WIDTHS = {"track_mode": 2, "capture_fcmd_ctrl": 22, "wr_data_top": 12, "err_wr_data": 6}


def _random_channel(rng: np.random.Generator) -> ChannelRegisters:
    values: dict[str, Any] = {
        item.name: tuple(rng.integers(0, 1 << 32, 4).tolist())
        if item.name == "user_word"
        else int(rng.integers(1 << _CHANNEL_WIDTHS.get(item.name, 1)))
        for item in fields(ChannelRegisters)
        if rng.random() < 0.4
    }
    return ChannelRegisters(**values)


def _changed(rng: np.random.Generator, registers: FrontRegisters) -> FrontRegisters:
    """The same registers with some of them at random values."""
    own: dict[str, Any] = {
        item.name: int(rng.integers(1 << _OWN_WIDTHS.get(item.name, 1)))
        for item in fields(FrontRegisters)
        if isinstance(getattr(registers, item.name), int) and rng.random() < 0.2
    }
    by_link: dict[str, Any] = {
        name: tuple(rng.integers(0, top, ERX_LINKS).tolist())
        for name, top in (("phase_select", 16), ("train_channel", 2), ("reset_channels", 2), ("enable", 2))
        if rng.random() < 0.5
    }
    channels = tuple(_random_channel(rng) for _ in range(ERX_LINKS))
    flip = {"freeze_output_enable": int(rng.integers(2)), "orbsyn_hdr_mask": int(rng.integers(16)),
            "freeze_output_enable_all_channels_locked": int(rng.integers(2)),
            "idle_hdr_mask": int(rng.integers(16))}  # fmt: skip
    arm = {"snapshot_arm": int(rng.integers(2)), "i2c_snapshot_en": int(rng.integers(2)),
           "snapshot_en": int(rng.random() < 0.9), "dbg_fc_cnt_clr": int(rng.random() < 0.1)}  # fmt: skip
    return replace(
        registers, channels=channels, aligner=replace(registers.aligner, **flip),
        orbit=replace(registers.orbit, **arm), **own, **by_link,
    )  # fmt: skip


def _joined(values: Sequence[int], width: int) -> int:
    return sum(value << width * number for number, value in enumerate(values))


def register_ports(registers: FrontRegisters) -> dict[str, int]:
    """Values of the front's register ports."""
    r, channels = registers, registers.channels
    ports = {f"aligner_{item.name}": getattr(r.aligner, item.name) for item in fields(AlignerRegisters)}
    ports |= {f"aligner_{item.name}": getattr(r.orbit, item.name) for item in fields(r.orbit)}
    widths = {"sel_override_val": 8, "seed_in": 15}
    for item in fields(ChannelRegisters):
        if item.name == "user_word":
            words = [word for channel in channels for word in channel.user_word]
            ports["chaligner_user_word"] = _joined(words, 32)
        else:
            values = [getattr(channel, item.name) for channel in channels]
            ports[f"chaligner_{item.name}"] = _joined(values, widths.get(item.name, 1))
    return ports | {
        "eprxgrptop_track_mode": r.track_mode,
        "cheprxgrp_phase_select_channelinput": _joined(r.phase_select, 4),
        "cheprxgrp_train_channel": _joined(r.train_channel, 1),
        "cheprxgrp_reset_channels": _joined(r.reset_channels, 1), "erx_enable": _joined(r.enable, 1),
        "misc_rw_err_clr": r.rw_err_clr,
        **{f"fctrl_{name}": getattr(r, name) for name in (
            "edge_sel_t1", "invert_command_rx", "force_fc_error", "reset_b_fc_counters", "capture_fcmd_ctrl",
        )},
        **{f"errtop_{name}": getattr(r, name) for name in (
            "clr_on_read_top", "wren_err_top", "wren_msk_top", "wr_data_top", "err_wr_data",
        )},
    }  # fmt: skip


def strobe_ports(strobes: FrontStrobes) -> dict[str, int]:
    """Values of the front's strobes."""
    return {
        "errtop_read": strobes.errtop_read, "misc_status_clear": strobes.status_clear,
        "misc_status_capture": strobes.status_capture,
        **{f"cherr_{name}": getattr(strobes, name) for name in _BY_LINK},
    }  # fmt: skip


def port_values(stimulus: FrontStimulus, widths: dict[str, int]) -> dict[str, npt.NDArray[np.int64]]:
    """Values for `NativeModel.run`, with one row of reset in front."""
    rows = len(stimulus.raw)
    columns: dict[str, npt.NDArray[np.int64]] = {}

    def fill(source: Sequence[Any], convert: Callable[[Any], dict[str, int]]) -> None:
        known: dict[int, dict[str, npt.NDArray[np.int64]]] = {}
        for row, value in enumerate(source):
            if id(value) not in known:
                known[id(value)] = {name: _words(port, widths[name]) for name, port in convert(value).items()}
            for name, words in known[id(value)].items():
                columns.setdefault(name, np.zeros((rows, len(words)), np.int64))[row] = words

    fill(stimulus.registers, register_ports)
    fill(stimulus.strobes, strobe_ports)
    columns["raw"] = stimulus.raw
    packed = [_words(_joined(row, TAPS), widths["edges"]) for row in stimulus.edges.tolist()]
    columns["edges"] = np.array(packed)
    columns["command_samples"] = stimulus.commands[:, None]
    values = {name: np.concatenate([np.zeros((1, array.shape[1]), np.int64), array]) for name, array in columns.items()}
    return values | {"rst": np.arange(rows + 1) == 0}


def _words(value: int, width: int) -> npt.NDArray[np.int64]:
    return np.array([value >> 32 * word & 0xFFFF_FFFF for word in range(-(-width // 32))], np.int64)


def expected_status(front: Front, registers: FrontRegisters) -> dict[str, int]:
    """Status ports of a front, from its model."""
    locked, inverted, lock_count, *counts = front.command_status
    aligners, flags, orbit = front.aligners, front.flags, front.orbit

    def all_of(value: Callable[[int], int], width: int = 1) -> int:
        return _joined([int(value(link)) for link in range(ERX_LINKS)], width)

    return {
        "chaligner_pattern_match": all_of(lambda k: aligners[k].match),
        "chaligner_snapshot_dv": all_of(lambda k: aligners[k].valid),
        "chaligner_hdr_mm_err": all_of(lambda k: aligners[k].header_count > 0),
        "chaligner_orbsyn_hdr_err": all_of(lambda k: aligners[k].orbit_header_count > 0),
        "chaligner_orbsyn_arr_err": all_of(lambda _: orbit.extra_count > 0),
        "chaligner_orbsyn_fc_err": all_of(lambda _: orbit.missing_count > 0),
        "chaligner_prbs_chk_err": all_of(lambda k: aligners[k].prbs_count > 0),
        "chaligner_select": all_of(lambda k: aligners[k].select, 8),
        "chaligner_snapshot": all_of(lambda k: aligners[k].snapshot, 192),
        "chaligner_hdr_mm_cntr": all_of(lambda k: aligners[k].header_count, 16),
        "chaligner_orbsyn_hdr_err_cnt": all_of(lambda k: aligners[k].orbit_header_count, 8),
        "chaligner_orbsyn_arr_err_cnt": all_of(lambda _: orbit.extra_count, 8),
        "chaligner_orbsyn_fc_err_cnt": all_of(lambda _: orbit.missing_count, 8),
        "chaligner_prbs_chk_err_cnt": all_of(lambda k: aligners[k].prbs_count, 8),
        "cherr_msk_dat": all_of(lambda k: flags[k].mask, 6), "cherr_err_dat": all_of(lambda k: flags[k].data, 6),
        "cherr_err_out": all_of(lambda k: flags[k].out),
        "cheprxgrp_phase_select_channeloutput": all_of(
            lambda k: front.phases[k].shown(registers.track_mode, registers.phase_select[k]), 4
        ),
        "cheprxgrp_channel_locked": all_of(lambda k: front.phases[k].locked),
        "taps": all_of(lambda k: front.phases[k].used(registers.track_mode, registers.phase_select[k]) if
                       registers.track_mode else registers.phase_select[k], 4),
        "aligner_done": int(front.done), "aligner_dbg_lreset_rcvd": int(orbit.reset_seen),
        "aligner_dbg_orbsyn_rcvd": int(orbit.bcr_seen), "aligner_dbg_fc_cnt": orbit.commands,
        "errtop_err_dat_top": front.top.data, "errtop_err_out_top": int(front.top.out),
        "errtop_msk_dat_top": front.top.mask, "fctrl_locked": int(locked),
        "fctrl_command_rx_inverted": int(inverted), "fctrl_lock_count": lock_count,
        "fctrl_bcr_fcmd_count": counts[0], "fctrl_ocr_fcmd_count": counts[1], "fctrl_l1a_fcmd_count": counts[2],
        "fctrl_nzs_fcmd_count": counts[3], "fctrl_cal_pulse_int_fcmd_count": counts[4],
        "fctrl_cal_pulse_ext_fcmd_count": counts[5], "fctrl_ebr_fcmd_count": counts[6],
        "fctrl_ecr_fcmd_count": counts[7], "fctrl_link_reset_roc_t_fcmd_count": counts[8],
        "fctrl_link_reset_roc_d_fcmd_count": counts[9], "fctrl_link_reset_econ_t_fcmd_count": counts[10],
        "fctrl_link_reset_econ_d_fcmd_count": counts[11], "fctrl_spare_fcmd_count": _joined(counts[12:20], 8),
        "fctrl_unassigned_fcmd_count": counts[20], "fctrl_fc_error_fcmd_count": counts[21],
    }  # fmt: skip


def check_front(model: NativeModel, spec: LinkSpec, stimulus: FrontStimulus, *, status_every: int = 1) -> Tally:
    """Run RTL and golden model over a stimulus and compare every word and, every so many rows, all status.

    Parameters
    ----------
    model : NativeModel
        Of `hw.hgcal_encoder.links.front.Front`.
    spec : LinkSpec
    stimulus : FrontStimulus
    status_every : int
        Rows from one comparison of the status to the next.
    """
    widths = {port.name: port.width for port in model.inputs}
    seen = model.run(port_values(stimulus, widths))
    out_widths = {port.name: port.width for port in model.outputs}
    tally, golden = Tally(), Front(spec)

    def value(name: str, row: int) -> int:
        # row 0 was the reset
        found = seen[name][row + 1]
        return int(found) if found.ndim == 0 else _joined(found.tolist(), 32)

    for row, registers in enumerate(stimulus.registers):
        status = expected_status(golden, registers) if row % status_every == 0 else {}
        out = golden.step(
            stimulus.raw[row].tolist(), int(stimulus.commands[row]), registers,
            edges=stimulus.edges[row].tolist(), strobes=stimulus.strobes[row],
        )  # fmt: skip
        expected = status | {
            "words": _joined(out.words, 32), "crossing": out.crossing, "reset_packet": int(out.reset_packet),
            "chip_sync": int(any(action.name == "CHIP_SYNC" for action in out.actions)), "error": int(out.error),
        }  # fmt: skip
        wrong = {name: want for name, want in expected.items() if value(name, row) != want}
        text = ""
        if wrong:
            name = next(iter(wrong))
            digits = -(-out_widths[name] // 4)
            text = f"row {row}: {name} expected {wrong[name]:0{digits}x}, got {value(name, row):0{digits}x}"
        tally.add(len(expected), len(wrong), text)
    return tally
