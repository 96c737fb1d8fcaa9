"""Generation step: everything a chip integrator, or an FPGA, needs of one crossbar chip, in one folder."""

from __future__ import annotations

import json
from pathlib import Path

from flows.common.folder import fresh_folder
from flows.designs.generated import Generated
from flows.designs.macro_image import load_macros, macro_image
from flows.designs.tables import write_ports, write_registers, write_writes
from hw.common.black_box import BlackBox
from hw.common.export import ports, rtlil_to_verilog, to_rtlil, to_verilog
from hw.lsm_crossbar.crossbar import Crossbar
from hw.lsm_crossbar.macro import MacroBox
from hw.lsm_crossbar.threshold_memory import ThresholdMemoryBox, threshold_word_bytes
from hw.lsm_crossbar.weight_memory import WeightMemoryBox
from sim.fixed_point import IntArray
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.registers import register_map, register_writes
from sim.lsm_crossbar.spec import CrossbarSpec
from sim.lsm_crossbar.timing import readout_clocks, step_clocks

__all__ = ["asic_name", "black_boxes", "generate"]


def asic_name(spec: CrossbarSpec) -> str:
    """Top module of the variant whose macro and weight memory are black boxes."""
    return f"{spec.name}_asic"


def black_boxes(spec: CrossbarSpec) -> str:
    """Verilog modules with the ports of the black boxes, and nothing inside."""
    texts = []
    boxes: list[tuple[BlackBox, str]] = [(MacroBox(spec=spec), "macro_box")]
    boxes.append((WeightMemoryBox(spec=spec), "weight_memory_box"))
    if spec.own_thresholds:
        boxes.append((ThresholdMemoryBox(spec=spec), "threshold_memory_box"))
    for box, stem in boxes:
        pins = ",\n".join(f"  {way} {f'[{width - 1}:0] ' if width > 1 else ''}{pin}" for pin, way, width in ports(box))
        texts.append(f"(* blackbox *)\nmodule {asic_name(spec)}_{stem} (\n{pins}\n);\nendmodule\n")
    return "\n".join(texts)


def generate(
    spec: CrossbarSpec, out_dir: Path, conductances: Conductances, readout: Readout | None = None,
    ratios: IntArray | None = None,
) -> Generated:  # fmt: skip
    """Write Verilog in both variants, ports, register map, conductance file and, with a readout, its register writes.

    ``<name>.v`` has a macro that loads the conductance file with ``$readmemh``: for simulation and FPGA, to be read in
    the folder of the file. ``<name>_asic.v`` instantiates macro and weight memory as black boxes, whose ports are in
    ``<name>_asic_black_boxes.v``.

    Parameters
    ----------
    spec : CrossbarSpec
    out_dir : Path
        Appears when everything is complete; an earlier result of this step is replaced.
    conductances : Conductances
        The macro's draw; its ADCs are in the Verilog text.
    readout : Readout, optional
        Its weights and biases go into ``writes.csv``.
    ratios : ndarray of int, shape (neurons,), optional
        Of a homeostat with a threshold for each neuron; beside the readout's.

    Raises
    ------
    FileExistsError
        If `out_dir` holds something else.
    ValueError
        If the conductances are not for `spec`.
    """
    component = Crossbar(spec=spec, image=macro_image(conductances.check(spec)))
    pins = ports(component)
    verilog = load_macros(to_verilog(component, spec.name), spec, conductances.file_name)
    asic = rtlil_to_verilog(to_rtlil(Crossbar(spec=spec), asic_name(spec)))
    design = {
        "name": spec.name,
        "conductances": conductances.file_name,
        "seed": conductances.seed,
        "clock_period_ns": spec.clock_period_ns,
        "read_clocks": spec.read_clocks,
        "silent_step_clocks": step_clocks(spec, 0),
        "fullest_step_clocks": step_clocks(spec, spec.used_rows),
        "readout_clocks": readout_clocks(spec),
        "macro_bits": spec.image_rows * spec.columns * spec.conductance_bits,
        "weight_memory_bits": spec.features * spec.outputs * spec.readout_weight_bits,
    }
    if spec.own_thresholds:
        design["threshold_memory_bits"] = spec.neurons * 8 * threshold_word_bytes(spec)
    with fresh_folder(out_dir, marker="design.json") as work:
        (work / f"{spec.name}.v").write_text(verilog)
        (work / f"{asic_name(spec)}.v").write_text(asic)
        (work / f"{asic_name(spec)}_black_boxes.v").write_text(black_boxes(spec))
        (work / "spec.toml").write_text(spec.to_toml())
        conductances.write(work)
        write_ports(work, pins)
        write_registers(work, register_map(spec))
        if readout is not None:
            writes = register_writes(spec, weights=readout.weights, bias=readout.bias, homeostat_ratio=ratios)
            write_writes(work, writes, digits=5)
        (work / "design.json").write_text(json.dumps(design, indent=1) + "\n")
    return Generated(
        directory=out_dir, files=tuple(sorted(out_dir.iterdir())), latency=0, lines=verilog.count("\n"),
    )  # fmt: skip
