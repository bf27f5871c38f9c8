// The scan of a format that is a list of fields (text/format.hpp), as Python has it.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "scan_glue.hpp"
#include "tickline/text/format_columns.hpp"

namespace tickline::python {

// One source, from its first byte to its last. Scan derives from this and has fields(): those of the rows,
// asked for when the first one is there.
template <class Scan, class Scanner>
class format_scan : public line_scan<Scan> {
    using base = line_scan<Scan>;

  protected:
    using typename base::one_thread;

  public:
    format_scan(const char* name, Scanner scanner, std::size_t max_line_bytes)
        : base(name, checked_line_bytes(max_line_bytes)), scanner_(std::move(scanner)) {}

    // What the line assembler calls.
    void lines(std::string_view text, std::uint64_t offset) {
        scanner_.start(text, offset);
        while (!scanner_.done()) {
            scanner_.next(rows_);
            rejects_.insert(rejects_.end(), scanner_.rejects().begin(), scanner_.rejects().end());
            if (rows_.size() == 0) continue;
            if (!columns_) columns_.emplace(static_cast<const Scan&>(*this).fields());
            if (!columns_->append(rows_)) {
                throw std::overflow_error("more than 2 GiB of text in one column: take_batch() sooner");
            }
        }
    }
    void long_line(std::uint64_t offset, std::uint64_t length, std::uint64_t end_bytes) {
        rejects_.push_back(scanner_.skip_long_line(offset, length, end_bytes));
    }
    bool full() const { return columns_ && (columns_->rows() >= this->max_rows() || columns_->near_limit()); }

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
        if (!batch) this->raise_broken();
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

  protected:
    const Scanner& scanner() const noexcept { return scanner_; }

  private:
    Scanner scanner_;
    format_rows rows_;
    std::optional<format_columns> columns_;
    std::vector<rejected_line> rejects_;
};

template <class Scan>
void def_format_scan(py::class_<Scan>& made) {
    made.def("read", &Scan::read, py::arg("fd"), py::arg("begin"), py::arg("end"),
             py::arg("max_rows") = std::numeric_limits<std::int32_t>::max(),
             "Read the lines that begin in [begin, end) of a plain file; return where to go on (end when "
             "done).")
        .def("feed", &Scan::feed, py::arg("data"), "Take the next bytes of the source.")
        .def("finish", &Scan::finish, "Take the last line, which may lack its newline.")
        .def_property_readonly("pending_rows", &Scan::pending_rows, "Rows that have not been taken.")
        .def_property_readonly("batch_full", &Scan::batch_full,
                               "Whether a text column is near 2 GiB: take the batch before going on.")
        .def("take_batch", &Scan::take_batch, "The columns so far; the scan starts anew ones.")
        .def("counts", &Scan::counts, "What became of every line so far.")
        .def("take_rejects", &Scan::take_rejects, "The rejected lines so far.");
}

}  // namespace tickline::python
