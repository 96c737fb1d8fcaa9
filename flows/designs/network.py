"""A network as a design: weights loaded through a write port, or folded into the logic."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from flows.designs.design import DESIGN_FILE, Design, Flops
from flows.synthesis.recipe import BUFFERED, Recipe
from hw.common.scheme import Scheme
from sim.chip_registers import Loading
from sim.network.spec import PRESETS, NetworkSpec
from sim.spec_file import check_integer

if TYPE_CHECKING:  # slow to import
    from flows.common.journal import Journal
    from flows.designs.generated import FileOptions, Generated
    from sim.network.weights import NetworkWeights

__all__ = ["NetworkDesign"]


@dataclass(frozen=True, kw_only=True)
class NetworkDesign(Design):
    """A network.

    Attributes
    ----------
    spec : NetworkSpec
    frozen : str
        File of the weights that are folded into the logic; empty: weights are loaded.
    scheme : Scheme or None
        Protection of all registers and weights; None: none.
    loading : Loading or None
        The chip with I2C, and how it takes weights; None: they come through a write port.
    factor : int
        Multiplications of a sample that a multiplier serves, in as many clocks. The clock of the hardware is that much
        faster than samples come: there is one clock, so `reuse`, which counts those of a second one, stays 1.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a network has no such scheme.
    """

    spec: NetworkSpec
    frozen: str = ""
    scheme: Scheme | None = None
    loading: Loading | None = None
    factor: int = 1

    kind: ClassVar = "network"
    presets: ClassVar = PRESETS
    mark: ClassVar = "input_shape"
    rooms: ClassVar = {
        "power": "flows.power.network",
        "verification": "flows.verification.network",
        "report": "flows.report.network",
        "proofs": "flows.steps.network_proofs",
    }
    crossings: ClassVar = 100_000
    crossings_in_flow: ClassVar = 20_000
    stimulus: ClassVar = ("crossings", "streams", "weights")

    def __post_init__(self) -> None:
        from hw.network.plan import MOST_REUSE

        check_integer("reuse", self.factor, 1, MOST_REUSE)
        if self.frozen and self.factor > 1:
            raise ValueError(f"reuse: expected 1 with frozen weights, which have no multipliers, got {self.factor}")
        if self.frozen and not Path(self.frozen).is_file():
            raise FileNotFoundError(f"frozen: expected a file of weights, got {self.frozen}")
        if self.loading is not None:
            object.__setattr__(self, "loading", Loading(self.loading))
            if self.frozen:
                raise ValueError(f"loading: expected none with frozen weights, got {self.loading}")
            if self.factor > 1:
                raise ValueError(f"reuse: expected 1 for a network behind I2C, got {self.factor}")
        if self.scheme is not None:
            known = [Scheme.NONE, Scheme.TMR_REGISTERS, *([Scheme.SECDED] if self.loading else [])]
            if self.scheme not in known:
                what = "a network behind I2C" if self.loading else "a network with a write port"
                raise ValueError(f"scheme: expected {' or '.join(known)} for {what}, got {self.scheme}")
            object.__setattr__(self, "scheme", None if self.scheme == Scheme.NONE else Scheme(self.scheme))

    @classmethod
    def read_spec(cls, text: str) -> NetworkSpec:
        return NetworkSpec.from_toml(text)

    @classmethod
    def of(
        cls, spec: NetworkSpec, *, scheme: Scheme | str | None = None, loading: Loading | str | None = None,
        frozen: str = "", reuse: int | None = None, **common: Any,
    ) -> Self:  # fmt: skip
        """A variant of a network; fields as of the class, `reuse` being its `factor`."""
        common |= {} if reuse is None else {"factor": reuse}
        return cls(
            spec=spec, scheme=cast("Scheme | None", scheme), loading=cast("Loading | None", loading), frozen=frozen,
            **common,
        )  # fmt: skip

    @property
    def period_ns(self) -> float:
        return self.spec.clock_period_ns / self.factor

    @property
    def latency(self) -> int:
        from hw.network.plan import plan

        return plan(self.spec, self.factor).latency

    @property
    def made_of_equal_parts(self) -> bool:
        return not self.frozen  # neurons

    @property
    def recipe(self) -> Recipe:
        """With buffers: every input of a dense layer goes to all of its neurons, and their number is the user's."""
        return BUFFERED

    @property
    def boundaries(self) -> tuple[str, ...]:
        """With constant weights also their tables, small enough for the mapper that finds most."""
        from flows.designs.frozen import KEEP

        return (*super().boundaries, *(KEEP if self.frozen else ()))

    def weights(self) -> NetworkWeights | None:
        """Weights that are folded in; None where they are loaded.

        Raises
        ------
        ValueError
            If the file holds something else.
        """
        from sim.network.weights import NetworkWeights

        return NetworkWeights.load(Path(self.frozen), self.spec) if self.frozen else None

    def component(self) -> Any:
        from hw.network.frozen import frozen_weights
        from hw.network.network import PROTECTION, Network
        from hw.network.network_chip import NetworkChip

        if self.loading is not None:
            return NetworkChip(spec=self.spec, scheme=self.scheme or Scheme.NONE, loading=self.loading)
        weights = self.weights()
        frozen = frozen_weights(weights) if weights else None
        return Network(spec=self.spec, frozen=frozen, reuse=self.factor, **PROTECTION[self.scheme or Scheme.NONE])

    @property
    def protected(self) -> bool:
        return self.scheme is not None

    def flip_flops(self) -> Flops | None:
        """Three copies of each bit, or check bits, and a parity bit for each byte of a shadow bank."""
        if self.scheme is None:
            return None
        from flows.designs.storage_bits import StorageBit, Stratum
        from hw.common.secded_cell import check_bits
        from sim.network.weights import weight_rows

        part = self.component()
        part._MustUse__silence = True  # only asked, never elaborated
        stored = part.stored_bits
        groups = [(Stratum.DATA_PATH, stored["registers"], 3), (Stratum.SHADOW, stored.get("shadow", 0), 1)]
        if self.scheme is Scheme.SECDED:
            widths = [min(8, row.bits - first) for row in weight_rows(self.spec) for first in range(0, row.bits, 8)]
            groups.append((Stratum.WEIGHT, sum(width + check_bits(width) for width in widths), 1))
        else:
            groups.append((Stratum.WEIGHT, stored["weights"], 3))
        bits = tuple(
            StorageBit(path=f"{stratum}_{number}", bit=0, stratum=stratum, copy=copy, protected=f"{stratum}_{number}")
            for stratum, count, copies in groups
            for number in range(count)
            for copy in range(copies)
        )
        return Flops(bits=bits, what=", ".join(filter(None, [str(self.scheme), str(self.loading or "")])))

    def variant(self) -> dict[str, Any]:
        found: dict[str, Any] = {"reuse": self.factor} if self.factor > 1 else {}
        found |= {"scheme": str(self.scheme)} if self.scheme else {}
        found |= {"loading": str(self.loading)} if self.loading else {}
        return found | super().variant()

    def generate(self, folder: Path, journal: Journal, options: FileOptions) -> Generated:
        """Verilog, ports and, with weights, what loads them, vectors and a bench: see `flows.designs.network_files`."""
        from flows.designs.network_files import generate
        from sim.network.weights import NetworkWeights

        for name in ("settings", "registers", "seed"):
            if getattr(options, name) is not None:
                raise ValueError(f"--{name} is for other chips; a network takes --weights")
        if options.scheme is not None or options.loading is not None:
            chosen = replace(self, scheme=options.scheme or self.scheme, loading=options.loading or self.loading)
            return chosen.generate(folder, journal, replace(options, scheme=None, loading=None))
        weights = self.weights()
        if options.weights is not None:
            if weights is not None:
                raise ValueError("--weights are loaded; those of this network are folded into its logic")
            weights = NetworkWeights.load(options.weights, self.spec)
        with journal.step(f"{self.spec.name}: Amaranth to Verilog"):
            return generate(
                self.spec, folder, weights, frozen=bool(self.frozen), scheme=self.scheme or Scheme.NONE,
                reuse=self.factor, loading=self.loading,
            )  # fmt: skip

    @property
    def argument(self) -> str:
        # the weights stand in the design file alone
        return DESIGN_FILE if self.frozen else super().argument

    @property
    def plain(self) -> Self:
        return replace(self, frozen="", scheme=None, loading=None, factor=1, clock_gating=False)

    def identity(self) -> dict[str, Any]:
        weights = self.weights()
        if weights is None:
            return super().identity()
        codes = [[int(code) for code in codes] for codes in (*weights.weights.values(), *weights.biases.values())]
        return super().identity() | {"frozen": codes}

    def _name_parts(self) -> list[str]:
        return [
            *(["FROZEN"] if self.frozen else []),
            *([f"reuse{self.factor}"] if self.factor > 1 else []),
            *([str(self.scheme)] if self.scheme else []),
            *([str(self.loading)] if self.loading else []),
        ]
