// Content of sources: what it hashes to and how many lines it has, whole buffers or ranges of files at a
// time. Sets of lines, texts of Arrow columns and single items.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "arrow_in.hpp"
#include "glue.hpp"
#include "tickline/arrow/texts.hpp"
#include "tickline/dedup/exact_set.hpp"
#include "tickline/dedup/fingerprint_set.hpp"
#include "tickline/dedup/hash.hpp"
#include "tickline/dedup/insert_lines.hpp"
#include "tickline/logs/lines.hpp"

namespace tickline::python {

namespace {

// Fixed XXH3-128 of bytes in order, and the newlines among them. For one thread at a time.
class content_hash {
  public:
    void update(const py::buffer& data) {
        const bytes_view bytes(data);
        const alone_in alone(busy_, name);
        const gil_released release;
        add(bytes.text());
    }

    // Takes [begin, end) of a file, or as much of it as there is, and says how much that was.
    std::uint64_t read(int fd, std::uint64_t begin, std::uint64_t end) {
        const alone_in alone(busy_, name);
        int error_number = 0;
        std::uint64_t at = begin;
        {
            const gil_released release;
            if (!space_) space_ = std::make_unique<char[]>(space_bytes);
            while (at < end && error_number == 0) {
                const std::size_t wanted =
                    static_cast<std::size_t>(std::min<std::uint64_t>(end - at, space_bytes));
                const ssize_t got = ::pread(fd, space_.get(), wanted, static_cast<off_t>(at));
                if (got == 0) break;
                if (got < 0 && errno != EINTR) error_number = errno;
                if (got > 0) {
                    add({space_.get(), static_cast<std::size_t>(got)});
                    at += static_cast<std::uint64_t>(got);
                }
            }
        }
        if (error_number != 0) raise_os_error(error_number);
        return at - begin;
    }

    py::bytes digest() const {
        const alone_in alone(busy_, name);
        const auto bytes = canonical_bytes(stream_.digest());
        return {bytes.data(), bytes.size()};
    }

    std::uint64_t bytes() const { return bytes_; }
    std::uint64_t newlines() const { return newlines_; }

  private:
    static constexpr const char* name = "ContentHash";
    static constexpr std::size_t space_bytes =
        256 * 1024;  // stays in the cache between the kernel's copy and us

    void add(std::string_view text) {
        stream_.update(text);
        bytes_ += text.size();
        newlines_ += count_newlines(text);
    }

    fixed_hash128_stream stream_;
    std::uint64_t bytes_ = 0;
    std::uint64_t newlines_ = 0;
    std::unique_ptr<char[]> space_;
    mutable std::atomic<bool> busy_ = false;
};

arrow_texts texts_of(const ArrowSchema& schema) {
    if (!arrow_texts::takes(schema)) {
        const std::string format = schema.format;
        throw py::type_error(format.starts_with("+s")
                                 ? "this is a table: give one column of it"
                                 : "a column of texts or bytes is wanted, not Arrow's \"" + format + "\"");
    }
    return arrow_texts(schema);
}

// One set for one thread at a time.
template <class Set>
class set_of_lines {
  public:
    explicit set_of_lines(std::optional<std::uint64_t> seed) : set_(seed ? *seed : process_seed()) {}

    py::bytearray add_lines(const py::buffer& data) {
        const bytes_view bytes(data);
        const alone_in alone(busy_, name);
        detail::buffer<char> news;
        bool good = false;
        if constexpr (std::is_same_v<Set, exact_set>) {
            if (PyBytes_CheckExact(data.ptr()) && bytes.text().size() >= least_borrowed) {
                good = borrow_lines(data, bytes.text(), news);
                return told(good, news);
            }
        }
        {
            const py::gil_scoped_release release;
            good = take_lines(bytes.text(), news);
        }
        return told(good, news);
    }

    py::bytearray add_column(const py::object& column) {
        const alone_in alone(busy_, name);
        detail::buffer<char> news;
        bool good = true;
        each_array(column, [&](const ArrowSchema& schema, const ArrowArray& array) {
            const arrow_texts texts = texts_of(schema);
            const gil_released release;
            good = good && add_array(texts, array, news);
        });
        return told(good, news);
    }

    bool add(const py::buffer& item) {
        const bytes_view bytes(item);
        const alone_in alone(busy_, name);
        bool is_new = false;
        const std::string_view key = bytes.text();
        if (!set_.insert(std::span(&key, 1), &is_new)) throw std::overflow_error(full_text);
        return is_new;
    }

    bool contains(const py::buffer& item) const {
        const bytes_view bytes(item);
        const alone_in alone(busy_, name);
        return set_.contains(bytes.text());
    }

    std::size_t size() const {
        const alone_in alone(busy_, name);
        return set_.size();
    }

    double collision_odds() const {
        const alone_in alone(busy_, name);
        return set_.collision_odds();
    }

    void save(const py::function& write) const {
        const alone_in alone(busy_, name);
        // What write() raises goes on its way from here.
        static_cast<void>(set_.save([&write](std::string_view piece) {
            write(py::memoryview::from_memory(piece.data(), static_cast<py::ssize_t>(piece.size())));
            return true;
        }));
    }

    static std::unique_ptr<set_of_lines> load(const py::function& read) {
        auto loaded = Set::load([&read](char* out, std::size_t wanted) {
            const py::object given = read(wanted);
            const bytes_view bytes{py::buffer(given)};
            const std::size_t size = std::min(wanted, bytes.text().size());
            if (size != 0) std::memcpy(out, bytes.text().data(), size);
            return size;
        });
        auto made = std::make_unique<set_of_lines>(std::optional<std::uint64_t>(0));
        made->set_ = value_or_raise(std::move(loaded), "no set was loaded");
        return made;
    }

  private:
    static constexpr const char* name = "set";
    static constexpr const char* full_text = "the set is full: it has room for 2,684,354,560 keys";
    static constexpr std::size_t least_borrowed = 65536;

    bool take_lines(std::string_view text, detail::buffer<char>& news) {
        return insert_lines(
            set_, text, [&](std::string_view, bool is_new) { news.push_back(static_cast<char>(is_new)); });
    }

    // A bytes object never changes: where three quarters of it are new, it is kept as it is, and no line is
    // copied. If anything fails half-way it is kept, too.
    bool borrow_lines(const py::buffer& data, std::string_view text, detail::buffer<char>& news) {
        struct borrowing {
            explicit borrowing(Set& set) : of(set) { of.set_borrowing(true); }
            borrowing(const borrowing&) = delete;
            borrowing& operator=(const borrowing&) = delete;
            ~borrowing() { of.set_borrowing(false); }
            Set& of;
        };
        const std::size_t first = set_.size(), bytes_before = set_.bytes();
        borrowed_.push_back(data);
        bool good = false;
        {
            const py::gil_scoped_release release;
            const borrowing on(set_);
            good = take_lines(text, news);
        }
        if ((set_.bytes() - bytes_before) / 3 < text.size() / 4) {
            {
                const py::gil_scoped_release release;
                set_.own_from(first);
            }
            borrowed_.pop_back();
        }
        return good;
    }

    static py::bytearray told(bool good, const detail::buffer<char>& news) {
        if (!good) throw std::overflow_error(full_text);
        return {news.data(), news.size()};
    }

    bool add_array(const arrow_texts& texts, const ArrowArray& array, detail::buffer<char>& news) {
        std::string_view keys[Set::group];
        bool is_new[Set::group];
        for (std::int64_t row = 0; row < array.length;) {
            std::size_t count = 0;
            char* const out = news.extend(Set::group);
            const auto rows = static_cast<std::size_t>(
                std::min<std::int64_t>(array.length - row, static_cast<std::int64_t>(Set::group)));
            for (std::size_t i = 0; i < rows; ++i) {
                const std::string_view text = texts.at(array, row++);
                out[i] = static_cast<char>(text.data() != nullptr);
                keys[count] = text;
                count += std::size_t{text.data() != nullptr};
            }
            if (!set_.insert(std::span<const std::string_view>(keys, count), is_new)) return false;
            for (std::size_t i = 0, n = 0; i < rows; ++i) {
                if (out[i] != 0) out[i] = static_cast<char>(is_new[n++]);
            }
            news.truncate(news.size() - Set::group + rows);
        }
        return true;
    }

    Set set_;
    std::vector<py::object> borrowed_;
    mutable std::atomic<bool> busy_ = false;
};

template <class Set>
void bind_set(py::module_& module, const char* name, const char* about) {
    using bound = set_of_lines<Set>;
    py::class_<bound>(module, name, about, py::is_final())
        .def(py::init<std::optional<std::uint64_t>>(), py::arg("seed") = py::none())
        .def("add_lines", &bound::add_lines, py::arg("data"),
             "Takes the lines of a buffer; a byte for each, 1 where it is new.")
        .def("add_column", &bound::add_column, py::arg("column"),
             "Takes the texts of a column with Arrow's PyCapsule interface; a byte for each row, 1 where it "
             "is new. Nulls are not taken.")
        .def("add", &bound::add, py::arg("item"), "Takes one item; whether it is new.")
        .def("__contains__", &bound::contains, py::arg("item"))
        .def("__len__", &bound::size)
        .def_property_readonly("collision_odds", &bound::collision_odds,
                               "The chance that any new item so far was taken for another.")
        .def("save", &bound::save, py::arg("write"), "Gives the file to write(), piece by piece.")
        .def_static("load", &bound::load, py::arg("read"),
                    "The set of a file that comes from read(size), which gives no bytes at the end. "
                    "ValueError where it is damaged, foreign or of another version.");
}

}  // namespace

void bind_dedup(py::module_& module) {
    py::class_<content_hash>(module, "ContentHash",
                             "XXH3-128 of bytes that come in order, as `xxhsum -H2` has it, and the newlines "
                             "among them. For one thread at a time.",
                             py::is_final())
        .def(py::init<>())
        .def_property_readonly("bytes", &content_hash::bytes, "How many bytes were taken.")
        .def_property_readonly("newlines", &content_hash::newlines, "How many of them are newlines.")
        .def("update", &content_hash::update, py::arg("data"), "Takes a buffer.")
        .def("read", &content_hash::read, py::arg("fd"), py::arg("begin"), py::arg("end"),
             "Takes bytes [begin, end) of a file by pread; returns how many there were. OSError.")
        .def("digest", &content_hash::digest, "The hash so far: 16 bytes, most significant first.");
    bind_set<exact_set>(module, "ExactSet", "A set of byte strings that keeps them.");
    bind_set<fingerprint_set>(module, "FingerprintSet", "A set of 64-bit fingerprints of byte strings.");
}

}  // namespace tickline::python
