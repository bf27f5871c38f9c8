"""Places of regions: from a database of MaxMind, from OpenCage, and in the files of both old programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python import regions_support as made
from python.http_support import NOTHING, RUBBISH, Answer, WebServer, http_server, ok_json, status
from tickline.clients.http import HttpClient
from tickline.clients.opencage import KEY_VARIABLE, OpenCage, place_of
from tickline.errors import SourceError, TicklineError, UsageError
from tickline.pipelines.access.regions import coordinates_mmdb
from tickline.pipelines.access.regions.coordinates import (
    Coordinates,
    read_coordinates,
    region_coordinates,
    sources_of_store,
    write_coordinates,
)
from tickline.pipelines.access.regions.regions import update_regions
from tickline.progress import Progress

KEY = "6d0e711d72d74daeb2b0bfd2a5cdfdba"
NOWHERE = dict.fromkeys(("GitHub", "VPN", "bogon", "missing", "undetermined", "unknown"))


def located(code: str, region: str | None, latitude: Any, longitude: Any) -> dict[str, Any]:
    """Return a record of a City database with a location."""
    return {**made.place(code, region), "location": {"latitude": latitude, "longitude": longitude}}


def city(path: Path) -> Path:
    """Write a database with places in Germany, Fiji and France, and of two data centres."""
    records = {
        "81.0.0.0/16": located("DE", "Bavaria", 48.0, 11.0),
        "81.1.0.0/16": located("DE", "Bavaria", 49.0, 12.0),
        "81.2.0.0/16": located("DE", "Berlin", 52.5, 13.5),
        "202.0.0.0/16": located("FJ", "Northern", -16.5, 179.5),
        "202.1.0.0/16": located("FJ", "Northern", -16.5, -179.5),
        "90.0.0.0/16": located("FR", None, 46.0, 2.0),
        "90.1.0.0/16": located("FR", "Normandy", 49.0, 0.0),
        "90.2.0.0/16": made.place("FR", "Brittany"),
        "3.0.0.0/16": located("US", "Ohio", 39.96, -83.0),
        "3.1.0.0/16": located("US", "Ohio", 39.96, -83.0),
        "3.2.0.0/16": located("US", "Washington", 47.6, -122.3),
        "2600:1f14::/35": located("US", "Oregon", 45.8, -119.7),
    }
    return Path(made.mmdb(path, records))


def result(latitude: Any, longitude: Any, country: str = "de", kind: str = "state") -> dict[str, Any]:
    """Return one result as OpenCage has it."""
    return {
        "formatted": "somewhere",
        "confidence": 3,
        "geometry": {"lat": latitude, "lng": longitude},
        "components": {"_type": kind, "country_code": country},
    }


def answer(*results: dict[str, Any], code: int = 200) -> Answer:
    """Return an answer of OpenCage."""
    return ok_json(
        {"status": {"code": code, "message": "x"}, "total_results": len(results), "results": list(results)}
    )


@contextmanager
def opencage(script: Any, pauses: list[float] | None = None) -> Iterator[tuple[OpenCage, WebServer]]:
    """Run a server that answers like OpenCage, and a client of it that never waits."""
    pauses = [] if pauses is None else pauses
    with (
        http_server({"/json": script}) as server,
        HttpClient(wait=lambda _: None, retries=2) as http,
        OpenCage(KEY, url=server.url + "/json", http=http, wait=pauses.append) as client,
    ):
        yield client, server


def find(labels: list[str], tmp_path: Path, **given: Any) -> Coordinates:
    given = {"mmdb": None, "opencage": None, **given}
    return region_coordinates(labels, cache=tmp_path / "cache", **given)


# ---- from a database ---------------------------------------------------------------------------------------


def test_a_region_lies_in_the_middle_of_its_networks_on_the_globe(tmp_path: Path) -> None:
    labels = ["DE/Bavaria", "DE/Berlin", "FJ/Northern", "FR", "US/Oregon"]
    found = find(labels, tmp_path, mmdb=city(tmp_path / "city"))
    bavaria = found.regions["DE/Bavaria"]
    assert bavaria is not None
    # The middle of two points of the globe lies a bit north of the mean of their latitudes.
    assert bavaria == pytest.approx((48.5, 11.5), abs=0.02)
    assert found.regions == {
        **NOWHERE,
        "DE/Bavaria": bavaria,
        "DE/Berlin": (52.5, 13.5),
        "FJ/Northern": (pytest.approx(-16.5, abs=0.01), pytest.approx(180.0)),
        "FR": (46.0, 2.0),
        "US/Oregon": (45.8, -119.7),
    }
    assert found.services == {}
    assert found.unplaced == []


def test_a_country_without_networks_of_its_own_has_the_middle_of_its_parts(tmp_path: Path) -> None:
    found = find(["US", "FJ"], tmp_path, mmdb=city(tmp_path / "city"))
    assert found.regions["FJ"] == (pytest.approx(-16.5, abs=0.01), 180.0)
    latitude, longitude = found.regions["US"] or (0.0, 0.0)
    assert 39 < latitude < 48
    assert -123 < longitude < -83


def test_a_region_of_a_cloud_lies_where_most_of_its_networks_do(tmp_path: Path) -> None:
    networks = {
        # The first address decides for a network that the database divides, and each network counts once.
        "AWS/us-east-2": ["3.2.0.0/24", "3.2.0.0/24", "3.2.0.0/24", "3.0.0.0/24", "3.0.0.0/15", "9.0.0.0/8"],
        "AWS/us-west-2": ["2600:1f14::/40"],
        "AWS/nowhere-1": ["9.0.0.0/8"],
        "AWS/GLOBAL": ["3.0.0.0/24"],
        "DE/Bavaria": ["3.0.0.0/24"],
        "XX/Own list": ["81.2.3.0/24"],
    }
    found = find(
        [*networks, "GCP/us-central1", "VPN"], tmp_path, mmdb=city(tmp_path / "c"), networks=networks
    )
    assert found.services == {"AWS/us-east-2": (39.96, -83.0), "AWS/us-west-2": (45.8, -119.7)}
    assert found.regions["AWS/us-east-2"] == (39.96, -83.0)
    assert found.regions["AWS/GLOBAL"] is None
    assert found.regions["XX/Own list"] == (52.5, 13.5)
    assert found.regions["DE/Bavaria"] != (39.96, -83.0)
    assert found.unplaced == ["AWS/nowhere-1", "GCP/us-central1"]


def test_of_equally_common_places_the_southernmost_counts(tmp_path: Path) -> None:
    networks = {"GCP/x": ["3.2.0.0/24", "3.0.0.0/24"]}
    found = find(["GCP/x"], tmp_path, mmdb=city(tmp_path / "city"), networks=networks)
    assert found.services == {"GCP/x": (39.96, -83.0)}


def test_networks_that_the_database_cannot_hold_are_passed_over(tmp_path: Path) -> None:
    four = Path(made.mmdb(tmp_path / "four", {"3.0.0.0/8": located("US", "Ohio", 40.0, -83.0)}, ip_version=4))
    networks = {"AWS/a": ["2600:1f14::/35", "3.0.0.0/24"], "AWS/b": ["2600:1f14::/35"]}
    found = find(["AWS/a", "AWS/b"], tmp_path, mmdb=four, networks=networks)
    assert (found.services, found.unplaced) == ({"AWS/a": (40.0, -83.0)}, ["AWS/b"])


def test_locations_that_are_none_are_passed_over(tmp_path: Path) -> None:
    bad = [91.0, -90.5, math.nan, math.inf, "48.0", None]
    records = {
        f"81.{n}.0.0/16": located("DE", "Bavaria", value, 11.0) for n, value in enumerate(bad) if value
    }
    records["82.0.0.0/16"] = {**made.place("DE", "Bavaria"), "location": "north"}
    records["83.0.0.0/16"] = located("DE", "Bavaria", 48.0, 181.0)
    records["84.0.0.0/16"] = located("DE", "Bavaria", 48.25, 11.5)
    found = find(["DE/Bavaria"], tmp_path, mmdb=Path(made.mmdb(tmp_path / "city", records)))
    assert found.regions["DE/Bavaria"] == (48.25, 11.5)


def test_a_database_without_locations_is_named(tmp_path: Path) -> None:
    database = Path(made.mmdb(tmp_path / "x", {"81.0.0.0/8": made.place("DE")}, kind="GeoLite2-Country"))
    with pytest.raises(SourceError, match=r"x: holds no locations.+Use a City database"):
        find(["DE"], tmp_path, mmdb=database)
    # Where nothing needs a place it does not matter, nor where OpenCage can be asked.
    assert find(["VPN"], tmp_path, mmdb=database).regions == NOWHERE
    with opencage(answer(result(51.0, 10.0, kind="country"))) as (client, _):
        assert find(["DE"], tmp_path, mmdb=database, opencage=client).regions["DE"] == (51.0, 10.0)


def test_points_around_the_globe_have_no_middle(tmp_path: Path) -> None:
    records = {
        "81.0.0.0/16": located("DE", None, 0.0, 10.0),
        "81.1.0.0/16": located("DE", None, 0.0, -170.0),
        "82.0.0.0/16": located("FR", None, 46.0, 2.0),
    }
    found = find(["DE", "FR"], tmp_path, mmdb=Path(made.mmdb(tmp_path / "city", records)))
    assert found.unplaced == ["DE"]
    assert found.regions["FR"] == (46.0, 2.0)


def test_a_database_is_gone_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = city(tmp_path / "city")
    first = find(["DE/Berlin"], tmp_path, mmdb=database)
    monkeypatch.setattr(coordinates_mmdb, "_located", lambda *_: pytest.fail("gone through again"))
    assert find(["DE/Berlin"], tmp_path, mmdb=database) == first
    assert find(["FR"], tmp_path, mmdb=database).regions["FR"] == (46.0, 2.0)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b'{"format": 1, "places": {}}',
        b'{"format": 2, "database": "DIGEST", "places": {"DE/Berlin": [1.0, 1.0]}}',
        b'{"format": 1, "database": "DIGEST", "places": {"DE/Berlin": [1.0]}}',
        b'{"format": 1, "database": "DIGEST", "places": {"DE/Berlin": 5}}',
        b'{"format": 1, "database": "DIGEST", "places": []}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_cache_is_made_again(tmp_path: Path, damage: bytes) -> None:
    database = city(tmp_path / "city")
    first = find(["DE/Berlin"], tmp_path, mmdb=database)
    (kept,) = (tmp_path / "cache").iterdir()
    digest = json.loads(kept.read_bytes())["database"].encode()
    kept.write_bytes(damage.replace(b"DIGEST", digest))
    assert find(["DE/Berlin"], tmp_path, mmdb=database) == first


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    path = city(tmp_path / "city")
    content = path.read_bytes()
    path.write_bytes(content[:40] + b"\xff" * 200 + content[240:])
    with pytest.raises(SourceError, match=r"city: its MaxMind database is damaged \("):
        find(["DE/Bavaria"], tmp_path, mmdb=path)
    with pytest.raises(SourceError, match=r"city: its MaxMind database is damaged \("):
        find(["AWS/a"], tmp_path, mmdb=path, networks={"AWS/a": ["3.0.0.0/24"]})
    assert not (tmp_path / "cache").exists()


DEGREES = st.tuples(st.floats(-80, 80), st.floats(-180, 180))


def _slow_middle(places: list[tuple[float, float]]) -> tuple[float, float] | None:
    """Return the mean direction, by exact sums of vectors as a textbook has them."""
    vectors = []
    for latitude, longitude in places:
        phi, theta = math.pi / 2 - math.radians(latitude), math.radians(longitude)
        vectors.append((math.sin(phi) * math.cos(theta), math.sin(phi) * math.sin(theta), math.cos(phi)))
    x, y, z = (math.fsum(axis) for axis in zip(*vectors, strict=True))
    length = math.sqrt(x * x + y * y + z * z)
    if length / len(places) < 1e-3:  # too near to none to compare rounded degrees
        return None
    return math.degrees(math.asin(z / length)), math.degrees(math.atan2(y, x))


@given(st.lists(DEGREES, min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_the_middle_is_the_one_of_the_textbook_in_any_order(
    places: list[tuple[float, float]], random: Any
) -> None:
    expected = _slow_middle(places)
    if expected is None:
        return
    middles = []
    for _ in range(2):
        mean = coordinates_mmdb._Mean()
        for place in places:
            mean.add(place)
        middles.append(mean.place())
        random.shuffle(places)
    for middle in middles:
        assert middle is not None
        assert middle[0] == pytest.approx(expected[0], abs=1e-3)
        # Near the poles a degree of longitude is nothing, and 180 is -180.
        apart = abs(middle[1] - expected[1]) % 360
        assert min(apart, 360 - apart) * math.cos(math.radians(expected[0])) < 1e-3


# ---- from OpenCage -----------------------------------------------------------------------------------------


def test_opencage_is_asked_for_what_the_database_does_not_know(tmp_path: Path) -> None:
    pauses: list[float] = []
    with opencage(answer(result(54.2, 9.7)), pauses) as (client, server):
        labels = ["DE/Schleswig-Holstein", "DE/Berlin", "AWS/us-east-2", "DE/Hesse", "VPN", "datacenter"]
        found = find(labels, tmp_path, mmdb=city(tmp_path / "city"), opencage=client)
    assert found.regions == {
        **NOWHERE,
        "datacenter": None,
        "DE/Berlin": (52.5, 13.5),
        "DE/Hesse": (54.2, 9.7),
        "DE/Schleswig-Holstein": (54.2, 9.7),
    }
    assert found.unplaced == ["AWS/us-east-2"]
    common = {"key": KEY, "countrycode": "de", "no_annotations": "1", "no_record": "1"}
    assert [request.query for request in server.requests] == [
        {"q": "Hesse, DE", **common},
        {"q": "Schleswig-Holstein, DE", **common},
    ]
    assert pauses == [1.0]


def test_the_state_of_the_right_country_is_taken(tmp_path: Path) -> None:
    results = [
        result(1.0, 1.0, country="cl", kind="state"),
        result(2.0, 2.0, kind="city"),
        result(3.0, 3.0, kind="state"),
        result(4.0, 4.0, kind="country"),
    ]
    with opencage(answer(*results)) as (client, _):
        assert client.find("DE", "Berlin") == (3.0, 3.0)
        assert client.find("DE", None) == (4.0, 4.0)
    with opencage(answer(*results[:2])) as (client, _):
        assert client.find("DE", "Berlin") == (2.0, 2.0)
    with opencage(answer(results[0])) as (client, _):
        assert client.find("DE", "Berlin") is None


def test_each_label_is_asked_for_once_ever(tmp_path: Path) -> None:
    with opencage([answer(result(50.6, 9.0)), answer()]) as (client, server):
        first = find(["DE/Hesse", "DE/Nowhere"], tmp_path, opencage=client)
        assert first.unplaced == ["DE/Nowhere"]
        assert find(["DE/Hesse", "DE/Nowhere"], tmp_path, opencage=client) == first
        # What was answered holds without a key, too.
        assert find(["DE/Hesse", "DE/Nowhere"], tmp_path) == first
        assert len(server.requests) == 2


def test_a_run_that_was_stopped_goes_on_with_what_was_answered(tmp_path: Path) -> None:
    replies = [answer(result(1.0, 1.0)), status(500), status(500), status(500), answer(result(2.0, 2.0))]
    with opencage(replies) as (client, server):
        with pytest.raises(TicklineError, match="500"):
            find(["DE/A", "DE/B", "DE/C"], tmp_path, opencage=client)
        found = find(["DE/A", "DE/B", "DE/C"], tmp_path, opencage=client)
    assert (found.regions["DE/A"], found.regions["DE/B"]) == ((1.0, 1.0), (2.0, 2.0))
    asked = [request.query["q"] for request in server.requests]
    assert asked == ["A, DE", "B, DE", "B, DE", "B, DE", "B, DE", "C, DE"]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (status(401), f"OpenCage: the key is missing or unknown. Check {KEY_VARIABLE}."),
        (status(402), "OpenCage: the quota of the key is used up. Run it again tomorrow"),
        (status(403), "OpenCage: the key is disabled"),
        (answer(code=402), "OpenCage: the quota of the key is used up"),
        (status(429), "429"),
        (status(500), "500"),
        (status(404), "404"),
        (NOTHING, "127.0.0.1"),
        (RUBBISH, "is no JSON"),
        (answer(result(1.0, 1.0)).but(cut_after=20), "127.0.0.1"),
        (ok_json([]), "its answer is none of those that its documents name"),
        (ok_json({"status": {"code": 200}}), "none of those"),
        (ok_json({"status": {"code": [200]}, "results": []}), "none of those"),
        (ok_json({"status": 200, "results": []}), "none of those"),
        (answer(code=418), "none of those"),
        (answer("somewhere"), r"has no place in results\[0\]"),  # type: ignore[arg-type]
        (answer({"geometry": {"lat": 1, "lng": 1}}), r"has no place in results\[0\]"),
        (answer(result(1.0, 1.0), result("1", 1.0)), r"has no coordinates in results\[1\]"),
        (answer(result(91.0, 1.0)), r"has no coordinates in results\[0\]"),
        (answer(result(True, 1.0)), r"has no coordinates in results\[0\]"),
    ],
)
def test_a_service_that_does_not_answer_as_it_should_leaves_everything_as_it_was(
    tmp_path: Path, reply: Answer, words: str
) -> None:
    known = Coordinates({"DE/Berlin": (52.5, 13.4)})
    write_coordinates(tmp_path, known, form="json")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with opencage(reply) as (client, _), pytest.raises(TicklineError, match=words) as caught:
        find(["DE/Hesse"], tmp_path, opencage=client, known=known)
    assert KEY not in str(caught.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("key", ["", "two words", "line\nend", '"quoted" x', "ö" * 30, "x" * 201])
def test_a_key_that_is_none_is_refused_and_not_shown(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=f"{KEY_VARIABLE}: is no key") as caught:
        OpenCage(key)
    assert not key or key not in str(caught.value)


def test_without_a_key_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert OpenCage.from_environment() is None
    monkeypatch.setenv(KEY_VARIABLE, "")
    assert OpenCage.from_environment() is None
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    client = OpenCage.from_environment()
    assert client is not None
    client.close()


def test_a_damaged_cache_of_answers_is_asked_again(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    for damage in (b"{", b"[]", b'{"DE/Hesse": 5}', b'{"DE/Hesse": ["a", "b", "c"]}'):
        (tmp_path / "cache" / "opencage.json").write_bytes(damage)
        with opencage(answer(result(50.6, 9.0))) as (client, server):
            assert find(["DE/Hesse"], tmp_path, opencage=client).regions["DE/Hesse"] == (50.6, 9.0)
            assert len(server.requests) == 1


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    class Told(Progress):
        def reach(self, done: int, total: int) -> None:
            told.append((done, total))

    with opencage(answer(result(1.0, 1.0))) as (client, _):
        find(["DE/A", "DE/B"], tmp_path, opencage=client, progress=Told())
    assert told == [(1, 2), (2, 2)]
    told.clear()
    find(["DE/Berlin"], tmp_path, mmdb=city(tmp_path / "city"), progress=Told())
    assert told
    assert all(0 <= done <= total for done, total in told)


# ---- what is known already ---------------------------------------------------------------------------------


def test_places_that_were_known_stay(tmp_path: Path) -> None:
    known = Coordinates(
        {"DE/Berlin": (1.0, 2.0), "GitHub": (3.0, 4.0), "FR": None}, {"AWS/us-east-2": (5.0, 6.0)}
    )
    labels = ["DE/Berlin", "FR", "AWS/us-east-2", "DE/Bavaria"]
    found = find(labels, tmp_path, mmdb=city(tmp_path / "city"), known=known)
    assert found.regions["DE/Berlin"] == (1.0, 2.0)
    assert found.regions["GitHub"] == (3.0, 4.0)
    assert found.regions["FR"] is None
    assert found.regions["AWS/us-east-2"] == (5.0, 6.0)
    assert found.regions["DE/Bavaria"] is not None
    # The caller's own are left as they are.
    assert "DE/Bavaria" not in known.regions


def test_a_limit_counts_labels_that_are_new_in_natural_order(tmp_path: Path) -> None:
    known = Coordinates({"DE/Region 1": (1.0, 1.0)})
    labels = [f"DE/Region {number}" for number in (10, 9, 1, 2, 11)]
    with opencage(answer(result(5.0, 5.0))) as (client, server):
        found = find(labels, tmp_path, opencage=client, known=known, most=2)
    assert [request.query["q"] for request in server.requests] == ["Region 2, DE", "Region 9, DE"]
    assert found.unplaced == []
    assert set(found.regions) - set(NOWHERE) == {f"DE/Region {number}" for number in (1, 2, 9)}


# ---- files -------------------------------------------------------------------------------------------------

FOUND = Coordinates(
    {"US": (39.5, -98), "CL/Valparaíso": (-32.5976089, -70.8529753), "AWS/eu-10": (1.0, 2.0), "VPN": None,
     "AWS/eu-9": (0.0, 0.5)},
    {"AWS/eu-10": (1.0, 2.0), "AWS/eu-9": (0.0, 0.5)},
)  # fmt: skip


def test_json_is_that_of_dandi_s3_log_parser(tmp_path: Path) -> None:
    write_coordinates(tmp_path, FOUND, form="json")
    # natsorted, indent=1, no end of line; the services in one line.
    assert (tmp_path / "region_codes_to_coordinates.json").read_text() == (
        '{\n "AWS/eu-9": {\n  "latitude": 0.0,\n  "longitude": 0.5\n },\n'
        ' "AWS/eu-10": {\n  "latitude": 1.0,\n  "longitude": 2.0\n },\n'
        ' "CL/Valpara\\u00edso": {\n  "latitude": -32.5976089,\n  "longitude": -70.8529753\n },\n'
        ' "US": {\n  "latitude": 39.5,\n  "longitude": -98\n },\n'
        ' "VPN": {\n  "latitude": null,\n  "longitude": null\n }\n}'
    )
    assert (tmp_path / "service_coordinates.json").read_text() == (
        '{"AWS/eu-9": {"latitude": 0.0, "longitude": 0.5}, "AWS/eu-10": {"latitude": 1.0, "longitude": 2.0}}'
    )


def test_yaml_is_that_of_s3_log_extraction(tmp_path: Path) -> None:
    write_coordinates(tmp_path, FOUND, form="yaml")
    assert (tmp_path / "region_codes_to_coordinates.yaml").read_text() == (
        "AWS/eu-10:\n  latitude: 1.0\n  longitude: 2.0\n"
        "AWS/eu-9:\n  latitude: 0.0\n  longitude: 0.5\n"
        '"CL/Valpara\\xEDso":\n  latitude: -32.5976089\n  longitude: -70.8529753\n'
        "US:\n  latitude: 39.5\n  longitude: -98\n"
        "VPN:\n  latitude: null\n  longitude: null\n"
    )
    assert (tmp_path / "service_coordinates.yaml").read_text() == (
        "AWS/eu-10:\n  latitude: 1.0\n  longitude: 2.0\nAWS/eu-9:\n  latitude: 0.0\n  longitude: 0.5\n"
    )
    write_coordinates(tmp_path / "none", Coordinates(), form="yaml")
    assert (tmp_path / "none" / "service_coordinates.yaml").read_text() == "{}\n"


NAMES = st.text(min_size=1, max_size=8).filter(lambda text: text.isprintable())
VALUES = st.one_of(st.integers(-90, 90), st.floats(-90, 90))
TABLES = st.dictionaries(NAMES, st.one_of(st.none(), st.tuples(VALUES, VALUES)), max_size=5)


@given(TABLES, st.sampled_from(["json", "yaml"]))
def test_what_was_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, Any], form: str
) -> None:
    folder = tmp_path_factory.mktemp("table")
    services = {label: place for label, place in table.items() if place is not None}
    write_coordinates(folder, Coordinates(dict(table), services), form=form)
    read = read_coordinates(folder, form=form)
    assert read.regions == table
    assert read.services == services
    assert write_coordinates(folder, read, form=form) == []


def test_files_that_are_not_there_say_nothing(tmp_path: Path) -> None:
    assert read_coordinates(tmp_path / "none", form="json") == Coordinates()


def test_only_files_that_change_are_written(tmp_path: Path) -> None:
    names = ("region_codes_to_coordinates.json", "service_coordinates.json")
    assert [path.name for path in write_coordinates(tmp_path, FOUND, form="json")] == list(names)
    assert write_coordinates(tmp_path, FOUND, form="json") == []
    more = Coordinates({**FOUND.regions, "FR": (46.0, 2.0)}, FOUND.services)
    assert [path.name for path in write_coordinates(tmp_path, more, form="json")] == [names[0]]


def test_texts_and_nulls_of_old_files_are_understood(tmp_path: Path) -> None:
    old = {"AWS/us-east-2": {"latitude": "39.96", "longitude": "-82.99"}, "VPN": None}
    (tmp_path / "region_codes_to_coordinates.json").write_text(json.dumps(old))
    (tmp_path / "service_coordinates.json").write_text(json.dumps({"AWS/us-east-2": old["AWS/us-east-2"]}))
    read = read_coordinates(tmp_path, form="json")
    assert read.regions == {"AWS/us-east-2": (39.96, -82.99), "VPN": None}
    assert read.services == {"AWS/us-east-2": (39.96, -82.99)}
    # s3-log-extraction makes its empty file with `touch`.
    (tmp_path / "service_coordinates.yaml").write_bytes(b"")
    assert read_coordinates(tmp_path, form="yaml") == Coordinates()


@pytest.mark.parametrize(
    ("form", "content", "words"),
    [
        ("json", b"{", "cannot be read as JSON"),
        ("json", b"[" * 100_000, "cannot be read as JSON"),
        ("json", b"[]", "is no table of coordinates"),
        ("json", b"", "cannot be read as JSON"),
        ("json", b"\xff", "cannot be read as JSON"),
        ("yaml", b"a: [", "cannot be read as YAML"),
        ("yaml", b"a: !!python/object/apply:os.getcwd []", "cannot be read as YAML"),
        ("yaml", b"just words", "is no table of coordinates"),
        ("yaml", b"gAAAAABoZ3xQd1x", "is encrypted by s3-log-extraction. Write it without encryption"),
        ("json", b'{"DE": {"latitude": 1}}', "has no latitude and longitude for 'DE'"),
        ("json", b'{"DE": {}}', "has no latitude and longitude for 'DE'"),
        ("json", b'{"DE": 5}', "has no latitude and longitude for 'DE'"),
        ("json", b'{"DE": {"latitude": null, "longitude": 1}}', "has no latitude and longitude for 'DE'"),
        ("json", b'{"DE": {"latitude": 91, "longitude": 1}}', "has no latitude and longitude for 'DE'"),
        ("json", b'{"DE": {"latitude": "x", "longitude": "1"}}', "has no latitude and longitude for 'DE'"),
        ("yaml", b"5: {latitude: 1, longitude: 1}", "has no latitude and longitude for '5'"),
        ("yaml", b"DE: {latitude: .nan, longitude: 1}", "has no latitude and longitude for 'DE'"),
    ],
)
def test_a_file_that_is_no_table_is_named_and_not_written_over(
    tmp_path: Path, form: str, content: bytes, words: str
) -> None:
    path = tmp_path / f"region_codes_to_coordinates.{form}"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=words) as caught:
        read_coordinates(tmp_path, form=form)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == content


def test_a_form_that_is_none_is_refused(tmp_path: Path) -> None:
    for call in (lambda: read_coordinates(tmp_path, form="xml"),
                 lambda: write_coordinates(tmp_path, FOUND, form="xml")):  # fmt: skip
        with pytest.raises(UsageError, match="'xml' is no form"):
            call()


def test_a_place_is_two_numbers_of_degrees() -> None:
    assert place_of(90, -180) == (90, -180)
    for pair in ((90.01, 0), (0, 180.01), (math.nan, 0), ("1", 1), (None, 1), (True, 1), (1, math.inf)):
        assert place_of(*pair) is None


# ---- from a store ------------------------------------------------------------------------------------------


def test_a_store_knows_the_networks_behind_labels(tmp_path: Path) -> None:
    aws = made.written(tmp_path / "aws.json", made.AWS)
    gcp = made.written(tmp_path / "gcp.json", made.GCP)
    github = made.written(tmp_path / "github.json", made.GITHUB)
    places = made.written(tmp_path / "places", "90.9.0.0/16\tFR/Somewhere\n91.0.0.0/16\tFR/Elsewhere\n")
    databases = [str(city(tmp_path / "city")), made.mmdb(tmp_path / "b", {"81.0.0.0/8": made.place("DE")})]
    labels = ["AWS/ap-northeast-2", "GCP/us-central1", "FR/Somewhere", "GitHub", "AWS/GLOBAL"]
    with made.store(tmp_path / "store") as folder:
        assert sources_of_store(folder, labels) == (None, {})
        with folder.writing():
            update_regions(folder, [aws, gcp, github, places, *databases])
        mmdb, networks = sources_of_store(folder, labels)
        assert mmdb is not None
        assert mmdb.read_bytes() == Path(databases[0]).read_bytes()
        assert networks == {
            "AWS/ap-northeast-2": ["3.5.140.0/22", "3.5.140.0/22"],
            "GCP/us-central1": ["2600:1900:8000::/44"],
            "FR/Somewhere": ["90.9.0.0/16"],
        }
        damaged = folder.path / folder.ledger.snapshots()[0].file
        damaged.write_text(json.dumps({**made.AWS, "createDate": "2024-05-02-12-13-04"}))
        with pytest.raises(TicklineError, match="is not the region file that was given"):
            sources_of_store(folder, labels)
