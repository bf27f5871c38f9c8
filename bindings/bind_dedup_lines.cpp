// Lines of any number of sources: those not seen before, or groups of those that agree.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "glue.hpp"
#include "tickline/arrow/columns.hpp"
#include "tickline/arrow/stream.hpp"
#include "tickline/dedup/exact_set.hpp"
#include "tickline/dedup/fingerprint_set.hpp"
#include "tickline/dedup/insert_lines.hpp"
#include "tickline/dedup/line_groups.hpp"
#include "tickline/logs/lines.hpp"

namespace tickline::python {

namespace {

// Reads sources one after the other and hands whole lines on, as long as there is memory for them: before a
// block is taken, the memory it could need at most is compared with the limit.
class line_input {
  public:
    line_input(std::size_t max_line_bytes, std::size_t memory)
        : assembler_(max_line_bytes), max_line_bytes_(max_line_bytes), memory_(memory) {}
    line_input(const line_input&) = delete;
    line_input& operator=(const line_input&) = delete;
    virtual ~line_input() = default;

    // What the line assembler calls. It stops lines that are too long where these do not fit into its memory;
    // shorter ones, in the middle of a piece, are found here.
    void lines(std::string_view text, std::uint64_t offset) {
        while (text.size() > max_line_bytes_) {
            const auto [begin, length, next] = find_long_line(text);
            if (begin == text.size()) break;
            if (begin != 0) block(text.substr(0, begin));
            long_line(offset + begin, length, next - begin - length);
            offset += next;
            text.remove_prefix(next);
        }
        if (!text.empty()) block(text);
    }
    void long_line(std::uint64_t offset, std::uint64_t length, std::uint64_t end_bytes) {
        if (refused_) return;
        long_lines_.emplace_back(++lines_, offset, length);
        bytes_ += length + end_bytes;
    }
    bool full() const { return refused_ || pending() >= most_pending; }

    std::uint64_t read(int fd, std::uint64_t begin, std::uint64_t end) {
        read_position position;
        work([&] { position = read_lines(fd, begin, end, assembler_, *this); });
        if (position.error_number != 0) raise_os_error(position.error_number);
        return position.next;
    }

    void feed(const py::buffer& data) {
        const bytes_view bytes(data);
        work([&] { assembler_.push_copy(bytes.text(), *this); });
    }

    // The source has ended; (lines, bytes) of it. The next one may follow.
    std::pair<std::uint64_t, std::uint64_t> finish() {
        work([&] { assembler_.finish(*this); });
        assembler_.reset(0);
        return {std::exchange(lines_, 0), std::exchange(bytes_, 0)};
    }

    bool refused() const { return refused_; }

    std::vector<std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>> take_long_lines() {
        const alone_in alone(busy_, name);
        return std::exchange(long_lines_, {});
    }

  protected:
    static constexpr const char* name = "reader of lines";

    virtual std::size_t memory_after(std::size_t lines, std::size_t bytes) const = 0;
    virtual bool take(std::string_view text) = 0;
    virtual std::size_t pending() const { return 0; }

    mutable std::atomic<bool> busy_ = false;

  private:
    static constexpr std::size_t most_pending = std::size_t{4} << 20;

    // Takes whole lines if there is memory for all of them.
    void block(std::string_view text) {
        if (refused_) return;
        const std::uint64_t count = count_newlines(text) + std::uint64_t{text.back() != '\n'};
        if (memory_after(static_cast<std::size_t>(count), text.size()) > memory_ || !take(text)) {
            refused_ = true;
            return;
        }
        lines_ += count;
        bytes_ += text.size();
    }

    struct long_place {
        std::size_t begin, length, next;
    };

    // The first line that is too long: where it begins (text.size() if there is none), its length without
    // line end, and where the next one begins.
    long_place find_long_line(std::string_view text) const {
        for (std::size_t begin = 0; begin < text.size();) {
            const std::size_t end = std::min(text.find('\n', begin), text.size());
            const std::size_t next = std::min(end + 1, text.size());
            std::size_t length = end - begin;
            if (length != 0 && text[end - 1] == '\r') --length;
            if (length > max_line_bytes_) return {begin, length, next};
            begin = next;
        }
        return {text.size(), 0, 0};
    }

    template <class Work>
    void work(Work&& todo) {
        const alone_in alone(busy_, name);
        const gil_released release;
        todo();
    }

    line_assembler assembler_;
    std::size_t max_line_bytes_;
    std::size_t memory_;
    std::uint64_t lines_ = 0;
    std::uint64_t bytes_ = 0;
    bool refused_ = false;
    std::vector<std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>> long_lines_;
};

// Lines that were not seen before, as they stand in their sources.
class new_lines : public line_input {
  public:
    new_lines(bool approximate, std::size_t max_line_bytes, std::size_t memory)
        : line_input(max_line_bytes, memory) {
        if (approximate) set_.emplace<fingerprint_set>();
    }

    std::size_t size() const {
        return std::visit([](const auto& set) { return set.size(); }, set_);
    }
    double collision_odds() const {
        return std::visit([](const auto& set) { return set.collision_odds(); }, set_);
    }

    py::bytes take_text() {
        const alone_in alone(busy_, name);
        py::bytes text(out_.data(), out_.size());
        out_.truncate(0);
        return text;
    }

  protected:
    std::size_t memory_after(std::size_t lines, std::size_t bytes) const override {
        // Once more for the bytes that wait to be written.
        return bytes + std::visit([&](const auto& set) { return set.memory_after(lines, bytes); }, set_);
    }
    std::size_t pending() const override { return out_.size(); }

    bool take(std::string_view text) override {
        return std::visit(
            [&](auto& set) {
                return insert_lines(set, text, [&](std::string_view line, bool is_new) {
                    if (is_new) write(line, line.data() + line.size() != text.data() + text.size());
                });
            },
            set_);
    }

  private:
    // A last line without newline stays without, unless something follows.
    void write(std::string_view line, bool has_newline) {
        if (unfinished_) out_.push_back('\n');
        detail::copy_bytes(out_.extend(line.size()), line.data(), line.size());
        if (has_newline) out_.push_back('\n');
        unfinished_ = !has_newline;
    }

    std::variant<exact_set, fingerprint_set> set_;
    detail::buffer<char> out_;
    bool unfinished_ = false;
};

class grouped_lines : public line_input {
  public:
    grouped_lines(bool last, std::vector<std::uint32_t> fields, std::size_t max_line_bytes,
                  std::size_t memory)
        : line_input(max_line_bytes, memory),
          groups_(last ? kept_line::last : kept_line::first, std::move(fields)) {}

    std::size_t size() const { return groups_.size(); }
    std::uint64_t total() const { return groups_.lines(); }

    // The groups as batches, and for each source, of which ends[i] is the total() behind it: how many of the
    // kept lines are from there, and how many of these are not UTF-8.
    std::pair<std::vector<record_batch>, std::vector<std::pair<std::uint64_t, std::uint64_t>>> batches(
        bool count, const std::vector<std::uint64_t>& ends) const {
        const alone_in alone(busy_, name);
        const gil_released release;
        text_column line("line");
        fixed_column<std::uint64_t> counts("count");
        std::vector<record_batch> out;
        std::vector<std::pair<std::uint64_t, std::uint64_t>> kept(ends.size());
        const auto flush = [&] {
            std::vector<finished_column> columns;
            columns.push_back(line.finish());
            if (count) columns.push_back(counts.finish());
            out.push_back(*record_batch::make(std::move(columns)));
        };
        std::size_t source = 0;
        for (const std::uint32_t id : groups_.order()) {
            while (groups_.seen(id) >= ends[source]) ++source;
            const std::uint64_t invalid_before = line.invalid_utf8();
            if (!line.append(groups_.line(id))) throw std::overflow_error("a line of more than 2 GiB");
            if (count) counts.append(groups_.count(id));
            kept[source].first += 1;
            kept[source].second += line.invalid_utf8() - invalid_before;
            if (line.near_limit()) flush();
        }
        if (line.size() != 0 || out.empty()) flush();
        return {std::move(out), std::move(kept)};
    }

    // "count TAB line" of the groups from number `begin` on, in the order of their first lines: about `bytes`
    // bytes, and where to go on.
    std::pair<py::bytes, std::size_t> text(std::size_t begin, std::size_t bytes) const {
        const alone_in alone(busy_, name);
        detail::buffer<char> out;
        for (; begin < groups_.size() && out.size() < bytes; ++begin) {
            const auto id = static_cast<std::uint32_t>(begin);
            const std::string head = std::to_string(groups_.count(id)) + '\t';
            const std::string_view line = groups_.line(id);
            detail::copy_bytes(out.extend(head.size()), head.data(), head.size());
            detail::copy_bytes(out.extend(line.size()), line.data(), line.size());
            out.push_back('\n');
        }
        return {py::bytes(out.data(), out.size()), begin};
    }

  protected:
    std::size_t memory_after(std::size_t lines, std::size_t bytes) const override {
        return groups_.memory_after(lines, bytes);
    }
    bool take(std::string_view text) override { return groups_.add(text); }

  private:
    line_groups groups_;
};

}  // namespace

void bind_dedup_lines(py::module_& module) {
    py::class_<line_input>(module, "LineInput",
                           "What reads sources line by line. For one thread at a time; a line ends at "
                           "'\\n', and a '\\r' before it belongs to the line.")
        .def("read", &line_input::read, py::arg("fd"), py::arg("begin"), py::arg("end"),
             "Read the lines that begin in [begin, end) of a plain file; return where to go on.")
        .def("feed", &line_input::feed, py::arg("data"), "Take the next bytes of the source.")
        .def("finish", &line_input::finish,
             "Take the last line, which may lack its newline; (lines, bytes) of the source. The next may "
             "follow.")
        .def_property_readonly("refused", &line_input::refused,
                               "Whether memory would not have done; nothing more is taken then.")
        .def("take_long_lines", &line_input::take_long_lines,
             "(number, offset, length) of lines that are too long, of the source at hand.");
    py::class_<new_lines, line_input>(module, "NewLines", "Lines that were not seen before.", py::is_final())
        .def(py::init<bool, std::size_t, std::size_t>(), py::kw_only(), py::arg("approximate"),
             py::arg("max_line_bytes"), py::arg("memory"))
        .def("__len__", &new_lines::size)
        .def_property_readonly("collision_odds", &new_lines::collision_odds)
        .def("take_text", &new_lines::take_text, "The new lines since the last call.");
    py::class_<grouped_lines, line_input>(module, "LineGroups", "Lines that agree, each group once.",
                                          py::is_final())
        .def(py::init<bool, std::vector<std::uint32_t>, std::size_t, std::size_t>(), py::kw_only(),
             py::arg("last"), py::arg("fields"), py::arg("max_line_bytes"), py::arg("memory"))
        .def("__len__", &grouped_lines::size)
        .def_property_readonly("total", &grouped_lines::total, "Lines of all sources so far.")
        .def("batches", &grouped_lines::batches, py::arg("count"), py::arg("ends"),
             "Batches of the column line (and count); and for each source, which ends[i] lines are not "
             "behind: (kept lines, those that are not UTF-8).")
        .def("text", &grouped_lines::text, py::arg("begin"), py::arg("bytes"),
             "(count TAB line of groups from number `begin` on, where to go on).");
}

}  // namespace tickline::python
