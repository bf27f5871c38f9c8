// What all bindings share: the one place where errors of the core become Python exceptions, and Arrow
// capsules.
#pragma once

#include <cxxabi.h>
#include <pybind11/pybind11.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "tickline/arrow/stream.hpp"
#include "tickline/error.hpp"

namespace tickline::python {

namespace py = pybind11;

// Raises ValueError: "<what>: <the sentence of the error>.", or OSError, MemoryError where that says more.
[[noreturn]] inline void raise(errc error, std::string_view what) {
    if (error == errc::read_failed && errno != 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        throw py::error_already_set();
    }
    throw py::value_error(std::string(what) + ": " + std::string(message(error)) + ".");
}

// The same for the errno values of arrow/stream.hpp.
[[noreturn]] inline void raise_errno(int error, std::string_view what) {
    if (error == ENOMEM) throw std::bad_alloc();
    throw py::value_error(std::string(what) + ": " + std::generic_category().message(error) + ".");
}

// A system call failed: the subclass of OSError that belongs to the number (FileNotFoundError, ...).
[[noreturn]] inline void raise_os_error(int error_number) {
    errno = error_number;
    PyErr_SetFromErrno(PyExc_OSError);
    throw py::error_already_set();
}

// Lets other threads of Python run while this lives. py::gil_scoped_release ends the process where a daemon
// thread comes back from C++ after the interpreter has ended: before 3.14 Python unwinds such a thread
// (pthread_exit), and its destructor may not be left that way. Here the thread sleeps for good, as it does
// from 3.14 on.
class gil_released {
  public:
    gil_released() : state_(PyEval_SaveThread()) {}
    gil_released(const gil_released&) = delete;
    gil_released& operator=(const gil_released&) = delete;
    ~gil_released() {
#ifdef __GLIBCXX__
        try {
            PyEval_RestoreThread(state_);
        } catch (abi::__forced_unwind&) {
            while (true) pause();
        }
#else
        PyEval_RestoreThread(state_);
#endif
    }

  private:
    PyThreadState* state_;
};

// Replaces what is not UTF-8: the text of a resolver or of the system may be in any encoding.
inline py::str decoded(std::string_view text) {
    return py::reinterpret_steal<py::str>(
        PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace"));
}

// The bytes of an object with the buffer protocol, held as long as this lives.
class bytes_view {
  public:
    explicit bytes_view(const py::buffer& object) {
        if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_SIMPLE) != 0) throw py::error_already_set();
    }
    bytes_view(const bytes_view&) = delete;
    bytes_view& operator=(const bytes_view&) = delete;
    ~bytes_view() { PyBuffer_Release(&view_); }

    std::string_view text() const noexcept {
        return {static_cast<const char*>(view_.buf), static_cast<std::size_t>(view_.len)};
    }

  private:
    Py_buffer view_{};
};

// Holds an object for one thread. Whoever comes meanwhile gets a RuntimeError and does not wait.
class alone_in {
  public:
    alone_in(std::atomic<bool>& busy, const char* what) : busy_(busy) {
        if (busy_.exchange(true)) {
            throw std::runtime_error("this " + std::string(what) +
                                     " is at work in another thread; make one for each");
        }
    }
    alone_in(const alone_in&) = delete;
    alone_in& operator=(const alone_in&) = delete;
    ~alone_in() { busy_ = false; }

  private:
    std::atomic<bool>& busy_;
};

// The value of a result, or its error as an exception.
template <class T>
T value_or_raise(result<T>&& outcome, std::string_view what) {
    if (!outcome) raise(outcome.error(), what);
    return std::move(outcome).value();
}

// Names of the capsules: https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html
inline const char* capsule_name(const ArrowSchema*) noexcept { return "arrow_schema"; }
inline const char* capsule_name(const ArrowArray*) noexcept { return "arrow_array"; }
inline const char* capsule_name(const ArrowArrayStream*) noexcept { return "arrow_array_stream"; }

// A capsule that owns the struct. A consumer that takes the content sets release to null; what nobody took is
// released here.
template <class Struct>
py::object make_capsule(std::unique_ptr<Struct> content) {
    PyObject* capsule = PyCapsule_New(content.get(), capsule_name(content.get()), [](PyObject* self) {
        auto* owned =
            static_cast<Struct*>(PyCapsule_GetPointer(self, capsule_name(static_cast<Struct*>(nullptr))));
        if (owned->release != nullptr) owned->release(owned);
        delete owned;
    });
    if (capsule == nullptr) {
        content->release(content.get());
        throw py::error_already_set();
    }
    content.release();
    return py::reinterpret_steal<py::object>(capsule);
}

inline py::object schema_capsule(const table_schema& schema) {
    auto out = std::make_unique<ArrowSchema>();
    if (const int error = schema.export_to(out.get())) raise_errno(error, "Arrow schema");
    return make_capsule(std::move(out));
}

inline py::object array_capsule(const record_batch& batch) {
    auto out = std::make_unique<ArrowArray>();
    if (const int error = batch.export_to(out.get())) raise_errno(error, "Arrow array");
    return make_capsule(std::move(out));
}

inline py::object stream_capsule(const table_schema& schema, std::vector<record_batch> batches) {
    auto out = std::make_unique<ArrowArrayStream>();
    if (const int error = export_stream(schema, std::move(batches), out.get())) {
        raise_errno(error, "Arrow stream: a batch does not have the schema of the table");
    }
    return make_capsule(std::move(out));
}

}  // namespace tickline::python
