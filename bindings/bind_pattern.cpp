// The extension module tickline._pattern: regular expressions for filters, by RE2. A module of its own, so
// that _core links neither RE2 nor Abseil. What it makes travels to _core as a capsule over a plain C struct
// (logs/predicate.hpp).
#include <pybind11/pybind11.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "tickline/logs/pattern.hpp"
#include "tickline/version.hpp"

namespace py = pybind11;

namespace {

// What a capsule points into. Pattern and capsules share it, so a capsule outlives the Pattern it came from.
struct compiled_pattern {
    explicit compiled_pattern(tickline::pattern&& made)
        : pattern(std::move(made)), predicate(pattern.predicate()) {}

    tickline::pattern pattern;
    tickline::text_predicate predicate;
};

class python_pattern {
  public:
    explicit python_pattern(std::string_view regex) : compiled_(compile(regex)) {}

    [[nodiscard]] bool matches(std::string_view text) const { return compiled_->pattern.matches(text); }
    [[nodiscard]] std::string regex() const { return std::string(compiled_->pattern.text()); }

    [[nodiscard]] py::object capsule() const {
        auto owner = std::make_unique<std::shared_ptr<compiled_pattern>>(compiled_);
        PyObject* made =
            PyCapsule_New(&compiled_->predicate, tickline::text_predicate_capsule, [](PyObject* self) {
                delete static_cast<std::shared_ptr<compiled_pattern>*>(PyCapsule_GetContext(self));
            });
        // Until the context is set the destructor deletes a null pointer, which is allowed.
        if (made == nullptr || PyCapsule_SetContext(made, owner.get()) != 0) {
            Py_XDECREF(made);
            throw py::error_already_set();
        }
        owner.release();
        return py::reinterpret_steal<py::object>(made);
    }

  private:
    static std::shared_ptr<compiled_pattern> compile(std::string_view regex) {
        std::string why;
        auto made = tickline::pattern::compile(regex, &why);
        if (!made) {
            throw py::value_error("RE2 does not accept the regular expression " + std::string(regex) + ": " +
                                  why +
                                  "; its syntax is described at https://github.com/google/re2/wiki/Syntax");
        }
        return std::make_shared<compiled_pattern>(std::move(made).value());
    }

    std::shared_ptr<compiled_pattern> compiled_;
};

}  // namespace

PYBIND11_MODULE(_pattern, module, py::mod_gil_not_used()) {
    module.doc() = "Regular expressions for filters, by RE2.";
    module.attr("__version__") = TICKLINE_VERSION;

    py::class_<python_pattern>(module, "Pattern",
                               "A compiled regular expression of RE2; it searches, unanchored.")
        .def(py::init<std::string_view>(), py::arg("regex"))
        .def_property_readonly("regex", &python_pattern::regex, "The text it was compiled from.")
        .def("matches", &python_pattern::matches, py::arg("text"), "Whether it matches anywhere in text.")
        .def("capsule", &python_pattern::capsule,
             "A capsule \"tickline.text_predicate\" that answers for this pattern without Python.")
        .def("__repr__",
             [](const py::object& self) { return py::str("Pattern({!r})").format(self.attr("regex")); });
}
