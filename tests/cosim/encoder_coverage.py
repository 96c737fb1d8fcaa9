"""Functional coverage of the encoder's benches: cover groups of its stages, of the whole chip, of formats."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from sim.fixed_point import FixedPoint
from sim.hgcal_encoder.configuration.registers import register_map
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import CELLS, ETX_WORDS, EncoderSpec
from sim.hgcal_encoder.words import unpack
from tests.cosim.coverage import ENDS, OCCUPANCIES, Coverage, Point, ends, occupancy, share, shares

__all__ = ["crossing_coverage", "formats_coverage", "stage_coverage"]

Inputs = Mapping[str, np.ndarray]


def _header(value: int) -> str:
    return {9: "orbit", 10: "crossing"}.get(int(value), "other")


def crossing_coverage(spec: EncoderSpec) -> dict[str, Coverage]:
    """Cover groups of the whole encoder by name.

    ``crossing`` is sampled with words and settings, ``write`` with an address and whether frames are compared
    meanwhile, ``reset`` with the state that the reset finds.
    """
    regions = {
        byte: field.name
        for field in register_map(spec)
        for byte in range(field.address, field.address + -(-(field.lsb + field.width) // 8))
    }

    def codes(words: np.ndarray, _: Settings) -> np.ndarray:
        return unpack(words[None], spec.word_order)[1][0]

    def exponents(words: np.ndarray, settings: Settings) -> Iterable[Any]:
        return {int(code) >> 3 for code in codes(words, settings)}

    crossing: dict[str, Point] = {
        "header": (lambda words, _: [_header(words[0] >> 28)], ("orbit", "crossing", "other")),
        "exponent": (exponents, range(16)),
        "mantissa": (lambda words, s: {int(code) & 7 for code in codes(words, s)}, range(8)),
        "corner": (lambda words, s: {int(c) for c in codes(words, s)} & {0, 1, 7, 8, 120, 127}, (0, 1, 7, 8, 120, 127)),
        "occupancy": (lambda words, s: [occupancy(int((codes(words, s) > 0).sum()))], OCCUPANCIES),
        "links": (lambda _, settings: [settings.etx_count], range(1, ETX_WORDS + 1)),
        "density": (lambda _, settings: ["high" if settings.high_density else "low"], ("high", "low")),
        "occupancy_by_density": (
            lambda words, s: [(occupancy(int((codes(words, s) > 0).sum())), bool(s.high_density))],
            [(occupancy, density) for occupancy in OCCUPANCIES for density in (False, True)],
        ),
        "selection": (
            lambda _, s: ["permutation" if len(set(s.select.tolist())) == CELLS else "repeated"],
            ("permutation", "repeated"),
        ),
        "factor": (lambda _, s: ends(s.factors, 0, 4095), ("highest", "between")),
    }
    return {
        "crossing": Coverage("encoder.crossing", crossing),
        "write": Coverage(
            "encoder.write",
            {
                "field": (
                    lambda address, flows: [(regions[address], flows)],
                    [(name, True) for name in dict.fromkeys(regions.values())],
                )
            },
        ),
        "reset": Coverage(
            "encoder.reset", {"when": (lambda when: [when], ("power up", "in stream", "of a loaded encoder"))}
        ),
    }


def _shifts(inputs: Inputs) -> set[int]:
    return set(inputs["shifts"].tolist())


def stage_coverage(name: str, spec: EncoderSpec) -> Coverage:
    """The cover group of a stage, sampled with the inputs of a row."""

    def format_ends(port: str, form: FixedPoint) -> Point:
        return (lambda inputs: ends(inputs[port], form.min_code, form.max_code), ENDS)

    def all_zero(port: str) -> Point:
        return (lambda inputs: [bool(inputs[port].any())], (False, True))

    weight, pixel, activation, latent = spec.weight, spec.pixel, spec.activation, spec.latent
    groups: dict[str, dict[str, Point]] = {
        "words": {
            "header": (lambda i: [int(i["words"][0]) >> 28], range(16)),
            "orbit_header_elsewhere": (lambda i: [bool((i["words"][1:] >> 28 == 9).any())], (False, True)),
        },
        "multiplex": {
            "input": (lambda i: set(i["select"].tolist()), range(64)),
            "selection": (
                lambda i: ["permutation" if len(set(i["select"].tolist())) == CELLS else "repeated"],
                ("permutation", "repeated"),
            ),
        },
        "decode": {
            "code": (
                lambda i: {(int(code), int(i["high_density"][0])) for code in i["codes"]},
                [(code, density) for code in range(128) for density in (0, 1)],
            )
        },
        "calibrate": {
            "shift": (_shifts, range(17)),
            "mantissa": (lambda i: set(i["mantissas"].tolist()), range(16)),
            "factor": (lambda i: set(i["factors"].tolist()) & {0, 1, 2048, 4095}, (0, 1, 2048, 4095)),
        },
        "normalise": {
            # position of the leading one of the module sum; 0: none
            "leading_one": (lambda i: [int(i["charges"].sum()).bit_length()], range(29)),
            "occupancy": (lambda i: [occupancy(int((i["charges"] > 0).sum()))], ("empty", "sparse", "busy", "full")),
        },
        "convolution": {
            "pixel": format_ends("pixels", pixel), "kernel": format_ends("kernel", weight),
            "bias": format_ends("bias", weight), "any_pixel": all_zero("pixels"),
        },
        "dense": {
            "activation": format_ends("activations", activation), "weight": format_ends("weights", weight),
            "bias": format_ends("bias", weight), "any_activation": all_zero("activations"),
        },
        "frame": {
            "links": (lambda i: [int(i["etx_count"][0])], range(16)),
            "counter": (lambda i: [int(i["counter"][0])], (31, *range(16))),
            "kept": (lambda i: [share(int(i["keep_mask"].sum()), spec.keep_bits)], shares(spec.keep_bits)),
            "latent": format_ends("latents", latent),
            "sum_exponent": (lambda i: [int(i["sum_code"][0]) >> 4], range(32)),
        },
    }  # fmt: skip
    return Coverage(f"stage.{name}", groups[name])


def formats_coverage(specs: Iterable[EncoderSpec]) -> Coverage:
    """The cover group of the formats of the specs that benches are built for."""
    made = Coverage(
        "formats",
        {
            "rounding": (
                lambda s: {s.conv_product_rounding.name, s.dense_product_rounding.name, s.latent.rounding.name},
                ("RND", "RND_CONV", "TRN"),
            ),
            "overflow": (lambda s: {s.activation.overflow.name, s.latent.overflow.name}, ("WRAP", "SAT")),
            "word_order": (lambda s: [s.word_order.name], ("P1", "PRODUCTION")),
            "stride": (lambda s: [s.stride], (1, 2)),
            "channels": (lambda s: [s.grid[2]], (1, 2)),
            "padding": (lambda s: ["padded" if any(s.padding) else "none"], ("padded", "none")),
            "empty_pixel": (lambda s: [-1 in s.cell_map], (False, True)),
            "weight_bits": (lambda s: ["6" if s.weight.width == 6 else "other"], ("6", "other")),
            "integer_bits": (lambda s: [s.weight.width - s.weight.fraction > 1], (False, True)),
        },
    )
    for spec in specs:
        made.sample(spec)
    return made
