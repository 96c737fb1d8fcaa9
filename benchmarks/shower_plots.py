"""Plots of the shower generator: ``python -m benchmarks.shower_plots``.

Writes to docs/images:

* shower_profiles.svg: longitudinal and radial profile of 40 GeV photons and pions, generated cell by cell through the
  detector, against the direct sum over the library they come from; both engines;
* shower_occupancy.svg: share of trigger cells above 1.35 transverse MIP by pseudorapidity and layer, and hit trigger
  cells per module, in pile-up 200;
* shower_spectra.svg: spectra of trigger cells and of module sums, with the public CMS-simulation rows where the shared
  data is at hand.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.style import figure, save
from sim.hgcal_encoder.detector.detector import Detector
from sim.hgcal_encoder.detector.frozen_showers import TRIGGER_LAYERS, ShowerLibrary
from sim.hgcal_encoder.detector.generator import NEIGHBOURS, Generator, ModuleImages
from sim.hgcal_encoder.detector.geometry import module_geometry
from sim.hgcal_encoder.detector.parametrised_showers import parametrised_library
from sim.hgcal_encoder.detector.particles import (
    BunchCrossings,
    Particles,
    ParticleSource,
    PileUp,
    SingleParticles,
    TopPairs,
)
from sim.hgcal_encoder.files.readers import read_charges

REPOSITORY = Path(__file__).resolve().parent.parent
ENERGY_GEV = 40.0
COUNTS_PER_MIPT = 35.1
KINDS = (("gamma", 0, "photons"), ("pi", 1, "charged pions"))
RADII_MM = np.arange(0.0, 101.0, 5.0)


def library_profiles(
    library: ShowerLibrary,
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]:
    """Of the showers near 40 GeV: mean deposit per trigger layer with its standard error; share inside each radius."""
    order = np.argsort(np.abs(np.log(library.energy_gev / ENERGY_GEV)))[: 2 * NEIGHBOURS + 1]
    depth, inside = [], np.zeros(len(RADII_MM))
    for shower in order.tolist():
        hits = slice(library.offsets[shower], library.offsets[shower + 1])
        used = np.isin(library.layer[hits], TRIGGER_LAYERS)
        mip = library.mip[hits][used] * ENERGY_GEV / library.energy_gev[shower]
        depth.append(np.bincount(library.layer[hits][used] // 2, mip, len(TRIGGER_LAYERS)))
        radius = np.hypot(library.x_mm[hits], library.y_mm[hits])[used]
        inside += (mip[:, None] * (radius[:, None] <= RADII_MM)).sum(axis=0)
    mean, error = np.mean(depth, axis=0), np.std(depth, axis=0) / np.sqrt(len(order))
    return (mean, error), inside / np.sum(depth)


def cell_positions(detector: Detector) -> NDArray[np.float64]:
    """Centres of all sensor cells of a layer, in the generator's numbering."""
    parts = []
    for centre, thickness in zip(detector.module_centers_mm, detector.module_thickness_um, strict=True):
        parts.append(centre + module_geometry("high" if thickness == 120 else "low").cell_centers_mm)
    return np.concatenate(parts)


def generated_profiles(
    libraries: tuple[ShowerLibrary, ShowerLibrary], kind: int, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As `library_profiles`, of single particles at normal incidence through the generator's cells."""
    generator = Generator(source=PileUp(mean=0), seed=5, libraries=libraries)
    positions = cell_positions(generator.detector)
    rng = np.random.default_rng(6)
    depth, inside = np.zeros(len(TRIGGER_LAYERS)), np.zeros(len(RADII_MM))
    for _ in range(count):
        radius, angle = rng.uniform(500, 600), rng.uniform(0, 2 * np.pi)
        axis = radius * np.array([np.cos(angle), np.sin(angle)])
        particle = Particles(
            kind=np.array([kind], np.uint8),
            energy_gev=np.array([ENERGY_GEV], np.float32),
            xy_mm=axis[None].astype(np.float32),
            slope=np.zeros((1, 2), np.float32),
        )
        deposits = generator.deposits(particle)
        depth += deposits.sum(axis=1) / count
        cells = np.flatnonzero(deposits.any(axis=0))
        distance = np.linalg.norm(positions[cells] - axis, axis=1)
        mip = deposits[:, cells].sum(axis=0) / count
        inside += (mip[:, None] * (distance[:, None] <= RADII_MM)).sum(axis=0)
    return depth, inside / depth.sum()


def profiles(path: Path, count: int) -> None:
    """Longitudinal and radial profile of both kinds and both engines."""
    sheet, axes = figure(2, 2, width=9, height=6.4)
    frozen = ShowerLibrary.load("gamma"), ShowerLibrary.load("pi")
    computed = parametrised_library("gamma", seed=1), parametrised_library("pi", seed=2)
    x0 = frozen[0].layer_depth_x0[list(TRIGGER_LAYERS)]
    for column, (_, kind, name) in enumerate(KINDS):
        for libraries, engine, colour in ((frozen, "frozen Geant4", "#1f618d"), (computed, "parametrised", "#c0392b")):
            direct, generated = library_profiles(libraries[kind]), generated_profiles(libraries, kind, count)
            (mean, error), inside = direct
            axes[0][column].fill_between(x0, mean - error, mean + error, color=colour, alpha=0.2, linewidth=0)
            for row, x, line in ((0, x0, mean), (1, RADII_MM, inside)):
                axis = axes[row][column]
                axis.plot(x, line, color=colour, label=f"{engine}, library")
                axis.plot(x, generated[row], "o", color=colour, markersize=4, mfc="none", label=f"{engine}, generated")
        axes[0][column].set_title(f"{name}, {ENERGY_GEV:g} GeV")
        axes[0][column].set_xlabel("depth of the trigger layer in radiation lengths")
        axes[1][column].set_xlabel("distance from the shower axis in mm")
        axes[1][column].set_ylim(0, 1.02)
    axes[0][0].set_ylabel("mean deposit per layer in MIP")
    axes[1][0].set_ylabel("share of the deposit inside")
    axes[1][1].legend(frameon=False)
    save(sheet, path)


def occupancies(images: ModuleImages, detector: Detector, path: Path) -> None:
    """Share of trigger cells above threshold by layer and pseudorapidity, and hit cells per module."""
    sheet, axes = figure(1, 2, width=9.5, height=3.8)
    edges = np.linspace(1.5, 2.9, 15)
    layers = np.unique(images.layer)
    above = images.charges >= 1.35 * COUNTS_PER_MIPT
    cell_eta = detector.trigger_cell_eta[images.site]
    table = np.full((len(layers), len(edges) - 1), np.nan)
    for i, layer in enumerate(layers):
        here = images.layer == layer
        cells = np.histogram(cell_eta[here], edges)[0]
        hit = np.histogram(cell_eta[here][above[here]], edges)[0]
        table[i, cells > 0] = 100.0 * hit[cells > 0] / cells[cells > 0]
    mesh = axes[0][0].pcolormesh(edges, np.append(layers - 1, layers[-1] + 1), table, cmap="inferno", rasterized=True)
    sheet.colorbar(mesh, ax=axes[0][0], label="trigger cells above 1.35 mipT, %")
    axes[0][0].set_xlabel("pseudorapidity")
    axes[0][0].set_ylabel("silicon layer")
    axes[0][0].grid(False)
    hits = (images.codes > 0).sum(axis=1)
    edges = np.linspace(1.5, 2.8, 8)
    which = np.digitize(images.eta, edges) - 1
    colours = ("#aed6f1", "#5dade2", "#1f618d", "#7d3c98", "#c0392b", "#e59866")
    for layer, colour in zip((1, 5, 9, 13, 19, 25), colours, strict=True):
        chosen = [(images.layer == layer) & (which == j) for j in range(len(edges) - 1)]
        mean = [hits[rows].mean() if rows.any() else np.nan for rows in chosen]
        middle = (edges[1:] + edges[:-1]) / 2
        axes[0][1].plot(middle, mean, color=colour, marker="o", markersize=3, label=f"layer {layer}")
    axes[0][1].set_xlabel("pseudorapidity")
    axes[0][1].set_ylabel("hit trigger cells per module")
    axes[0][1].set_ylim(0, 48)
    axes[0][1].legend(frameon=False)
    sheet.suptitle("minimum bias, pile-up 200", fontsize=10)
    save(sheet, path)


def spectra(samples: dict[str, NDArray[np.int64]], path: Path) -> None:
    """Spectra of trigger cells above 0 and of module sums of modules that are not empty."""
    sheet, axes = figure(1, 2, width=9.5, height=3.8)
    edges = np.geomspace(0.1, 3000, 46)
    colours = ("#1f618d", "#c0392b", "#27ae60", "#5dade2", "#82c99d")
    for (name, charges), colour in zip(samples.items(), colours, strict=False):
        style = "--" if "CMS" in name else "-"
        for axis, values in zip(axes[0], (charges[charges > 0], charges.sum(axis=1)[charges.any(axis=1)]), strict=True):
            counts = np.histogram(values / COUNTS_PER_MIPT, edges)[0]
            share = counts / max(len(values), 1) / np.diff(np.log10(edges))
            axis.stairs(np.where(share > 0, share, np.nan), edges, color=colour, linestyle=style, label=name)
    for axis, what in zip(axes[0], ("trigger cells above 0", "module sums"), strict=True):
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_ylim(1e-4, None)
        axis.set_xlabel("charge in transverse MIP")
        axis.set_title(what)
    axes[0][0].set_ylabel("share per decade")
    axes[0][1].legend(frameon=False)
    save(sheet, path)


def draw(source: ParticleSource, seed: int, crossings: int) -> ModuleImages:
    """Images of some crossings."""
    generator = Generator(source=source, seed=seed)
    return ModuleImages.join(list(generator.stream(crossings)))


def main() -> None:
    """All plots."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--showers", type=int, default=400, help="generated showers per profile")
    parser.add_argument("--crossings", type=int, default=12, help="crossings in pile-up 200")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "images")
    options = parser.parse_args()
    profiles(options.out / "shower_profiles.svg", options.showers)
    busy = draw(PileUp(mean=200), 3, options.crossings)
    occupancies(busy, Detector(), options.out / "shower_occupancy.svg")
    many = 8 * options.crossings
    electrons = draw(SingleParticles(kind=0, pt_gev=(20, 20)), 4, many)
    top = draw(TopPairs(), 5, many)
    overlaid = draw(BunchCrossings(sources=(TopPairs(), PileUp(mean=200))), 6, max(options.crossings // 2, 1))
    samples = {
        "top pairs": top.charges * (top.codes > 0),
        "electrons, 20 GeV transverse": electrons.charges * (electrons.codes > 0),
        "top pairs in pile-up 200": overlaid.charges * (overlaid.codes > 0),
    }
    folder = Path(os.environ.get("LIQUIDCAL_DATA", REPOSITORY.parent / "shared" / "data")) / "hgcal"
    for name, file in (
        ("top pairs, CMS simulation", "ttbar_0PU.csv"),
        ("electrons, CMS simulation", "electron_pt20_eta15-30_0PU.csv"),
    ):
        if (folder / file).is_file():
            samples[name] = read_charges(folder / file)
    spectra(samples, options.out / "shower_spectra.svg")


if __name__ == "__main__":
    main()
