// What the scans of all log formats share: how bytes come in, accounting and rejected lines as Python has
// them.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "glue.hpp"
#include "tickline/error.hpp"
#include "tickline/logs/accounting.hpp"
#include "tickline/logs/lines.hpp"

namespace tickline::python {

namespace py = pybind11;

// Longer lines are not for logs, and so much at once keeps every text column below Arrow's 2 GiB.
inline constexpr std::size_t most_line_bytes = std::size_t{256} << 20;

inline std::size_t checked_line_bytes(std::size_t bytes) {
    if (bytes > most_line_bytes) {
        throw py::value_error("max_line_bytes must be at most " + std::to_string(most_line_bytes) + ", not " +
                              std::to_string(bytes));
    }
    return bytes;
}

inline py::dict counts_dict(const line_accounting& counts, const py::dict& noted) {
    py::dict filtered, rejected;
    for (int i = 0; i < filter_reason_count; ++i) {
        if (counts.filtered[i] != 0) {
            filtered[py::str(name(static_cast<filter_reason>(i)))] = counts.filtered[i];
        }
    }
    for (int i = 0; i < errc_count; ++i) {
        if (counts.rejected[i] != 0) rejected[py::str(name(static_cast<errc>(i)))] = counts.rejected[i];
    }
    py::dict all;
    all["lines"] = counts.lines;
    all["bytes"] = counts.bytes;
    all["accepted"] = counts.accepted;
    all["filtered"] = filtered;
    all["rejected"] = rejected;
    all["noted"] = noted;
    return all;
}

// Numbers as the bytes of arrays of uint64; no texts.
inline py::dict rejects_dict(const std::vector<rejected_line>& rejects) {
    const auto bytes_of = [](const std::vector<std::uint64_t>& values) {
        return py::bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(std::uint64_t));
    };
    std::vector<std::uint64_t> line, offset, length;
    py::list reason;
    py::str reasons[errc_count];  // one object a reason, not one a line
    for (int i = 0; i < errc_count; ++i) reasons[i] = py::str(name(static_cast<errc>(i)));
    for (const rejected_line& reject : rejects) {
        line.push_back(reject.line);
        offset.push_back(reject.offset);
        length.push_back(reject.length);
        reason.append(reasons[static_cast<int>(reject.error)]);
    }
    py::dict all;
    all["line"] = bytes_of(line);
    all["offset"] = bytes_of(offset);
    all["length"] = bytes_of(length);
    all["reason"] = reason;
    all["text"] = py::none();
    return all;
}

// How bytes come to a scan, which is the sink of its lines (logs/lines.hpp): Scan derives from this and has
// lines(), long_line() and full(). It belongs to one thread at a time: a second one that comes while it works
// gets a RuntimeError, and nothing of it is touched. Once it has failed half-way (no memory, too much text)
// it gives nothing any more.
template <class Scan>
class line_scan {
  public:
    line_scan(const char* name, std::size_t max_line_bytes) : name_(name), assembler_(max_line_bytes) {}

    std::uint64_t read(int fd, std::uint64_t begin, std::uint64_t end, std::int64_t max_rows) {
        read_position position;
        work([&] {
            max_rows_ = max_rows;
            position = read_lines(fd, begin, end, assembler_, self());
        });
        if (position.error_number != 0) raise_os_error(position.error_number);
        return position.next;
    }

    void feed(const py::buffer& data) {
        const bytes_view bytes(data);
        work([&] { assembler_.push_copy(bytes.text(), self()); });
    }

    void finish() {
        work([&] { assembler_.finish(self()); });
    }

  protected:
    class one_thread : alone_in {
      public:
        explicit one_thread(const line_scan& scan) : alone_in(scan.busy_, scan.name_) {
            if (scan.broken_) scan.raise_broken();
        }
    };

    [[noreturn]] void raise_broken() const {
        throw std::runtime_error("this " + std::string(name_) +
                                 " failed before: what it holds is not whole, make a new one");
    }

    std::int64_t max_rows() const noexcept { return max_rows_; }
    void forget_lines() noexcept { assembler_.reset(0); }

  private:
    // Does the work without the GIL. What throws half-way leaves columns that do not fit together.
    template <class Work>
    void work(Work&& todo) {
        const one_thread alone(*this);
        const gil_released release;
        broken_ = true;
        todo();
        broken_ = false;
    }

    Scan& self() noexcept { return static_cast<Scan&>(*this); }

    const char* name_;
    line_assembler assembler_;
    std::int64_t max_rows_ = std::numeric_limits<std::int64_t>::max();
    mutable std::atomic<bool> busy_ = false;
    bool broken_ = false;
};

}  // namespace tickline::python
