// tickline._core: a table of contents. Each subject has its own bind_<subject>.cpp.
#include <pybind11/pybind11.h>

#include "tickline/version.hpp"

namespace py = pybind11;

namespace tickline::python {
void bind_arrow(py::module_& module);
void bind_access(py::module_& module);
void bind_ip(py::module_& module);
void bind_dedup(py::module_& module);
}  // namespace tickline::python

PYBIND11_MODULE(_core, module, py::mod_gil_not_used()) {
    module.doc() = "The compiled core of Tickline.";
    module.attr("__version__") = TICKLINE_VERSION;
    tickline::python::bind_arrow(module);
    tickline::python::bind_access(module);
    tickline::python::bind_ip(module);
    tickline::python::bind_dedup(module);
}
