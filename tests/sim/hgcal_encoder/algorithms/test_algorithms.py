"""Threshold sum, super trigger cells, best choice and repeater against the published vectors, bit for bit.

What the vectors do not reach is checked against small independent computations: packets put together as text, a plain
sort, a first-in first-out queue.
"""

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from sim.hgcal_encoder.algorithms.best_choice import CELLS_SENT, BestChoice, merge_exchange, sort_descending
from sim.hgcal_encoder.algorithms.comparison import reconstruct_baselines
from sim.hgcal_encoder.algorithms.concentrator import encode_words, load_chip_settings, load_concentrator
from sim.hgcal_encoder.algorithms.output_buffer import Admission, BufferThresholds, admit, from_frames
from sim.hgcal_encoder.algorithms.repeater import Repeater
from sim.hgcal_encoder.algorithms.super_trigger_cell import SuperTriggerCells, SuperTriggerCellType
from sim.hgcal_encoder.algorithms.threshold_sum import ThresholdSum
from sim.hgcal_encoder.calibrate import calibrate
from sim.hgcal_encoder.decode import decode
from sim.hgcal_encoder.files.settings_files import load_settings
from sim.hgcal_encoder.files.vectors import read_frames, read_words
from sim.hgcal_encoder.float_code import CELL, SUM, WIDE_SUM, FloatCode
from sim.hgcal_encoder.learning.features import sum_of_code
from sim.hgcal_encoder.learning.metric import earth_movers_distance
from sim.hgcal_encoder.multiplex import multiplex
from sim.hgcal_encoder.normalise import sum_code
from sim.hgcal_encoder.words import bunch_crossings, pack, unpack

VECTORS = ("BC_5eTx", "STC_type3_eTx3", "TS_Thr47_5eTx_MRL", "RPT_13eTx")


@pytest.fixture(scope="module")
def published(econt_vectors):
    """Algorithm, charges, crossing numbers and expected frames of every published set."""
    words = read_words(econt_vectors / "testInput_bx0000-1781.csv")
    out = {}
    for name in VECTORS:
        algorithm, loaded = load_concentrator(econt_vectors / name / "init.yaml")
        headers, inputs = unpack(words, loaded.word_order)
        charges = calibrate(decode(multiplex(inputs, loaded.select), loaded.high_density), loaded.factors)
        expected = read_frames(econt_vectors / name / "testOutput_bx0000-1781.csv")
        out[name] = algorithm, charges, bunch_crossings(headers), expected
    return out


@pytest.mark.parametrize("name", VECTORS)
def test_every_published_word(published, name):
    algorithm, charges, bx, expected = published[name]
    assert expected.shape == (1782, 13)
    assert_array_equal(algorithm.frames(charges, bx), expected)


@pytest.mark.parametrize("name", ["BC_5eTx", "STC_type3_eTx3", "RPT_13eTx"])
def test_receiver_of_published_frames(published, name):
    algorithm, charges, _, expected = published[name]
    assert np.allclose(algorithm.receive(expected), algorithm.reconstruct(charges))


def test_receiver_of_published_threshold_sum(published):
    algorithm, charges, _, expected = published["TS_Thr47_5eTx_MRL"]
    received = algorithm.receive(expected)
    admissions = algorithm.admissions(charges)
    assert set(admissions) == {Admission.FULL, Admission.NO_ROOM}
    assert np.sum(admissions == Admission.FULL) == 703
    assert 1750 < len(received) < 1782  # the last crossings are still in the buffer
    assert np.allclose(received, algorithm.reconstruct(charges, admissions)[: len(received)])


def test_best_choice_keeps_the_largest(published):
    algorithm, charges, _, expected = published["BC_5eTx"]
    received = algorithm.receive(expected)
    kept = received > 0
    assert (kept.sum(axis=1) == 14).all()
    assert (np.where(kept, charges, 1 << 30).min(axis=1) >= np.where(kept, 0, charges).max(axis=1) - 7).all()
    # 4E3M after three dropped bits: within 1/16 of the value, or half of the dropped range
    assert (np.abs(received - charges)[kept] <= np.maximum(charges[kept] / 16, 4)).all()
    # the residual is the sum of the rest to 5E3M precision
    even = algorithm.receive(expected, residual="even")
    rest = np.where(kept, 0, charges >> 3).sum(axis=1) * 8
    assert np.allclose((even - received).sum(axis=1), rest, rtol=1 / 14, atol=4)


# ---- codes ---------------------------------------------------------------------------------------------------------


@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 3), st.integers(0, 1 << 40))
def test_code_by_binary_digits(exponent, mantissa, drop, value):
    code = FloatCode(exponent=exponent, mantissa=mantissa)
    digits = bin(value >> drop)[2:]
    if value >> drop < 1 << mantissa:
        expected = value >> drop
    else:
        size = len(digits) - mantissa
        expected = (
            (1 << code.width) - 1 if size >= 1 << exponent else size << mantissa | int(digits[1 : mantissa + 1], 2)
        )
    assert code.encode(value, drop) == expected
    if 0 < expected < (1 << code.width) - 1:
        same = [v for v in (value, max(value - 1, 0), value + 1) if code.encode(v, drop) == expected]
        middle = code.decode(expected, drop)
        assert code.encode(int(middle), drop) == expected
        spread = max((1 << max(len(digits) - 1 - mantissa, 0)) << drop, 1)
        assert all(abs(v - middle) <= (spread - 1) / 2 for v in same)


def test_codes_agree_with_the_encoder():
    sums = np.concatenate([np.arange(5000), np.random.default_rng(0).integers(0, 1 << 28, 5000)])
    assert_array_equal(WIDE_SUM.encode(sums), sum_code(sums))
    codes = np.arange(1, 512 - 64)
    assert np.allclose(WIDE_SUM.decode(codes), sum_of_code(codes))
    # decoded input charges are the middles of 4E3M: the chip's own half LSB
    for high, drop in ((False, 1), (True, 3)):
        assert_array_equal(CELL.encode(decode(np.arange(128), high), drop), np.arange(128))
    assert CELL.decode(0, 3) == 0
    assert SUM.width == 8
    with pytest.raises(ValueError, match="negative|expected"):
        CELL.encode([-1])
    for exponent, mantissa in ((0, 3), (6, 3), (4, 0), (4, 9)):
        with pytest.raises(ValueError, match="expected 1 to 5 exponent and 1 to 8 mantissa bits"):
            FloatCode(exponent=exponent, mantissa=mantissa)
    assert FloatCode(exponent=1, mantissa=8).encode([511, 512]).tolist() == [511, 511]
    with pytest.raises(ValueError, match="read-only"):
        CELL.lowest[0] = 1
    with pytest.raises(ValueError, match="expected 0 to 127, got 128"):
        CELL.decode(128)


def test_frames_have_13_words():
    for shape in ((13,), (2, 12), (1, 2, 13)):
        with pytest.raises(ValueError, match=r"expected shape \(n, 13\)"):
            from_frames(np.zeros(shape, np.uint32), 2)


# ---- best choice ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3, 12, 48])
def test_network_sorts_all_zero_one_inputs(size):
    """A network that sorts zeros and ones sorts everything (Knuth 3, section 5.3.4, theorem Z)."""
    rng = np.random.default_rng(size)
    bits = ((np.arange(1 << size)[:, None] >> np.arange(size)) & 1) if size <= 12 else rng.integers(0, 2, (20000, size))
    ordered, positions = sort_descending(bits)
    assert_array_equal(ordered, -np.sort(-bits, axis=1))
    assert_array_equal(np.sort(positions, axis=1), np.broadcast_to(np.arange(size), positions.shape))
    assert_array_equal(np.take_along_axis(bits, positions, axis=1), ordered)


def test_network_has_the_known_size():
    """Comparators of merge exchange for 2, 4, 8, 16 elements: 1, 5, 19, 63 (Knuth 3, section 5.2.2)."""
    assert [sum(len(lower) for lower, _ in merge_exchange(n)) for n in (2, 4, 8, 16)] == [1, 5, 19, 63]


def test_cells_sent_fill_the_links():
    for links, cells in enumerate(CELLS_SENT, 1):
        model = BestChoice(etx_count=links)
        assert model.cells == cells
        assert model.bits <= 32 * links
    # one more cell would not fit on 1 to 5 links, which physics uses
    for links, cells in enumerate(CELLS_SENT[:5], 1):
        positions = 48 if cells + 1 >= 8 else 6 * (cells + 1)
        assert 12 + positions + 7 * (cells + 1) > 32 * links


@pytest.mark.parametrize("links", [1, 2, 3, 4, 13])
@pytest.mark.parametrize("full_sum", [False, True])
def test_best_choice_frames_as_text(links, full_sum):
    rng = np.random.default_rng(links)
    charges = rng.permuted(np.tile(np.arange(48) * 97 + 8, (40, 1)), axis=1)  # no ties: a plain sort is enough
    model = BestChoice(etx_count=links, full_sum=full_sum)
    bx = np.arange(40)
    frames = model.frames(charges, bx)
    for row in range(40):
        value = charges[row] >> 3
        best = sorted(np.argsort(-value)[: model.cells])
        rest = value.sum() if full_sum else value.sum() - value[best].sum()
        text = format(15 if row == 0 else row % 8, "04b") + format(int(SUM.encode(rest)), "08b")
        if model.cells < 8:
            text += "".join(format(cell, "06b") for cell in best)
        else:
            text += "".join("1" if cell in best else "0" for cell in range(48))
        text += "".join(format(int(CELL.encode(value[cell])), "07b") for cell in best)
        text = text.ljust(32 * 13, "0")
        assert [int(text[i : i + 32], 2) for i in range(0, 416, 32)] == frames[row].tolist()
    for residual in ("none", "even"):
        assert np.allclose(model.receive(frames, residual=residual), model.reconstruct(charges, residual=residual))


# ---- super trigger cells -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SuperTriggerCellType)
@pytest.mark.parametrize("links", [1, 2, 3, 4, 5])
def test_super_trigger_cells(kind, links):
    rng = np.random.default_rng(links)
    charges = rng.integers(0, 5000, (50, 48)) * (rng.random((50, 48)) < 0.5)
    model = SuperTriggerCells(kind=kind, etx_count=links, drop=1)
    frames = model.frames(charges, np.arange(50))
    assert (frames[:, links:] == 0).all()
    for spread in ("peak", "even"):
        assert np.allclose(model.receive(frames, spread=spread), model.reconstruct(charges, spread=spread))
    even, peak = model.reconstruct(charges, spread="even"), model.reconstruct(charges)
    sent = model.sums * model.size
    truth = charges.reshape(50, -1, model.size).sum(axis=2)[:, : model.sums]
    for image in (even, peak):
        found = image[:, :sent].reshape(50, model.sums, model.size).sum(axis=2)
        assert np.allclose(found, truth, rtol=1 / 16, atol=1)
        assert not image[:, sent:].any()
    if kind not in (SuperTriggerCellType.CTC4_4E3M, SuperTriggerCellType.CTC4_5E4M):
        held = peak[:, :sent].reshape(50, model.sums, model.size)
        assert ((held > 0).sum(axis=2) <= 1).all()
        cells = charges[:, :sent].reshape(held.shape)
        largest = held.argmax(axis=2)[:, :, None]
        top = np.take_along_axis(cells, largest, axis=2)[:, :, 0]
        assert_array_equal(np.where(truth > 1, top, 0), np.where(truth > 1, cells.max(axis=2), 0))


def test_super_trigger_cells_per_link():
    """The emulator's table; type 3 is known from the vectors at three links (10)."""
    counts = {
        kind: [SuperTriggerCells(kind=kind, etx_count=n).sums for n in range(1, 14)] for kind in SuperTriggerCellType
    }
    assert counts[SuperTriggerCellType.STC4_5E4M] == [2, 5, 8, 11, 12] + [0] * 8
    assert counts[SuperTriggerCellType.STC16_5E4M] == [2, 3] + [0] * 11
    assert counts[SuperTriggerCellType.CTC4_4E3M] == [4, 8, 12] + [0] * 10
    assert counts[SuperTriggerCellType.STC4_4E3M][2:] == [10, 12] + [0] * 9


@pytest.mark.parametrize("kind", SuperTriggerCellType)
def test_super_trigger_cells_on_more_links_than_their_type_uses_are_zeros(kind):
    charges = np.full((3, 48), 4000)
    most = (5, 2, 3, 4, 4)[kind]
    assert SuperTriggerCells(kind=kind, etx_count=most).frames(charges, np.arange(3)).any()
    model = SuperTriggerCells(kind=kind, etx_count=most + 1)
    frames = model.frames(charges, np.arange(3))
    assert not frames.any()
    assert not model.receive(frames).any()
    assert not model.reconstruct(charges).any()
    assert model.bits == 0


def test_best_choice_sums_charges_up_to_18_bits():
    """Values of the public emulator: the sum of 47 charges of 2**18 - 1, not of the 500,000 that arrive."""
    big = np.full((1, 48), 4_000_000)
    assert BestChoice(etx_count=1, drop=3).frames(big, [1])[0, 0] >> 20 & 255 == 171
    # beyond the limit charges are equal: the network leaves them as it leaves any equal ones
    beyond = np.where(np.arange(48) % 2, 3_000_000, 4_000_000)[None]
    assert_array_equal(BestChoice(etx_count=4, drop=3).sent(beyond), BestChoice(etx_count=4, drop=3).sent(big))


@pytest.mark.parametrize("drop", [5, 6, 7])
def test_a_drop_beyond_4_counts_as_0(drop):
    charges = np.random.default_rng(drop).integers(0, 5000, (20, 48))
    charges[0] = 4000
    bx = np.arange(1, 21)
    assert SuperTriggerCells(kind=2, etx_count=1, drop=drop).frames(charges, bx)[0, 0] == 0x1BF7EFDF
    for make in (
        lambda d: BestChoice(etx_count=4, drop=d),
        lambda d: Repeater(drop=d),
        lambda d: ThresholdSum(etx_count=6, drop=d),
    ):
        assert_array_equal(make(drop).frames(charges, bx), make(0).frames(charges, bx))
        assert_array_equal(make(drop).reconstruct(charges), make(0).reconstruct(charges))
        assert not np.array_equal(make(4).frames(charges, bx), make(0).frames(charges, bx))


def test_registers_of_the_buffer_have_9_9_and_5_bits():
    assert BufferThresholds(t1=511, t2=511, t3=31) != BufferThresholds(t1=0, t2=0, t3=0)
    for name, value, most in (("t1", 512, 511), ("t2", -5, 511), ("t3", 99, 31)):
        with pytest.raises(ValueError, match=rf"buff_{name}: expected 0 to {most}, got {value}"):
            BufferThresholds(**({"t1": 0, "t2": 0, "t3": 0} | {name: value}))


@pytest.mark.parametrize("links", [1, 10, 11])
def test_repeater_on_few_links_sends_the_first_32_bits_per_link(links):
    charges = np.random.default_rng(links).integers(0, 200_000, (9, 48))
    whole, model = Repeater().frames(charges, np.arange(9)), Repeater(etx_count=links)
    frames = model.frames(charges, np.arange(9))
    assert_array_equal(frames[:, :links], whole[:, :links])
    assert not frames[:, links:].any()
    received = model.receive(frames)
    assert_array_equal(received, model.reconstruct(charges))
    cells = {1: 3, 10: 45, 11: 48}[links]  # (32 n - 5) // 7
    assert_array_equal(received[:, :cells], Repeater().reconstruct(charges)[:, :cells])
    assert not received[:, cells:].any()


# ---- threshold sum -------------------------------------------------------------------------------------------------


def _packet(charges, threshold, drop, bx):
    """A full packet as text, per the published layout."""
    cells = [cell for cell in range(48) if charges[cell] >= threshold]
    rest = sum(int(charges[cell]) for cell in range(48) if cell not in cells)
    kind = "000" if not cells else "010" if len(cells) < 8 else "100"
    text = format(31 if bx == 0 else bx % 16, "05b") + kind + format(int(SUM.encode(rest)), "08b")
    if kind == "010":
        text += format(len(cells), "03b") + "".join(format(cell, "06b") for cell in cells)
    if kind == "100":
        text += "".join("1" if cell in cells else "0" for cell in range(48))
    text += "".join(format(int(CELL.encode(charges[cell], drop)), "07b") for cell in cells)
    text += "0" * (-len(text) % 16)
    return [text[i : i + 16] for i in range(0, len(text), 16)]


@pytest.mark.parametrize(("links", "busy"), [(2, 0.05), (3, 0.3), (5, 0.1), (1, 0.5)])
def test_threshold_sum_against_a_queue(links, busy):
    """All packet types, idle words and both truncations, against a text queue."""
    rng = np.random.default_rng(links)
    n = 300
    level = np.where(rng.random((n, 1)) < 0.3, 0.0, busy) * rng.uniform(0, 2, (n, 1))
    charges = rng.integers(0, 3000, (n, 48)) * (rng.random((n, 48)) < level)
    thresholds = BufferThresholds(t1=24 * links, t2=12 * links, t3=6)
    model = ThresholdSum(etx_count=links, buffer=thresholds)
    frames = model.frames(charges, np.arange(n))
    queue, kinds = deque(), set()
    for row in range(n):
        packet = _packet(charges[row], 47, 3, row)
        total = format(int(SUM.encode(charges[row].sum())), "08b")
        kind = packet[0][5:8]
        if len(queue) + len(packet) > thresholds.t1:
            packet = [packet[0][:5] + "110" + total]
        elif len(queue) > thresholds.t2 and len(packet) <= thresholds.t3:
            packet = [packet[0][:5] + "111" + total]
        kinds.add(packet[0][5:8] if len(packet) == 1 else kind)
        queue.extend(packet)
        idle = format(31 if row == 0 else row % 16, "05b") + format(290, "011b")
        sent = [queue.popleft() if queue else idle for _ in range(2 * links)]
        kinds |= {"idle"} if idle in sent else set()
        words = [int(sent[i] + sent[i + 1], 2) for i in range(0, 2 * links, 2)]
        assert frames[row].tolist() == words + [0] * (13 - links)
    assert {"010", "000"} <= kinds
    received = model.receive(frames)
    assert np.allclose(received, model.reconstruct(charges, model.admissions(charges))[: len(received)])
    assert len(received) > n - 14


def test_admission_rules_by_hand():
    lengths = [10, 10, 3, 3, 10, 0, 1]
    admissions, waiting = admit(lengths, BufferThresholds(t1=20, t2=8, t3=4), 1)
    #          waits 0 -> 8 -> 16 (above T2, short: early) -> 15 early -> 14 + 10 > 20 no room -> ...
    assert waiting.tolist() == [0, 8, 16, 15, 14, 13, 12]
    assert admissions.tolist() == [0, 0, 2, 2, 1, 2, 2]
    two = admit(np.stack([lengths, np.zeros(7, int)], axis=1), BufferThresholds(t1=20, t2=8, t3=4), 1)[0]
    assert_array_equal(two[:, 0], admissions)
    assert not two[:, 1].any()


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_receiver_inverts_threshold_sum(seed, full_sum):
    rng = np.random.default_rng(seed)
    charges = rng.integers(0, 4000, (20, 48)) * (rng.random((20, 48)) < rng.uniform(0, 0.6, (20, 1)))
    model = ThresholdSum(etx_count=int(rng.integers(1, 14)), full_sum=full_sum, drop=int(rng.integers(0, 4)))
    received = model.receive(model.frames(charges, np.arange(20)))
    assert np.allclose(received, model.reconstruct(charges, model.admissions(charges))[: len(received)])


# ---- side by side --------------------------------------------------------------------------------------------------


def test_baselines_side_by_side():
    rng = np.random.default_rng(9)
    charges = rng.integers(0, 3000, (120, 48)) * (rng.random((120, 48)) < 0.5)
    dense = rng.random(120) < 0.5
    chips = np.tile(np.arange(3), 40)  # three chips, 40 crossings each, interleaved
    found = {r.name: r for r in reconstruct_baselines(charges, 3, high_density=dense, chips=chips)}
    assert {"best_choice", "best_choice_rest", "threshold_sum", "ctc4_4e3m_even", "stc16_5e4m_peak"} <= set(found)
    assert "stc4_4e3m_peak" not in found  # 10 of 12 on three links: not the whole module
    for high in (False, True):
        model = BestChoice(etx_count=3, drop=3 if high else 1)
        rows = dense == high
        assert np.array_equal(found["best_choice"].charges[rows], model.reconstruct(charges[rows]))
    # every chip has its own buffer: the same as one chip after the other
    expected = np.zeros(charges.shape)
    lost = 0
    for chip in range(3):
        rows = chips == chip
        admissions = ThresholdSum(etx_count=3).admissions(charges[rows])
        lost += np.sum(admissions != Admission.FULL)
        for high in (False, True):
            model = ThresholdSum(etx_count=3, drop=3 if high else 1)
            images = model.reconstruct(charges[rows], admissions)
            expected[np.flatnonzero(rows)[dense[rows] == high]] = images[dense[rows] == high]
    assert np.allclose(found["threshold_sum"].charges, expected)
    assert found["threshold_sum"].truncated == pytest.approx(lost / 120)
    assert 0 < lost < 120
    some = np.array([5, 100, 7])
    for r in reconstruct_baselines(charges, 3, high_density=dense, chips=chips, rows=some):
        assert np.array_equal(r.charges, found[r.name].charges[some])
    for r in found.values():
        assert r.bits <= 96 or r.name == "threshold_sum"  # which may borrow from quiet crossings
    with pytest.raises(ValueError, match=r"chips: expected shape \(120,\)"):
        reconstruct_baselines(charges, 3, chips=[1])


def test_receivers_take_the_pedestal_off():
    """One hit in a module of single counts, low density: what is left elsewhere is rounding of sums, not pedestal."""
    charges = np.ones((2, 48), np.int64)
    charges[0, 17] = 160
    group = np.arange(48) // 16 == 1  # the largest super trigger cell that the hit is in
    with_it = {r.name: r.charges for r in reconstruct_baselines(charges, 2)}
    without = {r.name: r.charges for r in reconstruct_baselines(charges, 2, pedestals=1)}
    assert {"best_choice", "best_choice_rest", "threshold_sum", "stc16_5e4m_even", "repeater"} <= set(without)
    for name, images in without.items():
        elsewhere = np.delete(images[0], 17) if "stc" not in name else images[0, ~group]
        assert elsewhere.max() <= 0.25, name
        # the second module has nothing but pedestals; its image is even, so that its distance is defined
        assert images[1].min() > 0 or np.ptp(images[1]) > 0, name
        assert np.isfinite(earth_movers_distance(np.eye(48)[17:18], images[1:])).all(), name
    # best choice drops the lowest bit before it sums: a single count never reaches its sum
    assert np.array_equal(with_it["best_choice_rest"], without["best_choice_rest"])
    for name in ("threshold_sum", "stc16_5e4m_even"):
        assert with_it[name][0].min() > 0.7, name
    each = {r.name: r.charges for r in reconstruct_baselines(charges, 2, pedestals=np.ones((2, 48)), rows=[0])}
    assert all(np.array_equal(each[name], images[:1]) for name, images in without.items())


# ---- errors --------------------------------------------------------------------------------------------------------


def test_wrong_settings_are_named(tmp_path, econt_vectors):
    with pytest.raises(ValueError, match="1 to 13 eTx links, got 14"):
        BestChoice(etx_count=14)
    with pytest.raises(ValueError, match="looks like a packet"):
        ThresholdSum(etx_count=2, sync=0b01000000000)
    with pytest.raises(ValueError, match="drop: expected 0 to 7"):
        SuperTriggerCells(kind=SuperTriggerCellType.STC4_5E4M, etx_count=2, drop=9)
    with pytest.raises(ValueError, match="thresholds"):
        ThresholdSum(etx_count=2, thresholds=np.zeros(47, int))
    with pytest.raises(ValueError, match="selects algorithm 4"):
        load_concentrator(econt_vectors / "AE" / "init.yaml")
    text = (econt_vectors / "TS_Thr47_5eTx_MRL" / "init.yaml").read_text()
    (tmp_path / "no.yaml").write_text(text.replace("AlgoThreshold", "Threshold"))
    with pytest.raises(ValueError, match="unknown section 'Threshold'; expected .*AlgoThreshold"):
        load_concentrator(tmp_path / "no.yaml")
    for name, value, message in (
        ("stc_type", 5, "stc_type: expected 0 to 4, got 5"),
        ("use_sum", 2, "use_sum: expected 0 or 1, got 2"),
        ("buff_t1", 512, "buff_t1: expected 0 to 511, got 512"),
    ):
        chosen = {"stc_type": 1, "use_sum": 2, "buff_t1": 0}[name]
        (tmp_path / "r.yaml").write_text(f"Algorithm: {{select: {chosen}}}\nFormatterBuffer: {{{name}: {value}}}")
        with pytest.raises(ValueError, match=message):
            load_concentrator(tmp_path / "r.yaml")
    (tmp_path / "drop.yaml").write_text(text.replace("Global: 3", "Global: many"))
    with pytest.raises(ValueError, match="AlgoDroplsb.drop_lsb: expected an integer, got 'many'"):
        load_concentrator(tmp_path / "drop.yaml")
    with pytest.raises(FileNotFoundError, match="no settings file"):
        load_concentrator(tmp_path / "absent.yaml")
    charges = np.zeros((2, 48), int)
    charges[1, 5] = 1 << 22
    for model in (BestChoice(etx_count=3), ThresholdSum(etx_count=3), Repeater()):
        with pytest.raises(ValueError, match="1, 5"):
            model.frames(charges, [0, 1])


def test_registers_that_a_file_leaves_out_stand_at_reset(tmp_path):
    """`use_sum` and `stc_type` are 1 after reset; idle words of production carry `idle_pattern`."""

    def read(text):
        (tmp_path / "s.yaml").write_text(text)
        return load_concentrator(tmp_path / "s.yaml")[0]

    assert read("ConfigAlgo: {alg_type: 1}").kind is SuperTriggerCellType.STC16_5E4M
    assert read("ConfigAlgo: {alg_type: 2}").full_sum
    sums = read("ConfigAlgo: {alg_type: 0}")
    assert (sums.full_sum, sums.drop, sums.thresholds.tolist(), sums.sync) == (True, 0, [0] * 48, 1450)
    assert (sums.etx_count, sums.buffer) == (2, BufferThresholds(t1=48, t2=511, t3=0))
    assert read("ConfigAlgo: {alg_type: 0}\nFmtBuf: {link_reset_pattern: 290}").sync == 290
    assert read("ConfigAlgo: {alg_type: 0}\nFmtBuf: {link_reset_pattern: 290, idle_pattern: 1300}").sync == 1300
    assert read("Algorithm: {select: 0}").sync == 290
    assert read("Algorithm: {select: 0}\nFormatterBuffer: {tx_sync_word: 0x122}").sync == 0x122


# ---- one door for all five algorithms ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["TS_Thr47_5eTx_MRL", "BC_5eTx", "STC_type3_eTx3", "RPT_13eTx"])
def test_words_to_frames_by_the_settings_of_a_file(name, econt_vectors):
    """Every published frame of each of the other four algorithms, from words and settings alone."""
    chip = load_chip_settings(econt_vectors / name / "init.yaml")
    assert chip.weights is None
    words = read_words(econt_vectors / "testInput_bx0000-1781.csv")
    frames = encode_words(chip.algorithm, chip.settings, words)
    assert_array_equal(frames, read_frames(econt_vectors / name / "testOutput_bx0000-1781.csv"))


def test_the_autoencoder_comes_through_the_same_door(econt_vectors):
    chip = load_chip_settings(econt_vectors / "AE" / "init.yaml")
    settings, weights = load_settings(econt_vectors / "AE" / "init.yaml")
    assert chip.algorithm is None
    assert chip.weights == weights
    assert_array_equal(chip.settings.select, settings.select)
    assert chip.settings.keep_mask == settings.keep_mask


def test_the_first_crossing_may_be_any(tmp_path):
    """Counters of a file that begins at crossing 3400: 3400 mod 8, 3400 mod 16, then on to the orbit's start."""
    (tmp_path / "s.yaml").write_text("ConfigAlgo: {alg_type: 3}\nFormatterBuffer: {active_etxs: 0x1fff}")
    chip = load_chip_settings(tmp_path / "s.yaml")
    words = pack(np.zeros((200, 48), int), chip.settings.word_order, first_bx=3400)
    counters = encode_words(chip.algorithm, chip.settings, words, first_bx=3400)[:, 0] >> 27
    assert counters[:2].tolist() == [3400 % 16, 3401 % 16]
    assert counters[164] == 31
    assert counters[165] == 1
