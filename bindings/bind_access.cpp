// S3 access logs in Python: a filter, and a scan that turns bytes into columns or tab-separated text.
// Whole buffers go in and whole columns come out; the GIL is released in between.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "glue.hpp"
#include "scan_glue.hpp"
#include "tickline/logs/lines.hpp"
#include "tickline/logs/s3_access_columns.hpp"
#include "tickline/logs/s3_access_filter.hpp"
#include "tickline/logs/s3_access_scan.hpp"
#include "tickline/logs/s3_access_tsv.hpp"

namespace tickline::python {

namespace {

// The filter, and the owner of the regular expression that it points to.
struct access_filter {
    s3_access_filter rules;
    py::object pattern;
};

network network_of(const std::string& text) {
    network parsed;
    if (const auto result = parse_network(text, parsed); !result) raise(result.error, text);
    return parsed;
}

std::shared_ptr<access_filter> make_filter(
    const std::optional<std::vector<std::string>>& operations,
    const std::optional<std::vector<int>>& statuses,
    const std::optional<std::vector<std::pair<std::string, std::uint32_t>>>& keys,
    const std::vector<std::string>& networks, const py::object& pattern, std::optional<std::int64_t> since_ms,
    std::optional<std::int64_t> until_ms, const std::vector<int>& years, bool strict) {
    auto made = std::make_shared<access_filter>();
    s3_access_filter& rules = made->rules;
    if (operations) rules.operations = *operations;
    rules.by_status = statuses.has_value();
    for (const int status : statuses.value_or(std::vector<int>())) {
        if (status < 0 || status > 999) raise(errc::out_of_range, "status " + std::to_string(status));
        rules.statuses.set(static_cast<std::size_t>(status));
    }
    if (keys) {
        for (const auto& [prefix, parts] : *keys) rules.keys.push_back({prefix, parts});
    }
    std::vector<network> excluded;
    for (const std::string& text : networks) excluded.push_back(network_of(text));
    rules.excluded_networks = network_set(excluded);
    if (!pattern.is_none()) {
        made->pattern = pattern;
        void* const predicate = PyCapsule_GetPointer(pattern.ptr(), text_predicate_capsule);
        if (predicate == nullptr) throw py::error_already_set();
        rules.excluded_ip = static_cast<const text_predicate*>(predicate);
    }
    if (since_ms) rules.since_ms = *since_ms;
    if (until_ms) rules.until_ms = *until_ms;
    rules.excluded_years = years;
    rules.strict = strict;
    return made;
}

enum class output_kind { columns, tsv, count };

output_kind output_of(std::string_view text) {
    if (text == "columns") return output_kind::columns;
    if (text == "tsv") return output_kind::tsv;
    if (text == "count") return output_kind::count;
    throw py::value_error("output must be 'columns', 'tsv' or 'count', not '" + std::string(text) + "'");
}

std::vector<s3_field> fields_of(const std::vector<std::string>& names) {
    std::vector<s3_field> fields;
    for (const std::string& name : names) {
        const int index = s3_field_index(name);
        if (index == s3_field_count) throw py::value_error("no column is called '" + name + "'");
        fields.push_back(static_cast<s3_field>(index));
    }
    return fields;
}

cpu_level level_of(const std::optional<std::string>& wanted) {
    if (!wanted) return best_cpu_level();
    for (const cpu_level level : {cpu_level::baseline, cpu_level::avx2}) {
        if (*wanted == name(level) && level <= best_cpu_level()) return level;
    }
    throw py::value_error("this CPU has no level called '" + *wanted + "'");
}

s3_field_set set_of(const std::vector<s3_field>& fields) {
    s3_field_set set;
    for (const s3_field field : fields) set.add(field);
    return set;
}

// One run of consecutive bytes of one source.
class access_scan : public line_scan<access_scan> {
  public:
    access_scan(const std::vector<std::string>& columns, std::shared_ptr<access_filter> filter,
                std::string_view output, const std::optional<std::string>& level, std::size_t max_line_bytes,
                bool keep_rejects, bool reject_text, bool line, bool line_hash)
        : line_scan("AccessScan", checked_line_bytes(max_line_bytes)),
          filter_(std::move(filter)),
          fields_(fields_of(columns)),
          output_(output_of(output)),
          keep_rejects_(keep_rejects),
          keep_text_(keep_rejects && reject_text),
          scanner_(filter_->rules, set_of(fields_), level_of(level), max_line_bytes),
          extra_{line, line_hash},
          columns_(fields_, extra_),
          tsv_(fields_, filter_->rules.strict) {
        if (fields_.empty() && output_ == output_kind::tsv) throw py::value_error("no column is asked for");
    }

    // What the line assembler calls.
    void lines(std::string_view text, std::uint64_t offset) {
        scanner_.start(text, offset);
        s3_access_record rows[64];
        while (!scanner_.done()) {
            const std::span<const s3_access_record> records(rows, scanner_.next(rows));
            // read() looks at near_limit() after every piece; whoever feeds looks at batch_full.
            if (output_ == output_kind::columns && !columns_.append(records)) {
                throw std::overflow_error("more than 2 GiB of text in one column: take_batch() sooner");
            }
            if (output_ == output_kind::tsv) tsv_.append(records);
            for (const rejected_line& line : scanner_.rejects()) {
                keep(line, text.substr(line.offset - offset, line.length));
            }
        }
    }
    void long_line(std::uint64_t offset, std::uint64_t length, std::uint64_t end_bytes) {
        rejected_line line = scanner_.skip_long_line(offset, length + end_bytes, false);
        line.length = length;
        keep(line, {});
    }
    bool full() const { return rows() >= max_rows() || columns_.near_limit(); }

    // As new, but with the memory it has: what is read next belongs to another source, or piece of one.
    void restart() {
        const one_thread alone(*this);
        scanner_.restart();
        if (output_ == output_kind::columns) columns_ = s3_column_builder(fields_, extra_);
        tsv_.clear();
        forget_lines();
        rejects_.clear();
        texts_.clear();
    }

    std::int64_t pending_rows() const {
        const one_thread alone(*this);
        return rows();
    }
    bool batch_full() const {
        const one_thread alone(*this);
        return columns_.near_limit();
    }

    record_batch take_batch() {
        const one_thread alone(*this);
        std::optional<record_batch> batch = columns_.finish();
        if (!batch) raise_broken();
        return *std::move(batch);
    }

    py::bytes take_tsv() {
        const one_thread alone(*this);
        const std::string_view text = tsv_.text();
        py::bytes taken(text.data(), text.size());
        tsv_.clear();
        return taken;
    }

    py::dict counts() const {
        const one_thread alone(*this);
        py::dict noted;
        if (scanner_.counts().ambiguous_agent != 0)
            noted["ambiguous_agent"] = scanner_.counts().ambiguous_agent;
        if (columns_.invalid_utf8() != 0) noted["invalid_utf8"] = columns_.invalid_utf8();
        return counts_dict(scanner_.counts(), noted);
    }

    py::dict take_rejects() {
        const one_thread alone(*this);
        py::dict all = rejects_dict(std::exchange(rejects_, {}));
        py::list texts;
        for (const std::string& text : std::exchange(texts_, {})) texts.append(py::bytes(text));
        all["text"] = keep_text_ ? py::object(texts) : py::object(py::none());
        return all;
    }

  private:
    std::int64_t rows() const {
        return output_ == output_kind::tsv ? static_cast<std::int64_t>(tsv_.rows()) : columns_.rows();
    }

    // A rejected text is for people to look at; a line of megabytes is not looked at to its end.
    static constexpr std::size_t longest_reject_text = 65536;

    void keep(const rejected_line& line, std::string_view text) {
        if (!keep_rejects_) return;
        rejects_.push_back(line);
        if (keep_text_) texts_.emplace_back(text.substr(0, longest_reject_text));
    }

    std::shared_ptr<access_filter> filter_;
    std::vector<s3_field> fields_;
    output_kind output_;
    bool keep_rejects_;
    bool keep_text_;
    s3_access_scanner scanner_;
    s3_extra_columns extra_;
    s3_column_builder columns_;
    s3_tsv_writer tsv_;
    std::vector<rejected_line> rejects_;
    std::vector<std::string> texts_;
};

py::tuple column_names() {
    py::tuple names(s3_field_count);
    for (int i = 0; i < s3_field_count; ++i) {
        names[static_cast<std::size_t>(i)] = py::str(s3_fields[i].name);
    }
    return names;
}

}  // namespace

void bind_access(py::module_& module) {
    module.attr("COLUMNS") = column_names();
    module.def(
        "cpu_level", [] { return py::str(name(best_cpu_level())); },
        "The CPU level that the scan loops use: 'baseline' or 'avx2'.");

    py::class_<access_filter, std::shared_ptr<access_filter>>(
        module, "AccessFilter",
        "Which records of S3 access logs are wanted. Unset filters let everything pass.", py::is_final())
        .def(py::init(&make_filter), py::kw_only(), py::arg("operations") = py::none(),
             py::arg("statuses") = py::none(), py::arg("key_rules") = py::none(),
             py::arg("exclude_networks") = std::vector<std::string>(),
             py::arg("exclude_pattern") = py::none(), py::arg("since_ms") = py::none(),
             py::arg("until_ms") = py::none(), py::arg("exclude_years") = std::vector<int>(),
             py::arg("strict") = false);

    py::class_<access_scan>(
        module, "AccessScan",
        "One run of consecutive bytes of one source, turned into columns or tab-separated text.\n\n"
        "For one thread at a time: a call from another one meanwhile is a RuntimeError. After an error "
        "half-way "
        "(MemoryError, OverflowError) it can only be thrown away.",
        py::is_final())
        .def(py::init<const std::vector<std::string>&, std::shared_ptr<access_filter>, std::string_view,
                      const std::optional<std::string>&, std::size_t, bool, bool, bool, bool>(),
             py::arg("columns"), py::arg("filter").none(false), py::kw_only(), py::arg("output") = "columns",
             py::arg("level") = py::none(), py::arg("max_line_bytes") = default_max_line_bytes,
             py::arg("keep_rejects") = false, py::arg("reject_text") = false, py::arg("line") = false,
             py::arg("line_hash") = false)
        .def("read", &access_scan::read, py::arg("fd"), py::arg("begin"), py::arg("end"),
             py::arg("max_rows") = std::numeric_limits<std::int32_t>::max(),
             "Read the lines that begin in [begin, end) of a plain file; return where to go on (end when "
             "done).")
        .def("feed", &access_scan::feed, py::arg("data"), "Take the next bytes of the source.")
        .def("finish", &access_scan::finish, "Take the last line, which may lack its newline.")
        .def("restart", &access_scan::restart,
             "Forget rows, counts and rejected lines, to scan another source with the memory at hand.")
        .def_property_readonly("pending_rows", &access_scan::pending_rows, "Rows that have not been taken.")
        .def_property_readonly("batch_full", &access_scan::batch_full,
                               "Whether a text column is near 2 GiB: take the batch before going on.")
        .def("take_batch", &access_scan::take_batch, "The columns so far; the scan starts anew ones.")
        .def("take_tsv", &access_scan::take_tsv, "The rows so far as text, without header.")
        .def("counts", &access_scan::counts, "What became of every line since the scan was made.")
        .def("take_rejects", &access_scan::take_rejects, "The rejected lines so far, if they are kept.");
}

}  // namespace tickline::python
