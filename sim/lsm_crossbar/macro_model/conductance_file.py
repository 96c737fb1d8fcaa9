"""The conductance image of a macro and its file: what golden model, RTL and FPGA memory all load.

The file is text that ``$readmemh`` takes as it is::

    // liquidcal conductance image 1
    // spec: N_MNIST
    // seed: 0
    // shape: rows=512 columns=512 conductance_bits=6 columns_per_adc=8 gain_fraction=6 offset_bits=12
    // device: {"g_max_us": 20.0, ...}
    // adc_gain: 64 64 ...
    // adc_offset: 0 0 ...
    // sha256: 41f0...
    9a1f...

Header lines come in this order. One line per row of the macro follows, row 0 first, in lower-case hexadecimal: the
codes of all columns side by side, column 0 in the least significant bits, so that column ``c`` is bits
``(c+1)*conductance_bits-1 : c*conductance_bits`` of the word. Gains and offsets are listed ADC 0 first. The hash is
that of the whole text without its own line. File name: ``<spec>-seed<seed>-<first 16 digits of the hash>.mem``.

A chip with several macros has one image: the line of shape ends in `` macros=M``, the rows of macro 0 come first, then
those of macro 1, and so on; gains and offsets likewise.

Conductances that were measured instead of drawn have ``// seed: none`` and ``<spec>-measured-<hash>.mem``.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.files import replacing
from sim.fixed_point import IntArray, check_range
from sim.lsm_crossbar.spec import CrossbarSpec

MAGIC = "liquidcal conductance image 1"
_SHAPE = ("rows", "columns", "conductance_bits", "columns_per_adc", "gain_fraction", "offset_bits")
_KEYS = ("spec", "seed", "shape", "device", "adc_gain", "adc_offset", "sha256")
_NO_SEED = "none"
"""In the place of a seed where conductances were measured."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Conductances:
    """Codes of all cells and the ADCs' gains and offsets: one macro as it came out of the fab.

    Attributes
    ----------
    spec : str
        Name of the spec that it was drawn for.
    seed : int or None
        Seed of the draw; None: measured, see `sim.lsm_crossbar.macro_model.measured_file`.
    rows, columns, conductance_bits, columns_per_adc, gain_fraction, offset_bits : int
        As in `CrossbarSpec`; a spec with other numbers refuses the image.
    macros : int
        Macros of the chip.
    codes : ndarray of uint8, shape (macros * rows, columns)
        Conductance codes, 0 .. 2**conductance_bits - 1.
    adc_gain, adc_offset : ndarray of int64, shape (macros * columns // columns_per_adc,)
        Of ADC ``2*lane`` (plus) and ``2*lane + 1`` (minus).
    device : dict
        Physical parameters of the draw, for the record.

    Raises
    ------
    ValueError
        If a shape or a value is illegal; the message names the index.
    """

    spec: str
    seed: int | None
    rows: int
    columns: int
    conductance_bits: int
    columns_per_adc: int
    gain_fraction: int
    offset_bits: int
    codes: npt.NDArray[np.uint8]
    adc_gain: IntArray
    adc_offset: IntArray
    device: dict[str, Any]
    macros: int = 1

    def __post_init__(self) -> None:
        if not self.spec.isidentifier():
            raise ValueError(f"spec: expected a name, got {self.spec!r}")
        if self.seed is not None and self.seed < 0:
            raise ValueError(f"seed: expected a number of at least 0, got {self.seed}")
        if not (
            1 <= self.conductance_bits <= 8
            and self.macros >= 1
            and self.rows >= 1
            and self.columns >= 2
            and self.columns_per_adc >= 1
        ):
            raise ValueError(f"no macro has the shape {self._shape_text()}")
        if self.columns % (2 * self.columns_per_adc):
            raise ValueError(f"{self.columns_per_adc} pairs per ADC do not divide {self.columns} columns")
        codes = check_range(self.codes, 0, (1 << self.conductance_bits) - 1, "conductance code")
        gain = check_range(self.adc_gain, 1, (2 << self.gain_fraction) - 1, "ADC gain")
        half = 1 << (self.offset_bits - 1)
        offset = check_range(self.adc_offset, -half, half - 1, "ADC offset")
        adcs = self.macros * self.columns // self.columns_per_adc
        for name, array, shape in (
            ("codes", codes, (self.macros * self.rows, self.columns)),
            ("adc_gain", gain, (adcs,)),
            ("adc_offset", offset, (adcs,)),
        ):
            if array.shape != shape:
                raise ValueError(f"{name}: expected the shape {shape}, got {array.shape}")
        narrow = codes.astype(np.uint8)
        narrow.setflags(write=False)
        gain.setflags(write=False)
        offset.setflags(write=False)
        object.__setattr__(self, "codes", narrow)
        object.__setattr__(self, "adc_gain", gain)
        object.__setattr__(self, "adc_offset", offset)

    @classmethod
    def of(
        cls,
        spec: CrossbarSpec,
        codes: npt.ArrayLike,
        *,
        seed: int | None = 0,
        adc_gain: npt.ArrayLike | None = None,
        adc_offset: npt.ArrayLike | None = None,
        device: dict[str, Any] | None = None,
    ) -> Conductances:
        """An image for `spec`; ADCs are ideal unless given."""
        return cls(
            spec=spec.name,
            seed=seed,
            codes=np.asarray(codes),
            adc_gain=np.asarray(np.full(spec.image_adcs, 1 << spec.gain_fraction) if adc_gain is None else adc_gain),
            adc_offset=np.asarray(np.zeros(spec.image_adcs, np.int64) if adc_offset is None else adc_offset),
            device=device or {},
            macros=spec.macros,
            **{name: getattr(spec, name) for name in _SHAPE},
        )

    def macro(self, number: int) -> Conductances:
        """One of several macros on its own."""
        if self.macros == 1 and number == 0:
            return self
        adcs = self.columns // self.columns_per_adc
        return replace(
            self, macros=1, seed=None if self.seed is None else self.macros * self.seed + number,
            codes=self.codes[number * self.rows : (number + 1) * self.rows],
            adc_gain=self.adc_gain[number * adcs : (number + 1) * adcs],
            adc_offset=self.adc_offset[number * adcs : (number + 1) * adcs],
        )  # fmt: skip

    def check(self, spec: CrossbarSpec) -> Conductances:
        """Return itself if it is an image for `spec`.

        Raises
        ------
        ValueError
            If the spec's macro has another shape, or the spec is a tile of macros and ADCs are not ideal: an image
            has those of one macro.
        """
        wrong = [name for name in (*_SHAPE, "macros") if getattr(self, name) != getattr(spec, name)]
        if wrong:
            raise ValueError(
                f"the conductance image is not one for {spec.name}: "
                + ", ".join(f"{name} is {getattr(self, name)}, expected {getattr(spec, name)}" for name in wrong)
            )
        if spec.macro_rows is not None and ((self.adc_gain != 1 << spec.gain_fraction) | (self.adc_offset != 0)).any():
            raise ValueError(
                f"the conductance image is not one for {spec.name}: expected ideal ADCs in a tile of macros"
            )
        return self

    def _shape_text(self) -> str:
        names = (*_SHAPE, "macros") if self.macros > 1 else _SHAPE
        return " ".join(f"{name}={getattr(self, name)}" for name in names)

    @cached_property
    def row_words(self) -> tuple[int, ...]:
        """One memory word per row: column ``c`` in bits ``c*conductance_bits`` and up."""
        bits = np.unpackbits(self.codes[:, :, None], axis=2, bitorder="little")[:, :, : self.conductance_bits]
        packed = np.packbits(bits.reshape(len(self.codes), -1), axis=1, bitorder="little")
        return tuple(int.from_bytes(row.tobytes(), "little") for row in packed)

    def _text(self) -> tuple[list[str], list[str]]:
        digits = -(-self.columns * self.conductance_bits // 4)
        head = [
            f"// {MAGIC}",
            f"// spec: {self.spec}",
            f"// seed: {_NO_SEED if self.seed is None else self.seed}",
            f"// shape: {self._shape_text()}",
            f"// device: {json.dumps(self.device, sort_keys=True)}",
            f"// adc_gain: {' '.join(map(str, self.adc_gain))}",
            f"// adc_offset: {' '.join(map(str, self.adc_offset))}",
        ]
        return head, [f"{word:0{digits}x}" for word in self.row_words]

    @cached_property
    def sha256(self) -> str:
        """Hash of the file's text without the hash line, hexadecimal."""
        head, words = self._text()
        return _hash(head + words)

    @property
    def file_name(self) -> str:
        """``<spec>-seed<seed>-<first 16 digits of the hash>.mem``, ``measured`` instead of a seed."""
        origin = "measured" if self.seed is None else f"seed{self.seed}"
        return f"{self.spec}-{origin}-{self.sha256[:16]}.mem"

    def write(self, folder: Path) -> Path:
        """Write the file into `folder` under its name; returns its path."""
        head, words = self._text()
        path = Path(folder) / self.file_name
        with replacing(path) as file:
            file.write("\n".join([*head, f"// sha256: {self.sha256}", *words]) + "\n")
        return path


def read_conductances(path: Path) -> Conductances:
    """Read a conductance file.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If the text is not such a file, is cut short, or does not match its hash; the message names line and column,
        both from 1.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no conductance file {path}")
    try:
        text = path.read_bytes().decode("ascii")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: byte {error.start} is not ASCII text") from None
    try:
        return parse_conductances(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def parse_conductances(text: str) -> Conductances:
    """The image in the text of a conductance file; errors as in `read_conductances`."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines or lines[0] != f"// {MAGIC}":
        raise ValueError(f"line 1: expected '// {MAGIC}', got {_show(lines[0] if lines else '')}")
    header = {}
    for number, key in enumerate(_KEYS, start=2):
        prefix = f"// {key}: "
        line = lines[number - 1] if number <= len(lines) else ""
        if not line.startswith(prefix):
            raise ValueError(f"line {number}: expected '{prefix}...', got {_show(line)}")
        header[key] = line[len(prefix) :]
    first = len(_KEYS) + 1
    shape = dict(re.findall(r"(\w+)=(\d{1,6})(?= |$)", header["shape"]))
    if (
        tuple(shape) not in (_SHAPE, (*_SHAPE, "macros"))
        or " ".join(f"{k}={v}" for k, v in shape.items()) != header["shape"]
    ):
        raise ValueError(f"line 4: expected {'=N '.join(_SHAPE)}=N, got {_show(header['shape'])}")
    numbers = {name: int(value) for name, value in shape.items()}
    macros = numbers.get("macros", 1)
    rows, columns, bits = numbers["rows"], numbers["columns"], numbers["conductance_bits"]
    if (
        not 1 <= bits <= 8
        or not rows
        or not columns
        or not macros
        or numbers["gain_fraction"] > 10
        or numbers["offset_bits"] > 24
    ):
        raise ValueError(f"line 4: no macro has the shape {header['shape']}")
    if numbers["offset_bits"] < 1:
        raise ValueError("line 4: offset_bits must be at least 1")
    digits = -(-columns * bits // 4)
    words = lines[first:]
    rows *= macros
    if len(words) != rows:
        raise ValueError(f"expected {rows} rows after the header, got {len(words)} (line {first + len(words)} is last)")
    for number, word in enumerate(words, start=first + 1):
        if len(word) != digits:
            raise ValueError(f"line {number}: expected {digits} hexadecimal digits, got {len(word)} characters")
        if wrong := re.search(r"[^0-9a-f]", word):
            raise ValueError(
                f"line {number}, column {wrong.start() + 1}: expected a lower-case hexadecimal digit, "
                f"got {wrong.group()!r}"
            )
        if int(word[0], 16) >> (4 - (-columns * bits) % 4):
            raise ValueError(f"line {number}, column 1: bits above column {columns - 1} must be zero")
    found = _hash([*lines[: first - 1], *words])
    if header["sha256"] != found:
        raise ValueError(
            f"line {first}: the hash of the text is {found[:16]}..., the file says {_show(header['sha256'][:16])}; "
            "the file was changed after it was written"
        )
    if header["seed"] != _NO_SEED and not re.fullmatch(r"0|[1-9]\d{0,18}", header["seed"]):
        raise ValueError(f"line 3: expected a seed or {_NO_SEED}, got {_show(header['seed'])}")
    try:
        device = json.loads(header["device"])
    except json.JSONDecodeError as error:
        raise ValueError(f"line 5: not JSON: {error}") from None
    if not isinstance(device, dict):
        raise ValueError(f"line 5: expected a JSON object, got {_show(header['device'])}")
    packed = np.frombuffer(
        b"".join(int(word, 16).to_bytes(-(-digits // 2), "little") for word in words), np.uint8
    ).reshape(rows, -1)
    each = np.unpackbits(packed, axis=1, bitorder="little")[:, : columns * bits].reshape(rows, columns, bits)
    codes = np.packbits(each, axis=2, bitorder="little")[:, :, 0]
    try:
        return Conductances(
            spec=header["spec"],
            seed=None if header["seed"] == _NO_SEED else int(header["seed"]),
            codes=codes,
            adc_gain=_list(header["adc_gain"], 7),
            adc_offset=_list(header["adc_offset"], 8),
            device=device,
            **numbers,
        )
    except ValueError as error:
        raise ValueError(f"header: {error}") from None


def _list(text: str, line: int) -> IntArray:
    if not re.fullmatch(r"-?\d{1,9}( -?\d{1,9})*", text):
        raise ValueError(f"line {line}: expected integers apart by one space, got {_show(text)}")
    return np.array([int(word) for word in text.split(" ")], np.int64)


def _hash(lines: list[str]) -> str:
    return hashlib.sha256(("\n".join(lines) + "\n").encode()).hexdigest()


def _show(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
