"""Golden models of the links against published codes and vectors, textbook sequences, and what was sent."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from flows.stimulus.link_traffic import LinkTraffic, command_bits, raw_words
from flows.verification.links import ALIGNED_AFTER, FIRST_ORBIT, alignment_registers, random_stimulus
from sim.hgcal_encoder.files.vectors import read_words
from sim.hgcal_encoder.link_spec import (
    CODES,
    COUNTED,
    IDLE,
    LINKS_P1,
    LINKS_PRODUCTION,
    PHASE_BAD,
    TAPS,
    Action,
    Command,
    LinkSpec,
    actions_of,
)
from sim.hgcal_encoder.links.deserialiser import bits_of, deserialise, words_of
from sim.hgcal_encoder.links.error_flags import ErrorFlags
from sim.hgcal_encoder.links.fast_commands import FastCommandDecoder, command_samples
from sim.hgcal_encoder.links.front import Front, FrontRegisters
from sim.hgcal_encoder.links.link_reset import LinkReset
from sim.hgcal_encoder.links.patterns import advance, prbs
from sim.hgcal_encoder.links.phase_select import PhaseSelect, best_tap, edges
from sim.hgcal_encoder.links.serialiser import Serialiser
from sim.hgcal_encoder.links.word_aligner import AlignerRegisters, find_pattern

PUBLISHED = {
    0x36: "IDLE", 0x1D: "BCR", 0x95: "OCR", 0x71: "BCR L1A", 0xA3: "BCR", 0xA5: "BCR L1A", 0x4B: "L1A", 0xCC: "",
    0xE1: "L1A", 0x2D: "CAL_INT", 0x39: "CAL_INT L1A", 0x55: "CAL_INT", 0xE2: "CAL_INT L1A", 0x78: "CAL_EXT",
    0x87: "CAL_EXT L1A", 0x93: "CAL_EXT", 0xF0: "CAL_EXT L1A", 0x0F: "NZS L1A", 0x2B: "NZS L1A",
    0x99: "LINK_RESET_ROC_T", 0x9A: "LINK_RESET_ROC_D", 0xAA: "LINK_RESET_ECON_T", 0xB8: "LINK_RESET_ECON_D",
    0xD2: "CHIP_SYNC", 0xA9: "ECR", 0xD1: "EBR",
    0x47: "SPARE_0", 0x53: "SPARE_1", 0x59: "SPARE_2", 0x5A: "SPARE_3", 0x5C: "SPARE_4", 0x8B: "SPARE_5",
}  # fmt: skip
"""Codes and what they ask for, from the codebook; OCR comes with a BCR."""


def test_codes_are_those_of_the_codebook() -> None:
    assert set(PUBLISHED) == set(CODES) | set(LINKS_PRODUCTION.spare_codes)
    for code, asked in PUBLISHED.items():
        assert code.bit_count() == 4
        names = set(asked.split()) - {"IDLE"} | ({"BCR"} if asked == "OCR" else set())
        assert {action.name for action in actions_of(code, LINKS_PRODUCTION)} == names, hex(code)
    assert actions_of(0x17, LINKS_PRODUCTION) == (Action.UNASSIGNED,)


def test_spec_survives_toml_and_refuses_nonsense() -> None:
    for spec in (LINKS_PRODUCTION, LINKS_P1, LinkSpec(select_max=63, etx_first_bit=0, freeze_data=False)):
        assert LinkSpec.from_toml(spec.to_toml()) == spec
    for text, message in (
        ("select_max = 161", "select_max: expected 63 to 160, got 161"), ("etx_first_bit = 1", "expected 31 or 0"),
        ("freeze_data = 1", "freeze_data: expected true or false"), ("spare_codes = [71, 71]", "a free code with four"),
        ("spare_codes = [54]", "a free code with four ones, got 0x36"), ("spare = 1", "unknown 'spare'"),
        ("spare_codes = 1", "expected at most 8 codes"), ("x = ", "not a TOML file"),
        (f"x = {'[' * 5000}", "not a TOML file: nested too deep"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            LinkSpec.from_toml(text)


def test_prbs_is_the_textbook_sequence() -> None:
    """Every bit is the sum of those 14 and 15 (6 and 7) before it, and the sequence repeats after 2^n - 1 bits."""
    for order in (15, 7):
        period = (1 << order) - 1
        bits = np.array([int(bit) for bit in format(prbs(1, order, period + 100), f"0{period + 100}b")])
        assert (bits[order:] == bits[:-order] ^ bits[1 : 1 - order]).all()
        assert (bits[:100] == bits[period:]).all()
        assert bits[:period].sum() == (period + 1) // 2
    # PRBS15 of a whole word, step by step, as the control software of first silicon writes it
    word = 0x4F4BA679
    stepped = word
    for _ in range(32):
        stepped = (stepped << 1 & 0xFFFFFFFF) | ((stepped >> 14 & 1) ^ (stepped >> 13 & 1))
    assert prbs(word, 15, 32) == stepped == advance(word, 15, 32) & 0xFFFFFFFF


@pytest.mark.parametrize("shift", range(8))
def test_decoder_locks_at_any_phase_and_reads_all_codes(shift: int) -> None:
    decoder = FastCommandDecoder(spec=LINKS_PRODUCTION)
    codes = [IDLE] * 5 + list(PUBLISHED) + [IDLE]
    done = [decoder.step(samples) for samples in command_samples(codes, shift)]
    seen = [{a.name for a in actions} - {"ERROR"} for actions in done]
    late = int(shift > 0)
    wanted = [set(PUBLISHED[code].split()) - {"IDLE"} | ({"BCR"} if code == Command.OCR else set()) for code in codes]
    assert seen[5 + late :] == wanted[5 : len(codes) - late]
    assert decoder.locked
    assert decoder.lock_count == 1
    assert decoder.phase == (shift - 1) % 8


def test_lock_takes_three_idles_in_a_row_and_is_lost_to_three_at_another_phase() -> None:
    """All short mixtures of IDLE and other codes, and a line that slips by any number of bits."""
    for pattern in itertools.product((IDLE, 0xAA, 0x00), repeat=5):
        decoder = FastCommandDecoder(spec=LINKS_PRODUCTION)
        for samples in command_samples(pattern):
            decoder.step(samples)
        assert decoder.locked == any(pattern[i : i + 3] == (IDLE,) * 3 for i in range(3)), pattern
    for slip in range(1, 8):
        decoder = FastCommandDecoder(spec=LINKS_PRODUCTION)
        for samples in command_samples([IDLE] * 4):
            decoder.step(samples)
        states, errors = [], 0
        for samples in command_samples([IDLE] * 12, slip)[1:]:
            errors += Action.ERROR in decoder.step(samples)
            states.append(decoder.locked)
        # the first whole IDLE of the slipped line comes in the second step; by 7 bits it can begin in the old one
        lost = 2 if slip == 7 else 3
        assert states == [True] * lost + [False] * 3 + [True] * (8 - lost), slip
        assert errors >= lost
        assert decoder.lock_count == 2


def test_errors_inversion_edge_and_counters() -> None:
    decoder = FastCommandDecoder(spec=LINKS_PRODUCTION)
    for samples in command_samples([IDLE] * 3 + [0x01, IDLE, 0xFF]):
        decoder.step(samples)
    assert decoder.counts[Action.ERROR] == 2
    inverted = FastCommandDecoder(spec=LINKS_PRODUCTION)
    for samples in command_samples([IDLE ^ 0xFF] * 4):
        inverted.step(samples)
    assert inverted.inverted
    assert not inverted.locked
    for samples in command_samples([IDLE ^ 0xFF] * 4):
        inverted.step(samples, invert=True)
    assert inverted.locked
    # a line whose second sample of each bit is wrong, and whose fourth is right
    bad = [samples ^ 0x44444444 for samples in command_samples([IDLE] * 6)]
    for rising in (False, True):
        decoder = FastCommandDecoder(spec=LINKS_PRODUCTION)
        for samples in bad:
            decoder.step(samples, rising=rising)
        assert decoder.locked is not rising
    decoder = FastCommandDecoder(spec=LINKS_PRODUCTION)
    for samples in command_samples([IDLE] * 3 + [Command.L1A] * 300):
        decoder.step(samples)
    assert decoder.counts == [0, 0, 255, *[0] * (COUNTED - 3)]
    decoder.step(command_samples([IDLE])[0], clear=True)
    assert decoder.counts == [0] * COUNTED


@pytest.mark.parametrize("seed", range(3))
def test_links_with_any_skew_are_aligned_and_numbered(seed: int) -> None:
    """What comes out is what the ROCs sent, on all links in the same crossing; `select` follows from the delays."""
    stimulus = random_stimulus(np.random.default_rng(seed), LINKS_PRODUCTION, 900, calm=True)
    traffic, front = stimulus.traffic, Front(LINKS_PRODUCTION)
    out = [
        front.step(stimulus.raw[row].tolist(), int(stimulus.commands[row]), stimulus.registers[row])
        for row in range(900)
    ]
    first = FIRST_ORBIT + traffic.orbit + ALIGNED_AFTER
    sent = traffic.words()
    for row in range(first, 900):
        assert out[row].words == tuple(sent[row - 6].tolist()), row
        assert out[row].crossing == (row - 6 - FIRST_ORBIT) % traffic.orbit
    assert [channel.select for channel in front.aligners] == (160 - traffic.delays[0]).tolist()
    assert front.done
    assert all(channel.match for channel in front.aligners)
    # with the published window of 63 the same links are found only where they are less than a word apart
    snapshots = [find_pattern(channel.snapshot, stimulus.registers[0].aligner, LINKS_PRODUCTION) for channel in
                 front.aligners]  # fmt: skip
    assert snapshots == [channel.select for channel in front.aligners]


def test_data_is_frozen_until_all_links_are_found() -> None:
    """One link never sends the pattern: with the freeze of all channels no data passes, without it all others do."""
    stimulus = random_stimulus(np.random.default_rng(7), LINKS_PRODUCTION, 900, calm=True)
    stimulus.raw[:, 5] = 0
    registers = stimulus.registers[0]
    for freeze, enabled in itertools.product((1, 0), (1, 0)):
        aligner = AlignerRegisters(**vars(registers.aligner) | {"freeze_output_enable_all_channels_locked": freeze})
        enable = tuple(int(link != 5 or enabled) for link in range(12))
        changed = FrontRegisters(**vars(registers) | {"aligner": aligner, "enable": enable})
        front = Front(LINKS_PRODUCTION)
        for row in range(900):
            out = front.step(stimulus.raw[row].tolist(), int(stimulus.commands[row]), changed)
        data = [word & 0xFFFFFFF for word in out.words]
        assert [channel.match for channel in front.aligners] == [link != 5 for link in range(12)]
        assert any(data) is not bool(freeze and enabled)
        assert {word >> 28 for link, word in enumerate(out.words) if link != 5} <= {0x9, 0xA}


def test_the_alignment_vectors_pass_from_serial_bits_to_words(econt_vectors: Path) -> None:
    """Every published input row of the set, cut into bits, late by up to three words, found and aligned again."""
    words = read_words(econt_vectors / "alignment" / "testInput_bx0000-1781.csv")
    rows = len(words)
    orbit, rng = 3564, np.random.default_rng(22)
    # a run up with the end of the orbit before, in which the ROCs send idle words
    before = 400
    idle = np.full((before, 12), 0xACCCCCCC)
    idle[70] = 0x9CCCCCCC
    delays = np.tile(rng.integers(0, 129, 12), (before + rows, 1))
    raw = raw_words(np.concatenate([idle, words]), delays)
    # the same through receivers that see single bits at one of fifteen taps
    bits = [bits_of(column) for column in raw.T.tolist()]
    tap = 9
    seen = [
        [deserialise([bit << tap for bit in column[32 * row : 32 * row + 32]], tap=tap)[0] for column in bits]
        for row in (*range(5), 399, 400)
    ]
    assert seen == raw[[*range(5), 399, 400]].tolist()
    registers = alignment_registers(orbit, 0)
    commands = command_bits({50: Command.BCR, 60: Command.LINK_RESET_ROC_T}, before + rows, 0)
    front = Front(LINKS_PRODUCTION)
    out = [front.step(raw[row].tolist(), int(commands[row]), registers).words for row in range(before + rows)]
    assert out[before + 6 :] == [tuple(row) for row in words[:-6].tolist()]
    assert all(channel.match for channel in front.aligners)


def test_best_tap_is_the_farthest_from_edges() -> None:
    """All single and double edges: no tap is farther from both, by counting around the circle."""
    assert best_tap(0) == PHASE_BAD
    assert best_tap((1 << TAPS) - 1) == PHASE_BAD
    for first, second in itertools.combinations_with_replacement(range(TAPS), 2):
        distances = [
            min(min((tap - edge) % TAPS, (edge + 1 - tap) % TAPS) for edge in {first, second}) for tap in range(TAPS)
        ]
        found = best_tap(1 << first | 1 << second)
        # taps beside an edge, which lies between them, count 0 and 1 from either side
        assert distances[found] >= max(distances) - 1, (first, second, found, distances)
    assert edges([0b000000000000111, 0b111111111111000]) == 0b000000000000100


def test_training_finds_the_eye_and_says_when_there_is_none() -> None:
    # a link whose bits begin between taps 4 and 5
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 2, 33 * 32).tolist()
    line = [((1 << 5) - 1) * before | (((1 << 10) - 1) << 5) * bit for before, bit in itertools.pairwise([0, *bits])]
    phase = PhaseSelect(spec=LINKS_PRODUCTION)
    crossings = [line[32 * k : 32 * k + 32] for k in range(33)]
    phase.step(0, track_mode=1, train=0)
    for samples in crossings:
        phase.step(deserialise(samples)[1], track_mode=1, train=1)
    for _ in range(10):
        phase.step(0, track_mode=1, train=1)
    assert phase.locked
    assert phase.used(1, 0) == phase.shown(1, 0) == 12
    word = deserialise(crossings[1], tap=phase.used(1, 0))[0]
    assert word == words_of(bits[32:64])[0]
    silent = PhaseSelect(spec=LINKS_PRODUCTION)
    for _ in range(60):
        silent.step(0, track_mode=1, train=1)
    assert not silent.locked
    assert silent.shown(1, 0) == PHASE_BAD
    assert silent.used(0, 9) == 9
    assert silent.used(0, 15) == 14


@pytest.mark.parametrize("spec", [LINKS_PRODUCTION, LinkSpec(etx_first_bit=0)], ids=["most", "least"])
def test_serialiser_delays_by_bits(spec: LinkSpec) -> None:
    rng = np.random.default_rng(3)
    words = rng.integers(0, 1 << 32, 12).tolist()
    whole = [word if spec.etx_first_bit else int(f"{word:032b}"[::-1], 2) for word in words]
    for align in (0, 1, 31, 32, 40, 63):
        serialiser = Serialiser(spec=spec)
        sent = bits_of([serialiser.step(word, align=align) for word in [*words, 0, 0, 0]])
        assert sent == [0] * (32 + align) + bits_of([*whole, 0, 0])[: 32 * 14 - align]
    serialiser = Serialiser(spec=spec)
    sent = bits_of([serialiser.step(0, etx_pattern=1, invert=True) for _ in range(9)])[32:]
    assert all(bit ^ 1 == (a ^ 1) ^ (b ^ 1) for a, b, bit in zip(sent, sent[1:], sent[7:], strict=False))
    assert len(set(sent)) == 2


def test_link_reset_takes_256_crossings_8_after_the_command() -> None:
    packet = LinkReset(spec=LINKS_PRODUCTION)
    active = []
    for row in range(300):
        active.append(packet.active)
        packet.step(row == 10)
    assert [row for row, on in enumerate(active) if on] == list(range(18, 18 + 256))
    packet.step(True)
    packet.step(False, chip_sync=True)
    assert packet.left == 0


def test_error_flags_stay_until_cleared_and_masked_ones_do_not_count() -> None:
    flags = ErrorFlags(width=6)
    flags.step(0b100)
    flags.step(0)
    assert (flags.data, flags.out) == (0b100, True)
    flags.step(0, write_mask=True, value=0b100)
    assert not flags.out
    flags.step(0b1, clear=True)
    assert (flags.data, flags.out) == (0b1, True)
    flags.step(0, write_error=True, value=0b110000)
    assert flags.data == 0b110000


def test_traffic_slips_and_flips_where_it_says() -> None:
    delays = np.zeros((8, 12), np.int64)
    delays[4:, 3] = 5
    traffic = LinkTraffic(
        orbit=100, start=0, delays=delays, data=np.arange(96).reshape(8, 12), idle=0, headers={(2, 1): 0x5},
        flips={(6, 2): 0x80000001},
    )  # fmt: skip
    sent, raw = traffic.words(), traffic.raw()
    assert (sent[0] >> 28 == 0x9).all()
    assert sent[2, 1] >> 28 == 0x5
    assert raw[6, 2] == sent[6, 2] ^ 0x80000001
    assert raw[5, 3] == (sent[4, 3] & 0x1F) << 27 | sent[5, 3] >> 5
    assert (raw[:4, 3] == sent[:4, 3]).all()
