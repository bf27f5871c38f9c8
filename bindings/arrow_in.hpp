// Arrow data on its way in: columns and tables of other libraries, by the PyCapsule interface.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "glue.hpp"
#include "tickline/arrow/abi.hpp"

namespace tickline::python {

// What a PyCapsule of the Arrow interface holds; the capsule goes on owning it.
template <class Struct>
Struct* inside(const py::object& capsule) {
    void* const content = PyCapsule_GetPointer(capsule.ptr(), capsule_name(static_cast<Struct*>(nullptr)));
    if (content == nullptr) throw py::error_already_set();
    return static_cast<Struct*>(content);
}

// An ArrowSchema or ArrowArray that a stream gave.
template <class Struct>
struct given : Struct {
    given() : Struct{} {}
    given(const given&) = delete;
    given& operator=(const given&) = delete;
    ~given() {
        if (this->release != nullptr) this->release(this);
    }
};

// Calls use(schema, array) for every array of an object that has Arrow's PyCapsule interface.
template <class Use>
void each_array(const py::object& object, Use&& use) {
    if (py::hasattr(object, "__arrow_c_array__")) {
        const py::tuple pair = object.attr("__arrow_c_array__")();
        use(*inside<ArrowSchema>(pair[0]), *inside<ArrowArray>(pair[1]));
        return;
    }
    if (!py::hasattr(object, "__arrow_c_stream__")) {
        throw py::type_error("an object with __arrow_c_array__ or __arrow_c_stream__ is wanted");
    }
    const py::object capsule = object.attr("__arrow_c_stream__")();
    auto* const stream = inside<ArrowArrayStream>(capsule);
    const auto check = [stream](int error) {
        if (error == 0) return;
        const char* const why = stream->get_last_error(stream);
        throw py::value_error(std::string("Arrow stream: ") + (why == nullptr ? "it failed" : why));
    };
    given<ArrowSchema> schema;
    check(stream->get_schema(stream, &schema));
    while (true) {
        given<ArrowArray> array;
        check(stream->get_next(stream, &array));
        if (array.release == nullptr) return;
        use(schema, array);
    }
}

}  // namespace tickline::python
