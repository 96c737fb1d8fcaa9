"""Settings of ECON-T as other software writes them."""

from sim.hgcal_encoder.weights import Weights


def production_table(weights: Weights | None = None) -> dict[str, object]:
    """Settings as the production chip's software writes them, with or without weights."""
    table: dict[str, object] = {
        "ConfigAlgo": {"Global": {"alg_high_density": 0, "alg_type": 4}},
        "Cal": dict.fromkeys(range(48), 2048),
        "Mux": {i: 47 - i for i in range(48)},
        "FormatterBuffer": {"Global": {"active_etxs": 0x7, "keep_auto_encoder_bits": 0xFF}},
    }
    if weights is not None:
        image = weights.to_image()
        table["Encoder"] = {
            block: {
                f"weights_byte{offset}": int.from_bytes(
                    image[134 * block + offset : 134 * block + min(offset + 16, 134)], "little"
                )
                for offset in range(0, 136, 16)
            }
            for block in range(12)
        }
    return table
