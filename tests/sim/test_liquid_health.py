"""Memory and growth of disturbances against cases that are known by a theorem or by hand."""

import numpy as np
import pytest

from sim.liquid_health import growth, memory_capacity


def test_a_delay_line_remembers_as_many_steps_as_it_has_taps() -> None:
    """Taps 1 to 4 of an independent signal are remembered whole, everything else not at all."""
    signal = np.random.default_rng(1).random((40, 60))
    taps = np.stack([np.roll(signal, delay, axis=1) for delay in range(1, 5)], axis=-1)
    found = memory_capacity(taps[:, 4:], signal[:, 4:], delays=8)
    assert np.allclose(found[1:5], 1, atol=1e-4)
    assert found[[0, 5, 6, 7]].max() < 0.02


def test_a_leaky_unit_has_a_capacity_of_one_step() -> None:
    """Of x' = a x + u the capacity by delay is (1 - a**2) a**(2 delay) (Jaeger, 2001), and 1 in all."""
    rng, leak = np.random.default_rng(2), 0.7
    signal = rng.random((80, 400))
    state = np.zeros((80, 400, 1))
    level = np.zeros(80)
    for step in range(400):
        level = leak * level + signal[:, step]
        state[:, step, 0] = level
    found = memory_capacity(state[:, 50:], signal[:, 50:], delays=20)
    expected = (1 - leak**2) * leak ** (2 * np.arange(20))
    assert np.allclose(found, expected, atol=0.03)
    assert found.sum() == pytest.approx(1, abs=0.05)


def test_states_that_are_noise_or_constant_remember_nothing() -> None:
    """The score is of samples that neither fitted nor chose: more weights than a part has points find nothing."""
    rng = np.random.default_rng(3)
    signal = rng.random((16, 60))
    assert memory_capacity(rng.random((16, 60, 400)), signal, delays=10).sum() < 0.1
    assert memory_capacity(np.ones((16, 60, 5)), signal, delays=10).sum() == 0
    with pytest.raises(ValueError, match="at least 4 samples of more than 60 steps, got 16 of 60"):
        memory_capacity(rng.random((16, 60, 4)), signal, delays=60)
    with pytest.raises(ValueError, match="expected states"):
        memory_capacity(rng.random((16, 60, 4)), signal[:, 1:])


def test_growth_by_hand() -> None:
    """A distance that doubles every step grows by 2**span; what is in the first steps does not count."""
    distance = np.zeros(30)
    distance[5:] = 2.0 ** np.arange(25)
    distance[5:9] = 99
    assert growth(distance, 5, 3) == pytest.approx(8)
    assert growth(np.ones(40), 5) == 1
    assert growth(np.zeros(40), 5) == 0
    with pytest.raises(ValueError, match="more than 41 steps, got 40"):
        growth(np.ones(40), 11)
