"""Decoder: latents and module sum back to 48 charges, in plain NumPy.

The decoder runs off the detector in floating point, so its size costs the chip nothing.  Two kinds exist:

* ``published``: Dense 16 -> 128, ReLU, reshaped to 4 x 4 x 8; transposed convolution to 8 channels, 3 x 3, stride 2,
  ReLU; transposed convolution to 1 channel, 3 x 3; sigmoid (the decoder of arXiv 2105.01683 for the 8 x 8 input);
* ``mlp``: fully connected layers with ReLU over the latents, the module sum that every frame carries, and how much of
  it is pedestal (`sim.hgcal_encoder.learning.features`), ending in a softmax over the 48 trigger cells.  Layers of
  equal width pass their input on beside what they make of it (K. He et al., "Deep Residual Learning for Image
  Recognition", CVPR 2016).

Either output is a share of the module's charge per trigger cell.  The sum travels in the frame.  It holds the pedestal
of every empty cell (`sim.hgcal_encoder.front_end.pedestals`), which the decoder knows from the chip's settings and
takes off for all 48 cells: decoded charges and pedestals add up to the sum that was sent. In a cell with charge nothing
of it is pedestal, but the middle of a code's interval lies above its mean charge by about as much.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim.fixed_point import check_range
from sim.foreign_files import read_npz
from sim.hgcal_encoder.detector.geometry import N_TRIGGER_CELLS, image_8x8
from sim.hgcal_encoder.frame import COUNTER_WIDTH, SUM_CODE_WIDTH, kept_positions
from sim.hgcal_encoder.learning.features import SUM_FEATURES, sum_features, sum_of_code
from sim.hgcal_encoder.settings import keep_mask
from sim.hgcal_encoder.spec import ETX_WORDS, HEADER_WIDTH, PRESETS, EncoderSpec
from sim.hgcal_encoder.weights import Weights
from sim.messages import shown

if TYPE_CHECKING:
    from sim.hgcal_encoder.learning.search import Search
    from sim.hgcal_encoder.learning.training_images import Images

__all__ = [
    "DECODER_KINDS",
    "Decoder",
    "TrainedModel",
    "read_frames",
    "shipped_models",
    "model_name",
    "shipped_name",
    "truncate_latents",
]

DEPENDS_ON = ("../data/weights",)

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

#: Kinds of decoder, see the module's text.
DECODER_KINDS = ("mlp", "published")
#: Simulated modules from which a search learns what to expect: seed, size and share of busy ones.
_ODDS_SEED, _ODDS_SCALE, _ODDS_BUSY = 20_262, 0.01, 6.0
#: Multiple of its pedestal below which a decoded cell counts as empty; chosen on simulated showers.
LEAST = 0.5


def truncate_latents(latents: ArrayLike, kept_bits: int, width: int = 9) -> Int64:
    """Latents as they arrive when only the highest bits of each are sent, the others read as 0.

    Parameters
    ----------
    latents : array_like of int
    kept_bits : int
        1 ... `width`.
    width : int, optional
        Bits of a latent in the encoder.

    Raises
    ------
    ValueError
        If `kept_bits` is out of range.
    """
    if not 1 <= kept_bits <= width:
        raise ValueError(f"kept_bits must be 1 ... {width}, got {kept_bits}")
    drop = width - kept_bits
    out: Int64 = np.asarray(latents, dtype=np.int64) >> drop << drop
    return out


def read_frames(frames: ArrayLike, spec: EncoderSpec, mask: int, etx_count: int) -> tuple[Int64, Int64]:
    """Sum codes and latents in the chip's output words: what arrives off the detector.

    Parameters
    ----------
    frames : array_like of int, shape (n, 13)
        eTx words, see `sim.hgcal_encoder.frame.frame`.
    spec : EncoderSpec
    mask : int
        Keep mask of the chip's settings.
    etx_count : int
        Active links, 1 to 13.

    Returns
    -------
    sum_codes : ndarray of int64, shape (n,)
    latents : ndarray of int64, shape (n, latents)
        Bits that were not sent read as 0.

    Raises
    ------
    ValueError
        If the shape, a word, the mask or the number of links is out of range.
    """
    words = check_range(frames, 0, 0xFFFF_FFFF, "output words")
    if words.ndim != 2 or words.shape[1] != ETX_WORDS:
        raise ValueError(f"output words: expected shape (n, {ETX_WORDS}), got {words.shape}")
    capacity = spec.capacity(etx_count)
    positions = kept_positions(mask, spec)[:capacity]
    bits = np.unpackbits(words.astype(">u4").view(np.uint8).reshape(len(words), -1), axis=1).astype(np.int64)
    sum_codes = bits[:, COUNTER_WIDTH:HEADER_WIDTH] @ (1 << np.arange(SUM_CODE_WIDTH - 1, -1, -1))
    latents = np.zeros((len(words), spec.latents), dtype=np.int64)
    for place, position in enumerate(positions.tolist()):
        latent, bit = divmod(position, spec.latent.width)
        latents[:, latent] |= bits[:, HEADER_WIDTH + capacity - 1 - place] << bit
    return sum_codes, latents


def _relu(x: Float32) -> Float32:
    return np.maximum(x, np.float32(0))


def _transposed_convolution(image: Float32, kernel: Float32, bias: Float32, stride: int) -> Float32:
    """Transposed convolution with SAME padding, the layout and cropping of Keras.

    Parameters
    ----------
    image : ndarray, shape (n, rows, columns, channels in)
    kernel : ndarray, shape (3, 3, channels out, channels in)
    bias : ndarray, shape (channels out,)
    stride : int
    """
    n, rows, columns, _ = image.shape
    size = kernel.shape[0]
    full = np.zeros((n, (rows - 1) * stride + size, (columns - 1) * stride + size, kernel.shape[2]), np.float32)
    for r in range(size):
        for c in range(size):
            full[:, r : r + rows * stride : stride, c : c + columns * stride : stride][:, :rows, :columns] += (
                image @ kernel[r, c].T
            )
    crop = (size - stride) // 2 if size > stride else 0
    out: Float32 = full[:, crop : crop + rows * stride, crop : crop + columns * stride] + bias
    return out


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """A trained decoder.

    Parameters
    ----------
    kind : {"mlp", "published"}
    arrays : mapping of str to ndarray of float32
        ``mlp``: ``weight0`` (inputs, units), ``bias0``, ``weight1``, ...; ``published``: ``dense`` (16, 128),
        ``dense_bias``, ``deconv0`` (3, 3, 8, 8), ``deconv0_bias``, ``deconv1`` (3, 3, 1, 8), ``deconv1_bias``.
    latent_fraction : int, optional
        Fraction bits of a latent.

    Raises
    ------
    ValueError
        If the kind is unknown, an array is missing or layers do not fit each other.
    """

    kind: str
    arrays: Mapping[str, Float32]
    latent_fraction: int = 8

    def __post_init__(self) -> None:
        if self.kind not in DECODER_KINDS:
            raise ValueError(f"decoder kind: expected one of {', '.join(DECODER_KINDS)}, got {self.kind!r}")
        if self.kind == "published":
            names = {f"{name}{end}" for name in ("dense", "deconv0", "deconv1") for end in ("", "_bias")}
            if set(self.arrays) != names:
                raise ValueError(f"published decoder: expected arrays {sorted(names)}, got {sorted(self.arrays)}")
            return
        layers = self.layers
        if layers < 1 or set(self.arrays) != {f"{part}{i}" for i in range(layers) for part in ("weight", "bias")}:
            raise ValueError(f"mlp decoder: expected weight0, bias0, weight1, ..., got {sorted(self.arrays)}")
        for i in range(layers):
            weight, bias = self.arrays[f"weight{i}"], self.arrays[f"bias{i}"]
            follows = i == 0 or weight.shape[0] == self.arrays[f"weight{i - 1}"].shape[1]
            if weight.ndim != 2 or bias.shape != weight.shape[1:] or not follows:
                raise ValueError(f"mlp decoder: layer {i} of shapes {weight.shape}, {bias.shape} does not fit")
        if self.arrays[f"bias{layers - 1}"].shape != (N_TRIGGER_CELLS,):
            raise ValueError(f"mlp decoder: the last layer must have {N_TRIGGER_CELLS} units")

    @property
    def layers(self) -> int:
        """Layers of an ``mlp``."""
        return sum(name.startswith("weight") for name in self.arrays)

    def shares(self, latents: ArrayLike, sum_codes: ArrayLike, pedestals: ArrayLike = 0) -> Float64:
        """Share of the module's charge in every trigger cell.

        Parameters
        ----------
        latents : array_like of int, shape (n, 16)
            Codes as they arrive, see `truncate_latents`.
        sum_codes : array_like of int, shape (n,)
            9-bit sum codes of the same frames.
        pedestals : array_like, scalar, shape (48,) or (n, 48), optional
            Calibrated charge of each trigger cell when it is empty; 0 for charges that never were words.

        Returns
        -------
        ndarray of float64, shape (n, 48)
            Trigger cell order, rows sum to 1.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        codes = np.asarray(latents)
        sums = np.asarray(sum_codes)
        if codes.ndim != 2 or sums.shape != codes.shape[:1]:
            raise ValueError(f"expected latents (n, k) and sum codes (n,), got {codes.shape} and {sums.shape}")
        values = (codes / 2.0**self.latent_fraction).astype(np.float32)
        if self.kind == "published":
            return _to_shares(self._published(values))
        x: Float32 = np.concatenate([values, sum_features(sums, _by_cell(pedestals, len(codes)).sum(axis=1))], axis=1)
        if x.shape[1] != self.arrays["weight0"].shape[0]:
            raise ValueError(
                f"this decoder takes {self.arrays['weight0'].shape[0] - SUM_FEATURES} latents, got {codes.shape[1]}"
            )
        for i in range(self.layers):
            y = x @ self.arrays[f"weight{i}"] + self.arrays[f"bias{i}"]
            if i < self.layers - 1:
                y = _relu(y)
                if y.shape == x.shape:
                    y += x
            x = y
        return _to_shares(np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True)))

    def _published(self, values: Float32) -> Float64:
        a = self.arrays
        if values.shape[1] != a["dense"].shape[0]:
            raise ValueError(f"this decoder takes {a['dense'].shape[0]} latents, got {values.shape[1]}")
        x = _relu(values @ a["dense"] + a["dense_bias"]).reshape(-1, 4, 4, 8)
        x = _relu(_transposed_convolution(x, a["deconv0"], a["deconv0_bias"], 2))
        x = _transposed_convolution(x, a["deconv1"], a["deconv1_bias"], 1)
        grid = image_8x8().ravel()
        flat = x.reshape(len(x), -1)[:, grid >= 0].astype(np.float64)
        out = np.empty((len(x), N_TRIGGER_CELLS))
        out[:, grid[grid >= 0]] = 1.0 / (1.0 + np.exp(-flat))
        return out

    def charges(self, latents: ArrayLike, sum_codes: ArrayLike, pedestals: ArrayLike = 0) -> Float64:
        """Decoded charges: the shares times what the module sum of the frame holds beside pedestals.

        A cell that gets less than `LEAST` times its pedestal is empty: the least charge that a word carries is three
        pedestals.

        Parameters
        ----------
        latents, sum_codes, pedestals
            As in `shares`.

        Returns
        -------
        ndarray of float64, shape (n, 48)
            In counts of CALQ, trigger cell order; a row and its pedestals add up to the sum that was sent.
        """
        return _charges(self.shares(latents, sum_codes, pedestals), sum_codes, pedestals)


def _charges(shares: Float64, sum_codes: ArrayLike, pedestals: ArrayLike) -> Float64:
    """Charges of shares, as `Decoder.charges` has them."""
    empty = _by_cell(pedestals, len(shares))
    # at least a count: a module is sent, so something is in it
    charge = np.maximum(sum_of_code(sum_codes) - empty.sum(axis=1), 1.0)[:, None]
    kept = shares * charge >= np.minimum(LEAST * empty, (shares.max(axis=1) * charge[:, 0])[:, None])
    out: Float64 = _to_shares(np.where(kept, shares, 0.0)) * charge
    return out


def _by_cell(pedestals: ArrayLike, rows: int) -> Float64:
    """Pedestals of each cell of each row."""
    array = np.asarray(pedestals, dtype=np.float64)
    if array.ndim and array.shape not in ((N_TRIGGER_CELLS,), (rows, N_TRIGGER_CELLS)):
        raise ValueError(f"pedestals: expected shape ({N_TRIGGER_CELLS},) or ({rows}, 48), got {array.shape}")
    return np.broadcast_to(array, (rows, N_TRIGGER_CELLS))


def _to_shares(values: Float64) -> Float64:
    total = values.sum(axis=1, keepdims=True)
    out: Float64 = values / total
    return out


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """Weights of an encoder, the decoder trained with them and the way they are joined.

    Attributes
    ----------
    weights : Weights
    decoder : Decoder
    elinks : int
        eLinks (eTx) the model was trained for, 1 ... 5.
    kept_bits : int
        Bits of every latent that are sent, the highest ones.
    multiplexer : ndarray of int64, shape (48,)
        Trigger cell on each input of the network: ``charges[:, multiplexer]`` goes into the encoder.
    """

    weights: Weights
    decoder: Decoder
    elinks: int
    kept_bits: int
    multiplexer: Int64

    def __post_init__(self) -> None:
        if sorted(np.asarray(self.multiplexer).tolist()) != list(range(N_TRIGGER_CELLS)):
            raise ValueError("multiplexer must be a permutation of the 48 trigger cells")
        if not 1 <= self.kept_bits <= self.weights.spec.latent.width:
            raise ValueError(f"kept_bits must be 1 ... {self.weights.spec.latent.width}, got {self.kept_bits}")

    @property
    def spec(self) -> EncoderSpec:
        """Spec of the encoder."""
        return self.weights.spec

    @property
    def keep_mask(self) -> int:
        """Keep mask of the frame."""
        return keep_mask(self.spec, self.kept_bits)

    def save(self, path: Path) -> None:
        """Write a ``.npz``: integer weight codes, decoder arrays in half precision, and how they belong together.

        `sim.hgcal_encoder.weights.Weights.load` reads the same file for the weights alone.

        The spec is named, and one that is no preset is written out beside its name.
        """
        from sim.files import replacing

        codes = next(kind for kind in (np.int8, np.int16, np.int32) if self.spec.weight.width <= np.iinfo(kind).bits)
        arrays: dict[str, Any] = {
            name: getattr(self.weights, name).astype(codes) for name in ("kernel", "kernel_bias", "dense", "dense_bias")
        }
        # half precision: 11 bits, more than the frame has of any value
        arrays |= {f"decoder_{name}": array.astype(np.float16) for name, array in self.decoder.arrays.items()}
        arrays |= {
            "spec": np.array(self.spec.name),
            "decoder": np.array(self.decoder.kind),
            "elinks": np.array(self.elinks),
            "kept_bits": np.array(self.kept_bits),
            "multiplexer": self.multiplexer.astype(np.int64),
        }
        if PRESETS.get(self.spec.name) != self.spec:
            arrays["spec_toml"] = np.array(self.spec.to_toml())
        with replacing(Path(path), "wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: Path | str) -> "TrainedModel":
        """Read a model.

        Parameters
        ----------
        path : Path or str
            A ``.npz`` of `save`, or the name of a shipped one such as ``econ_t_5elinks``.

        Raises
        ------
        FileNotFoundError
            If there is neither such a file nor such a shipped model.
        ValueError
            If the file is not a model; the message names what is missing or wrong.
        """
        shipped = shipped_models()
        file = Path(path)
        if not file.is_file():
            if str(path) not in shipped:
                raise FileNotFoundError(f"no model file {path}; shipped models: {', '.join(shipped) or 'none'}")
            file = shipped[str(path)]
        arrays = read_npz(file)
        needed = ("spec", "decoder", "elinks", "kept_bits", "multiplexer")
        if missing := [name for name in needed if name not in arrays]:
            raise ValueError(f"{file}: missing {', '.join(missing)}")
        try:
            spec = _spec_of(arrays)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
        prefix = "decoder_"
        try:
            for key, array in arrays.items():
                if key.startswith(prefix) and (array.dtype.kind not in "iuf" or not np.isfinite(array).all()):
                    raise ValueError(f"{key}: expected finite numbers, got {array.dtype} of shape {array.shape}")
            decoder = Decoder(
                kind=str(arrays["decoder"]),
                arrays={
                    key[len(prefix) :]: array.astype(np.float32)
                    for key, array in arrays.items()
                    if key.startswith(prefix)
                },
                latent_fraction=spec.latent.fraction,
            )
            return cls(
                weights=Weights.load(file, spec),
                decoder=decoder,
                elinks=_whole(arrays, "elinks"),
                kept_bits=_whole(arrays, "kept_bits"),
                multiplexer=check_range(arrays["multiplexer"], 0, N_TRIGGER_CELLS - 1, "multiplexer"),
            )
        except (ValueError, TypeError) as error:
            raise ValueError(f"{file}: {error}") from None

    def reconstruct(self, charges: ArrayLike, pedestals: ArrayLike = 0) -> Float64:
        """Encode in exact chip arithmetic, keep the sent bits, decode.

        Parameters
        ----------
        charges : array_like of int, shape (n, 48)
            Calibrated charges (CALQ) as the chip sees them, in trigger cell order
            (`sim.hgcal_encoder.front_end.seen_charges` makes them of the charges of a file).
        pedestals : array_like, scalar, shape (48,) or (n, 48), optional
            Calibrated charge of each trigger cell when it is empty, 0 if the charges have exact zeros.

        Returns
        -------
        ndarray of float64, shape (n, 48)
            Decoded charges in trigger cell order.

        Raises
        ------
        ValueError
            If a charge is out of range; the message names its index.
        """
        return self.decoder.charges(*self._sent(charges), pedestals)

    def _sent(self, charges: ArrayLike) -> tuple[Int64, Int64]:
        """Latents as they arrive, and sum codes."""
        from sim.engine import Engine
        from sim.hgcal_encoder.encoder import Encoder
        from sim.hgcal_encoder.normalise import check_charges, sum_code

        array = check_charges(charges)
        inputs = np.ascontiguousarray(array[:, self.multiplexer])
        latents = Encoder(self.spec, self.weights, engine=Engine.NUMBA).latents(inputs)
        return truncate_latents(latents, self.kept_bits, self.spec.latent.width), sum_code(array.sum(axis=1))

    def reconstruct_by_search(self, charges: ArrayLike, levels: ArrayLike, how: "Search | None" = None) -> Float64:
        """As `reconstruct`, decoded by search (`sim.hgcal_encoder.learning.search`) from the decoder's answer.

        Parameters
        ----------
        charges : array_like of int, shape (n, 48)
            Calibrated charges (CALQ) as the chip sees them, in trigger cell order.
        levels : array_like of int, shape (48, 128) or (n, 48, 128)
            Calibrated charge of each trigger cell for each 4E3M code (`sim.hgcal_encoder.front_end.levels`).
        how : Search, optional

        Returns
        -------
        ndarray of float64, shape (n, 48)
            Decoded charges in trigger cell order.
        """
        return self._searched(*self._sent(charges), np.asarray(levels, np.int64), how)

    def _searched(self, latents: Int64, sum_codes: Int64, levels: Int64, how: "Search | None") -> Float64:
        from sim.hgcal_encoder.learning.search import Search, search

        how = Search() if how is None else how
        pedestals = levels[..., 0]
        known = self.decoder.charges(latents, sum_codes, pedestals)
        found = search(
            latents,
            sum_codes,
            known,
            levels,
            weights=self.weights,
            kept_bits=self.kept_bits,
            multiplexer=np.asarray(self.multiplexer),
            odds=self.search_odds,
            how=how,
        )
        trust = how.trust(found.misfits, found.cells, self.kept_bits * self.spec.latents)
        return _charges(found.shares(known, trust), sum_codes, pedestals)

    @cached_property
    def search_odds(self) -> Float64:
        """What a search with this model expects in a cell, from simulated modules (a few seconds, once)."""
        from sim.hgcal_encoder.front_end import by_trigger_cell, levels
        from sim.hgcal_encoder.learning.search_prior import odds
        from sim.hgcal_encoder.learning.training_images import PLAIN

        images = _odds_images()
        table = by_trigger_cell(levels(PLAIN), PLAIN).T
        known = self.reconstruct(images.seen, table[:, 0])
        return odds(known, images.charges.astype(np.float64), table[None])

    def decode_frames(self, frames: ArrayLike, pedestals: ArrayLike = 0) -> Float64:
        """Decode the chip's output words, sent with this model's keep mask on its number of links.

        Parameters
        ----------
        frames : array_like of int, shape (n, 13)
        pedestals : array_like, scalar, shape (48,) or (n, 48), optional
            As in `reconstruct`: `sim.hgcal_encoder.front_end.pedestals` of the chip's settings, in trigger cell order.

        Returns
        -------
        ndarray of float64, shape (n, 48)
            Decoded charges in trigger cell order, if the multiplexer was set to `multiplexer`.

        Raises
        ------
        ValueError
            If the shape or a word is out of range.
        """
        sum_codes, latents = read_frames(frames, self.spec, self.keep_mask, self.elinks)
        return self.decoder.charges(latents, sum_codes, pedestals)

    def decode_frames_by_search(self, frames: ArrayLike, levels: ArrayLike, how: "Search | None" = None) -> Float64:
        """As `decode_frames`, decoded by search.

        Parameters
        ----------
        frames : array_like of int, shape (n, 13)
        levels, how
            As in `reconstruct_by_search`.

        Raises
        ------
        ValueError
            If the shape or a word is out of range.
        """
        sum_codes, latents = read_frames(frames, self.spec, self.keep_mask, self.elinks)
        return self._searched(latents, sum_codes, np.asarray(levels, np.int64), how)


@cache
def _odds_images() -> "Images":
    """Simulated modules from which the odds of a search are counted, the same for every model."""
    from sim.hgcal_encoder.learning.training_images import simulate_images

    return simulate_images(seed=_ODDS_SEED, scale=_ODDS_SCALE, plain=1.0, busy=_ODDS_BUSY).images


def _spec_of(arrays: Mapping[str, Any]) -> EncoderSpec:
    """The spec of a model's file: written out, or a preset by name."""
    name = str(arrays["spec"])
    if "spec_toml" in arrays:
        try:
            spec = EncoderSpec.from_toml(str(arrays["spec_toml"]))
        except ValueError as error:
            raise ValueError(f"spec_toml: {error}") from None
        if spec.name != name:
            raise ValueError(f"spec: expected {spec.name}, as spec_toml says, got {shown(name)}")
        return spec
    if name not in PRESETS:
        raise ValueError(f"spec {shown(name)} is no preset; presets: {', '.join(PRESETS)}")
    return PRESETS[name]


def _whole(arrays: Mapping[str, NDArray[Any]], name: str) -> int:
    array = arrays[name]
    if array.dtype.kind not in "iu" or array.ndim:
        raise ValueError(f"{name}: expected one integer, got {array.dtype} of shape {array.shape}")
    return int(array)


def shipped_models() -> dict[str, Path]:
    """Models in the package, by name."""
    folder = Path(str(resources.files("sim.hgcal_encoder") / "data" / "weights"))
    return {path.stem: path for path in sorted(folder.glob("*.npz"))}


def model_name(spec: EncoderSpec, elinks: int) -> str:
    """Name of a trained model's files: ``econ_t_3elinks``."""
    return f"{spec.name.lower()}_{elinks}elinks"


def shipped_name(spec: EncoderSpec, elinks: int) -> str | None:
    """Name of the model that comes for exactly this network on so many links, None if there is none.

    Where two come, the one that was trained from words.
    """
    known = PRESETS.get(spec.name)
    if known is None or not spec.same_network(known):
        return None
    name = model_name(spec, elinks)
    return next((found for found in (f"{name}_words", name) if found in shipped_models()), None)
