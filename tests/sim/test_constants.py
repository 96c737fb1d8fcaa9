"""Constants of physics and of the machine against published values and textbook formulas.

Every value here is typed from its source, or follows from values that are; none is read from the module under test.
"""

import math

import numpy as np
import pytest

from flows.campaign import beam
from flows.designs.encoder import BUNCH_CROSSING_NS
from flows.report.sections import BOLTZMANN_J_PER_K
from sim.hgcal_encoder import words
from sim.hgcal_encoder.detector import detector, digitisation, geometry, particles, pools
from sim.hgcal_encoder.detector.detector import MIP_FC, Detector

ELEMENTARY_CHARGE_FC = 1.602176634e-4
"""CODATA 2018, exact since the SI of 2019 (BIPM, The International System of Units, 9th ed., table 1); in fC."""
PAIRS_PER_UM = 1.664 * 2.329 * 1e2 / 3.62
"""Electron-hole pairs that a minimum-ionising particle leaves in a micrometre of silicon.

1.664 MeV cm2/g and 2.329 g/cm3 (Particle Data Group, Atomic and Nuclear Properties of Materials: silicon) over 3.62 eV
for a pair at 300 K (G. Lutz, Semiconductor Radiation Detectors, 1999, section 2.3).
"""


@pytest.mark.parametrize(
    ("value", "published", "relative"),
    [
        (digitisation.ELECTRON_FC, ELEMENTARY_CHARGE_FC, 0),
        # BIPM, as above: exact
        (BOLTZMANN_J_PER_K, 1.380649e-23, 0),
        # p[GeV] = 0.299792458 B[T] r[m] (PDG, Review of Particle Physics, "Detectors at accelerators"); in MT mm
        (pools.MEGATESLA_MM, 299_792_458 * 1e-12, 1e-12),
        # CMS Collaboration, The CMS experiment at the CERN LHC, JINST 3 (2008) S08004: 3.8 T
        (pools.FIELD_T, 3.8, 0),
        # G. Apollinari et al., High-Luminosity LHC Technical Design Report, CERN-2017-007-M: 14 TeV
        (pools.ENERGY_GEV, 14e3, 0),
        # LHC Design Report, CERN-2004-003-V-1, section 2: 3564 bunch places of 25 ns
        (words.ORBIT_LENGTH, 3564, 0),
        (BUNCH_CROSSING_NS, 25, 0),
        (beam.CROSSING_S, 25e-9, 1e-12),
        (beam.CROSSINGS_PER_DAY, 24 * 3600 * 40e6, 1e-12),
        # CMS Collaboration, The Phase-2 Upgrade of the CMS Endcap Calorimeter, CERN-LHCC-2017-023 (TDR-019):
        # 10-bit ADC up to 100 fC, 12-bit time over threshold in steps of 25 counts
        (digitisation.ADC_LSB_FC, 100 / 2**10, 1e-12),
        (digitisation.ADC_FULL_SCALE, 2**10 - 1, 0),
        (digitisation.TOT_FULL_SCALE, 2**12 - 1, 0),
        # the same, chapter 2: sensors begin about 3.2 m from the interaction point
        (particles.FRONT_FACE_MM, 3200, 0.005),
        # 8-inch sensors: hexagons of 167.44 mm between opposite edges
        (geometry.MODULE_PITCH_MM, 167.44, 1e-4),
        (geometry.N_TRIGGER_CELLS, 48, 0),
    ],
)
def test_constants_are_the_published_ones(value: float, published: float, relative: float) -> None:
    assert value == pytest.approx(published, rel=relative, abs=0)


@pytest.mark.parametrize("thickness_um", [120, 200, 300])
def test_charge_of_a_minimum_ionising_particle(thickness_um: int) -> None:
    """Pairs along the track times the elementary charge, to the digits in which the charge is stated."""
    charge_fc = thickness_um * PAIRS_PER_UM * ELEMENTARY_CHARGE_FC
    assert MIP_FC[thickness_um] == pytest.approx(charge_fc, abs=0.005)


def test_noise_of_the_sensors_is_a_small_part_of_a_particle() -> None:
    """TDR-019, section 2.5: some 2000 electrons, a minimum-ionising particle stands 6 to 17 times above."""
    for thickness_um, electrons in digitisation.NOISE_ELECTRONS.items():
        ratio = MIP_FC[thickness_um] / (electrons * ELEMENTARY_CHARGE_FC)
        assert ratio == pytest.approx(thickness_um * PAIRS_PER_UM / electrons, rel=0.005)
        assert 6 < ratio < 17


def test_charges_count_what_a_particle_leaves_in_200_um() -> None:
    """One transverse MIP is 35.1 counts, for every thickness: its charge in 200 um over the step of the ADC."""
    counts = 200 * PAIRS_PER_UM * ELEMENTARY_CHARGE_FC / (100 / 1024)
    assert counts == pytest.approx(35.1, abs=0.05)
    made = Detector(inner_radius_mm=600.0, outer_radius_mm=1200.0)
    thickness = made.module_thickness_um[made.site_module]
    assert set(thickness.tolist()) == {120, 200, 300}
    charge_fc = thickness * PAIRS_PER_UM * ELEMENTARY_CHARGE_FC
    found = made.calibration[:, 0] / 2**11 * charge_fc / (100 / 1024)
    # calibration codes have 11 bits after the point: at most half of one is rounded away
    np.testing.assert_allclose(found, counts / np.cosh(made.trigger_cell_eta[:, 0]), rtol=0.005)


def test_thickness_falls_where_the_radiation_is() -> None:
    assert detector.THICKNESS_RADII_MM == (700.0, 1000.0)
    made = Detector(inner_radius_mm=600.0, outer_radius_mm=1200.0)
    radius = [math.hypot(x, y) for x, y in made.module_centers_mm.tolist()]
    for r, um in zip(radius, made.module_thickness_um.tolist(), strict=True):
        assert um == (120 if r < 700 else 200 if r < 1000 else 300)
