// Batch and Schema: Arrow data on its way out, by the PyCapsule interface and as plain buffers for numpy.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "glue.hpp"
#include "tickline/arrow/columns.hpp"
#include "tickline/arrow/stream.hpp"
#include "tickline/logs/s3_access_columns.hpp"

namespace tickline::python {

namespace {

// One buffer of a batch, for the buffer protocol: whoever looks at it keeps the batch alive.
struct batch_buffer {
    record_batch owner;
    const char* data;
    std::size_t size;
};

py::object view(const record_batch& batch, const detail::memory_block& block) {
    return py::cast(batch_buffer{batch, block.data(), block.size()});
}

// (format, length, null count, validity or None, values or offsets, text or None, dictionary or None)
py::tuple buffers_of(const record_batch& batch, const finished_column& column) {
    const bool nulls = column.null_count != 0, text = column.type.format == "u";
    return py::make_tuple(column.type.format, column.length, column.null_count,
                          nulls ? view(batch, column.validity) : py::none(), view(batch, column.values),
                          text ? view(batch, column.text) : py::none(),
                          column.dictionary == nullptr ? py::object(py::none())
                                                       : py::object(buffers_of(batch, *column.dictionary)));
}

py::tuple column_buffers(const record_batch& batch, std::size_t i) {
    if (i >= batch.num_columns()) throw py::index_error("column " + std::to_string(i));
    return buffers_of(batch, batch.column(i));
}

py::tuple names_of(const table_schema& schema) {
    py::tuple names(schema.size());
    for (std::size_t i = 0; i < schema.size(); ++i) names[i] = schema[i].name;
    return names;
}

table_schema access_schema(const std::vector<std::string>& names) {
    std::vector<column_type> columns;
    for (const std::string& name : names) {
        const int field = s3_field_index(name);
        if (field == s3_field_count) throw py::value_error("there is no column " + name + " in access logs");
        columns.push_back(s3_column_type(static_cast<s3_field>(field)));
    }
    return table_schema(std::move(columns));
}

using schema_or_names = std::variant<std::vector<std::string>, table_schema>;

table_schema to_schema(const schema_or_names& given) {
    if (const auto* schema = std::get_if<table_schema>(&given)) return *schema;
    return access_schema(std::get<std::vector<std::string>>(given));
}

finished_column text_from(const std::string& name, const py::sequence& values) {
    dictionary_column column(name);
    std::vector<py::object> alive;  // the views below point into these
    std::vector<std::string_view> block;
    const auto flush = [&] {
        if (!column.append(block)) throw py::value_error("column " + name + ": more than 2 GiB of text");
        block.clear();
        alive.clear();
    };
    for (const py::handle value : values) {
        block.emplace_back();
        if (!value.is_none()) {
            // A path that is not UTF-8 holds lone surrogates in Python: they become the bytes they stand for,
            // and then U+FFFD like any other text.
            py::object encoded = value.attr("encode")("utf-8", "surrogateescape");
            char* bytes = nullptr;
            Py_ssize_t size = 0;
            if (PyBytes_AsStringAndSize(encoded.ptr(), &bytes, &size) != 0) throw py::error_already_set();
            block.back() = {bytes, static_cast<std::size_t>(size)};
            alive.push_back(std::move(encoded));
        }
        if (block.size() == 4096) flush();
    }
    flush();
    return column.finish();
}

template <class T>
finished_column numbers_from(const std::string& name, std::string_view format, const py::buffer& values) {
    const py::buffer_info info = values.request();
    const auto bytes = static_cast<std::size_t>(info.size * info.itemsize);
    if (bytes % sizeof(T) != 0 || PyBuffer_IsContiguous(info.view(), 'C') == 0) {
        throw py::value_error("column " + name + ": not a contiguous buffer of whole values");
    }
    std::vector<T> copy(bytes / sizeof(T));  // bytes need not be aligned
    if (bytes != 0) std::memcpy(copy.data(), info.ptr, bytes);
    fixed_column<T> column(name, format);
    column.append(std::span<const T>(copy));
    return column.finish();
}

record_batch batch_from_columns(
    const std::vector<std::tuple<std::string, std::string, py::object>>& columns) {
    std::vector<finished_column> finished;
    for (const auto& [name, format, values] : columns) {
        if (format == "u") {
            finished.push_back(text_from(name, values));
        } else if (format == "L") {
            finished.push_back(numbers_from<std::uint64_t>(name, format, values));
        } else if (format == "l" || format.starts_with("ts")) {
            finished.push_back(numbers_from<std::int64_t>(name, format, values));
        } else if (format == "g") {
            finished.push_back(numbers_from<double>(name, format, values));
        } else {
            throw py::value_error("column " + name + ": format " + format + " is none of u, L, l, ts..., g");
        }
    }
    auto batch = record_batch::make(std::move(finished));
    if (!batch) throw py::value_error("the columns differ in length");
    return *std::move(batch);
}

// Only its types matter: it lets numpy's side learn the types of a table that has no batch.
record_batch empty_batch(const table_schema& schema) {
    std::vector<finished_column> columns;
    for (std::size_t i = 0; i < schema.size(); ++i) {
        if (!schema[i].dictionary_format.empty()) {
            columns.push_back(dictionary_column(schema[i]).finish());
        } else if (schema[i].format == "u") {
            columns.push_back(text_column(schema[i]).finish());
        } else {
            columns.push_back(fixed_column<std::uint64_t>(schema[i]).finish());
        }
    }
    return *record_batch::make(std::move(columns));
}

}  // namespace

void bind_arrow(py::module_& module) {
    py::class_<batch_buffer>(module, "Buffer", py::buffer_protocol(), "Read-only memory of a batch.")
        .def_buffer([](const batch_buffer& self) {
            return py::buffer_info(const_cast<char*>(self.data), 1,
                                   py::format_descriptor<std::uint8_t>::format(), 1,
                                   {static_cast<py::ssize_t>(self.size)}, {1}, true);
        });

    py::class_<table_schema>(module, "Schema", "Names and types of columns.")
        .def_property_readonly("names", &names_of, "The names, in order.")
        .def("__arrow_c_schema__", &schema_capsule, "A capsule \"arrow_schema\".")
        .def("__len__", &table_schema::size)
        .def(
            "__eq__", [](const table_schema& a, const table_schema& b) { return a == b; }, py::is_operator())
        .attr("__hash__") = py::none();

    py::class_<record_batch>(module, "Batch", "Columns of the same length that never change.")
        .def_property_readonly("num_rows", &record_batch::num_rows)
        .def_property_readonly("num_columns", &record_batch::num_columns)
        .def_property_readonly("schema", &record_batch::schema)
        .def("column_buffers", &column_buffers, py::arg("index"),
             "(format, length, null count, validity, values or offsets, text, dictionary) of one column.")
        .def(
            "__arrow_c_array__",
            [](const record_batch& self, const py::object&) {
                return py::make_tuple(schema_capsule(self.schema()), array_capsule(self));
            },
            py::arg("requested_schema") = py::none(), "Capsules \"arrow_schema\" and \"arrow_array\".")
        .def("__arrow_c_schema__", [](const record_batch& self) { return schema_capsule(self.schema()); });

    module.def("access_schema", &access_schema, py::arg("columns"),
               "The schema of these columns of access logs.");
    module.def("empty_batch", &empty_batch, py::arg("schema"), "A batch of no rows.");
    module.def("batch_from_columns", &batch_from_columns, py::arg("columns"),
               "A batch of (name, format, values): texts or None for \"u\", a buffer of 8-byte values for "
               "\"L\", \"l\", "
               "\"g\" and times.");
    module.def(
        "schema_capsule", [](const schema_or_names& schema) { return schema_capsule(to_schema(schema)); },
        py::arg("columns"), "A capsule \"arrow_schema\" for a Schema, or for columns of access logs.");
    module.def(
        "stream_capsule",
        [](const schema_or_names& schema, std::vector<record_batch> batches) {
            return stream_capsule(to_schema(schema), std::move(batches));
        },
        py::arg("columns"), py::arg("batches"),
        "A capsule \"arrow_array_stream\" over batches, which are shared: make as many streams as you like.");
}

}  // namespace tickline::python
