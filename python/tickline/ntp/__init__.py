"""The time from the network: NTP packets (RFC 5905), their checks, a client that asks many servers at once.

Nothing here sets the clock of this machine.
"""

from tickline.ntp.client import Client, aquery, query
from tickline.ntp.clock import Clock, ClockLostError
from tickline.ntp.dns_cache import DnsCache, DnsStats
from tickline.ntp.lower_bound import Evidence, LowerBound, lower_bound
from tickline.ntp.metrics import Metrics
from tickline.ntp.packet import (
    REASONS,
    Packet,
    Policy,
    Verdict,
    check,
    decode_packets,
    offset_and_delay,
    reference_id,
)
from tickline.ntp.result import Result, Sample, Server

__all__ = [
    "REASONS",
    "Client",
    "Clock",
    "ClockLostError",
    "DnsCache",
    "DnsStats",
    "Evidence",
    "LowerBound",
    "Metrics",
    "Packet",
    "Policy",
    "Result",
    "Sample",
    "Server",
    "Verdict",
    "aquery",
    "check",
    "decode_packets",
    "lower_bound",
    "offset_and_delay",
    "query",
    "reference_id",
]
