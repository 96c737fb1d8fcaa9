


def test_latency_is_that_of_the_published_stages() -> None:
    """Words, pixels, activations, latents and frame are registered: five clocks, whatever protects the registers."""
    axes = [parse_axis("reuse=1,8", ECON_T), parse_axis("scheme=,tmr_registers", ECON_T)]
    for point in points(ECON_T, axes):
        assert module.MEASURES["latency"].run(point) == {"latency_clocks": 5.0, "latency_ns": 125.0}
    (point,) = points(ECON_T, [parse_axis("scheme=armour", ECON_T)])
    with pytest.raises(ValueError, match="'armour' is not a valid Scheme; schemes none"):
        module.MEASURES["latency"].run(point)


def test_energy_of_a_small_encoder_has_its_parts_in_order() -> None:
    library_or_skip("nangate45")
    (point,) = points(SMALL, [parse_axis("library=nangate45", SMALL)])
    figures = module.MEASURES["energy"].run(point)
    assert figures["energy_low_pj"] < figures["energy_pj"] < figures["energy_high_pj"]
    # a gate equivalent of NanGate 45 is 0.798 um2, and an idle one leaks more than a nanowatt: a floor of the energy
    assert figures["area_um2"] / figures["area_kge"] == pytest.approx(798, rel=1e-9)
    assert figures["energy_pj"] > 1e-3 * figures["area_kge"] * 1e3 * 25e-3
