"""Native Verilator harness: packing, clocks, cache, and the encoder against model and published vectors."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flows.simulation.encoder import EncoderBench, encoder_verilog
from flows.simulation.native import NativeModel, WritePort, build_native
from flows.tools.verilator import SimulatorError
from flows.tools.verilog import read_ports
from flows.verification import encoder as verification
from flows.verification.encoder import check_vectors, check_volume, check_weights
from flows.verification.encoder_stimulus import random_settings, random_weights, random_words
from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.learning.decoder import Decoder, TrainedModel
from sim.hgcal_encoder.learning.training_images import Images, SimulatedImages
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import ECON_T, TNS_2021
from sim.hgcal_encoder.weights import Weights
from tests.specs import SMALL

ACCUMULATOR = """
module accumulator(clk, rst, a, wide, total, both);
  input clk;
  wire clk;
  input rst;
  wire rst;
  input [6:0] a;
  wire [6:0] a;
  input [69:0] wide;
  wire [69:0] wide;
  output [7:0] total;
  reg [7:0] total;
  output [76:0] both;
  wire [76:0] both;
  assign both = { wide, a };
  always @(posedge clk, posedge rst)
    if (rst) total <= 8'h00;
    else total <= total + a;
endmodule
"""

WRITTEN = """
module store(clk, rst, enable, data, value);
  input clk;
  wire clk;
  input rst;
  wire rst;
  input enable;
  wire enable;
  input [7:0] data;
  wire [7:0] data;
  output [7:0] value;
  reg [7:0] value;
  always @(posedge clk, posedge rst)
    if (rst) value <= 8'h5a;
    else if (enable) value <= data;
endmodule

module written(clk, rst, x, write_enable, write_data, y);
  input clk;
  wire clk;
  input rst;
  wire rst;
  input [7:0] x;
  wire [7:0] x;
  input write_enable;
  wire write_enable;
  input [7:0] write_data;
  wire [7:0] write_data;
  output [7:0] y;
  reg [7:0] y;
  wire [7:0] value;
  store registers (
    .clk(clk),
    .data(write_data),
    .enable(write_enable),
    .rst(rst),
    .value(value)
  );
  always @(posedge clk, posedge rst)
    if (rst) y <= 8'h00;
    else y <= y ^ value ^ x;
endmodule
"""


@pytest.fixture(scope="module")
def small_bench() -> EncoderBench:
    return EncoderBench(encoder_verilog(SMALL))


def test_ports_of_yosys_text() -> None:
    ports = read_ports(ACCUMULATOR, "accumulator")
    assert [(p.name, p.width, p.output) for p in ports] == [
        ("clk", 1, False), ("rst", 1, False), ("a", 7, False), ("wide", 70, False), ("total", 8, True),
        ("both", 77, True),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no module 'other'"):
        read_ports(ACCUMULATOR, "other")


def test_rows_are_clocks_and_wide_ports_keep_every_bit() -> None:
    library, ports = build_native(ACCUMULATOR, "accumulator", clock="clk")
    wide = np.array([[0xFFFFFFFF, 0x89ABCDEF, 0x3F]] * 4)
    with NativeModel(library, ports, "clk") as model:
        model.run({"rst": 1})
        out = model.run({"a": [5, 127, 130, 0], "wide": wide, "rst": [0, 0, 0, 0]})
        # the response of a row is what the outputs show before its clock edge; 130 has only its low 7 bits
        assert out["total"].tolist() == [0, 5, 132, 134]
        value = 0x3F << 64 | 0x89ABCDEF << 32 | 0xFFFFFFFF
        expected = [value << 7 | a for a in (5, 127, 2, 0)]
        assert [sum(int(w) << (32 * i) for i, w in enumerate(row)) for row in out["both"]] == expected
        with pytest.raises(ValueError, match="no inputs"):
            model.run({"b": [1]})
        with pytest.raises(ValueError, match="expected shape"):
            model.run({"wide": np.zeros((2, 2), int)})
    with pytest.raises(ValueError, match="closed"):
        model.run({"a": [1]})


def test_registers_with_a_clock_of_their_own_behave_the_same() -> None:
    port = WritePort(instance="registers", enable="write_enable", ports=("write_data", "write_enable"))
    rng = np.random.default_rng(5)
    values = {
        "x": rng.integers(0, 256, 500), "write_data": rng.integers(0, 256, 500),
        "write_enable": rng.random(500) < np.repeat([0.1, 0.9], 250), "rst": rng.random(500) < 0.03,
    }  # fmt: skip
    values["rst"][0] = True
    state, value, expected = 0, 0x5A, []
    for row in range(500):
        if values["rst"][row]:
            state, value = 0, 0x5A
        expected.append(state)
        if not values["rst"][row]:
            state ^= value ^ int(values["x"][row])
            value = int(values["write_data"][row]) if values["write_enable"][row] else value
    for write in (None, port):
        library, ports = build_native(WRITTEN, "written", clock="clk", write=write)
        with NativeModel(library, ports, "clk") as model:
            got = model.run({name: array.astype(np.int64) for name, array in values.items()})["y"]
        assert got.tolist() == expected, write
    with pytest.raises(ValueError, match="no instance 'others'"):
        build_native(WRITTEN, "written", clock="clk", write=replace(port, instance="others"))
    with pytest.raises(ValueError, match="no input 'enable'"):
        build_native(WRITTEN, "written", clock="clk", write=replace(port, enable="enable"))


def test_second_build_comes_from_the_cache() -> None:
    first, _ = build_native(ACCUMULATOR, "accumulator", clock="clk")
    stamp = first.stat().st_mtime_ns
    second, _ = build_native(ACCUMULATOR, "accumulator", clock="clk")
    assert second == first
    assert second.stat().st_mtime_ns == stamp


def test_broken_verilog_is_refused_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIQUIDCAL_CACHE", str(tmp_path))
    with pytest.raises(SimulatorError, match="failed"):
        build_native(ACCUMULATOR.replace("total + a", "total + b c"), "accumulator", clock="clk")
    assert not list(tmp_path.glob("native/*.so"))
    assert not list(tmp_path.glob("native/.build-*"))
    with pytest.raises(ValueError, match="no clock input"):
        build_native(ACCUMULATOR, "accumulator", clock="clock")


@pytest.mark.parametrize("first_bx", [0, 1, 16, 3563])
def test_encoder_equals_model(small_bench: EncoderBench, first_bx: int) -> None:
    rng = np.random.default_rng(first_bx)
    settings, weights = random_settings(SMALL, rng), random_weights(SMALL, rng, "uniform")
    words = random_words(rng, 300, settings)
    words[:40, 0] = (words[:40, 0] & 0x0FFFFFFF) | 0xA0000000  # the caller says where the orbit is
    expected = Encoder(SMALL, weights, settings).frames(words, first_bx)
    for threads in (1, 3):
        got = small_bench.frames(words, settings, weights, first_bx=first_bx, threads=threads)
        np.testing.assert_array_equal(got, expected)


def test_power_up_state_does_not_matter(small_bench: EncoderBench) -> None:
    rng = np.random.default_rng(8)
    settings, weights = random_settings(SMALL, rng), random_weights(SMALL, rng, "uniform")
    words = random_words(rng, 50, settings)
    runs = [small_bench.frames(words, settings, weights, seed=seed) for seed in (1, 2, 77)]
    assert runs[0].any()
    np.testing.assert_array_equal(runs[0], runs[1])
    np.testing.assert_array_equal(runs[0], runs[2])


def test_volume_check_counts_and_detects(small_bench: EncoderBench, monkeypatch: pytest.MonkeyPatch) -> None:
    check = check_volume(small_bench, 3, 2000)
    assert check.passed, check.detail
    assert check.compared >= 2000
    right = small_bench.frames

    def wrong(words, settings, weights, **options):  # type: ignore[no-untyped-def]
        frames = right(words, settings, weights, **options)
        frames[17, 0] ^= 1
        return frames

    monkeypatch.setattr(small_bench, "frames", wrong)
    bad = check_volume(small_bench, 3, 2000)
    assert not bad.passed
    assert "crossing 17, eTx 0" in bad.detail


def test_showers_run_through_weights_of_ones_own(small_bench: EncoderBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model with its multiplexer, links and sent bits, and a bare image; hardware with another weight fails."""
    rng = np.random.default_rng(4)
    weights = random_weights(SMALL, rng, "uniform")
    arrays = {"weight0": np.zeros((SMALL.latents + 4, 48), np.float32), "bias0": np.zeros(48, np.float32)}
    model = TrainedModel(
        weights=weights, decoder=Decoder(kind="mlp", arrays=arrays), elinks=2, kept_bits=5,
        multiplexer=rng.permutation(48),
    )  # fmt: skip
    images = Images.of_charges(rng.integers(0, 2000, (600, 48)) * (rng.random((600, 48)) < rng.random((600, 1))))
    showers = SimulatedImages(images=images, etas=np.ones(600), origin={})
    monkeypatch.setattr(verification, "simulate_images", lambda **_: showers)
    loaded: list[Settings] = []
    right = small_bench.frames

    def watched(words, settings, weights, **options):  # type: ignore[no-untyped-def]
        loaded.append(settings)
        return right(words, settings, weights, **options)

    monkeypatch.setattr(small_bench, "frames", watched)
    for own in (model, weights):
        check = check_weights(small_bench, "mine.npz", own, 3)
        assert check.passed, check.detail
        assert check.compared == 600
    assert loaded[0].select.tolist() == model.multiplexer.tolist()
    assert (loaded[0].etx_count, loaded[0].keep_mask) == (2, model.keep_mask)
    codes = weights.to_codes()
    codes[-1] ^= 4
    other = Weights.from_codes(codes, SMALL)
    monkeypatch.setattr(small_bench, "frames", lambda words, settings, _, **options: right(words, settings, other))
    check = check_weights(small_bench, "mine.npz", weights, 3)
    assert not check.passed
    assert "mine.npz: crossing 0, eTx" in check.detail


@pytest.mark.timeout(1200)
def test_published_vectors_through_the_hardware(econt_vectors: Path) -> None:
    bench = EncoderBench(encoder_verilog(ECON_T))
    frames = econt_vectors / "AE" / "testOutput_bx0000-1781.csv"
    check = check_vectors(
        bench, econt_vectors / "testInput_bx0000-1781.csv", econt_vectors / "AE" / "init.yaml", frames
    )
    assert check.passed, check.detail
    assert check.compared == 1782


@pytest.mark.timeout(1200)
def test_the_other_preset_equals_its_model() -> None:
    check = check_volume(EncoderBench(encoder_verilog(TNS_2021)), 5, 2000)
    assert check.passed, check.detail
    assert check.compared >= 2000
