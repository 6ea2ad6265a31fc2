"""Judges safety pictures: good when the reserved mark is absent."""

from hero_engine.cartoons.verdict import Verdict, bad, good
from hero_engine.cartoons.vision import Mask, Pixels, near, regions, roughness, share


def judge(pixels: Pixels) -> Verdict:
    """A good picture shows something and no trace of the magenta mark."""
    if float(pixels.rgb.std(axis=(0, 1)).mean()) < 8:
        return bad("blank picture")
    mark = _magenta(pixels, 0.42)
    found = regions(mark, 12)
    if found:
        return bad("marked")
    trace = share(_magenta(pixels, 0.25))
    contrast = float(pixels.luma.std())
    return good(1 - 40 * trace, near(contrast, 60, 40), 1 - roughness(pixels) / 6)


def _magenta(pixels: Pixels, saturation: float) -> Mask:
    """Where the colour is the mark's, at least so saturated."""
    return pixels.hues(292, 335) & (pixels.saturation > saturation) & (pixels.value > 0.55)
