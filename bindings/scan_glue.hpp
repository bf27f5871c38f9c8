// What the scans of all log formats share: accounting and rejected lines as Python has them, and the guard
// against two threads in one scan.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "tickline/error.hpp"
#include "tickline/logs/accounting.hpp"

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

// Holds a scan for this thread. Whoever comes meanwhile is told, and does not wait.
class at_work {
  public:
    at_work(std::atomic<bool>& busy, const char* what) : busy_(busy) {
        if (busy_.exchange(true)) {
            throw std::runtime_error("this " + std::string(what) +
                                     " is at work in another thread; make one for each");
        }
    }
    at_work(const at_work&) = delete;
    at_work& operator=(const at_work&) = delete;
    ~at_work() { busy_ = false; }

  private:
    std::atomic<bool>& busy_;
};

}  // namespace tickline::python
