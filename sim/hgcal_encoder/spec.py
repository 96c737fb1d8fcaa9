"""The specification of an encoder: one object that the model, the hardware, the benches and the report all read."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import cached_property, partial

from sim.fixed_point import FixedPoint, Overflow, Rounding
from sim.messages import shown
from sim.network.nodes import Convolution, Dense, Node, Store, Wire
from sim.network.spec import INPUT, NetworkSpec
from sim.spec_file import check_fields, check_integer, check_name, load_preset, parse_toml, toml_value

ERX_WORDS = 12
"""Input words per bunch crossing (one per eRx link)."""
CELLS = 48
"""Trigger cells per module: four in each input word."""
ETX_WORDS = 13
"""Output words per bunch crossing (one per eTx link), unused ones zero."""
CHARGE_WIDTH = 22
"""Bits of a calibrated charge."""
SUM_WIDTH = 28
"""Bits of the module sum of 48 calibrated charges."""
MOST = 1 << 12
"""Largest number of anything that a spec counts: no chip of this kind is near it."""
MAX_REUSE = 16
"""Largest internal clock, in multiples of 40 MHz."""
MAX_SUM_WIDTH = 48
"""Widest sum of a layer that can be asked for."""
ROUNDINGS = (Rounding.TRN, Rounding.RND, Rounding.RND_CONV)
"""Modes of rounding that the chip's layers have; those of any network: `sim.network`."""
OVERFLOWS = (Overflow.WRAP, Overflow.SAT)
"""Modes of overflow that the chip's layers have."""
SUM_WIDTH_OF_NETWORK = 60
"""Bits of an accumulator in which no sum of a layer wraps."""
HEADER_WIDTH = 14
"""Bits of a frame in front of the latents: 5-bit bunch-crossing counter, 9-bit sum code."""


class WordOrder(StrEnum):
    """Order of the four trigger cells inside an input word."""

    P1 = "P1"
    """First silicon: cell 4i in bits 6:0, cell 4i+3 in bits 27:21."""
    PRODUCTION = "production"
    """Production chip: reversed, cell 4i in bits 27:21."""


@dataclass(frozen=True, kw_only=True)
class EncoderSpec:
    """One convolution and one dense layer over a grid of trigger cells, with every width and rounding rule.

    Attributes
    ----------
    name : str
        Name of the design; also the stem of generated file names.
    grid : tuple of int
        Rows, columns, channels of the image that the convolution sees.
    cell_map : tuple of int
        For each grid position (row-major, channel last) the trigger cell it shows, or -1 for constant zero.
    kernel : tuple of int
        Rows and columns of the convolution kernel.
    filters : int
        Filters of the convolution.
    stride : int
        Stride of the convolution, the same in both directions.
    padding : tuple of int
        Zero rows/columns added at top, bottom, left, right.
    latents : int
        Outputs of the dense layer.
    weight : FixedPoint
        Format of all weights and biases.
    pixel : FixedPoint
        Format of the normalised charges; unsigned, one integer bit, truncated.
    conv_product_fraction, dense_product_fraction : int
        Fraction bits that each single product keeps before products are summed.
    conv_product_rounding, dense_product_rounding : Rounding
        How each product loses its other fraction bits.
    conv_sum_width, dense_sum_width : int or None
        Bits in which products and bias are summed: two's complement that wraps. None: wide enough for every weight.
    activation : FixedPoint
        Format of the convolution output after ReLU; unsigned.
    latent : FixedPoint
        Format of the latents after ReLU; unsigned.
    word_order : WordOrder
        Order of trigger cells in an input word.
    reuse : int
        Multiplications that a multiplier of the hardware serves in a bunch crossing, 1 to 16: its internal clock is
        `reuse` times 40 MHz. Without effect on any result.

    Raises
    ------
    ValueError
        If the fields do not describe an encoder; the message says which and why.
    """

    name: str
    grid: tuple[int, int, int]
    cell_map: tuple[int, ...]
    kernel: tuple[int, int]
    filters: int
    stride: int
    padding: tuple[int, int, int, int]
    latents: int
    weight: FixedPoint
    pixel: FixedPoint
    conv_product_fraction: int
    dense_product_fraction: int
    activation: FixedPoint
    latent: FixedPoint
    conv_product_rounding: Rounding = Rounding.TRN
    dense_product_rounding: Rounding = Rounding.TRN
    conv_sum_width: int | None = None
    dense_sum_width: int | None = None
    word_order: WordOrder = WordOrder.PRODUCTION
    reuse: int = 1

    def __post_init__(self) -> None:
        check_name(self.name)
        self._check_types()
        if min(self.grid) < 1 or min(self.kernel) < 1 or self.stride < 1 or min(self.padding) < 0:
            raise ValueError(
                f"grid {self.grid}, kernel {self.kernel}, stride {self.stride} must be at least 1 "
                f"and padding {self.padding} at least 0"
            )
        rows, columns, channels = self.grid
        if len(self.cell_map) != rows * columns * channels:
            raise ValueError(
                f"cell_map must have one entry per grid position: {rows * columns * channels} for grid {self.grid}, "
                f"got {len(self.cell_map)}"
            )
        for position, cell in enumerate(self.cell_map):
            if not -1 <= cell < CELLS:
                raise ValueError(f"cell_map[{position}]: expected -1 to {CELLS - 1}, got {cell}")
        if min(self.output_shape) < 1:
            raise ValueError(
                f"kernel {self.kernel} with stride {self.stride} and padding {self.padding} leaves no output "
                f"on grid {self.grid}"
            )
        top, bottom, left, right = self.padding
        if max(top, bottom) >= self.kernel[0] or max(left, right) >= self.kernel[1]:
            raise ValueError(f"padding {self.padding} must be smaller than the kernel {self.kernel}")
        if not self.weight.signed:
            raise ValueError(f"weights are two's complement, got the unsigned format {self.weight}")
        for field in ("pixel", "activation", "latent"):
            if getattr(self, field).signed:
                raise ValueError(f"{field} is unsigned (it follows a sum of charges or a ReLU), got a signed format")
        if self.pixel.integer != 1 or self.pixel.rounding is not Rounding.TRN or self.pixel.width > CHARGE_WIDTH:
            raise ValueError(
                f"pixel: normalised charges are truncated to one integer bit and at most {CHARGE_WIDTH} bits, "
                f"got {self.pixel}"
            )
        for layer, fraction, exact in (
            ("conv", self.conv_product_fraction, self.pixel.fraction + self.weight.fraction),
            ("dense", self.dense_product_fraction, self.activation.fraction + self.weight.fraction),
        ):
            if not self.weight.fraction <= fraction <= exact:
                raise ValueError(
                    f"{layer}_product_fraction: expected {self.weight.fraction} (the bias must fit) "
                    f"to {exact} (exact product), got {fraction}"
                )
            width, bias = getattr(self, f"{layer}_sum_width"), self.weight.width + fraction - self.weight.fraction
            if width is not None and (type(width) is not int or not bias <= width <= MAX_SUM_WIDTH):
                got = shown(width)
                raise ValueError(
                    f"{layer}_sum_width: expected {bias} (the bias must fit) to {MAX_SUM_WIDTH} bits, got {got}"
                )

    def _check_types(self) -> None:
        """Every field by its type; integers by what fits a chip."""
        for name, kind, choices in (("conv_product_rounding", Rounding, ROUNDINGS),
                                    ("dense_product_rounding", Rounding, ROUNDINGS),
                                    ("word_order", WordOrder, tuple(WordOrder))):  # fmt: skip
            value = getattr(self, name)
            if value not in choices:
                raise ValueError(f"{name}: expected {' or '.join(choices)}, got {shown(value)}")
            object.__setattr__(self, name, kind(value))
        for name, most in (("filters", MOST), ("latents", MOST), ("stride", MOST), ("reuse", MAX_REUSE)):
            check_integer(name, getattr(self, name), 1, most)
        for name in ("conv_product_fraction", "dense_product_fraction"):
            check_integer(name, getattr(self, name), -MOST, MOST)
        for name, count in (("grid", 3), ("kernel", 2), ("padding", 4), ("cell_map", None)):
            values = getattr(self, name)
            if not isinstance(values, tuple | list) or (count is not None and len(values) != count):
                expected = "integers" if count is None else f"{count} integers"
                raise ValueError(f"{name}: expected a list of {expected}, got {shown(values)}")
            for place, value in enumerate(values):
                check_integer(f"{name}[{place}]", value, -1, MOST)
        for name in ("weight", "pixel", "activation", "latent"):
            form = getattr(self, name)
            if not isinstance(form, FixedPoint):
                raise ValueError(f"{name}: expected a number format, got {shown(form)}")
            if form.rounding not in ROUNDINGS or form.overflow not in OVERFLOWS:
                raise ValueError(f"{name}: expected {' or '.join(ROUNDINGS)} with {' or '.join(OVERFLOWS)}, got {form}")

    def same_network(self, other: EncoderSpec) -> bool:
        """Whether both compute the same under the same name: `reuse` is the hardware's alone."""
        return self == replace(other, reuse=self.reuse)

    @property
    def output_shape(self) -> tuple[int, int]:
        """Rows and columns of the convolution output."""
        rows, columns, _ = self.grid
        top, bottom, left, right = self.padding
        return (
            (rows + top + bottom - self.kernel[0]) // self.stride + 1,
            (columns + left + right - self.kernel[1]) // self.stride + 1,
        )

    @property
    def positions(self) -> int:
        """Output positions of the convolution."""
        return self.output_shape[0] * self.output_shape[1]

    @property
    def activations(self) -> int:
        """Inputs of the dense layer; index = (row * columns + column) * filters + filter."""
        return self.positions * self.filters

    @property
    def kernel_taps(self) -> int:
        """Weights of one filter; index = (row * kernel columns + column) * channels + channel."""
        return self.kernel[0] * self.kernel[1] * self.grid[2]

    @cached_property
    def taps(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """For each output position the taps that can be non-zero, as (trigger cell, kernel tap).

        Padding and constant-zero grid positions vanish here, so neither model nor hardware spends work on them.
        """
        rows, columns, channels = self.grid
        top, _, left, _ = self.padding
        result = []
        for out_row in range(self.output_shape[0]):
            for out_column in range(self.output_shape[1]):
                position = []
                for tap in range(self.kernel_taps):
                    kernel_row, rest = divmod(tap, self.kernel[1] * channels)
                    kernel_column, channel = divmod(rest, channels)
                    row = out_row * self.stride + kernel_row - top
                    column = out_column * self.stride + kernel_column - left
                    if 0 <= row < rows and 0 <= column < columns:
                        cell = self.cell_map[(row * columns + column) * channels + channel]
                        if cell >= 0:
                            position.append((cell, tap))
                result.append(tuple(position))
        return tuple(result)

    @property
    def multiplies(self) -> int:
        """Multiplications per inference that are not by a constant zero."""
        return self.filters * sum(map(len, self.taps)) + self.activations * self.latents

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return (self.kernel_taps + 1) * self.filters + (self.activations + 1) * self.latents

    @property
    def weight_bits(self) -> int:
        """Bits of the weight image."""
        return self.parameters * self.weight.width

    @property
    def keep_bits(self) -> int:
        """Bits of the keep mask: one per latent bit."""
        return self.latents * self.latent.width

    @cached_property
    def network(self) -> NetworkSpec:
        """Both layers as a network: charges of the trigger cells to latents, in the order of the chip.

        Its weights are those of the encoder in the order of the image: ``Network`` of `sim.network.model` gives the
        latents of the chip.
        """
        weight, top = self.weight, SUM_WIDTH_OF_NETWORK
        conv = FixedPoint(
            width=self.conv_sum_width or top, fraction=self.conv_product_fraction, signed=True,
            rounding=self.conv_product_rounding,
        )  # fmt: skip
        dense = FixedPoint(
            width=self.dense_sum_width or top, fraction=self.dense_product_fraction, signed=True,
            rounding=self.dense_product_rounding,
        )  # fmt: skip
        nodes: dict[str, Node] = {
            "grid": Wire(inputs=(INPUT,), sources=self.cell_map),
            "convolution": Convolution(
                inputs=("grid",), shape=self.grid, kernel=self.kernel, filters=self.filters,
                stride=(self.stride, self.stride), padding=self.padding, weight=weight, bias=weight, accumulator=conv,
                result=conv,
            ),
            "activations": Store(inputs=("convolution",), result=self.activation, relu=True),
            "dense": Dense(
                inputs=("activations",), units=self.latents, weight=weight, bias=weight, accumulator=dense,
                result=dense,
            ),
            "latents": Store(inputs=("dense",), result=self.latent, relu=True),
        }  # fmt: skip
        return NetworkSpec(
            name=f"{self.name}_NETWORK", input_shape=(CELLS,), input=self.pixel, nodes=nodes, outputs=("latents",)
        )

    def capacity(self, etx_count: int) -> int:
        """Latent bits that a frame on `etx_count` links can carry.

        A frame never grows beyond the words that hold all latents (5 for ECON_T: 146 bits).

        Raises
        ------
        ValueError
            If `etx_count` is outside 1..13.
        """
        if not 1 <= etx_count <= ETX_WORDS:
            raise ValueError(f"number of eTx links: expected 1 to {ETX_WORDS}, got {etx_count}")
        full = -(-(HEADER_WIDTH + self.keep_bits) // 32)
        return 32 * min(etx_count, full) - HEADER_WIDTH

    def to_toml(self) -> str:
        """The spec as TOML text that `from_toml` reads back to an equal spec; fields that are None are left out."""
        lines, tables = [], []
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            if isinstance(value, FixedPoint):
                tables += ["", f"[{field.name}]"]
                tables += [f"{f.name} = {toml_value(getattr(value, f.name))}" for f in fields(value)]
            else:
                lines.append(f"{field.name} = {toml_value(value)}")
        return "\n".join(lines + tables) + "\n"

    @classmethod
    def from_toml(cls, text: str) -> EncoderSpec:
        """Read a spec.

        Raises
        ------
        ValueError
            If the text is not TOML, or a field is missing, unknown or illegal.
        """
        table = parse_toml(text)
        check_fields(table, cls)
        for key, value in table.items():
            if isinstance(value, dict):
                try:
                    table[key] = FixedPoint(**value)
                except (TypeError, ValueError) as error:
                    raise ValueError(f"[{key}]: {shown(error, quoted=False)}") from None
            elif isinstance(value, list):
                table[key] = tuple(value)
        try:
            return cls(**table)
        except ValueError as error:
            raise ValueError(shown(error, quoted=False)) from None
        except (TypeError, AttributeError) as error:
            raise ValueError(f"not an encoder spec: {shown(error, quoted=False)}") from None


_WEIGHT = FixedPoint(width=6, fraction=5, signed=True)
_PIXEL = FixedPoint(width=8, fraction=7, signed=False)
_ACTIVATION = FixedPoint(width=8, fraction=7, signed=False, overflow=Overflow.SAT)
_LATENT = FixedPoint(width=9, fraction=8, signed=False, overflow=Overflow.SAT)

ECON_T = EncoderSpec(
    name="ECON_T",
    grid=(8, 8, 1),
    cell_map=(
        *range(32),
        *(cell for row in range(4) for cell in (*range(32 + 4 * row, 36 + 4 * row), -1, -1, -1, -1)),
    ),
    kernel=(3, 3),
    filters=8,
    stride=2,
    padding=(0, 1, 0, 1),
    latents=16,
    weight=_WEIGHT,
    pixel=_PIXEL,
    conv_product_fraction=7,
    dense_product_fraction=8,
    activation=_ACTIVATION,
    latent=_LATENT,
)
"""The network on the chip: "8x8 stride 2" (ECON-T emulator and test vectors)."""

TNS_2021 = replace(
    ECON_T,
    name="TNS_2021",
    grid=(4, 4, 3),
    cell_map=tuple(channel * 16 + position for position in range(16) for channel in range(3)),
    stride=1,
    padding=(1, 1, 1, 1),
)
"""The network of Di Guglielmo et al., IEEE TNS 68 (2021) 2179, arXiv 2105.01683: "4x4x3"."""

ECON_T_EXACT = replace(
    ECON_T,
    name="ECON_T_EXACT",
    conv_product_fraction=_PIXEL.fraction + _WEIGHT.fraction,
    dense_product_fraction=_ACTIVATION.fraction + _WEIGHT.fraction,
    activation=replace(_ACTIVATION, rounding=Rounding.RND_CONV),
    latent=replace(_LATENT, rounding=Rounding.RND_CONV),
)
"""The network of ECON_T as QKeras computes it: whole products, results rounded to nearest, ties to even."""

PRESETS = {spec.name: spec for spec in (ECON_T, TNS_2021, ECON_T_EXACT)}

load_spec = partial(load_preset, presets=PRESETS, from_toml=EncoderSpec.from_toml)
"""A preset by name, or a spec from a TOML file; see `sim.spec_file.load_preset`."""
