"""Lines that a reader must reject or, if nothing is on them, filter; the reason is known from the making."""

from __future__ import annotations

from .draws import Dice
from .line import AGENTS, HEAD, URI, Line, Row, Shape, broken
from .unusual import UPPER_HEX

FAULTY: dict[str, Shape] = {}


def _shape(function: Shape) -> Shape:
    FAULTY[function.__name__.lstrip("_")] = function
    return function


# --- nothing or nonsense -----------------------------------------------------------------------------------


def _nothing(text: bytes, row: Row) -> Line:
    return Line(text, row.values(), blank=True)


@_shape
def _empty_line(row: Row, _dice: Dice) -> Line:
    return _nothing(b"", row)


@_shape
def _blank_line(row: Row, dice: Dice) -> Line:
    return _nothing(b" " * dice.between(1, 80), row)


@_shape
def _crlf_only(row: Row, _dice: Dice) -> Line:
    return _nothing(b"\r", row)


@_shape
def _binary(row: Row, dice: Dice) -> Line:
    # Without any blank it is one single token, and so a record that stops in its owner.
    noise = bytes(dice.below(256) for _ in range(dice.between(16, 400)))
    text = b"\x00" + noise.translate(None, b" \n\r") + b"\xff"
    return broken(row, "cut", HEAD, text)


@_shape
def _binary_with_blanks(row: Row, dice: Dice) -> Line:
    words = [bytes(128 + dice.below(128) for _ in range(dice.between(2, 30))) for _ in range(12)]
    return broken(row, "bad_time", HEAD, b" ".join(words))


@_shape
def _other_text(row: Row, dice: Dice) -> Line:
    return broken(row, "bad_time", HEAD, b"%i: this is no access log line" % dice.below(1000))


# --- faults before the key ---------------------------------------------------------------------------------


@_shape
def _bad_month(row: Row, dice: Dice) -> Line:
    row.time = row.time[:4] + dice.pick((b"Foo", b"Mai", b"Okt", b"F3b")) + row.time[7:]
    return broken(row, "bad_time", HEAD)


@_shape
def _bad_date(row: Row, dice: Dice) -> Line:
    row.time = dice.pick((b"[30/Feb/2024", b"[00/Mar/2024", b"[29/Feb/2023", b"[31/Apr/2024")) + row.time[12:]
    return broken(row, "bad_time", HEAD)


@_shape
def _bad_clock(row: Row, dice: Dice) -> Line:
    row.time = row.time[:13] + dice.pick((b"24:00:00", b"10:60:00", b"23:59:60", b"1o:00:00")) + row.time[21:]
    return broken(row, "bad_time", HEAD)


@_shape
def _bad_offset(row: Row, dice: Dice) -> Line:
    row.time = row.time[:22] + dice.pick((b"0000]]", b"+2400]", b"+0060]", b"+00:00]", b"GMT]"))
    return broken(row, "bad_time", HEAD)


@_shape
def _time_without_clock(row: Row, dice: Dice) -> Line:
    row.time = b"[2024-02-%02i]" % dice.between(10, 29)
    return broken(row, "bad_time", HEAD)


@_shape
def _lower_case_operation(row: Row, _dice: Dice) -> Line:
    row.operation = row.operation.lower()
    return broken(row, "bad_operation", HEAD)


@_shape
def _operation_too_early(row: Row, _dice: Dice) -> Line:
    text = row.text()
    text = text[: row.upto(4)] + text[row.upto(6) :]
    return broken(row, "bad_operation", HEAD, text)


@_shape
def _spliced(row: Row, dice: Dice) -> Line:
    # The first record stops anywhere behind the first byte of its time, and the second follows at once.
    text = row.text()
    at = dice.between(row.upto(2) + 2, len(text))
    return broken(row, "spliced", HEAD, text[:at] + text)


@_shape
def _spliced_other_bucket(row: Row, _dice: Dice) -> Line:
    text = row.text()
    second = b"%s other-recordings %s" % (row.owner, text[row.upto(2) + 1 :])
    return broken(row, "spliced", HEAD, text[: row.upto(4) + 1] + second)


@_shape
def _cut_in_owner_or_bucket(row: Row, dice: Dice) -> Line:
    return broken(row, "cut", HEAD, row.text()[: dice.between(1, row.upto(2) + 1)])


@_shape
def _cut_in_time(row: Row, dice: Dice) -> Line:
    begin = row.upto(2) + 1
    return broken(row, "bad_time", HEAD, row.text()[: begin + dice.between(1, 27)])


@_shape
def _cut_in_ip(row: Row, dice: Dice) -> Line:
    return broken(row, "cut", HEAD, row.text()[: dice.between(row.upto(3), row.upto(4))])


@_shape
def _cut_in_requester_or_request_id(row: Row, dice: Dice) -> Line:
    text = row.text()[: dice.between(row.upto(4), row.upto(6) + 1)]
    return broken(row, "cut", HEAD, text)


@_shape
def _cut_in_operation(row: Row, dice: Dice) -> Line:
    # Three words make an operation, so the reader misses the key; with less it misses the operation.
    begin = row.upto(6) + 1
    end = dice.between(begin + 1, row.upto(7))
    words = row.text()[begin:end].split(b".")
    complete = len(words) >= 3 and all(words)
    return broken(row, "cut" if complete else "bad_operation", HEAD, row.text()[:end])


# --- faults in request-URI and status block ----------------------------------------------------------------


@_shape
def _cut_in_key(row: Row, dice: Dice) -> Line:
    begin = row.upto(7) + 1
    return broken(row, "cut", URI, row.text()[: dice.between(begin + 1, row.upto(8) + 1)])


@_shape
def _cut_in_uri(row: Row, dice: Dice) -> Line:
    return broken(row, "cut", URI, row.text()[: dice.between(row.upto(8) + 2, row.upto(9))])


@_shape
def _cut_in_status_block(row: Row, dice: Dice) -> Line:
    text = row.text()[: dice.between(row.upto(9) + 1, row.upto(15) + 1)]
    return broken(row, "cut", URI, text)


@_shape
def _uri_without_quotes(row: Row, _dice: Dice) -> Line:
    row.uri = row.uri[1:-1]
    return broken(row, "bad_request_uri", URI)


@_shape
def _ambiguous_uri_with_version(row: Row, _dice: Dice) -> Line:
    # A blank in the target, and two places where the request line could end with its version.
    row.fail()
    row.uri = b'"GET ' + row.target + b'?a b HTTP/1.1" 206 - 9 9 1 1 "c HTTP/1.1"'
    return broken(row, "ambiguous", URI)


@_shape
def _ambiguous_uri_without_version(row: Row, _dice: Dice) -> Line:
    row.fail()
    row.uri = b'"GET ' + row.target + b'" 200 - 77777777 77777777 1 1 "b"'
    return broken(row, "ambiguous", URI)


@_shape
def _status_without_digits(row: Row, dice: Dice) -> Line:
    row.status = dice.pick((b"2xx", b"20", b"2000", b"OK"))
    return broken(row, "cut", URI)


@_shape
def _number_overflow(row: Row, dice: Dice) -> Line:
    row.succeed()
    number = dice.pick((b"18446744073709551616", b"99999999999999999999", b"1" + b"0" * 40))
    if dice.below(2):
        row.object_size = number
    else:
        row.bytes_sent = number
    return broken(row, "number_overflow", URI)


# --- faults behind the status block ------------------------------------------------------------------------


@_shape
def _cut_in_referrer(row: Row, dice: Dice) -> Line:
    begin = row.upto(15) + 1
    text = row.text()[: dice.between(begin + 1, row.upto(16) + 1)]
    return broken(row, "cut", AGENTS, text)


@_shape
def _cut_in_user_agent(row: Row, dice: Dice) -> Line:
    begin = row.upto(16) + 1
    text = row.text()[: dice.between(begin + 1, row.upto(17) - 1)]
    return broken(row, "cut", AGENTS, text)


@_shape
def _user_agent_not_closed(row: Row, dice: Dice) -> Line:
    row.agent = b'"' + dice.text(UPPER_HEX, 12)
    return broken(row, "cut", AGENTS)
