"""NTP packets and what is checked of them: one by one, and many at a time as columns."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

from tickline import _core
from tickline.arguments import instance, items, octets, whole_number
from tickline.errors import UsageError, printable
from tickline.table import Table

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "REASONS",
    "Packet",
    "Policy",
    "Verdict",
    "check",
    "decode_packets",
    "offset_and_delay",
    "reference_id",
]

REASONS: tuple[str, ...] = _core.NTP_REASONS
"""Every `Verdict.reason`, in the order in which the checks are made."""

Kind = Literal["accept", "drop", "kiss", "reject"]

_INT64 = (-(2**63), 2**63 - 1)
# The local clocks are read by Python, which takes up to a microsecond: 2**-20 s.
_PRECISION = -20
# Times of the whole era must fit into 64 bits of nanoseconds.
_PIVOTS = (-9_223_372_036, 9_223_372_035 - 2**32)
_FIELDS = {
    **dict.fromkeys(("version", "mode"), (0, 7)),
    "leap": (0, 3),
    "stratum": (0, 255),
    **dict.fromkeys(("poll", "precision"), (-128, 127)),
    **dict.fromkeys(("root_delay", "root_dispersion", "reference_id"), (0, 2**32 - 1)),
    **dict.fromkeys(("reference", "origin", "receive", "transmit"), (0, 2**64 - 1)),
}


class Packet(NamedTuple):
    """One packet: the header of RFC 5905 section 7.3, and what stands behind it.

    Stamps are the 64 bits of the packet (`tickline.time.ntp64_to_ns` makes times of them), root delay and
    dispersion its 32 bits in units of 2**-16 s.
    """

    leap: int
    version: int
    mode: int
    stratum: int
    poll: int
    precision: int
    root_delay: int
    root_dispersion: int
    reference_id: int
    reference: int
    origin: int
    receive: int
    transmit: int
    extensions: tuple[tuple[int, bytes], ...] = ()
    """Type and value (with its padding) of each extension field (RFC 7822)."""
    mac: tuple[int, bytes] | None = None
    """Key id and digest, as they stand there: checking the digest takes the key."""
    crypto_nak: bool = False
    """The server says that it could not check our MAC."""
    trailer_error: str | None = None
    """``"bad_length"`` or ``"bad_extension"`` if what stands behind the header is none of these three."""

    @classmethod
    def parse(cls, data: "Buffer") -> "Packet":
        """Read a packet of any version; what its fields say is not judged here, see `check`.

        Parameters
        ----------
        data : buffer
            The datagram, 48 bytes or more.

        Raises
        ------
        UsageError
            There are fewer than 48 bytes, or these are no bytes.
        """
        parsed = _core.ntp_parse(octets(data, "data"))
        if parsed is None:
            hint = "Give the whole datagram."
            raise UsageError("an NTP packet has 48 bytes or more", where="data", hint=hint)
        return cls(*parsed)

    @staticmethod
    def build_request() -> bytes:
        """Return the 48 bytes of a request that says nothing about this machine.

        All fields are constant but the transmit stamp: 64 random bits, which the answer must repeat
        (draft-ietf-ntp-data-minimization-04). Use each request once.
        """
        return _core.ntp_request(secrets.randbelow(2**64 - 1) + 1)

    def header(self) -> bytes:
        """Return the 48 bytes that the header was read from.

        Raises
        ------
        UsageError
            A field of a packet that was changed (``_replace``) is too large for its place.
        """
        for name, (least, most) in _FIELDS.items():
            whole_number(getattr(self, name), name, least, most)
        small = (self.leap, self.version, self.mode, self.stratum, self.poll, self.precision)
        middle = (self.root_delay, self.root_dispersion, self.reference_id)
        return _core.ntp_write((*small, *middle), (self.reference, self.origin, self.receive, self.transmit))

    @property
    def reference_text(self) -> str:
        """The reference id for people.

        A kiss code (stratum 0) or the name of a source (stratum 1), ``""`` if it is no text; from stratum 2
        on an address of IPv4, or what looks like one (of IPv6 addresses only a part of a hash is there).
        """
        return _core.ntp_reference_text(self.stratum, self.reference_id)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What an answer must keep to; as it stands it is safe for servers of today.

    Parameters
    ----------
    pivot_s : int
        Unix seconds. Stamps mean the 136 years from here on; by default ten years before this version was
        made.
    not_before_s : int
        Unix seconds. No time can be earlier; by default the day this version was made.
    min_version : int, default 4
        1 to 4. Servers answer in the version that they are asked in.
    allow_zero_reference_time : bool, default False
        Take servers that never say when their clock was set.
    max_reference_age_ns : int, default 2**17 s
        Refuse servers whose clock has not been set for so long.
    max_delay_ns : int, optional
        Refuse answers that took longer on their way.
    max_distance_ns : int, default 1.5 s
        Refuse answers that can be wrong by more (RFC 5905 section 11.2 wants 1.5 s as well).
    drift_ppb : int, default 15000
        By how much the local clock may drift (RFC 5905: 15 ppm), at most 500,000,000.
    own_addresses : sequence of str
        Addresses of this machine, if others take their time from it: up to 8. A server that takes its time
        from here is refused.

    Raises
    ------
    UsageError
        A value is out of range; the message has its name.
    """

    pivot_s: int = _core.NTP_PIVOT_S
    not_before_s: int = _core.SOURCE_DATE_S
    min_version: int = 4
    allow_zero_reference_time: bool = False
    max_reference_age_ns: int = 2**17 * 1_000_000_000
    max_delay_ns: int | None = None
    max_distance_ns: int = 1_500_000_000
    drift_ppb: int = 15_000
    own_addresses: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "own_addresses", tuple(items(self.own_addresses, "own_addresses")))
        instance(self.allow_zero_reference_time, "allow_zero_reference_time", bool)
        ranges = {
            "pivot_s": (self.pivot_s, *_PIVOTS),
            "not_before_s": (self.not_before_s, *_INT64),
            "min_version": (self.min_version, 1, 4),
            "max_reference_age_ns": (self.max_reference_age_ns, 0, _INT64[1]),
            "max_delay_ns": (0 if self.max_delay_ns is None else self.max_delay_ns, 0, _INT64[1]),
            "max_distance_ns": (self.max_distance_ns, 0, _INT64[1]),
            "drift_ppb": (self.drift_ppb, 0, 500_000_000),
            "own_addresses": (len(self.own_addresses), 0, 8),
        }
        for name, (value, least, most) in ranges.items():
            whole_number(value, name, least, most)
        _ = self._core  # addresses that are none are refused now

    @cached_property
    def _core(self) -> "_core.NtpPolicy":
        return _core.NtpPolicy(
            pivot_s=self.pivot_s,
            not_before_s=self.not_before_s,
            min_version=self.min_version,
            allow_zero_reference_time=self.allow_zero_reference_time,
            max_reference_age_ns=self.max_reference_age_ns,
            max_delay_ns=self.max_delay_ns,
            max_distance_ns=self.max_distance_ns,
            drift_ppb=self.drift_ppb,
            own_reference_ids=[reference_id(address) for address in self.own_addresses],
        )

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_core"}


class Verdict(NamedTuple):
    """What was found of a datagram, see `check`."""

    kind: Kind
    """``"accept"``; ``"drop"``: no answer to this request, go on waiting; ``"kiss"``: stay away or slow down;
    ``"reject"``: the server's answer, whose time must not be used."""
    reason: str
    """``"ok"`` or the first check that failed, one of `REASONS`."""
    message: str
    """The reason as a sentence."""
    kiss_code: str | None
    """``"RATE"``, ``"DENY"``, ... of a kiss."""
    offset_ns: int | None
    """Add it to the local clock; rounded down."""
    delay_ns: int | None
    """On the way there and back, rounded up."""
    root_distance_ns: int | None
    """By how much the offset can be wrong if the server is honest, whatever the network did."""
    packet: Packet | None
    """None if there are fewer than 48 bytes."""


_STRICT = Policy()


def check(
    request: "Buffer",
    response: "Buffer",
    *,
    t1_ns: int | None = None,
    elapsed_ns: int | None = None,
    policy: Policy | None = None,
) -> Verdict:
    """Judge a datagram that came in on the socket that a request was sent from.

    Where it came from and whether it is the first answer is not seen here, and a MAC's digest is not checked:
    only that there is one, if the request has one.

    Parameters
    ----------
    request : buffer
        What was sent, 48 bytes or more.
    response : buffer
        What came: any bytes whatever.
    t1_ns : int, optional
        The local clock when the request was sent, Unix nanoseconds. Without it there is no offset.
    elapsed_ns : int, optional
        From then until the datagram came in, by a monotonic clock. Without it there are no offset, delay and
        root distance, and the checks of these take the network's delay for 0.
    policy : Policy, optional
        Limits to keep to.

    Returns
    -------
    Verdict

    Raises
    ------
    UsageError
        The request is no packet, a number does not fit into 64 bits, or an argument is of a wrong type.

    Examples
    --------
    >>> request = Packet.build_request()
    >>> check(request, request).reason
    'mode'
    """
    for name, number in (("t1_ns", t1_ns), ("elapsed_ns", elapsed_ns)):
        if number is not None:
            whole_number(number, name, *_INT64)
    limits = _STRICT if policy is None else instance(policy, "policy", Policy)
    octets(request, "request"), octets(response, "response")
    found = _core.ntp_check(request, response, t1_ns, elapsed_ns, _PRECISION, limits._core)
    if found is None:
        raise UsageError("an NTP packet has 48 bytes or more", where="request", hint="Give what was sent.")
    fields = found[7]
    return Verdict(*found[:7], None if fields is None else Packet(*fields))


def decode_packets(buffer: "Buffer", *, pivot_s: int = _core.NTP_PIVOT_S) -> Table:
    """Read many packets of 48 bytes each, one behind the other.

    Parameters
    ----------
    buffer : buffer
        The headers; what stands behind a header in its datagram must have been cut off.
    pivot_s : int
        Unix seconds: stamps mean the 136 years from here on.

    Returns
    -------
    Table, shape (number of packets, 16)
        ``leap``, ``version``, ``mode``, ``stratum`` (uint8), ``poll``, ``precision`` (int8),
        ``root_delay_ns``, ``root_dispersion_ns`` (int64), ``reference_id`` (uint32), the stamps
        ``reference``, ``origin``, ``receive``, ``transmit`` as they are (uint64), and three of them as times,
        null where a stamp is zero: ``reference_time``, ``receive_time``, ``transmit_time``
        (timestamp[ns, UTC]). The origin is a random number in the answer to a minimised request.

    Raises
    ------
    UsageError
        The length is no multiple of 48, or the pivot is out of range.
    """
    whole_number(pivot_s, "pivot_s", *_PIVOTS)
    try:
        batch = _core.ntp_decode(octets(buffer, "buffer"), pivot_s)
    except ValueError as error:
        raise UsageError(str(error), where="buffer", hint="Give whole headers of 48 bytes.") from error
    return Table(batch.schema, [batch])


def offset_and_delay(t1: int, t2: int, t3: int, t4: int) -> tuple[int, int]:
    """Return what the four stamps of an exchange say (RFC 5905 section 8).

    Parameters
    ----------
    t1, t2, t3, t4 : int
        Client sends, server receives, server sends, client receives: stamps of 64 bits, of any eras. The two
        clocks must be less than 68 years apart.

    Returns
    -------
    tuple of int
        Offset and delay in nanoseconds, computed exactly and rounded down at the end.
    """
    stamps = {"t1": t1, "t2": t2, "t3": t3, "t4": t4}
    for name, stamp in stamps.items():
        whole_number(stamp, name, 0, 2**64 - 1)
    return _core.ntp_offset_and_delay(t1, t2, t3, t4)


def reference_id(address: str) -> int:
    """Return the reference id of servers that take their time from an address.

    The 32 bits of an IPv4 address; of IPv6 the first 32 bits of the MD5 of its 16 bytes (RFC 5905
    section 7.3).

    Raises
    ------
    UsageError
        The text is no address.
    """
    instance(address, "address", str)
    try:
        return _core.ntp_reference_id(printable(address))
    except ValueError as error:
        hint = "Write it like 192.0.2.1 or 2001:db8::1."
        raise UsageError(str(error).rstrip("."), hint=hint) from error
