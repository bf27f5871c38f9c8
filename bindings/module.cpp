// tickline._core: a table of contents. Each subject has its own bind_<subject>.cpp.
#include <pybind11/pybind11.h>

#include "tickline/time/ntp64.hpp"
#include "tickline/version.hpp"

namespace py = pybind11;

namespace tickline::python {
void bind_arrow(py::module_& module);
void bind_access(py::module_& module);
void bind_chrony(py::module_& module);
void bind_connections(py::module_& module);
void bind_ip(py::module_& module);
void bind_dedup(py::module_& module);
void bind_dedup_lines(py::module_& module);
void bind_time(py::module_& module);
void bind_dns_cache(py::module_& module);
void bind_ntp_packet(py::module_& module);
void bind_ntp_clock(py::module_& module);
void bind_ntp_client(py::module_& module);
}  // namespace tickline::python

PYBIND11_MODULE(_core, module, py::mod_gil_not_used()) {
    module.doc() = "The compiled core of Tickline.";
    module.attr("__version__") = TICKLINE_VERSION;
    module.attr("SOURCES_SHA256") = TICKLINE_SOURCES;
    module.attr("SOURCE_DATE_S") = tickline::source_date_s;
    tickline::python::bind_arrow(module);
    tickline::python::bind_access(module);
    tickline::python::bind_chrony(module);
    tickline::python::bind_connections(module);
    tickline::python::bind_ip(module);
    tickline::python::bind_dedup(module);
    tickline::python::bind_dedup_lines(module);
    tickline::python::bind_time(module);
    tickline::python::bind_dns_cache(module);
    tickline::python::bind_ntp_packet(module);
    tickline::python::bind_ntp_clock(module);
    tickline::python::bind_ntp_client(module);
}
