// Content of sources: what it hashes to and how many lines it has, whole buffers or ranges of files at a
// time.
#include <pybind11/pybind11.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string_view>

#include "glue.hpp"
#include "tickline/dedup/hash.hpp"
#include "tickline/logs/lines.hpp"

namespace tickline::python {

namespace {

// Fixed XXH3-128 of bytes in order, and the newlines among them. For one thread at a time.
class content_hash {
  public:
    void update(const py::buffer& data) {
        const bytes_view bytes(data);
        const alone_here alone(busy_);
        const py::gil_scoped_release release;
        add(bytes.text());
    }

    // Takes [begin, end) of a file, or as much of it as there is, and says how much that was.
    std::uint64_t read(int fd, std::uint64_t begin, std::uint64_t end) {
        const alone_here alone(busy_);
        int error_number = 0;
        std::uint64_t at = begin;
        {
            const py::gil_scoped_release release;
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
        const alone_here alone(busy_);
        const hash128 hash = stream_.digest();
        char text[16];
        for (int i = 0; i < 8; ++i) {
            text[i] = static_cast<char>(hash.high >> (56 - 8 * i));
            text[8 + i] = static_cast<char>(hash.low >> (56 - 8 * i));
        }
        return {text, sizeof(text)};
    }

    std::uint64_t bytes() const { return bytes_; }
    std::uint64_t newlines() const { return newlines_; }

  private:
    static constexpr std::size_t space_bytes =
        256 * 1024;  // stays in the cache between the kernel's copy and us

    class alone_here {
      public:
        explicit alone_here(std::atomic<bool>& busy) : busy_(busy) {
            if (busy_.exchange(true)) {
                throw std::runtime_error("this ContentHash is at work in another thread; make one for each");
            }
        }
        alone_here(const alone_here&) = delete;
        alone_here& operator=(const alone_here&) = delete;
        ~alone_here() { busy_ = false; }

      private:
        std::atomic<bool>& busy_;
    };

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
}

}  // namespace tickline::python
