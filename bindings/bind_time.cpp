// FastDate64, NTP stamps and times as text in Python. Buffers of 64-bit numbers go in and out; the loops run
// without the GIL. The caller has seen to types and lengths (tickline.time).
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "glue.hpp"
#include "tickline/time/epoch.hpp"
#include "tickline/time/fastdate64_batch.hpp"
#include "tickline/time/iso8601.hpp"
#include "tickline/time/ntp64.hpp"
#include "tickline/time/parse.hpp"

namespace tickline::python {

namespace {

// Memory that is written to, held as long as this lives.
class writable_view {
  public:
    explicit writable_view(const py::buffer& object) {
        if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_WRITABLE) != 0) throw py::error_already_set();
    }
    writable_view(const writable_view&) = delete;
    writable_view& operator=(const writable_view&) = delete;
    ~writable_view() { PyBuffer_Release(&view_); }

    char* data() const noexcept { return static_cast<char*>(view_.buf); }
    std::size_t size() const noexcept { return static_cast<std::size_t>(view_.len); }

  private:
    Py_buffer view_{};
};

// Runs work(in, out, count) without the GIL, on buffers of `count` values of In and of Out each.
template <class In, class Out, class Work>
std::size_t on_buffers(const py::buffer& values, const py::buffer& out, Work&& work) {
    const bytes_view in(values);
    const writable_view room(out);
    const std::size_t count = in.text().size() / sizeof(In);
    if (in.text().size() % sizeof(In) != 0 || room.size() != count * sizeof(Out)) {
        throw py::value_error(std::to_string(in.text().size()) + " bytes of values and room for " +
                              std::to_string(room.size()) + " bytes do not belong together");
    }
    const gil_released release;
    return work(in.text().data(), room.data(), count);
}

template <class Ns>
std::size_t encode(const py::buffer& ns, const py::buffer& out) {
    return on_buffers<Ns, fastdate64>(ns, out, [](const char* in, char* raw, std::size_t count) {
        return detail::encode_batch<Ns>(in, raw, count, detail::batch_range::checked);
    });
}

template <class Ns>
std::size_t decode(const py::buffer& dates, const py::buffer& out) {
    return on_buffers<fastdate64, Ns>(dates, out, [](const char* raw, char* ns, std::size_t count) {
        return detail::decode_batch<Ns>(raw, ns, count, detail::batch_range::checked);
    });
}

template <class Value>
Value load(const char* p) noexcept {
    Value value;
    std::memcpy(&value, p, sizeof(Value));
    return value;
}

std::size_t decode_ntp64(const py::buffer& stamps, const py::buffer& out, std::int64_t pivot_s) {
    // All 136 years behind the pivot must be seconds of an int64.
    constexpr std::int64_t end = std::numeric_limits<std::int64_t>::max() - (std::int64_t{1} << 33);
    if (pivot_s > end) throw py::value_error("pivot_s is too large");
    return on_buffers<ntp64, std::int64_t>(
        stamps, out, [pivot_s](const char* in, char* ns, std::size_t count) {
            for (std::size_t i = 0; i < count; ++i) {
                const auto time = load<ntp64>(in + 8 * i).to_unix_time(pivot_s).to_ns();
                if (!time) return i;
                std::memcpy(ns + 8 * i, &time.value(), 8);
            }
            return count;
        });
}

void encode_ntp64(const py::buffer& ns, const py::buffer& out) {
    on_buffers<std::int64_t, ntp64>(ns, out, [](const char* in, char* stamps, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            const ntp64 stamp = ntp64::from_unix_time(unix_time::from_ns(load<std::int64_t>(in + 8 * i)));
            std::memcpy(stamps + 8 * i, &stamp, 8);
        }
        return count;
    });
}

void decode_ntp_short(const py::buffer& values, const py::buffer& out) {
    on_buffers<ntp_short, std::int64_t>(values, out, [](const char* in, char* ns, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            const std::int64_t value = load<ntp_short>(in + 4 * i).to_ns();
            std::memcpy(ns + 8 * i, &value, 8);
        }
        return count;
    });
}

std::optional<epoch_unit> unit_of(std::string_view name) noexcept {
    if (name == "s") return epoch_unit::seconds;
    if (name == "ms") return epoch_unit::milliseconds;
    if (name == "us") return epoch_unit::microseconds;
    if (name == "ns") return epoch_unit::nanoseconds;
    return std::nullopt;
}

[[noreturn]] void raise_form(std::string_view form) {
    throw py::value_error("no form of times: " + std::string(form));
}

// By its first bytes a text is a time of S3, or has a date in it, or is a number.
parse_result parse_any(std::string_view text, epoch_unit unit, unix_time& time) noexcept {
    if (!text.empty() && text.front() == '[') {
        std::int64_t ms = 0;
        const parse_result read = parse_s3_time(text, ms);
        // In seconds, since these times have no parts of them.
        if (read) time = {ms / 1000, 0};
        return read;
    }
    if (text.find('-', 1) != std::string_view::npos) return parse_iso8601(text, time);
    return parse_epoch(text, unit, time);
}

// An offset can lead out of the years that can be written.
bool is_in_years(std::string_view text, const unix_time& time) noexcept {
    if (text.front() != '[' && text.find('-', 1) == std::string_view::npos) return true;  // a number
    return time.seconds >= -62167219200 && time.seconds <= 253402300799;
}

std::optional<std::pair<std::int64_t, std::uint32_t>> parse_time(const py::bytes& text,
                                                                 std::string_view unit) {
    const std::optional<epoch_unit> known = unit_of(unit);
    if (!known) raise_form(unit);
    unix_time time{};
    const auto view = static_cast<std::string_view>(text);
    if (!parse_any(view, *known, time) || !is_in_years(view, time)) return std::nullopt;
    return std::pair(time.seconds, time.nanoseconds);
}

std::string format_time(std::int64_t seconds, std::uint32_t nanoseconds, std::string_view form,
                        unsigned digits) {
    if (nanoseconds > 999999999) throw py::value_error("nanoseconds must be less than a second");
    const unix_time time{seconds, nanoseconds};
    char out[32];
    static_assert(sizeof(out) >= iso8601_max_length && sizeof(out) >= epoch_max_length &&
                  sizeof(out) >= s3_time_length);
    if (form == "iso") return {out, write_iso8601(out, time, {'T', digits, true})};
    if (form == "chrony") return {out, write_iso8601(out, time, {' ', digits, false})};
    if (form == "s3") {
        // Far outside of the years that can be written, where milliseconds would not fit, all are the same.
        constexpr std::int64_t far = std::numeric_limits<std::int64_t>::max() / 1000;
        const std::int64_t near = seconds > far ? far : seconds < -far ? -far : seconds;
        return {out, write_s3_time(out, near * 1000)};
    }
    const std::optional<epoch_unit> unit = unit_of(form);
    if (!unit) raise_form(form);
    return {out, write_epoch(out, time, *unit)};
}

}  // namespace

void bind_time(py::module_& module) {
    module.attr("NTP_PIVOT_S") = default_ntp_pivot_s;
    module.def("encode_int64", &encode<std::int64_t>, py::arg("ns"), py::arg("out"),
               "int64 nanoseconds to FastDate64; returns how many could be: the next one is out of range.");
    module.def("encode_uint64", &encode<std::uint64_t>, py::arg("ns"), py::arg("out"),
               "The same of uint64 nanoseconds.");
    module.def("decode_int64", &decode<std::int64_t>, py::arg("dates"), py::arg("out"),
               "FastDate64 to int64 nanoseconds; returns how many could be: the next one is after 2262.");
    module.def("decode_uint64", &decode<std::uint64_t>, py::arg("dates"), py::arg("out"),
               "FastDate64 to uint64 nanoseconds, which always can be.");
    module.def("decode_ntp64", &decode_ntp64, py::arg("stamps"), py::arg("out"), py::arg("pivot_s"),
               "NTP stamps to int64 nanoseconds; returns how many could be.");
    module.def("encode_ntp64", &encode_ntp64, py::arg("ns"), py::arg("out"),
               "int64 nanoseconds to NTP stamps.");
    module.def("decode_ntp_short", &decode_ntp_short, py::arg("values"), py::arg("out"),
               "NTP's short format to int64 nanoseconds.");
    module.def("parse_time", &parse_time, py::arg("text"), py::arg("unit"),
               "Seconds and nanoseconds of a time in any form, or None. A plain number counts `unit`.");
    module.def("format_time", &format_time, py::arg("seconds"), py::arg("nanoseconds"), py::arg("form"),
               py::arg("digits"), "A time as text.");
}

}  // namespace tickline::python
