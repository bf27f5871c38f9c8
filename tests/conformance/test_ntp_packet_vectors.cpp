// Packets, exchanges with a real server, offsets and reference ids that others have published, with what an
// independent decoder says of them.
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tickline/ntp/validate.hpp>
#include <vector>

#include "conformance/json.hpp"
#include "reference/ntp_compare.hpp"

namespace {

using conformance::json;
using tickline::ntp64;
using tickline::ntp_packet;

void check_stamp(const ntp64 found, const json& expected) {
    CHECK(found.raw() == expected["hex"].hex());
    CHECK(found.seconds() == expected["sec"].unsigned_number());
    CHECK(found.fraction() == expected["frac"].unsigned_number());
    CHECK(found.is_unknown() == expected["zero"].truth);
    if (!expected.has("unix_sec_pivot1970")) return;
    const tickline::unix_time time = found.to_unix_time(0);
    CHECK(time.seconds == expected["unix_sec_pivot1970"].number());
    CHECK(time.nanoseconds == expected["nsec_round"].unsigned_number());
}

void check_header(const ntp_packet& found, const json& expected) {
    CHECK(found.leap == expected["leap"].number());
    CHECK(found.version == expected["version"].number());
    CHECK(found.mode == expected["mode"].number());
    CHECK(found.stratum == expected["stratum"].number());
    CHECK(found.poll == expected["poll"].number());
    CHECK(found.precision == expected["precision"].number());
    CHECK(found.root_delay.raw() == expected["root_delay_q16"].unsigned_number());
    CHECK(found.root_dispersion.raw() == expected["root_dispersion_q16"].unsigned_number());
    CHECK(found.reference_id == expected["reference_id"].hex());
    check_stamp(found.reference, expected["reference"]);
    check_stamp(found.origin, expected["origin"]);
    check_stamp(found.receive, expected["receive"]);
    check_stamp(found.transmit, expected["transmit"]);
    for (const char* key : {"reference_id_text", "reference_id_ipv4"}) {
        if (expected.has(key)) CHECK(tickline::reference_text(found).view() == expected[key].text);
    }
}

void check_trailer(const std::string& bytes, const json& expected) {
    tickline::ntp_trailer trailer;
    const auto result = tickline::split_ntp_trailer(std::string_view(bytes).substr(48), trailer);
    CHECK(static_cast<bool>(result) == !expected.has("trailer_error"));
    const bool nak = expected.has("mac") && expected["mac"].has("crypto_nak");
    CHECK(trailer.crypto_nak == nak);
    CHECK(trailer.has_mac() == (expected.has("mac") && !nak));
    if (trailer.has_mac()) {
        CHECK(trailer.key_id == expected["mac"]["key_id"].unsigned_number());
        CHECK(trailer.digest == expected["mac"]["digest"].bytes());
    }
    const std::vector<json> none;
    const auto& fields = expected.has("extension_fields") ? expected["extension_fields"].items : none;
    std::size_t count = 0;
    for (const tickline::ntp_extension& field : trailer.extensions) {
        REQUIRE(count < fields.size());
        CHECK(field.type == fields[count]["type"].hex());
        CHECK(field.value.size() + 4 == fields[count]["length"].unsigned_number());
        CHECK(field.value.data() - bytes.data() - 4 == fields[count]["offset"].number());
        ++count;
    }
    CHECK(count == fields.size());
}

void check_packet(const std::string& bytes, const json& expected) {
    CHECK(tickline::reference::packet_difference(bytes) == "");
    if (expected.members.empty()) return;  // a version whose layout is another one
    CHECK(bytes.size() == expected["length"].unsigned_number());
    ntp_packet packet;
    REQUIRE(tickline::parse_ntp_packet(bytes, packet));
    check_header(packet, expected);
    check_trailer(bytes, expected);
}

}  // namespace

TEST_CASE("published packets have the listed fields") {
    const auto vectors = conformance::read_json("ntp_vectors.json");
    if (!vectors) return;
    std::size_t checked = 0;
    for (const json& vector : (*vectors)["packets"].items) {
        CAPTURE(vector["id"].text);
        static const json nothing;
        check_packet(vector["hex"].bytes(), vector.has("expect") ? vector["expect"] : nothing);
        ++checked;
    }
    CHECK(checked == (*vectors)["counts"]["packets"].unsigned_number());
}

TEST_CASE("packets that are no answers to anything are dropped, whoever sends them") {
    const auto vectors = conformance::read_json("ntp_vectors.json");
    if (!vectors) return;
    for (const json& vector : (*vectors)["packets"].items) {
        CAPTURE(vector["id"].text);
        const auto verdict = tickline::validate_ntp_response(vector["hex"].bytes(), {});
        CHECK(verdict.kind == tickline::ntp_verdict_kind::drop);
    }
}

TEST_CASE("published answers to their own origin stamps are judged by what they say") {
    const auto vectors = conformance::read_json("ntp_vectors.json");
    if (!vectors) return;
    std::map<std::string, std::string> reasons;
    for (const json& vector : (*vectors)["packets"].items) {
        const std::string bytes = vector["hex"].bytes();
        ntp_packet packet;
        REQUIRE(tickline::parse_ntp_packet(bytes, packet));
        tickline::ntp_exchange exchange;
        exchange.transmit = packet.origin.raw();
        exchange.elapsed_ns = 50'000'000;
        tickline::ntp_policy policy;
        policy.min_version = 1;
        policy.pivot_s = policy.not_before_s = 0;
        reasons[vector["id"].text] =
            tickline::name(tickline::validate_ntp_response(bytes, exchange, policy).reason);
    }
    // By hand, from the notes of the vectors.
    CHECK(reasons["ntpdrs_client_v4"] == "mode");
    CHECK(reasons["ntpdrs_server_v4"] == "ok");
    CHECK(reasons["ntpdrs_version_0"] == "version");
    CHECK(reasons["ntpdrs_version_2"] == "ok");
    CHECK(reasons["ntpdrs_version_6"] == "version");
    CHECK(reasons["ntpdrs_nts_server"] == "ok");
    CHECK(reasons["ntpdrs_v5_response"] == "version");
    CHECK(reasons["wireshark_ntp_sync_2"] == "mode");
    CHECK(reasons["scapy_kod_init"] == "kiss");
    CHECK(reasons["fb_response"] == "ok");
    CHECK(reasons["android_late_era0"] == "ok");
    CHECK(reasons["android_early_era1"] == "ok");
    CHECK(reasons["ntpsec_synthetic"] == "stratum");
    CHECK(reasons["ntpsec_odd_length"] == "length");
    CHECK(reasons["scapy_trailing_zeros"] == "mode");
}

TEST_CASE("what a real server answered is taken, or refused for the right reason") {
    const auto vectors = conformance::read_json("ntp_vectors.json");
    if (!vectors) return;
    std::size_t checked = 0;
    int answered = 0;
    for (const json& vector : (*vectors)["exchanges"].items) {
        const std::string id = vector["id"].text;
        CAPTURE(id);
        ++checked;
        const std::string request = vector["request_hex"].bytes();
        check_packet(request, vector.has("request_expect") ? vector["request_expect"] : json());
        if (vector["response_hex"].is_null()) continue;
        ++answered;
        const std::string response = vector["response_hex"].bytes();
        check_packet(response, vector["response_expect"]);

        ntp_packet asked, told;
        REQUIRE(tickline::parse_ntp_packet(request, asked));
        REQUIRE(tickline::parse_ntp_packet(response, told));
        CHECK((told.origin == asked.transmit) == vector["origin_equals_request_transmit"].truth);
        tickline::ntp_exchange exchange;
        exchange.transmit = asked.transmit.raw();
        exchange.t1_ns = 1795304438 * std::int64_t{1'000'000'000};
        exchange.elapsed_ns = 1'000'000;
        tickline::ntp_policy policy;
        policy.not_before_s = 0;
        policy.min_version = 1;
        const auto verdict = tickline::validate_ntp_response(response, exchange, policy);
        const std::string expected = id == "chronyd43_unsync"          ? "unsynchronised"
                                     : id == "chronyd43_zero_transmit" ? "origin"
                                     : id == "chronyd43_xleave_3" ? "origin"  // interleaved: T1 of before
                                                                  : "ok";
        CHECK(tickline::name(verdict.reason) == expected);
        CHECK(tickline::reference::verdict_difference(response, exchange, policy) == "");
        policy.min_version = 4;
        if (told.version < 4) {
            const auto strict = tickline::validate_ntp_response(response, exchange, policy);
            CHECK(strict.reason == tickline::ntp_reason::version);
        }
    }
    CHECK(checked == (*vectors)["counts"]["exchanges"].unsigned_number());
    CHECK(answered == 13);
}

TEST_CASE("published offsets and delays come out exactly") {
    const auto vectors = conformance::read_json("ntp_vectors.json");
    if (!vectors) return;
    std::size_t checked = 0;
    for (const json& vector : (*vectors)["offsets"].items) {
        const auto stamp = [&vector](const char* key) { return ntp64(vector[key].hex()); };
        const auto found = tickline::ntp_offset_and_delay(stamp("t1"), stamp("t2"), stamp("t3"), stamp("t4"));
        CAPTURE(vector["offset_twice_q32"].text);
        // Twice the offset may need 65 bits: the text of it is compared with what the two parts add up to.
        const auto twice = tickline::reference::wide{found.offset_q32} * 2 + (found.half ? 1 : 0);
        tickline::reference::wide expected = 0;
        for (const char c : vector["offset_twice_q32"].text) {
            if (c != '-') expected = expected * 10 + (c - '0');
        }
        if (vector["offset_twice_q32"].text[0] == '-') expected = -expected;
        CHECK(static_cast<bool>(twice == expected));
        CHECK(found.offset_ns() == vector["offset_ns_floor"].number());
        CHECK(found.delay_q32 == vector["delay_q32"].number());
        ++checked;
    }
    CHECK(checked == (*vectors)["counts"]["offsets"].unsigned_number());
}

TEST_CASE("published reference ids read as listed") {
    const auto vectors = conformance::read_json("ntp_vectors.json");
    if (!vectors) return;
    std::size_t checked = 0;
    for (const json& vector : (*vectors)["reference_ids"].items) {
        const auto id = static_cast<std::uint32_t>(vector["refid"].hex());
        CAPTURE(vector["refid"].text);
        ++checked;
        if (vector.has("ipv6")) {
            tickline::address where;
            REQUIRE(tickline::parse_address(vector["ipv6"].text, where));
            CHECK(tickline::ntp_reference_id_of(where) == id);
            continue;
        }
        const auto stratum =
            static_cast<std::uint8_t>(vector.has("stratum") ? vector["stratum"].number() : 2);
        CHECK(tickline::ntp_reference_text(stratum, id).view() == vector["text"].text);
    }
    CHECK(checked == (*vectors)["counts"]["reference_ids"].unsigned_number());
}
