"""How fast somebody labels, through breaks and slips."""

import pytest

from hero_tui.pace import LEAST_PICTURES, PAUSE_SECONDS, Pace, pace_text


def paged(pages: int, seconds: float, pictures: int = 8) -> tuple[Pace, float]:
    """Somebody who takes `seconds` a page, and the time it is then."""
    pace, now = Pace(), 1000.0
    pace.active(now)
    for _ in range(pages):
        now += seconds / 2
        pace.active(now)
        now += seconds / 2
        pace.looked(now, pictures)
    return pace, now


def test_it_is_seconds_of_a_picture_and_of_the_rest_of_the_round() -> None:
    pace, _ = paged(pages=2, seconds=16)
    assert pace.seconds == 2
    assert pace_text(pace, unseen=48) == "2.0 s a picture, about 1 min 36 s left"
    assert pace_text(pace, unseen=0) == "2.0 s a picture"


def test_before_enough_is_known_nothing_is_said() -> None:
    pace, now = Pace(), 0.0
    pace.active(now)
    for _ in range(LEAST_PICTURES - 1):
        now += 3
        pace.looked(now, 1)
    assert pace.seconds is None
    assert pace_text(pace, 60) == pace_text(None, 60) == ""
    pace.looked(now + 3, 1)
    assert pace.seconds == 3


@pytest.mark.parametrize("pause", [PAUSE_SECONDS + 1, 3600])
def test_a_break_is_left_out_whether_a_key_or_a_page_ends_it(pause: float) -> None:
    pace, now = paged(pages=1, seconds=16)
    pace.active(now + pause)
    pace.looked(now + pause + 8, 8)
    assert pace.seconds == 1.5, "from the first key after it"
    pace, now = paged(pages=1, seconds=16)
    pace.looked(now + pause, 8)
    assert pace.seconds == 2


def test_one_page_that_took_long_does_not_decide() -> None:
    pace, now = paged(pages=4, seconds=16)
    for key in range(1, 10):
        pace.active(now + 60 * key)
    pace.looked(now + 600, 8)
    assert pace.seconds == 2


def test_waiting_for_pictures_is_not_ones_pace() -> None:
    pace, now = paged(pages=1, seconds=16)
    pace.forget()
    pace.looked(now + 90, 8)
    pace.looked(now + 106, 8)
    assert pace.seconds == 2


def test_what_was_looked_at_before_adds_nothing() -> None:
    pace, now = paged(pages=1, seconds=16)
    pace.looked(now, 8)
    pace.looked(now + 20, 0)
    assert pace.seconds == 2
