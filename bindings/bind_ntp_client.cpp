// The client that asks for the time. A whole query runs without the GIL; what it found goes to Python as
// plain values, of which python/tickline/ntp/result.py makes the classes that users see.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "glue.hpp"
#include "tickline/ip/address.hpp"
#include "tickline/ntp/client.hpp"
#include "tickline/ntp/dns_cache.hpp"
#include "tickline/ntp/socket.hpp"
#include "tickline/ntp/system_clock.hpp"

namespace tickline::python {

namespace {

constexpr std::int64_t look_for_signals_ns = 50000000;

using system_client = ntp_client<ntp_system_clock, dns_cache>;

// Ends a query from another thread: the task that awaits it was cancelled.
class stop_flag {
  public:
    void set() noexcept { is_set_.store(true, std::memory_order_relaxed); }
    bool is_set() const noexcept { return is_set_.load(std::memory_order_relaxed); }

  private:
    std::atomic<bool> is_set_ = false;
};

// Keeps the names that it looks up in a cache which other clients may share.
struct held_client {
    std::shared_ptr<dns_cache> names;
    system_client client;

    held_client(std::shared_ptr<dns_cache> cache, std::int64_t headway_ns)
        : names(std::move(cache)), client(ntp_system_clock(), *names, {.headway_ns = headway_ns}) {}
};

ip_family family_of(std::string_view name) {
    if (name == "v4") return ip_family::v4;
    if (name == "v6") return ip_family::v6;
    if (name == "any") return ip_family::any;
    throw py::value_error("a family is one of any, v4, v6");
}

py::object sample_of(const std::optional<ntp_sample>& found) {
    if (!found) return py::none();
    py::dict out;
    out["address"] = text_of(found->where);
    out["monotonic_ns"] = found->monotonic_ns;
    out["utc_ns"] = found->utc_ns;
    out["root_distance_ns"] = found->root_distance_ns;
    out["offset_ns"] = found->offset_ns;
    out["delay_ns"] = found->delay_ns;
    out["root_delay_ns"] = found->root_delay_ns;
    out["root_dispersion_ns"] = found->root_dispersion_ns;
    out["leap"] = found->leap;
    out["stratum"] = found->stratum;
    out["reference_id"] = found->reference_id;
    out["precision"] = found->precision;
    out["stamp"] = name(found->stamp);
    out["reused"] = found->reused;
    return out;
}

py::dict server_of(const ntp_server_report& report, const py::str& given) {
    py::dict out;
    out["name"] = given;
    out["address"] = report.where ? py::object(py::str(text_of(*report.where))) : py::none();
    out["verdict"] = name(report.standing);
    out["reason"] = name(report.reason);
    out["kiss_code"] = report.kiss_code.empty() ? py::object(py::none()) : decoded(report.kiss_code);
    out["why"] = decoded(report.why);
    out["sample"] = sample_of(report.sample);
    out["packets_sent"] = report.packets_sent;
    out["dropped"] = report.dropped;
    return out;
}

py::dict result_of(const ntp_result& found, const std::vector<py::str>& given) {
    const auto if_ok = [&](const py::object& value) { return found.ok ? value : py::none(); };
    py::dict out;
    out["ok"] = found.ok;
    out["why"] = decoded(found.why);
    out["interval_ns"] = if_ok(py::make_tuple(found.earliest_ns, found.latest_ns));
    out["monotonic_ns"] = found.monotonic_ns;
    out["asleep_ns"] = found.asleep_ns;
    out["offset_ns"] = if_ok(py::int_(found.offset_ns));
    out["error_ns"] = if_ok(py::int_(found.error_ns));
    out["tolerated"] = found.tolerated;
    out["packets_sent"] = found.packets_sent;
    out["elapsed_ns"] = found.elapsed_ns;
    out["wall_step_ns"] = found.wall_step_ns;
    py::list servers;
    for (std::size_t i = 0; i < found.servers.size(); ++i) {
        servers.append(server_of(found.servers[i], given[i]));
    }
    out["servers"] = servers;
    return out;
}

std::string shortened(const std::string& text) {
    constexpr std::size_t most = 80;
    return text.size() <= most ? text : text.substr(0, most) + "...";
}

// Servers as they were given. What cannot be read goes on as a host that is none: the client refuses it.
struct given_servers {
    std::vector<ntp_server_name> names;
    std::string fault;  // what is wrong with the first that is none, as it was given

    given_servers(const std::vector<py::str>& given, std::uint16_t port) {
        bool faultless = true;
        for (const py::str& one : given) {
            const bool is_text = PyUnicode_AsUTF8(one.ptr()) != nullptr;
            PyErr_Clear();  // half of a surrogate pair
            const std::string text = py::reinterpret_steal<py::bytes>(
                PyUnicode_AsEncodedString(one.ptr(), "utf-8", "backslashreplace"));
            const result<ntp_server_name> parsed = parse_ntp_server(text, port);
            const bool fits = parsed && is_text;
            names.push_back(fits ? parsed.value() : ntp_server_name{is_text ? text : "", port});
            if (faultless && !fits) {
                const bool is_host = is_text && parsed.error() != errc::bad_address;
                fault = "server " + std::to_string(names.size()) + " of " + std::to_string(given.size()) +
                        " (\"" + shortened(text) + "\") " + fault_of(text, is_host);
            }
            faultless = faultless && fits;
        }
    }

  private:
    static std::string fault_of(const std::string& text, bool is_host) {
        if (!is_host) return text.empty() ? "has no name" : "is no name or address of a host";
        return "has the port \"" + shortened(text.substr(text.rfind(':') + 1)) +
               "\": a port is a number from 1 to 65535";
    }
};

py::dict query(held_client& self, const std::vector<py::str>& given, unsigned quorum,
               std::int64_t deadline_ns, std::optional<std::int64_t> accuracy_ns, std::string_view family,
               std::uint16_t port, const std::optional<ntp_policy>& policy,
               const std::shared_ptr<stop_flag>& stop) {
    const ntp_query_options options{.quorum = quorum,
                                    .deadline_ns = deadline_ns,
                                    .accuracy_ns = accuracy_ns,
                                    .family = family_of(family),
                                    .policy = policy.value_or(ntp_policy{})};
    const given_servers servers(given, port);
    // Only the main thread handles signals. Others never ask for the GIL on the way: a daemon thread that
    // does so while the interpreter shuts down is torn out of the query, and that aborts the program.
    const py::module_ threading = py::module_::import("threading");
    const bool is_main = threading.attr("current_thread")().is(threading.attr("main_thread")());
    ntp_result found;
    bool signalled = false;
    std::int64_t next_look_ns = ntp_system_clock().monotonic_ns() + look_for_signals_ns;
    {
        const gil_released released;
        ntp_sockets network;
        found = self.client.query(network, servers.names, options, [&] {
            if (stop->is_set()) return true;
            if (!is_main) return false;
            // Ctrl-C sets a flag, and Python raises KeyboardInterrupt where it looks at it: here. Rarely,
            // because the interpreter may be busy, and an answer would wait as long.
            const std::int64_t now_ns = ntp_system_clock().monotonic_ns();
            if (now_ns < next_look_ns) return false;
            next_look_ns = now_ns + look_for_signals_ns;
            const py::gil_scoped_acquire held;
            signalled = PyErr_CheckSignals() != 0;
            return signalled;
        });
    }
    if (signalled) throw py::error_already_set();
    if (!servers.fault.empty()) found.why = servers.fault;
    return result_of(found, given);
}

}  // namespace

void bind_ntp_client(py::module_& module) {
    py::class_<stop_flag, std::shared_ptr<stop_flag>>(module, "NtpStop", "Ends a query from another thread.",
                                                      py::is_final())
        .def(py::init<>())
        .def("set", &stop_flag::set);
    py::class_<held_client>(module, "NtpClient", "Asks servers for the time.", py::is_final())
        .def(py::init<std::shared_ptr<dns_cache>, std::int64_t>(), py::arg("names"), py::arg("headway_ns"))
        .def("query", &query, py::arg("servers"), py::kw_only(), py::arg("quorum"), py::arg("deadline_ns"),
             py::arg("accuracy_ns"), py::arg("family"), py::arg("port"), py::arg("policy"), py::arg("stop"),
             "What it found, as plain values.")
        .def(
            "metrics", [](const held_client& self) { return self.client.metrics(); },
            "What has been counted so far; a copy.");
}

}  // namespace tickline::python
