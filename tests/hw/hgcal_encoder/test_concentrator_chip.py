"""Every field of both register maps has its place in the hardware, or is listed as having none."""

import pytest
from amaranth.hdl import Const, Value

from hw.common.registered import described
from hw.hgcal_encoder.concentrator_control import ConcentratorControl
from hw.hgcal_encoder.links.front import FRONT_REGISTERS, FRONT_STATUS
from hw.hgcal_encoder.links.links import LINK_REGISTERS, Links
from hw.hgcal_encoder.register_view import CORE_SETTINGS, registers_of, status_of
from sim.hgcal_encoder.concentrator_spec import ECON_T_PRODUCTION
from sim.hgcal_encoder.configuration.chip_registers import Access
from sim.hgcal_encoder.configuration.register_maps import Built, Chip, groups, register_fields
from sim.hgcal_encoder.link_spec import LINKS_P1, LINKS_PRODUCTION

_TAKEN = {
    Chip.PRODUCTION: {"clocksandresets_pusm_run", "misc_rw_err_clr_0"},
    Chip.P1: {
        "misc_run", "misc_rw_ecc_err_clr", "algorithm_select", "algorithm_density", "formatterbuffer_tx_sync_word",
        "formatterbuffer_eporttx_numen", "formatterbuffer_mask_ae", "formatterbuffer_mask_ae2",
        "pll_phase_of_enable_1g28",
    },
}  # fmt: skip
"""Fields that work under another name than that of production."""


@pytest.mark.parametrize("chip", list(Chip))
def test_every_field_that_works_is_connected_and_no_other(chip: Chip) -> None:
    spec = LINKS_P1 if chip is Chip.P1 else LINKS_PRODUCTION
    control, links = described(ConcentratorControl, chip=chip), described(Links, spec=spec)
    registers = registers_of(chip, control)
    wanted = {**LINK_REGISTERS, **{
        source: ECON_T_PRODUCTION.settings[name] for name, source in CORE_SETTINGS.items()
    }}  # fmt: skip
    short = {name: (len(registers[name]), width) for name, width in wanted.items() if len(registers[name]) != width}
    # a type of super trigger cells has two bits on first silicon
    assert short == ({"formatterbuffer_stc_type": (2, 3)} if chip is Chip.P1 else {})
    read = set(wanted) | _TAKEN[chip]
    for name, fields in groups(register_fields(chip)).items():
        access, built = fields[0].access, fields[0].built
        assert len({field.built for field in fields}) == 1, name
        if access is Access.READ_ONLY:
            continue
        works = name in read or name.startswith("encoder_weights_byte")
        assert works == (built is Built.YES), name
    status = status_of(chip, links, running=Const(1, 1), overflow=Const(0, 1))
    assert set(status) == set(control.status)
    for name, value in status.items():
        assert isinstance(value, Value)
        # the error flags of the chip have one more channel on first silicon, which is not built
        more = chip is Chip.P1 and name in ("errtop_err_dat_top", "errtop_msk_dat_top")
        assert len(value) == control.status[name] - more, name


def test_all_status_of_the_front_is_shown_on_production() -> None:
    shown = {field.name for field in register_fields(Chip.PRODUCTION) if field.built is Built.YES}
    assert set(FRONT_STATUS) <= shown
    first_silicon = {"fctrl_force_fc_error", "fctrl_reset_b_fc_counters"}
    assert set(FRONT_REGISTERS) - shown == first_silicon | {"misc_rw_err_clr"}
