"""Judges "1 hand" by counting the digits that cross rings around the palm."""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from hero_engine.cartoons.verdict import Verdict, bad, good
from hero_engine.cartoons.vision import Mask, Pixels, Plane, Region, distance, fill, near, regions

# Degrees from the hand's axis beyond which a digit is a thumb.
THUMB_FROM = 64.0
RINGS = (16.0, 16.5, 17.0, 17.5, 18.0, 18.5, 19.0, 19.5, 20.0)


@dataclass(frozen=True)
class _Digit:
    """A digit where a ring crosses it: degrees clockwise from the hand's axis, width in pixels."""

    angle: float
    width: float


def judge(pixels: Pixels) -> Verdict:
    """A good picture has one palm with four fingers and one thumb at the side."""
    body = regions(_body(pixels), 25)
    if not body or not 300 < body[0].area < 2800:
        return bad("no hand")
    if len(body) > 1:
        return bad("something beside the hand")
    lit = _likeness(pixels, body[0])
    skin = regions(fill(lit > 0.6), 200)
    if not skin:
        return bad("no hand")
    hand = skin[0].mask
    depth = ndimage.distance_transform_edt(np.pad(hand, 1))[1:-1, 1:-1]
    depth[52:] = 0
    radius = float(depth.max())
    if not 6 <= radius <= 15:
        return bad("no palm")
    weight = np.where(depth > 0.88 * radius, depth, 0)
    x = float((weight.sum(0) * (np.arange(64) + 0.5)).sum() / weight.sum())
    y = float((weight.sum(1) * (np.arange(64) + 0.5)).sum() / weight.sum())
    axis = _axis(hand, x, y)
    rings = [_ring(lit, x, y, ring, axis) for ring in RINGS]
    return _verdict(rings, radius, x, y, axis)


def _verdict(rings: list[list[_Digit]], radius: float, x: float, y: float, axis: float) -> Verdict:
    """The verdict from the digits on every ring."""
    counts = Counter(len(ring) for ring in rings)
    # Digits that touch near the palm come apart further out: three rings that see more digits
    # than the rest are right.
    total = max((n for n in counts if counts[n] >= 3), default=0)
    if total == 0:
        return bad("no fingers")
    agreeing = [ring for ring in rings if len(ring) == total]
    thumbs = Counter(_thumbs(ring) for ring in agreeing).most_common(1)[0][0]
    if thumbs > 1:
        return bad("two thumbs")
    names = {1: "one", 2: "two", 3: "three", 4: "four", 6: "six", 7: "seven"}
    if total != 5:
        return bad(f"{names.get(total, 'many')} fingers")
    if thumbs == 0:
        return bad("no thumb")
    clear = [ring for ring in agreeing if _thumbs(ring) == 1]
    agreement = len(clear) / len(rings)
    fingers = np.array([[d.width for d in ring if abs(d.angle) <= THUMB_FROM] for ring in clear])
    angles = np.array([[d.angle for d in ring if abs(d.angle) <= THUMB_FROM] for ring in clear])
    if agreement < 0.4 or np.percentile(fingers, 80) > 9.5 or np.median(fingers) < 3.5:
        return bad("fingers not clear")
    evenness = float(np.diff(angles, axis=1).mean(0).std())
    if evenness > 9:
        return bad("fingers not clear")
    return good(
        near(x, 32, 8),
        near(radius, 12, 2),
        agreement,
        near(evenness, 3, 4),
        near(float(fingers.std()), 0.6, 0.8),
    )


def _thumbs(ring: list[_Digit]) -> int:
    """How many of the digits are too far from the hand's axis to be fingers."""
    return sum(abs(digit.angle) > THUMB_FROM for digit in ring)


def _body(pixels: Pixels) -> Mask:
    """Everything before the background: skin, its outline and the sleeve."""
    background = pixels.row_background(3)
    background[46:] = background[44]
    return np.asarray(distance(pixels.rgb, background) > 45)


def _likeness(pixels: Pixels, body: Region) -> Plane:
    """1 where a pixel has the palm's colour, 0 where it is as far from it as the background."""
    depth = ndimage.distance_transform_edt(body.mask)
    skin = np.median(pixels.rgb[depth > 0.6 * depth.max()], axis=0)
    back = np.median(pixels.rgb[:44][~body.mask[:44]], axis=0)
    reach = max(float(np.linalg.norm(skin - back)), 60.0)
    return np.asarray(np.clip(1 - distance(pixels.rgb, skin) / reach, 0, 1))


def _axis(hand: Mask, x: float, y: float) -> float:
    """Degrees clockwise from upright of the line from the wrist to the palm."""
    wrist = hand.copy()
    wrist[: int(y) + 12] = False
    wrist[int(y) + 18 :] = False
    ys, xs = np.nonzero(wrist)
    if xs.size < 20:
        return 0.0
    return math.degrees(math.atan2(x - (xs.mean() + 0.5), ys.mean() + 0.5 - y))


def _ring(lit: Plane, x: float, y: float, radius: float, axis: float) -> list[_Digit]:
    """The digits crossing the ring of `radius` around the palm, wrist left out."""
    angles = np.arange(-125.0, 125.5, 1.0)
    turned = np.radians(angles + axis)
    rows = y - 0.5 - radius * np.cos(turned)
    columns = x - 0.5 + radius * np.sin(turned)
    along = ndimage.map_coordinates(lit, [rows, columns], order=1) > 0.62
    labels, count = ndimage.label(along)
    found = []
    for k in range(1, count + 1):
        part = angles[labels == k]
        width = math.radians(part[-1] - part[0] + 1) * radius
        if width >= 1.5:
            found.append(_Digit(float(part.mean()), width))
    return found
