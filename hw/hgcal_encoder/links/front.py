"""Front of the concentrator: raw bits of twelve links to aligned words, with fast commands and status."""

from collections.abc import Callable, Mapping
from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister
from hw.common.registered import Registered
from hw.hgcal_encoder.links.error_flags import ErrorFlagsLogic
from hw.hgcal_encoder.links.fast_commands import FastCommandLogic
from hw.hgcal_encoder.links.link_reset import LinkResetLogic
from hw.hgcal_encoder.links.orbit_counter import OrbitCounterLogic
from hw.hgcal_encoder.links.phase_select import PhaseSelectLogic
from hw.hgcal_encoder.links.status_capture import StatusCaptureLogic
from hw.hgcal_encoder.links.word_aligner import CHANNEL_REGISTERS, SHARED_REGISTERS, WordAlignerLogic
from sim.hgcal_encoder.link_spec import COUNTED, ERX_LINKS, SPARES, TAPS, WORD_BITS, Action, LinkSpec

__all__ = ["FRONT_REGISTERS", "FRONT_STATUS", "Front"]

_FLAGS = 6
_COUNTS = {
    "fctrl_bcr_fcmd_count": Action.BCR, "fctrl_ocr_fcmd_count": Action.OCR, "fctrl_l1a_fcmd_count": Action.L1A,
    "fctrl_nzs_fcmd_count": Action.NZS, "fctrl_cal_pulse_int_fcmd_count": Action.CAL_INT,
    "fctrl_cal_pulse_ext_fcmd_count": Action.CAL_EXT, "fctrl_ebr_fcmd_count": Action.EBR,
    "fctrl_ecr_fcmd_count": Action.ECR, "fctrl_link_reset_roc_t_fcmd_count": Action.LINK_RESET_ROC_T,
    "fctrl_link_reset_roc_d_fcmd_count": Action.LINK_RESET_ROC_D,
    "fctrl_link_reset_econ_t_fcmd_count": Action.LINK_RESET_ECON_T,
    "fctrl_link_reset_econ_d_fcmd_count": Action.LINK_RESET_ECON_D, "fctrl_spare_fcmd_count": Action.SPARE_0,
    "fctrl_unassigned_fcmd_count": Action.UNASSIGNED, "fctrl_fc_error_fcmd_count": Action.ERROR,
}  # fmt: skip
FRONT_REGISTERS: dict[str, int] = {
    **{f"chaligner_{name}": ERX_LINKS * width for name, width in CHANNEL_REGISTERS.items()},
    **{f"aligner_{name}": width for name, width in SHARED_REGISTERS.items()},
    "aligner_orbsyn_cnt_load_val": 12, "aligner_orbsyn_cnt_max_val": 12, "aligner_orbsyn_cnt_snapshot": 12,
    "aligner_snapshot_en": 1, "aligner_i2c_snapshot_en": 1, "aligner_snapshot_arm": 1, "aligner_dbg_fc_cnt_clr": 1,
    "cheprxgrp_phase_select_channelinput": 4 * ERX_LINKS, "cheprxgrp_train_channel": ERX_LINKS,
    "cheprxgrp_reset_channels": ERX_LINKS, "eprxgrptop_track_mode": 2, "erx_enable": ERX_LINKS,
    "fctrl_edge_sel_t1": 1, "fctrl_invert_command_rx": 1, "fctrl_capture_fcmd_ctrl": COUNTED,
    "fctrl_force_fc_error": 1, "fctrl_reset_b_fc_counters": 1,
    "errtop_clr_on_read_top": 1, "errtop_wren_err_top": 1, "errtop_wren_msk_top": 1, "errtop_wr_data_top": ERX_LINKS,
    "errtop_err_wr_data": _FLAGS, "misc_rw_err_clr": 1,
    "cherr_clr_on_read": ERX_LINKS, "cherr_wren_err": ERX_LINKS, "cherr_wren_msk": ERX_LINKS,
    "misc_status_clear": 1, "misc_status_capture": 1,
}  # fmt: skip
"""Registers that the front reads, under the names of production, and their bits: those of all channels side by side.

``chaligner_seed_in`` has room for 15 bits of each seed. ``fctrl_force_fc_error`` and ``fctrl_reset_b_fc_counters`` are
of first silicon; the second one is 1 for a chip without it.
"""
FRONT_STATUS: dict[str, int] = {
    "chaligner_pattern_match": ERX_LINKS, "chaligner_snapshot_dv": ERX_LINKS, "chaligner_hdr_mm_err": ERX_LINKS,
    "chaligner_orbsyn_hdr_err": ERX_LINKS, "chaligner_orbsyn_arr_err": ERX_LINKS, "chaligner_orbsyn_fc_err": ERX_LINKS,
    "chaligner_prbs_chk_err": ERX_LINKS, "chaligner_select": 8 * ERX_LINKS, "chaligner_snapshot": 192 * ERX_LINKS,
    "chaligner_hdr_mm_cntr": 16 * ERX_LINKS, "chaligner_orbsyn_hdr_err_cnt": 8 * ERX_LINKS,
    "chaligner_orbsyn_arr_err_cnt": 8 * ERX_LINKS, "chaligner_orbsyn_fc_err_cnt": 8 * ERX_LINKS,
    "chaligner_prbs_chk_err_cnt": 8 * ERX_LINKS, "cherr_err_raw_dat": _FLAGS * ERX_LINKS,
    "cherr_msk_dat": _FLAGS * ERX_LINKS, "cherr_err_dat": _FLAGS * ERX_LINKS, "cherr_err_out": ERX_LINKS,
    "cheprxgrp_phase_select_channeloutput": 4 * ERX_LINKS, "cheprxgrp_channel_locked": ERX_LINKS,
    "aligner_done": 1, "aligner_dbg_lreset_rcvd": 1, "aligner_dbg_orbsyn_rcvd": 1, "aligner_dbg_fc_cnt": 5,
    "errtop_err_dat_top": ERX_LINKS, "errtop_err_out_top": 1, "errtop_msk_dat_top": ERX_LINKS,
    "fctrl_locked": 1, "fctrl_command_rx_inverted": 1, "fctrl_lock_count": 8,
    **{name: 8 * (SPARES if action is Action.SPARE_0 else 1) for name, action in _COUNTS.items()},
}  # fmt: skip
"""Status that the front shows, under the names of production, and its bits."""


class Front(Component):
    """Everything of the front that works once in a crossing.

    Latency: two clocks from the last bits of a word at `raw` to the word at `words`, if its link is neither shifted nor
    early (`WordAlignerLogic`). Fast commands act in the clock in which their last bit is at `command_samples`.

    Parameters
    ----------
    spec : LinkSpec
    register : class of Component
        `PipelineRegister` or a component with the same ports and constructor, for all state.

    Members
    -------
    raw : In(32) x 12
        Newest bits of the links, of `DeserialiserLogic`.
    edges : In(15) x 12
        Of `DeserialiserLogic`.
    command_samples : In(32)
        Samples of the fast-command line.
    errtop_read : In(1)
        The bus read the error flags of the chip.
    <register> : In, <status> : Out
        As `FRONT_REGISTERS` and `FRONT_STATUS`.
    taps : Out(4) x 12
        For the deserialisers.
    words : Out(32) x 12
        For the algorithms.
    crossing : Out(12)
        Number of the crossing of `words`.
    reset_packet : Out(1)
        The transmitters send the link-reset packet in place of this crossing.
    chip_sync : Out(1)
        ChipSync came: all but registers starts anew.
    error : Out(1)
        Error pin.
    """

    clocked = True

    def __init__(self, *, spec: LinkSpec, register: Callable[..., Component] = PipelineRegister):
        self._spec, self._register = spec, register
        super().__init__({
            "raw": In(ArrayLayout(WORD_BITS, ERX_LINKS)), "edges": In(ArrayLayout(TAPS, ERX_LINKS)),
            "command_samples": In(WORD_BITS), "errtop_read": In(1),
            **{name: In(width) for name, width in FRONT_REGISTERS.items()},
            **{name: Out(width) for name, width in FRONT_STATUS.items()},
            "taps": Out(ArrayLayout(4, ERX_LINKS)), "words": Out(ArrayLayout(WORD_BITS, ERX_LINKS)),
            "crossing": Out(12), "reset_packet": Out(1), "chip_sync": Out(1), "error": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()

        def machine(name: str, logic: Callable[..., Component], **parameters: Any) -> Any:
            return place(m, platform, name, Registered, logic=logic, register=self._register, **parameters)

        commands = machine("fast_commands", FastCommandLogic, spec=self._spec)
        orbit = machine("orbit", OrbitCounterLogic, spec=self._spec)
        packet = machine("link_reset", LinkResetLogic, spec=self._spec)
        m.d.comb += [
            commands.samples.eq(self.command_samples),
            commands.rising.eq(self.fctrl_edge_sel_t1),
            commands.invert.eq(self.fctrl_invert_command_rx),
            commands.force_error.eq(self.fctrl_force_fc_error),
            commands.clear.eq(self.misc_status_clear | ~self.fctrl_reset_b_fc_counters),
            orbit.actions.eq(commands.actions),
            orbit.load_value.eq(self.aligner_orbsyn_cnt_load_val),
            orbit.last_value.eq(self.aligner_orbsyn_cnt_max_val),
            orbit.snapshot_value.eq(self.aligner_orbsyn_cnt_snapshot),
            orbit.snapshot_en.eq(self.aligner_snapshot_en),
            orbit.i2c_snapshot_en.eq(self.aligner_i2c_snapshot_en),
            orbit.snapshot_arm.eq(self.aligner_snapshot_arm),
            orbit.debug_clear.eq(self.aligner_dbg_fc_cnt_clr),
            orbit.clear.eq(self.misc_rw_err_clr),
            packet.command.eq(commands.actions[Action.LINK_RESET_ECON_T]),
            packet.chip_sync.eq(orbit.chip_sync),
            self.crossing.eq(orbit.crossing),
            self.reset_packet.eq(packet.active),
            self.chip_sync.eq(orbit.chip_sync),
            self.aligner_dbg_lreset_rcvd.eq(orbit.reset_seen),
            self.aligner_dbg_orbsyn_rcvd.eq(orbit.bcr_seen),
            self.aligner_dbg_fc_cnt.eq(orbit.commands),
        ]
        self._command_status(m, machine, commands)

        aligners, flags = [], []
        all_matched = Signal()
        for link in range(ERX_LINKS):
            phase = machine(f"phase_{link}", PhaseSelectLogic, spec=self._spec)
            m.d.comb += [
                phase.edges.eq(self.edges[link]),
                phase.track_mode.eq(self.eprxgrptop_track_mode),
                phase.train.eq(self.cheprxgrp_train_channel[link]),
                phase.restart.eq(self.cheprxgrp_reset_channels[link]),
                phase.phase_select.eq(self.cheprxgrp_phase_select_channelinput.word_select(link, 4)),
                self.taps[link].eq(phase.tap),
                self.cheprxgrp_phase_select_channeloutput.word_select(link, 4).eq(phase.shown),
                self.cheprxgrp_channel_locked[link].eq(phase.locked),
            ]
            aligner = machine(f"aligner_{link}", WordAlignerLogic, spec=self._spec)
            m.d.comb += [
                aligner.raw.eq(self.raw[link]),
                aligner.crossing.eq(orbit.crossing),
                aligner.clear.eq(self.misc_rw_err_clr),
                aligner.all_matched.eq(all_matched),
                *(getattr(aligner, name).eq(getattr(orbit, name))
                  for name in ("take", "restart", "begins", "chip_sync")),
                *(getattr(aligner, name).eq(getattr(self, f"chaligner_{name}").word_select(link, width))
                  for name, width in CHANNEL_REGISTERS.items()),
                *(getattr(aligner, name).eq(getattr(self, f"aligner_{name}")) for name in SHARED_REGISTERS),
                self.words[link].eq(aligner.word),
            ]  # fmt: skip
            raw = Cat(
                aligner.prbs_wrong, orbit.missing, orbit.extra, aligner.orbit_header_wrong, 0, aligner.header_wrong
            )
            flag = machine(f"flags_{link}", ErrorFlagsLogic, width=_FLAGS)
            m.d.comb += [
                flag.raw.eq(raw),
                flag.clear.eq(self.cherr_clr_on_read[link]),
                flag.write_error.eq(self.cherr_wren_err[link]),
                flag.write_mask.eq(self.cherr_wren_msk[link]),
                flag.value.eq(self.errtop_err_wr_data),
            ]
            self._channel_status(m, link, {
                "chaligner_pattern_match": aligner.match, "chaligner_snapshot_dv": aligner.valid,
                "chaligner_hdr_mm_err": aligner.header_count != 0,
                "chaligner_orbsyn_hdr_err": aligner.orbit_header_count != 0,
                "chaligner_orbsyn_arr_err": orbit.extra_count != 0, "chaligner_orbsyn_fc_err": orbit.missing_count != 0,
                "chaligner_prbs_chk_err": aligner.prbs_count != 0, "chaligner_select": aligner.select,
                "chaligner_snapshot": aligner.snapshot, "chaligner_hdr_mm_cntr": aligner.header_count,
                "chaligner_orbsyn_hdr_err_cnt": aligner.orbit_header_count,
                "chaligner_orbsyn_arr_err_cnt": orbit.extra_count, "chaligner_orbsyn_fc_err_cnt": orbit.missing_count,
                "chaligner_prbs_chk_err_cnt": aligner.prbs_count, "cherr_err_raw_dat": raw,
                "cherr_msk_dat": flag.mask, "cherr_err_dat": flag.flags, "cherr_err_out": flag.out,
            })  # fmt: skip
            aligners.append(aligner)
            flags.append(flag)
        unmatched = Cat(aligner.unmatched for aligner in aligners) & self.erx_enable
        busy = Cat(orbit.armed, *(aligner.searching for aligner in aligners)).any()
        m.d.comb += [
            all_matched.eq(unmatched == 0),
            self.aligner_done.eq(~busy & Cat(aligner.valid for aligner in aligners).all()),
        ]
        top = machine("flags", ErrorFlagsLogic, width=ERX_LINKS)
        m.d.comb += [
            top.raw.eq(Cat(flag.out for flag in flags)),
            top.clear.eq(self.errtop_clr_on_read_top & self.errtop_read),
            top.write_error.eq(self.errtop_wren_err_top),
            top.write_mask.eq(self.errtop_wren_msk_top),
            top.value.eq(self.errtop_wr_data_top),
            self.errtop_err_dat_top.eq(top.flags),
            self.errtop_msk_dat_top.eq(top.mask),
            self.errtop_err_out_top.eq(top.out),
            self.error.eq(top.out),
        ]
        return m

    def _command_status(self, m: Module, machine: Callable[..., Any], commands: Any) -> None:
        """Counters of fast commands, live or as they were when a command or the bus held them."""
        live = {"fctrl_locked": commands.locked, "fctrl_command_rx_inverted": commands.inverted,
                "fctrl_lock_count": commands.lock_count}  # fmt: skip
        for name, action in _COUNTS.items():
            first = int(action)
            span = range(first, first + FRONT_STATUS[name] // 8)
            live[name] = Cat(commands.counts[number] for number in span)
        capture = machine("status", StatusCaptureLogic, width=sum(FRONT_STATUS[name] for name in live))
        m.d.comb += [
            capture.live.eq(Cat(live.values())),
            capture.capture.eq(
                self.misc_status_capture | (self.fctrl_capture_fcmd_ctrl & commands.actions[:COUNTED]).any()
            ),
            capture.release.eq(self.misc_status_clear),
            Cat(getattr(self, name) for name in live).eq(capture.shown),
        ]

    def _channel_status(self, m: Module, link: int, values: Mapping[str, Value]) -> None:
        for name, value in values.items():
            width = FRONT_STATUS[name] // ERX_LINKS
            m.d.comb += getattr(self, name).word_select(link, width).eq(value)
