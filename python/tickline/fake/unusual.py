"""Unusual lines that every reader must accept, with the values it must find in them."""

from __future__ import annotations

from .draws import Dice
from .line import Line, Row, Shape, whole

UPPER_HEX = b"0123456789ABCDEF"
LOWER_HEX = b"0123456789abcdef"
LONG_BYTES = 1_000_000
UNUSUAL: dict[str, Shape] = {}


def _shape(function: Shape) -> Shape:
    UNUSUAL[function.__name__.lstrip("_")] = function
    return function


# --- from the owner to the key -----------------------------------------------------------------------------


@_shape
def _blank_before_requester(row: Row, dice: Dice) -> Line:
    text = row.text()
    at = row.upto(4)
    return whole(row, text[:at] + b" " * dice.between(1, 3) + text[at:])


@_shape
def _leading_blanks(row: Row, dice: Dice) -> Line:
    return whole(row, b" " * dice.between(1, 8) + row.text())


@_shape
def _runs_of_blanks(row: Row, dice: Dice) -> Line:
    text = row.text()
    for count in (8, 7, 6, 5, 3, 2, 1):
        at = row.upto(count)
        text = text[:at] + b" " * dice.below(3) + text[at:]
    return whole(row, text)


@_shape
def _empty_requester(row: Row, _dice: Dice) -> Line:
    row.requester = b""
    return whole(row)


@_shape
def _requester_with_blanks(row: Row, dice: Dice) -> Line:
    name = b"arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E2"
    row.requester = name + dice.text(UPPER_HEX, 12)
    return whole(row)


@_shape
def _ip_null(row: Row, _dice: Dice) -> Line:
    row.ip = b"-"
    return whole(row)


@_shape
def _ipv6(row: Row, dice: Dice) -> Line:
    long = b"2001:db8:" + b":".join(b"%x" % dice.between(4096, 65535) for _ in range(6))
    mapped = b"::ffff:192.0.2.%i" % dice.between(1, 254)
    row.ip = dice.pick((long, mapped, b"2001:DB8::%X" % dice.below(65536)))
    return whole(row)


@_shape
def _operation_3_parts(row: Row, dice: Dice) -> Line:
    row.operation = dice.pick(
        (b"WEBSITE.GET.OBJECT", b"BATCH.DELETE.OBJECT", b"REST.COPY.OBJECT_GET", b"S3.TRANSITION_GDA.OBJECT")
    )
    return whole(row)


@_shape
def _operation_4_parts(row: Row, dice: Dice) -> Line:
    row.succeed()
    row.operation = b"S3.COMPUTE.OBJECT.CHECKSUM"
    row.requester = b"arn:aws:sts::210987654321:assumed-role/batch-checksum/s3-batch-operations"
    row.request_id = b"-".join(dice.text(LOWER_HEX, length) for length in (8, 4, 4, 4, 12))
    return whole(row)


@_shape
def _null_operation(row: Row, _dice: Dice) -> Line:
    row.requester, row.operation = b"-", b"-"
    return whole(row)


@_shape
def _odd_key(row: Row, dice: Dice) -> Line:
    row.succeed()
    names = (b"sub-*_ses-%i.nwb", b"a%%2520b+c/%i.h5", b"caf%%25C3%%25A9-(%i)!.tsv", b"x=%i/y=2/_SUCCESS")
    name = dice.pick(names)
    row.key = b"derivatives/" + name % dice.below(50)
    row.key_number = -1
    row.uri = b'"GET /' + row.key + b' HTTP/1.1"'
    return whole(row)


@_shape
def _offset_not_utc(row: Row, dice: Dice) -> Line:
    minutes = dice.pick((60, -300, 330, 720, -570, 345))
    # The clock face stays, so the instant moves the other way.
    sign = b"+" if minutes > 0 else b"-"
    row.time = row.time[:22] + b"%s%02i%02i]" % (sign, abs(minutes) // 60, abs(minutes) % 60)
    row.time_ms -= minutes * 60_000
    return whole(row)


# --- lifecycle records -------------------------------------------------------------------------------------


def _expire(row: Row, dice: Dice, null: bytes) -> None:
    row.ip, row.requester = b"-", b"AmazonS3"
    row.operation = dice.pick((b"S3.EXPIRE.OBJECT", b"S3.CREATE.DELETEMARKER"))
    if row.key == b"-":
        row.succeed()
        row.operation = b"S3.EXPIRE.OBJECT"
    row.uri = null
    row.object_size = b"%i" % dice.below(10_000_000)
    row.status = row.error = row.bytes_sent = row.total_time = row.turnaround_time = b"-"


@_shape
def _expire_object(row: Row, dice: Dice) -> Line:
    _expire(row, dice, b'"-"')
    row.referrer = row.agent = b'"-"'
    row.tail[2:] = [b"-"] * 5
    return whole(row)


@_shape
def _expire_object_bare(row: Row, dice: Dice) -> Line:
    _expire(row, dice, b"-")
    row.object_size = row.referrer = row.agent = b"-"
    row.tail = [b"-"]
    return whole(row)


@_shape
def _expire_object_quoted_nulls(row: Row, dice: Dice) -> Line:
    _expire(row, dice, b'"-"')
    row.status = row.error = row.bytes_sent = row.total_time = row.turnaround_time = b'"-"'
    row.referrer = row.agent = b"-"
    row.tail[2:] = [b"-"] * 5
    return whole(row)


# --- the request-URI ---------------------------------------------------------------------------------------


@_shape
def _quote_in_uri(row: Row, dice: Dice) -> Line:
    row.succeed()
    query = b'?response-content-disposition=attachment;filename="x%i.nwb"' % dice.below(100)
    row.uri = b'"GET ' + row.target + query + b' HTTP/1.1"'
    return whole(row)


@_shape
def _quote_and_blank_in_uri(row: Row, dice: Dice) -> Line:
    row.succeed()
    row.uri = b'"GET ' + row.target + b'?filename="sub %i.nwb"&download=1 HTTP/1.1"' % dice.below(100)
    return whole(row)


@_shape
def _blank_in_uri(row: Row, _dice: Dice) -> Line:
    row.succeed()
    row.uri = b'"GET ' + row.target + b'?prefix=a b c HTTP/1.1"'
    return whole(row)


@_shape
def _uri_without_version(row: Row, _dice: Dice) -> Line:
    row.succeed()
    row.uri = b'"GET ' + row.target + b'"'
    return whole(row)


@_shape
def _status_in_uri(row: Row, _dice: Dice) -> Line:
    # A target that imitates the end of the URI and a status block, so that a miss looks like a download.
    row.fail()
    row.uri = b'"GET ' + row.target + b'" 200 - 77777777 77777777 1 1 "-" "-" - HTTP/1.1"'
    return whole(row)


# --- referrer and user agent -------------------------------------------------------------------------------


@_shape
def _status_in_user_agent(row: Row, dice: Dice) -> Line:
    row.agent = b'"probe/1.%i HTTP/1.1" 206 - 9 9 1 1 "a" "b"' % dice.below(10)
    # The two `" "` behind the first one could each be the boundary, so the line is noted.
    line = whole(row)
    line.noted = ("ambiguous_agent",)
    return line


@_shape
def _status_in_referrer(row: Row, dice: Dice) -> Line:
    start = b'https://x.example.com/%i HTTP/1.1" 206 - 9 9 1 1 "a' % dice.below(10)
    agent = row.agent[1:-1]
    row.referrer = b'"' + start + b'" "b"'
    line = whole(row, referrer=start, user_agent=b'b" "' + agent)
    line.noted = ("ambiguous_agent",)
    return line


@_shape
def _ambiguous_referrer(row: Row, dice: Dice) -> Line:
    agent = row.agent[1:-1]
    row.referrer = b'"https://x.example.com/?q=%i" "b"' % dice.below(100)
    line = whole(row, referrer=row.referrer[1:-5], user_agent=b'b" "' + agent)
    line.noted = ("ambiguous_agent",)
    return line


@_shape
def _doubled_opening_quote(row: Row, dice: Dice) -> Line:
    row.agent = b'""Mozilla/5.0 (iPad; CPU OS 13_%i like Mac OS X)"' % dice.below(7)
    return whole(row, user_agent=row.agent[1:-1])


@_shape
def _doubled_closing_quote(row: Row, dice: Dice) -> Line:
    row.agent = b'"Mozilla/5.0 (iPad; CPU OS 13_%i like Mac OS X)""' % dice.below(7)
    return whole(row, user_agent=row.agent[1:-1])


@_shape
def _json_user_agent(row: Row, dice: Dice) -> Line:
    row.agent = b'"{"name": "loader", "version": "0.%i", "os": {"family":"Linux"}}"' % dice.below(30)
    return whole(row, user_agent=row.agent[1:-1])


@_shape
def _bare_dash_referrer(row: Row, _dice: Dice) -> Line:
    row.referrer = b"-"
    return whole(row)


@_shape
def _bare_dash_user_agent(row: Row, _dice: Dice) -> Line:
    row.agent = b"-"
    return whole(row)


@_shape
def _empty_user_agent(row: Row, _dice: Dice) -> Line:
    row.agent = b'""'
    return whole(row, user_agent=b"")


@_shape
def _nul_in_user_agent(row: Row, dice: Dice) -> Line:
    row.agent = b'"scanner\x00/%i\x00"' % dice.below(10)
    return whole(row)


@_shape
def _utf8_in_user_agent(row: Row, _dice: Dice) -> Line:
    row.agent = '"Lesegerät/2 (Köln; 日本)"'.encode()
    return whole(row)


@_shape
def _not_utf8_in_user_agent(row: Row, dice: Dice) -> Line:
    bad = dice.pick((b"\xe4t", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x98"))
    row.agent = b'"Leseger' + bad + b'/1"'
    line = whole(row)
    line.not_utf8 = ("user_agent",)
    return line


@_shape
def _not_utf8_in_referrer(row: Row, dice: Dice) -> Line:
    row.referrer = b'"https://x.example.com/caf\xe9/%i"' % dice.below(10)
    line = whole(row)
    line.not_utf8 = ("referrer",)
    return line


@_shape
def _not_utf8_in_uri(row: Row, _dice: Dice) -> Line:
    row.succeed()
    row.uri = b'"GET ' + row.target + b'?name=caf\xe9 HTTP/1.1"'
    line = whole(row)
    line.not_utf8 = ("request_uri",)
    return line


# --- the tail, numbers and ends of lines -------------------------------------------------------------------


@_shape
def _crlf(row: Row, _dice: Dice) -> Line:
    return whole(row, row.text() + b"\r")


@_shape
def _largest_number(row: Row, _dice: Dice) -> Line:
    row.object_size = b"%i" % (2**64 - 1)
    return whole(row)


@_shape
def _zeros_before_number(row: Row, _dice: Dice) -> Line:
    row.total_time = b"000017"
    return whole(row)


@_shape
def _march_2019_extra_token(row: Row, dice: Dice) -> Line:
    # For some days S3 wrote one more token behind the version id; such lines end with the TLS version.
    row.tail[1] = b"k" + row.tail[1][1:]
    row.tail = [row.tail[0], b"AIDAEXAMPLE" + dice.text(UPPER_HEX, 10), *row.tail[1:7]]
    return whole(row)


@_shape
def _cut_in_tail(row: Row, dice: Dice) -> Line:
    # All 17 fields up to the user agent are there, so nothing that matters is lost.
    text = row.text()
    return whole(row, text[: dice.between(row.upto(17), len(text) - 1)])


def _fields(count: int) -> Shape:
    def shape(row: Row, _dice: Dice) -> Line:
        more = [b"arn:aws:s3:us-west-2:210987654321:accesspoint/readers", b"Yes", b"us-west-2"]
        row.tail = (row.tail[:7] + more + [b"future-%i" % n for n in range(count - 27)])[: count - 17]
        return whole(row)

    return shape


for _count in (17, 18, 24, 25, 26, 27, 28, 31):
    UNUSUAL[f"fields_{_count}"] = _fields(_count)


# --- lines of a million bytes: made on request only --------------------------------------------------------


def _long_user_agent(row: Row, dice: Dice) -> Line:
    row.agent = b'"' + (b"Padding/%i " % dice.below(1000) * (LONG_BYTES // 9))[:LONG_BYTES].rstrip() + b'"'
    return whole(row)


def _long_uri(row: Row, dice: Dice) -> Line:
    row.succeed()
    query = (b"a%i=b&" % dice.below(1000) * (LONG_BYTES // 5))[:LONG_BYTES]
    row.uri = b'"GET ' + row.target + b"?" + query + b' HTTP/1.1"'
    return whole(row)


LONG: dict[str, Shape] = {"long_user_agent": _long_user_agent, "long_uri": _long_uri}
