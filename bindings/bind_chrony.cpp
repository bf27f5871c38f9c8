// Chrony's logs in Python: a scan that turns bytes into columns, and what kinds and columns there are.
// Whole buffers go in and whole columns come out; the GIL is released in between.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "glue.hpp"
#include "scan_glue.hpp"
#include "tickline/logs/chrony.hpp"
#include "tickline/logs/lines.hpp"
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

// One source, from its first byte to its last.
class chrony_scan : public line_scan<chrony_scan> {
  public:
    chrony_scan(const std::optional<std::string>& kind, std::size_t max_line_bytes)
        : line_scan("ChronyScan", checked_line_bytes(max_line_bytes)),
          scanner_(kind_of(kind), max_line_bytes) {}

    // What the line assembler calls.
    void lines(std::string_view text, std::uint64_t offset) {
        scanner_.start(text, offset);
        while (!scanner_.done()) {
            scanner_.next(rows_);
            rejects_.insert(rejects_.end(), scanner_.rejects().begin(), scanner_.rejects().end());
            if (rows_.size() == 0) continue;
            if (!columns_) columns_.emplace(fields_of(*scanner_.kind()));
            if (!columns_->append(rows_)) {
                throw std::overflow_error("more than 2 GiB of text in one column: take_batch() sooner");
            }
        }
    }
    void long_line(std::uint64_t offset, std::uint64_t length, std::uint64_t end_bytes) {
        rejects_.push_back(scanner_.skip_long_line(offset, length, end_bytes));
    }
    bool full() const { return columns_ && (columns_->rows() >= max_rows() || columns_->near_limit()); }

    std::optional<std::string> kind() const {
        const one_thread alone(*this);
        return kind_name(scanner_.kind());
    }
    std::int64_t pending_rows() const {
        const one_thread alone(*this);
        return columns_ ? columns_->rows() : 0;
    }
    bool batch_full() const {
        const one_thread alone(*this);
        return columns_ && columns_->near_limit();
    }

    record_batch take_batch() {
        const one_thread alone(*this);
        if (!columns_) throw py::value_error("there are no rows");
        std::optional<record_batch> batch = columns_->finish();
        if (!batch) raise_broken();
        return *std::move(batch);
    }

    py::dict counts() const {
        const one_thread alone(*this);
        return counts_dict(scanner_.counts(), py::dict());
    }

    py::dict take_rejects() {
        const one_thread alone(*this);
        return rejects_dict(std::exchange(rejects_, {}));
    }

  private:
    chrony_scanner scanner_;
    format_rows rows_;
    std::optional<format_columns> columns_;  // as soon as the kind is known
    std::vector<rejected_line> rejects_;
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

    py::class_<chrony_scan>(module, "ChronyScan",
                            "One source, turned into columns.\n\n"
                            "For one thread at a time: a call from another one meanwhile is a RuntimeError. "
                            "After a MemoryError it can only be thrown away.",
                            py::is_final())
        .def(py::init<const std::optional<std::string>&, std::size_t>(), py::arg("kind") = py::none(),
             py::kw_only(), py::arg("max_line_bytes") = default_chrony_line_bytes)
        .def("read", &chrony_scan::read, py::arg("fd"), py::arg("begin"), py::arg("end"),
             py::arg("max_rows") = std::numeric_limits<std::int32_t>::max(),
             "Read the lines that begin in [begin, end) of a plain file; return where to go on (end when "
             "done).")
        .def("feed", &chrony_scan::feed, py::arg("data"), "Take the next bytes of the source.")
        .def("finish", &chrony_scan::finish, "Take the last line, which may lack its newline.")
        .def_property_readonly("kind", &chrony_scan::kind, "None until a line has told.")
        .def_property_readonly("pending_rows", &chrony_scan::pending_rows, "Rows that have not been taken.")
        .def_property_readonly("batch_full", &chrony_scan::batch_full,
                               "Whether a text column is near 2 GiB: take the batch before going on.")
        .def("take_batch", &chrony_scan::take_batch, "The columns so far; the scan starts anew ones.")
        .def("counts", &chrony_scan::counts, "What became of every line so far.")
        .def("take_rejects", &chrony_scan::take_rejects, "The rejected lines so far.");
}

}  // namespace tickline::python
