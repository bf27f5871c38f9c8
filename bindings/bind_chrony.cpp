// Chrony's logs in Python: a scan that turns bytes into columns, and what kinds and columns there are.
// Whole buffers go in and whole columns come out; the GIL is released in between.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "format_scan.hpp"
#include "tickline/logs/chrony.hpp"
#include "tickline/text/format_columns.hpp"

namespace tickline::python {

namespace {

std::optional<std::string> kind_name(std::optional<chrony_kind> kind) {
    if (!kind) return std::nullopt;
    return std::string(name(*kind));
}

chrony_kind kind_called(std::string_view text) {
    for (int i = 0; i < chrony_kind_count; ++i) {
        const auto kind = static_cast<chrony_kind>(i);
        if (text == name(kind)) return kind;
    }
    throw py::value_error("chrony has no log of the kind '" + std::string(text) + "'");
}

std::optional<chrony_kind> kind_of(const std::optional<std::string>& text) {
    if (!text) return std::nullopt;
    return kind_called(*text);
}

class chrony_scan : public format_scan<chrony_scan, chrony_scanner> {
  public:
    chrony_scan(const std::optional<std::string>& kind, std::size_t max_line_bytes)
        : format_scan("ChronyScan", chrony_scanner(kind_of(kind), max_line_bytes), max_line_bytes) {}

    auto fields() const noexcept { return fields_of(*scanner().kind()); }

    std::optional<std::string> kind() const {
        const one_thread alone(*this);
        return kind_name(scanner().kind());
    }
};

py::tuple kinds() {
    py::tuple names(chrony_kind_count);
    for (int i = 0; i < chrony_kind_count; ++i) {
        names[static_cast<std::size_t>(i)] = py::str(name(static_cast<chrony_kind>(i)));
    }
    return names;
}

}  // namespace

void bind_chrony(py::module_& module) {
    module.attr("CHRONY_KINDS") = kinds();
    module.def(
        "chrony_schema", [](std::string_view kind) { return format_schema(fields_of(kind_called(kind))); },
        py::arg("kind"), "Names and types of the columns of a kind of log.");
    module.def(
        "chrony_kind_of_file", [](std::string_view file) { return kind_name(chrony_kind_of_file(file)); },
        py::arg("file"), "What the name of a file, without folders, says about what is in it.");

    py::class_<chrony_scan> scan(
        module, "ChronyScan",
        "One source, turned into columns.\n\n"
        "For one thread at a time: a call from another one meanwhile is a RuntimeError. "
        "After a MemoryError it can only be thrown away.",
        py::is_final());
    scan.def(py::init<const std::optional<std::string>&, std::size_t>(), py::arg("kind") = py::none(),
             py::kw_only(), py::arg("max_line_bytes") = default_chrony_line_bytes)
        .def_property_readonly("kind", &chrony_scan::kind, "None until a line has told.");
    def_format_scan(scan);
}

}  // namespace tickline::python
