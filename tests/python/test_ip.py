"""tickline.ip: labels of addresses by networks, against one look at every network with `ipaddress`."""

from __future__ import annotations

import ipaddress
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tickline as tl
from tickline import _core
from tickline.errors import UsageError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def slow_label(networks: list[str], labels: list[str], mode: str, address: str) -> str | None:
    """Return what `RangeTable.find` should: written from its description."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    holding = [
        (index, network)
        for index, network in enumerate(map(ipaddress.ip_network, networks))
        if (mapped or parsed) in network
    ]
    if not holding:
        return None
    if mode == "first-wins":
        return labels[holding[0][0]]
    return labels[min(holding, key=lambda found: (-found[1].prefixlen, found[0]))[0]]


def network_of(value: tuple[bool, int, int]) -> str:
    v4, bits, prefix = value
    width = 32 if v4 else 128
    prefix %= width + 1
    number = (bits << (width - 8)) & ~((1 << (width - prefix)) - 1)
    made: Network = ipaddress.IPv4Network((number, prefix)) if v4 else ipaddress.IPv6Network((number, prefix))
    return str(made)


# Few first bytes and all lengths, so that networks meet, repeat and lie inside each other.
networks = st.tuples(st.booleans(), st.integers(0, 7), st.integers(0, 128)).map(network_of)


@given(st.lists(networks, max_size=30), st.sampled_from(tl.ip.MODES), st.lists(st.ip_addresses(), max_size=5))
def test_the_label_is_the_one_that_a_look_at_every_network_finds(
    texts: list[str], mode: str, others: list[ipaddress.IPv4Address | ipaddress.IPv6Address]
) -> None:
    labels = [f"label {index % 4}" for index in range(len(texts))]
    addresses = [str(address) for address in others]
    for text in texts:
        network = ipaddress.ip_network(text)
        for number in (int(network[0]), int(network[-1]), int(network[0]) - 1, int(network[-1]) + 1):
            if 0 <= number < 1 << network.max_prefixlen:
                addresses.append(str(type(network[0])(number)))
                if network.version == 4:
                    addresses.append(f"::ffff:{addresses[-1]}")
    table = tl.ip.RangeTable(texts, labels, mode)
    assert table.find(addresses) == [slow_label(texts, labels, mode, address) for address in addresses]


def test_the_longest_prefix_decides_or_the_first_in_the_list() -> None:
    texts = ["10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/16", "2001:db8::/32", "10.1.2.3"]
    labels = ["wide", "narrow", "narrow again", "six", "one"]
    asked = ["10.9.9.9", "10.1.9.9", "10.1.2.3", "::ffff:10.1.9.9", "2001:db8::1", "11.0.0.0", "2001:db9::"]
    assert tl.ip.RangeTable(texts, labels).find(asked) == [
        "wide", "narrow", "one", "narrow", "six", None, None,
    ]  # fmt: skip
    assert tl.ip.RangeTable(texts, labels, mode="first-wins").find(asked) == [
        "wide", "wide", "wide", "wide", "six", None, None,
    ]  # fmt: skip


def test_what_is_no_address_has_no_label() -> None:
    table = tl.ip.RangeTable(["0.0.0.0/0", "::/0"], ["four", "six"])
    odd = ["", "-", "10.0.0", "010.0.0.1", "fe80::1%eth0", "[::1]", "10.0.0.1 ", "1\0", "\udcff", "é"]
    assert table.find([*odd, "::1"]) == [None] * len(odd) + ["six"]
    numbers = array("i", _core.RangeTable(["::/0"], [7]).find(["x", "192.0.2.1", "::1"]))
    assert numbers.tolist() == [-2, -1, 7]


def test_nothing_is_found_in_nothing() -> None:
    assert tl.ip.RangeTable([], []).find(["192.0.2.1", "::"]) == [None, None]
    assert tl.ip.RangeTable(["::/0"], ["six"]).find([]) == []


@pytest.mark.parametrize(
    "bad", ["10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "::/129", "", "10.0.0.0/08", "\udcff"]
)
def test_a_bad_network_is_named_with_its_index(bad: str) -> None:
    with pytest.raises(ValueError, match=r"networks\[1\]") as raised:
        _core.RangeTable(["10.0.0.0/8", bad], [0, 0])
    assert repr(bad) in str(raised.value)
    with pytest.raises(UsageError, match=r"networks\[1\].*2001:db8::/32"):
        tl.ip.RangeTable(["10.0.0.0/8", bad], ["a", "b"])
    found = _core.first_bad_network(["10.0.0.0/8", bad])
    assert found is not None
    assert found[0] == 1
    assert _core.first_bad_network(["10.0.0.0/8"]) is None


def test_wrong_arguments_are_refused_with_a_sentence() -> None:
    with pytest.raises(UsageError, match="1 networks and 2 labels"):
        tl.ip.RangeTable(["::/0"], ["a", "b"])
    with pytest.raises(UsageError, match="longest-prefix, first-wins"):
        tl.ip.RangeTable(["::/0"], ["a"], mode="shortest")
    with pytest.raises(ValueError, match="1 networks and 2 labels"):
        _core.RangeTable(["::/0"], [0, 1])
    with pytest.raises(ValueError, match="negative"):
        _core.RangeTable(["::/0"], [-1])
    with pytest.raises(TypeError, match="a list of texts"):
        _core.RangeTable(["::/0"], [0]).find("::1")
    with pytest.raises(TypeError, match="int"):
        _core.RangeTable(["::/0"], [0]).find([1])  # type: ignore[list-item]


def test_hundreds_of_thousands_of_nested_and_repeated_networks() -> None:
    texts = [f"2001:db8::/{32 + index % 97}" for index in range(300_000)]
    table = _core.RangeTable(texts, range(len(texts)))
    assert len(table) <= 200
    assert array("i", table.find(["2001:db8::", "2001:db8:8000::"])).tolist() == [96, 0]
