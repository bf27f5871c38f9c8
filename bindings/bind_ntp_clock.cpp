// The clock that goes on from the result of a query, and what a client has counted, for Python.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "glue.hpp"
#include "tickline/ntp/clock.hpp"
#include "tickline/ntp/metrics.hpp"
#include "tickline/ntp/prometheus.hpp"
#include "tickline/ntp/system_clock.hpp"

namespace tickline::python {

namespace {

using disciplined_clock = ntp_disciplined_clock<ntp_system_clock>;

std::unique_ptr<disciplined_clock> make_clock(std::int64_t monotonic_ns, std::int64_t earliest_ns,
                                              std::int64_t latest_ns, std::uint32_t drift_ppb,
                                              std::optional<std::int64_t> asleep_ns) {
    const ntp_system_clock system;
    return std::make_unique<disciplined_clock>(system, monotonic_ns, ntp_interval{earliest_ns, latest_ns},
                                               drift_ppb, asleep_ns.value_or(system.asleep_ns()));
}

py::object read_clock(const disciplined_clock& clock) {
    const std::optional<ntp_clock_time> time = clock.read();
    if (!time) return py::none();
    return py::make_tuple(time->utc_ns, time->bounds.earliest_ns, time->bounds.latest_ns);
}

py::dict read_histogram(const log_histogram& values) {
    py::dict out;
    out["count"] = values.count();
    out["sum_ns"] = py::int_(values.sum_seconds()) * py::int_(1000000000) + py::int_(values.sum_rest_ns());
    out["max_ns"] = values.max_ns();
    out["p50_ns"] = values.quantile_ns(0.5);
    out["p90_ns"] = values.quantile_ns(0.9);
    out["p99_ns"] = values.quantile_ns(0.99);
    return out;
}

// {name of the value: how often}, for the values of an enum from first on.
template <class Enum, class Counts>
py::dict by_name(const Counts& counts, std::size_t first = 0) {
    py::dict out;
    for (std::size_t i = first; i < counts.size(); ++i) out[py::str(name(static_cast<Enum>(i)))] = counts[i];
    return out;
}

py::dict read_metrics(const ntp_metrics& metrics) {
    const ntp_counters& counters = metrics.counters();
    py::dict out;
    out["queries"] = counters.queries;
    out["agreed"] = counters.agreed;
    out["packets_sent"] = counters.packets_sent;
    out["packets_dropped"] = counters.packets_dropped;
    out["wall_steps"] = counters.wall_steps;
    out["samples"] = by_name<ntp_stamp>(counters.samples);
    out["samples_reused"] = counters.samples_reused;
    out["servers"] = by_name<ntp_standing>(counters.standings);
    out["refused"] = by_name<ntp_reason>(counters.reasons, 1);
    py::dict kisses;
    for (std::size_t i = 0; i < ntp_kiss_code_count; ++i) {
        kisses[py::str(ntp_kiss_codes[i])] = counters.kisses[i];
    }
    out["kisses"] = kisses;
    for (int i = 0; i < ntp_measure_count; ++i) {
        const auto measure = static_cast<ntp_measure>(i);
        out[py::str(name(measure))] = read_histogram(metrics.histogram(measure));
    }
    out["last"] = py::none();
    if (const auto& last = metrics.last_result()) {
        py::dict newest;
        newest["offset_ns"] = last->offset_ns;
        newest["error_ns"] = last->error_ns;
        newest["falsetickers"] = last->falsetickers;
        out["last"] = newest;
    }
    return out;
}

std::int64_t read_quantile(const ntp_metrics& metrics, std::string_view measure, double share) {
    for (int i = 0; i < ntp_measure_count; ++i) {
        const auto one = static_cast<ntp_measure>(i);
        if (name(one) == measure) return metrics.histogram(one).quantile_ns(share);
    }
    throw py::value_error("a measure is one of elapsed, offset, error, delay, root_distance");
}

py::tuple degraded(const ntp_metrics& metrics, std::optional<std::int64_t> offset_ns,
                   std::optional<std::int64_t> error_ns, std::optional<std::int64_t> elapsed_ns,
                   std::optional<double> failed, std::optional<unsigned> falsetickers) {
    const ntp_degradation exceeded =
        metrics.degraded({offset_ns, error_ns, elapsed_ns, failed, falsetickers});
    py::list out;
    if (exceeded.offset) out.append("offset");
    if (exceeded.error) out.append("error");
    if (exceeded.elapsed) out.append("elapsed");
    if (exceeded.failed) out.append("failed");
    if (exceeded.falsetickers) out.append("falsetickers");
    return py::tuple(out);
}

}  // namespace

void bind_ntp_clock(py::module_& module) {
    py::class_<disciplined_clock>(module, "NtpClock", "Goes on from the result of a query.", py::is_final())
        .def(py::init(&make_clock), py::kw_only(), py::arg("monotonic_ns"), py::arg("earliest_ns"),
             py::arg("latest_ns"), py::arg("drift_ppb"), py::arg("asleep_ns") = py::none())
        .def("read", &read_clock, "UTC, its earliest and its latest value; None if the clock is lost.");
    py::class_<ntp_metrics>(module, "NtpMetrics", "What a client has counted; it does not change.",
                            py::is_final())
        .def(py::init<>())
        .def("read", &read_metrics)
        .def("quantile_ns", &read_quantile, py::arg("measure"), py::arg("share"))
        .def("degraded", &degraded, py::kw_only(), py::arg("offset_ns") = py::none(),
             py::arg("error_ns") = py::none(), py::arg("elapsed_ns") = py::none(),
             py::arg("failed") = py::none(), py::arg("falsetickers") = py::none(),
             "Which thresholds are exceeded.")
        .def("prometheus", [](const ntp_metrics& metrics) {
            std::string text;
            write_prometheus(metrics, text);
            return text;
        });
}

}  // namespace tickline::python
