import pytest

from hero_engine.run.intervals import wilson


def test_wilson_interval() -> None:
    """Of 8 in 10: (0.490, 0.943), as in Newcombe (1998) and statsmodels."""
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 64)[0] == pytest.approx(0)
    assert wilson(64, 64)[1] == pytest.approx(1)
