"""tickline._pattern: regular expressions of RE2, as filters get them."""

from __future__ import annotations

import ctypes
import gc
import re
import time

import pytest

from tickline import _pattern
from tickline._pattern import Pattern

CAPSULE_NAME = b"tickline.text_predicate"


class TextPredicate(ctypes.Structure):
    """The struct of logs/predicate.hpp once more: both sides of the capsule rely on this layout."""

    _fields_ = [
        ("context", ctypes.c_void_p),
        ("matches", ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)),
    ]


def asked_through_capsule(capsule: object, text: bytes) -> bool:
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype = ctypes.c_void_p
    get_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    predicate = TextPredicate.from_address(get_pointer(capsule, CAPSULE_NAME))
    return predicate.matches(predicate.context, text, len(text))


def test_it_searches_anywhere_and_anchors_stand_for_the_ends() -> None:
    assert Pattern(r"0\.2").matches("192.0.2.3")
    assert not Pattern(r"^0\.2").matches("192.0.2.3")
    assert Pattern(r"3$").matches(b"192.0.2.3")


@pytest.mark.parametrize("bad", ["(", "[a", "(a)\\1", "(?=a)", "*"])
def test_what_re2_does_not_accept_is_a_value_error_that_names_it(bad: str) -> None:
    with pytest.raises(ValueError, match=re.escape(bad)) as raised:
        Pattern(bad)
    assert "RE2" in str(raised.value)


def test_a_bad_pattern_says_nothing_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="RE2"):
        Pattern("(((")
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_bytes_that_are_not_utf8_are_searched_all_the_same() -> None:
    assert Pattern("git-annex").matches(b"\xff\xfe git-annex/10 \xc3")


def test_a_text_that_backtracking_never_finishes_is_answered_at_once() -> None:
    started = time.monotonic()
    assert not Pattern("(a*)*(a|b)*(a*a*)*c$").matches("a" * 1_000_000)
    assert time.monotonic() - started < 10


def test_the_capsule_answers_as_the_pattern_does() -> None:
    pattern = Pattern(r"^192\.")
    capsule = pattern.capsule()
    for text in (b"192.0.2.1", b"10.192.0.1", b"", b"192\x00"):
        assert asked_through_capsule(capsule, text) == pattern.matches(text)


def test_a_capsule_outlives_the_pattern_it_came_from() -> None:
    capsules = [Pattern(f"^{i}$").capsule() for i in range(50)]
    gc.collect()
    assert [asked_through_capsule(capsule, b"7") for capsule in capsules] == [i == 7 for i in range(50)]


def test_it_shows_what_it_was_made_from() -> None:
    assert Pattern("a'b").regex == "a'b"
    assert repr(Pattern("a+")) == "Pattern('a+')"


def test_it_is_of_the_same_version_as_the_package() -> None:
    import tickline

    assert _pattern.__version__ == tickline.__version__
