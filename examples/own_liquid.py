"""A liquid of one's own: a small resistive array drawn from a seed, its spikes in the golden model and in the RTL."""

from pathlib import Path

import numpy as np

import liquidcal
from liquidcal import CrossbarSpec

SPEC = CrossbarSpec(
    name="OWN_LIQUID",
    inputs=8,
    neurons=6,
    steps=16,
    windows=4,
    outputs=2,
    threshold=4,
    leak=(-2,),  # a quarter of the potential is lost in each step
    rows=16,
    columns=16,
    rows_per_read=4,
    conductance_bits=4,
    columns_per_adc=4,
    adc_bits=5,
    adc_shift=1,
)


def main(folder: Path) -> int:
    """Draw a macro, run the liquid, verify the chip; spikes of the liquid."""
    macro = liquidcal.draw(SPEC, seed=3)
    spikes = (np.random.default_rng(1).random((200, SPEC.steps, SPEC.inputs)) < 0.3).astype(int)
    activity = liquidcal.Liquid(SPEC, macro).run(spikes)
    print(f"{int(activity.spikes.sum()):,} spikes of {SPEC.neurons} neurons, {int(activity.reads.sum()):,} reads")
    design = liquidcal.design(SPEC)
    journal = liquidcal.Journal()
    options = liquidcal.VerificationOptions(crossings=800, mutants=0, random_specs=0, proofs=False)
    liquidcal.VERIFICATION(design, folder / design.name, journal, options)
    if not journal.passed:
        raise SystemExit("the RTL differs from the golden model")
    return int(activity.spikes.sum())


if __name__ == "__main__":
    main(Path("own_liquid"))
