"""Registers and status of either chip as links and core name them: under the names and widths of production."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Value

from sim.hgcal_encoder.configuration.register_maps import Chip, groups, register_fields
from sim.hgcal_encoder.link_spec import ERX_LINKS, ETX_LINKS

__all__ = ["CORE_SETTINGS", "registers_of", "status_of"]

_WEIGHT_PARTS = tuple(f"encoder_weights_byte{first}" for first in range(0, 136, 16))
_BLOCKS = 12
CORE_SETTINGS = {
    "mux": "mux", "cal": "cal", "threshold": "algothreshold", "drop_lsb": "algodroplsb_drop_lsb",
    "alg_type": "configalgo_alg_type", "alg_high_density": "configalgo_alg_high_density",
    **{name: f"formatterbuffer_{name}" for name in (
        "use_sum", "stc_type", "buff_t1", "buff_t2", "buff_t3", "active_etxs", "idle_pattern", "link_reset_pattern",
        "keep_auto_encoder_bits",
    )},
    "weights": "weights",
}  # fmt: skip
"""Register of each setting of `sim.hgcal_encoder.concentrator_spec`, under its name of production."""
_READY = {Chip.PRODUCTION: 8, Chip.P1: 9}
"""State of the power-up state machine that is ready."""
_RAW_FLAGS = ("prbs_chk_err", "orbsyn_fc_err", "orbsyn_arr_err", "orbsyn_hdr_err", "", "hdr_mm_err")
"""Flags of a channel from bit 0 that first silicon has as fields of their own."""
_WIDTHS = {
    "chaligner_seed_in": 15, "aligner_orbsyn_cnt_load_val": 12, "aligner_orbsyn_cnt_max_val": 12,
    "aligner_orbsyn_cnt_snapshot": 12, "errtop_wr_data_top": ERX_LINKS, "errtop_err_wr_data": 6, "algothreshold": 22,
    "algodroplsb_drop_lsb": 3, "formatterbuffer_buff_t1": 9, "formatterbuffer_buff_t2": 9, "formatterbuffer_buff_t3": 5,
}  # fmt: skip
"""Bits of a field that links and core take, where a chip has more or fewer."""


def registers_of(chip: Chip, control: Any) -> dict[str, Value]:
    """Registers and commands of a chip, as `hw.hgcal_encoder.links.links.LINK_REGISTERS` and `CORE_SETTINGS` name them.

    Parameters
    ----------
    chip : Chip
    control : object
        Interface of `hw.hgcal_encoder.concentrator_control.ConcentratorControl`.
    """
    found: dict[str, Value] = {}
    for name, fields in groups(f for f in register_fields(chip) if f.access != "ro").items():
        if hasattr(control, name):
            taken = _WIDTHS.get(name, fields[0].width)
            found[name] = _resized(getattr(control, name), len(fields), fields[0].width, taken)
    if hasattr(control, _WEIGHT_PARTS[0]):
        parts = [getattr(control, part) for part in _WEIGHT_PARTS]
        found["weights"] = Cat(
            part.word_select(block, len(part) // _BLOCKS) for block in range(_BLOCKS) for part in parts
        )
    if chip is Chip.PRODUCTION:
        return found | {
            "run": control.clocksandresets_pusm_run, "misc_rw_err_clr": control.misc_rw_err_clr_0,
            "fctrl_force_fc_error": Const(0, 1), "fctrl_reset_b_fc_counters": Const(1, 1),
        }  # fmt: skip
    sync = control.formatterbuffer_tx_sync_word[:11]
    late = Cat(control.pll_phase_of_enable_1g28, Const(0, 1))
    return found | {
        "run": control.misc_run, "misc_rw_err_clr": control.misc_rw_ecc_err_clr,
        "configalgo_alg_type": control.algorithm_select, "configalgo_alg_high_density": control.algorithm_density,
        "formatterbuffer_idle_pattern": sync, "formatterbuffer_link_reset_pattern": sync,
        "formatterbuffer_active_etxs": Cat(control.formatterbuffer_eporttx_numen > link for link in range(ETX_LINKS)),
        "formatterbuffer_keep_auto_encoder_bits": Cat(
            control.formatterbuffer_mask_ae, control.formatterbuffer_mask_ae2
        ),
        "formatterbuffer_etx_pattern": Const(0, 3), "formatterbuffer_align_serializer": Cat([late] * ETX_LINKS),
        "aligner_freeze_output_enable": Const(0, 1), "aligner_freeze_output_enable_all_channels_locked": Const(0, 1),
        "fctrl_capture_fcmd_ctrl": Const(0, 22), "misc_status_clear": Const(0, 1), "misc_status_capture": Const(0, 1),
    }  # fmt: skip


def _resized(value: Value, count: int, width: int, taken: int) -> Value:
    """Each of `count` elements cut or extended to `taken` bits."""
    if width == taken:
        return value
    parts = [value.word_select(number, width)[: min(width, taken)] for number in range(count)]
    missing = Const(0, max(taken - width, 0))
    return Cat(Cat(part, missing) for part in parts)


def status_of(chip: Chip, links: Any, *, running: Value, overflow: Value) -> dict[str, Value]:
    """Status of a chip by the names of its groups.

    Parameters
    ----------
    chip : Chip
    links : object
        Interface of `hw.hgcal_encoder.links.links.Links`.
    running : Value
        The chip is ready.
    overflow : Value
        The output buffer overflowed since errors were cleared.
    """
    special: Mapping[str, Callable[[], Value]] = {
        "clocksandresets_pusm_state": lambda: running.replicate(4) & _READY[chip],
        "misc_pusm_state": lambda: running.replicate(4) & _READY[chip],
        "formatterbuffer_buffer_wr_ptr_ovflw_err": lambda: overflow,
        "formatterbuffer_buffer_out_err": lambda: overflow,
        "chaligner_snapshot": lambda: _part(links.chaligner_snapshot, 0, 128) if chip is Chip.P1 else
            links.chaligner_snapshot,
        "chaligner_snapshot2": lambda: _part(links.chaligner_snapshot, 128, 192),
        "fctrl_fc_error": lambda: links.fctrl_fc_error_fcmd_count != 0,
        "fctrl_fc_error_count": lambda: links.fctrl_fc_error_fcmd_count,
        **{f"cherr_{name}": partial(_raw_flag, links, bit) for bit, name in enumerate(_RAW_FLAGS) if name},
    }  # fmt: skip
    names = {field.name for field in register_fields(chip) if field.access == "ro" and field.built == "yes"}
    names.discard("misc_wbmaster_err_wb_adr_cnt")
    return {name: special[name]() if name in special else getattr(links, name) for name in sorted(names)}


def _raw_flag(links: Any, bit: int) -> Value:
    return Cat(links.cherr_err_raw_dat.word_select(link, len(_RAW_FLAGS))[bit] for link in range(ERX_LINKS))


def _part(value: Value, low: int, high: int) -> Value:
    width = len(value) // ERX_LINKS
    return Cat(value.word_select(link, width)[low:high] for link in range(ERX_LINKS))
