// NTP packets in Python: one packet and one verdict as tuples, many packets as columns.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "glue.hpp"
#include "tickline/arrow/columns.hpp"
#include "tickline/arrow/stream.hpp"
#include "tickline/ntp/validate.hpp"

namespace tickline::python {

namespace {

ntp_policy make_policy(std::int64_t pivot_s, std::int64_t not_before_s, int min_version,
                       bool allow_zero_reference_time, std::int64_t max_reference_age_ns,
                       std::optional<std::int64_t> max_delay_ns, std::int64_t max_distance_ns,
                       std::uint32_t drift_ppb, const std::vector<std::uint32_t>& own_reference_ids) {
    ntp_policy policy;
    if (min_version < 1 || min_version > 4) throw py::value_error("min_version must be 1, 2, 3 or 4");
    if (own_reference_ids.size() > policy.own_reference_ids.size()) {
        throw py::value_error("no more than " + std::to_string(policy.own_reference_ids.size()) +
                              " own addresses can be given");
    }
    policy.pivot_s = pivot_s;
    policy.not_before_s = not_before_s;
    policy.min_version = static_cast<std::uint8_t>(min_version);
    policy.allow_zero_reference_time = allow_zero_reference_time;
    policy.max_reference_age_ns = max_reference_age_ns;
    policy.max_delay_ns = max_delay_ns.value_or(std::numeric_limits<std::int64_t>::max());
    policy.max_distance_ns = max_distance_ns;
    policy.drift_ppb = drift_ppb;
    std::copy(own_reference_ids.begin(), own_reference_ids.end(), policy.own_reference_ids.begin());
    return policy;
}

// The fields of the Packet of tickline/ntp/packet.py, or None if there are fewer than 48 bytes.
py::object parse_text(std::string_view text) {
    ntp_packet packet;
    if (!parse_ntp_packet(text, packet)) return py::none();
    ntp_trailer trailer;
    const parse_result split = split_ntp_trailer(text.substr(ntp_header_bytes), trailer);
    const auto bytes_of = [](std::string_view view) { return py::bytes(view.data(), view.size()); };
    py::list fields;
    for (const ntp_extension& field : trailer.extensions) {
        fields.append(py::make_tuple(field.type, bytes_of(field.value)));
    }
    py::object mac = py::none();
    if (trailer.has_mac()) mac = py::make_tuple(trailer.key_id, bytes_of(trailer.digest));
    return py::make_tuple(packet.leap, packet.version, packet.mode, packet.stratum, packet.poll,
                          packet.precision, packet.root_delay.raw(), packet.root_dispersion.raw(),
                          packet.reference_id, packet.reference.raw(), packet.origin.raw(),
                          packet.receive.raw(), packet.transmit.raw(), py::tuple(fields), mac,
                          trailer.crypto_nak, split ? py::object(py::none()) : py::cast(name(split.error)));
}

py::object parse(const py::buffer& data) {
    const bytes_view bytes(data);
    return parse_text(bytes.text());
}

py::bytes request(std::uint64_t transmit) {
    std::array<char, ntp_header_bytes> bytes{};
    write_ntp_packet(make_ntp_request(transmit), bytes.data());
    return {bytes.data(), bytes.size()};
}

// The header of these fields, which were read from one: each fits.
py::bytes write(const std::array<std::int64_t, 9>& small, const std::array<std::uint64_t, 4>& stamps) {
    ntp_packet packet;
    packet.leap = static_cast<std::uint8_t>(small[0]);
    packet.version = static_cast<std::uint8_t>(small[1]);
    packet.mode = static_cast<std::uint8_t>(small[2]);
    packet.stratum = static_cast<std::uint8_t>(small[3]);
    packet.poll = static_cast<std::int8_t>(small[4]);
    packet.precision = static_cast<std::int8_t>(small[5]);
    packet.root_delay = ntp_short(static_cast<std::uint32_t>(small[6]));
    packet.root_dispersion = ntp_short(static_cast<std::uint32_t>(small[7]));
    packet.reference_id = static_cast<std::uint32_t>(small[8]);
    packet.reference = ntp64(stamps[0]);
    packet.origin = ntp64(stamps[1]);
    packet.receive = ntp64(stamps[2]);
    packet.transmit = ntp64(stamps[3]);
    std::array<char, ntp_header_bytes> bytes{};
    write_ntp_packet(packet, bytes.data());
    return {bytes.data(), bytes.size()};
}

// What is not known of the exchange is taken so that it speaks for the server: no time on the way, and a
// local clock that is right. Numbers that follow from it are not given away.
void fill_in(ntp_exchange& exchange, std::string_view response, const ntp_policy& policy,
             std::optional<std::int64_t> t1_ns, std::optional<std::int64_t> elapsed_ns) {
    ntp_packet packet;
    parse_ntp_packet(response, packet);
    const std::int64_t worked = packet.transmit.since(packet.receive);
    const std::int64_t most = std::int64_t{4} << 32;  // a longer one is refused for that
    const std::uint64_t scaled =
        static_cast<std::uint64_t>(std::clamp(worked, std::int64_t{0}, most)) * detail::ntp_ns_per_second;
    exchange.elapsed_ns = elapsed_ns.value_or(static_cast<std::int64_t>(scaled >> 32));
    // Any local clock within the era leads to the same time. Its beginning can always be reached.
    constexpr std::int64_t far = 9000000000;
    exchange.t1_ns = t1_ns.value_or(std::clamp(policy.pivot_s, -far, far) * 1000000000);
}

// The fields of the Verdict of tickline/ntp/packet.py, or None if the request has fewer than 48 bytes.
py::object check(const py::buffer& request, const py::buffer& response, std::optional<std::int64_t> t1_ns,
                 std::optional<std::int64_t> elapsed_ns, int precision, const ntp_policy& policy) {
    const bytes_view asked(request), bytes(response);
    ntp_packet sent;
    if (!parse_ntp_packet(asked.text(), sent)) return py::none();
    ntp_trailer behind;
    split_ntp_trailer(asked.text().substr(ntp_header_bytes), behind);
    ntp_exchange exchange;
    exchange.transmit = sent.transmit.raw();
    exchange.wanted_mac = behind.has_mac();
    exchange.precision = static_cast<std::int8_t>(std::clamp(precision, -128, 127));
    fill_in(exchange, bytes.text(), policy, t1_ns, elapsed_ns);
    const ntp_verdict verdict = validate_ntp_response(bytes.text(), exchange, policy);

    const bool kiss = verdict.kind == ntp_verdict_kind::kiss;
    const auto known = [&](bool given, std::int64_t value) {
        return verdict.measured && given ? std::optional(value) : std::nullopt;
    };
    return py::make_tuple(name(verdict.kind), name(verdict.reason), message(verdict.reason),
                          kiss ? py::cast(reference_text(verdict.packet).view()) : py::object(py::none()),
                          known(t1_ns && elapsed_ns, verdict.offset_ns),
                          known(elapsed_ns.has_value(), verdict.delay_ns),
                          known(elapsed_ns.has_value(), verdict.root_distance_ns), parse_text(bytes.text()));
}

// One column, and a block of its values.
template <class T>
struct packet_column {
    static constexpr std::size_t block = 1024;

    packet_column(std::string name, std::string_view format = detail::arrow_format<T>())
        : column(std::move(name), format) {}

    void flush(std::size_t count) { column.append(std::span<const T>(values.data(), count)); }

    fixed_column<T> column;
    std::array<T, block> values;
};

// The same for stamps as times: null where a stamp is zero, which means unknown.
struct time_column : packet_column<std::int64_t> {
    explicit time_column(std::string name) : packet_column(std::move(name), "tsn:UTC") {}

    void set(std::size_t i, ntp64 stamp, std::int64_t pivot_s) {
        if (i % 64 == 0) valid[i / 64] = 0;
        valid[i / 64] |= std::uint64_t{!stamp.is_unknown()} << (i % 64);
        const unix_time time = stamp.is_unknown() ? unix_time{0, 0} : stamp.to_unix_time(pivot_s);
        values[i] = time.seconds * 1000000000 + time.nanoseconds;
    }
    void flush(std::size_t count) {
        column.append(std::span<const std::int64_t>(values.data(), count),
                      std::span<const std::uint64_t>(valid));
    }

    std::array<std::uint64_t, block / 64> valid;
};

struct packet_columns {
    packet_column<std::uint8_t> leap{"leap"}, version{"version"}, mode{"mode"}, stratum{"stratum"};
    packet_column<std::int8_t> poll{"poll"}, precision{"precision"};
    packet_column<std::int64_t> root_delay{"root_delay_ns"}, root_dispersion{"root_dispersion_ns"};
    packet_column<std::uint32_t> reference_id{"reference_id"};
    packet_column<std::uint64_t> reference{"reference"}, origin{"origin"}, receive{"receive"},
        transmit{"transmit"};
    time_column reference_time{"reference_time"}, receive_time{"receive_time"},
        transmit_time{"transmit_time"};

    void set(std::size_t i, const ntp_packet& packet, std::int64_t pivot_s) {
        leap.values[i] = packet.leap;
        version.values[i] = packet.version;
        mode.values[i] = packet.mode;
        stratum.values[i] = packet.stratum;
        poll.values[i] = packet.poll;
        precision.values[i] = packet.precision;
        root_delay.values[i] = packet.root_delay.to_ns();
        root_dispersion.values[i] = packet.root_dispersion.to_ns();
        reference_id.values[i] = packet.reference_id;
        reference.values[i] = packet.reference.raw();
        origin.values[i] = packet.origin.raw();
        receive.values[i] = packet.receive.raw();
        transmit.values[i] = packet.transmit.raw();
        reference_time.set(i, packet.reference, pivot_s);
        receive_time.set(i, packet.receive, pivot_s);
        transmit_time.set(i, packet.transmit, pivot_s);
    }

    template <class Function>
    void for_each(Function&& function) {
        const auto all = [&](auto&... columns) { (function(columns), ...); };
        all(leap, version, mode, stratum, poll, precision, root_delay, root_dispersion, reference_id,
            reference, origin, receive, transmit, reference_time, receive_time, transmit_time);
    }
};

record_batch decode(const py::buffer& packets, std::int64_t pivot_s) {
    const bytes_view bytes(packets);
    const std::string_view text = bytes.text();
    if (text.size() % ntp_header_bytes != 0) {
        throw py::value_error(std::to_string(text.size()) +
                              " bytes are no whole number of packets of 48 bytes");
    }
    const gil_released release;
    auto columns = std::make_unique<packet_columns>();
    const std::size_t count = text.size() / ntp_header_bytes;
    for (std::size_t done = 0; done < count;) {
        const std::size_t some = std::min(count - done, packet_column<char>::block);
        for (std::size_t i = 0; i < some; ++i) {
            ntp_packet packet;
            parse_ntp_packet(text.substr((done + i) * ntp_header_bytes), packet);
            columns->set(i, packet, pivot_s);
        }
        columns->for_each([some](auto& column) { column.flush(some); });
        done += some;
    }
    std::vector<finished_column> finished;
    columns->for_each([&finished](auto& column) { finished.push_back(column.column.finish()); });
    return *record_batch::make(std::move(finished));
}

std::uint32_t reference_id(std::string_view text) {
    address where;
    if (const parse_result read = parse_address(text, where); !read) raise(read.error, text);
    return ntp_reference_id_of(where);
}

std::pair<std::int64_t, std::int64_t> offset_and_delay(std::uint64_t t1, std::uint64_t t2, std::uint64_t t3,
                                                       std::uint64_t t4) {
    const ntp_offset offset = ntp_offset_and_delay(ntp64(t1), ntp64(t2), ntp64(t3), ntp64(t4));
    return {offset.offset_ns(), offset.delay_ns()};
}

}  // namespace

void bind_ntp_packet(py::module_& module) {
    const ntp_policy usual;
    py::class_<ntp_policy>(module, "NtpPolicy", "What an answer must keep to.", py::is_final())
        .def(py::init(&make_policy), py::kw_only(), py::arg("pivot_s") = usual.pivot_s,
             py::arg("not_before_s") = usual.not_before_s,
             py::arg("min_version") = static_cast<int>(usual.min_version),
             py::arg("allow_zero_reference_time") = usual.allow_zero_reference_time,
             py::arg("max_reference_age_ns") = usual.max_reference_age_ns,
             py::arg("max_delay_ns") = py::none(), py::arg("max_distance_ns") = usual.max_distance_ns,
             py::arg("drift_ppb") = usual.drift_ppb,
             py::arg("own_reference_ids") = std::vector<std::uint32_t>());
    py::list reasons;
    for (int i = 0; i < ntp_reason_count; ++i) reasons.append(name(static_cast<ntp_reason>(i)));
    module.attr("NTP_REASONS") = py::tuple(reasons);

    module.def("ntp_parse", &parse, py::arg("data"), "The fields of a Packet, or None if it is too short.");
    module.def("ntp_write", &write, py::arg("small"), py::arg("stamps"), "The 48 bytes of a header.");
    module.def("ntp_request", &request, py::arg("transmit"), "The 48 bytes of a request.");
    module.def("ntp_check", &check, py::arg("request"), py::arg("response"), py::arg("t1_ns"),
               py::arg("elapsed_ns"), py::arg("precision"), py::arg("policy"),
               "The fields of a Verdict, or None if the request is too short.");
    module.def("ntp_decode", &decode, py::arg("packets"), py::arg("pivot_s"),
               "Packets of 48 bytes as a Batch.");
    module.def("ntp_reference_id", &reference_id, py::arg("address"),
               "The reference id of servers that take their time from this address.");
    module.def(
        "ntp_reference_text",
        [](std::uint8_t stratum, std::uint32_t id) {
            return std::string(ntp_reference_text(stratum, id).view());
        },
        py::arg("stratum"), py::arg("id"), "A reference id for people.");
    module.def("ntp_offset_and_delay", &offset_and_delay, py::arg("t1"), py::arg("t2"), py::arg("t3"),
               py::arg("t4"), "Offset and delay in nanoseconds, rounded down.");
}

}  // namespace tickline::python
