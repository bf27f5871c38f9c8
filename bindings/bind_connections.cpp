// Logs of connections in Python: a scan that turns bytes into columns, and a counter that turns them into
// counts of pairs. Whole buffers go in; the GIL is released in between.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "arrow_in.hpp"
#include "format_scan.hpp"
#include "glue.hpp"
#include "scan_glue.hpp"
#include "tickline/arrow/texts.hpp"
#include "tickline/logs/connections.hpp"
#include "tickline/logs/connections_counter.hpp"
#include "tickline/logs/lines.hpp"
#include "tickline/text/format_columns.hpp"

namespace tickline::python {

namespace {

class connections_scan : public format_scan<connections_scan, connections_scanner> {
  public:
    explicit connections_scan(std::size_t max_line_bytes)
        : format_scan("ConnectionsScan", connections_scanner(max_line_bytes), max_line_bytes) {}

    static auto fields() noexcept { return connection_fields; }
};

// The four columns of a table of counts, as other libraries give them.
struct count_columns {
    const ArrowArray* all;
    const ArrowArray* bucket;
    const ArrowArray* count;
    const ArrowArray *from, *to;
    arrow_texts from_texts, to_texts;

    static count_columns of(const ArrowSchema& schema, const ArrowArray& array) {
        constexpr std::string_view wanted =
            "a table of bucket (int64), host_from, host_to (texts) and count (uint64) is wanted";
        const std::string_view names[] = {"bucket", "host_from", "host_to", "count"};
        bool good = std::string_view(schema.format) == "+s" && schema.n_children == 4;
        for (int i = 0; good && i < 4; ++i) good = schema.children[i]->name == names[i];
        good = good && std::string_view(schema.children[0]->format) == "l" &&
               arrow_texts::takes(*schema.children[1]) && arrow_texts::takes(*schema.children[2]) &&
               std::string_view(schema.children[3]->format) == "L";
        if (!good) throw py::type_error(std::string(wanted));
        return {&array,
                array.children[0],
                array.children[3],
                array.children[1],
                array.children[2],
                arrow_texts(*schema.children[1]),
                arrow_texts(*schema.children[2])};
    }

    // Nulls and a count of 0 are nothing that was counted.
    bool add_to(connection_counts& counts) const {
        for (std::int64_t i = all->offset; i < all->offset + all->length; ++i) {
            const std::string_view one = from_texts.at(*from, i), other = to_texts.at(*to, i);
            const auto bucket_at = bucket->offset + i, count_at = count->offset + i;
            if (one.data() == nullptr || other.data() == nullptr || !detail::is_valid(*bucket, bucket_at) ||
                !detail::is_valid(*count, count_at)) {
                throw py::value_error("a table of counts holds a null in row " + std::to_string(i));
            }
            const auto number = detail::load_native<std::uint64_t>(count->buffers[1], count_at);
            const auto in = detail::load_native<std::int64_t>(bucket->buffers[1], bucket_at);
            if (number != 0 && !counts.add(in, one, other, number)) return false;
        }
        return true;
    }
};

// Sources or parts of them, one after the other.
class connections_count : public line_scan<connections_count> {
  public:
    connections_count(std::int64_t since_ns, std::int64_t until_ns, std::int64_t origin_ns,
                      std::int64_t bucket_ns, std::size_t max_line_bytes, std::size_t memory, bool ends_apart)
        : line_scan("ConnectionsCount", checked_line_bytes(max_line_bytes)),
          counter_({since_ns, until_ns, origin_ns, bucket_ns, ends_apart}, max_line_bytes, memory) {
        if (bucket_ns < 1000) throw py::value_error("bucket_ns must be at least 1000");
    }

    void lines(std::string_view text, std::uint64_t offset) {
        // What was refused is asked for by refused().
        static_cast<void>(counter_.add(text, offset));
    }
    void long_line(std::uint64_t offset, std::uint64_t length, std::uint64_t end_bytes) {
        counter_.skip_long_line(offset, length, end_bytes);
    }
    bool full() const { return counter_.refused(); }

    std::uint64_t read_range(int fd, std::uint64_t begin, std::uint64_t end) {
        return read(fd, begin, end, std::numeric_limits<std::int64_t>::max());
    }

    bool refused() const {
        const one_thread alone(*this);
        return counter_.refused();
    }
    bool merge(const connections_count& other) {
        return merging(other, [](auto& mine, const auto& theirs) { return mine.merge(theirs); });
    }
    bool merge_buckets(const connections_count& other, std::int64_t first, std::int64_t last,
                       std::int64_t into, std::int64_t per) {
        if (per < 1) throw py::value_error("per must be at least 1");
        return merging(other, [&](auto& mine, const auto& theirs) {
            return mine.merge_buckets(theirs, first, last, into, per);
        });
    }
    bool add_table(const py::object& table) {
        const one_thread alone(*this);
        bool good = true;
        each_array(table, [&](const ArrowSchema& schema, const ArrowArray& array) {
            good = good && count_columns::of(schema, array).add_to(counter_.counts());
        });
        return good;
    }
    record_batch table() const {
        const one_thread alone(*this);
        std::optional<record_batch> batch;
        {
            const gil_released release;
            batch = counter_.counts().to_batch();
        }
        if (!batch) throw std::overflow_error("the names of the hosts take more than 2 GiB");
        return *std::move(batch);
    }
    std::size_t memory() const {
        const one_thread alone(*this);
        return counter_.counts().memory();
    }
    py::dict counts() const {
        const one_thread alone(*this);
        return counts_dict(counter_.lines(), py::dict());
    }
    py::dict rejects() const {
        const one_thread alone(*this);
        return rejects_dict({counter_.rejects().begin(), counter_.rejects().end()});
    }
    std::optional<std::tuple<std::int64_t, std::int64_t, std::uint64_t>> span() const {
        const one_thread alone(*this);
        const stamp_span& span = counter_.span();
        if (span.earliest_ns > span.latest_ns) return std::nullopt;
        return std::tuple(span.earliest_ns, span.latest_ns, span.back_ns);
    }

  private:
    template <class Merge>
    bool merging(const connections_count& other, Merge&& merge) {
        const one_thread alone(*this);
        if (&other == this) throw py::value_error("a count cannot be merged into itself");
        const one_thread other_alone(other);
        const gil_released release;
        return merge(counter_.counts(), other.counter_.counts());
    }

    connections_counter counter_;
};

// The first line in the text, which is good but for its hosts, and begins behind a newline (or at the begin
// of the text): (where it begins, its time).
std::optional<std::pair<std::size_t, std::int64_t>> first_time(const py::buffer& data, bool at_line) {
    const bytes_view bytes(data);
    format_rows rows;
    for (const log_line line : tickline::lines(bytes.text())) {
        const std::size_t behind = static_cast<std::size_t>(line.offset) + line.text.size();
        if ((line.number == 1 && !at_line) || behind >= bytes.text().size()) continue;
        line_tokens tokens;
        const char* position = line.text.data();
        split_lines(position, position + line.text.size(), std::span(&tokens, 1), best_cpu_level());
        std::uint64_t ns = 0;
        rows.clear();
        const errc error = read_connection(tokens, line.text.size(), rows);
        if ((error != errc::ok && error != errc::bad_name) || detail::read_epoch(tokens[0], ns) != errc::ok) {
            continue;
        }
        return std::pair(static_cast<std::size_t>(line.offset), static_cast<std::int64_t>(ns));
    }
    return std::nullopt;
}

}  // namespace

void bind_connections(py::module_& module) {
    module.def(
        "connections_schema", [] { return format_schema(connection_fields); },
        "Names and types of the columns of a log of connections.");
    module.def("connections_first_time", &first_time, py::arg("data"), py::arg("at_line"),
               "(offset, ns) of the first whole line with a time; the text begins at a line, or in one.");

    py::class_<connections_scan> scan(module, "ConnectionsScan",
                                      "One source, turned into columns.\n\n"
                                      "For one thread at a time: a call from another one meanwhile is a "
                                      "RuntimeError. After a MemoryError it can only be thrown away.",
                                      py::is_final());
    scan.def(py::init<std::size_t>(), py::kw_only(),
             py::arg("max_line_bytes") = default_connection_line_bytes);
    def_format_scan(scan);

    py::class_<connections_count>(module, "ConnectionsCount",
                                  "Lines of sources, or of parts of them, turned into counts of pairs of "
                                  "hosts by bucket of time.\n\n"
                                  "For one thread at a time: a call from another one meanwhile is a "
                                  "RuntimeError. After a MemoryError it can only be thrown away.",
                                  py::is_final())
        .def(py::init<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::size_t, std::size_t,
                      bool>(),
             py::kw_only(), py::arg("since_ns"), py::arg("until_ns"), py::arg("origin_ns"),
             py::arg("bucket_ns"), py::arg("max_line_bytes") = default_connection_line_bytes,
             py::arg("memory") = std::numeric_limits<std::size_t>::max(), py::arg("ends_apart") = false)
        .def("read", &connections_count::read_range, py::arg("fd"), py::arg("begin"), py::arg("end"),
             "Read the lines that begin in [begin, end) of a plain file; return where to go on (end when "
             "done).")
        .def("feed", &connections_count::feed, py::arg("data"), "Take the next bytes of the source.")
        .def("finish", &connections_count::finish, "Take the last line, which may lack its newline.")
        .def_property_readonly("refused", &connections_count::refused,
                               "Whether hosts and counts need more than `memory`: nothing is taken any more.")
        .def("merge", &connections_count::merge, py::arg("other"),
             "Add the counts of another one; False if memory does not do, and then a part of them was added.")
        .def("merge_buckets", &connections_count::merge_buckets, py::arg("other"), py::kw_only(),
             py::arg("first"), py::arg("last"), py::arg("into"), py::arg("per"),
             "Add the buckets first to last of another one, `per` of them as one, the last ones as `into`; "
             "False as merge().")
        .def("add_table", &connections_count::add_table, py::arg("table"),
             "Add what table() gave, here or elsewhere, in any of Arrow's forms; False as merge().")
        .def("table", &connections_count::table,
             "bucket, host_from, host_to, count: sorted, so that equal counts give equal tables.")
        .def_property_readonly("memory", &connections_count::memory, "Bytes that hosts and counts take.")
        .def("counts", &connections_count::counts, "What became of every line so far.")
        .def("rejects", &connections_count::rejects, "The first rejected lines, 10,000 at most.")
        .def("span", &connections_count::span,
             "(earliest, latest, longest way back) of the times of all lines in ns; None without any.");
}

}  // namespace tickline::python
