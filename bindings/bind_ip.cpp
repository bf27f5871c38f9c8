// Labels of addresses in Python. Lists of texts go in, numbers for all of them come out; the texts are read
// and looked up without the GIL.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "glue.hpp"
#include "tickline/ip/range_table.hpp"

namespace tickline::python {

namespace {

// What find() says of a text that is no address.
constexpr std::int32_t not_an_address = -2;

// The texts of a sequence of str, in a tuple of its own: nobody can take one away while they are read.
class text_list {
  public:
    explicit text_list(const py::sequence& texts) : owner_(sequence_of_texts(texts)) {
        views_.reserve(owner_.size());
        for (const py::handle text : owner_) {
            if (!PyUnicode_Check(text.ptr())) {
                throw py::type_error("a text is expected, not " + std::string(py::str(py::type::of(text))));
            }
            Py_ssize_t size = 0;
            const char* const data = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
            if (data == nullptr) {
                // Half a surrogate pair, as in names that are no UTF-8: no address or network looks like
                // that.
                if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError) == 0) throw py::error_already_set();
                PyErr_Clear();
            }
            views_.push_back(data == nullptr ? "?" : std::string_view(data, static_cast<std::size_t>(size)));
        }
    }

    const std::vector<std::string_view>& views() const noexcept { return views_; }

    std::string quoted(std::size_t index) const { return py::repr(owner_[index]); }

  private:
    // A str is a sequence of str too, but never the one that is meant.
    static const py::sequence& sequence_of_texts(const py::sequence& texts) {
        if (PyUnicode_Check(texts.ptr())) throw py::type_error("a list of texts is expected, not one text");
        return texts;
    }

    py::tuple owner_;
    std::vector<std::string_view> views_;
};

struct bad_text {
    std::size_t index;
    errc error;
};

std::optional<bad_text> parse_networks(const std::vector<std::string_view>& texts,
                                       std::vector<labelled_network>& out) {
    out.resize(texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
        if (const parse_result read = parse_network(texts[i], out[i].where); !read) {
            return bad_text{i, read.error};
        }
    }
    return std::nullopt;
}

range_table make_table(const py::sequence& networks, const std::vector<std::int32_t>& labels,
                       bool first_wins) {
    const text_list texts(networks);
    if (texts.views().size() != labels.size()) {
        throw py::value_error(std::to_string(texts.views().size()) + " networks and " +
                              std::to_string(labels.size()) + " labels: one label each is wanted");
    }
    for (std::size_t i = 0; i < labels.size(); ++i) {
        if (labels[i] < 0) throw py::value_error("labels[" + std::to_string(i) + "] is negative");
    }
    std::vector<labelled_network> list;
    std::optional<bad_text> bad;
    std::optional<range_table> made;
    {
        const gil_released release;
        bad = parse_networks(texts.views(), list);
        if (!bad) {
            for (std::size_t i = 0; i < list.size(); ++i) list[i].label = labels[i];
            made.emplace(list, first_wins ? network_order::first_wins : network_order::longest_prefix);
        }
    }
    if (bad) raise(bad->error, "networks[" + std::to_string(bad->index) + "] " + texts.quoted(bad->index));
    return *std::move(made);
}

py::bytes find(const range_table& table, const py::sequence& addresses) {
    const text_list texts(addresses);
    std::vector<std::int32_t> found(texts.views().size());
    {
        const gil_released release;
        for (std::size_t i = 0; i < found.size(); ++i) {
            address parsed;
            found[i] = parse_address(texts.views()[i], parsed) ? table.find(parsed) : not_an_address;
        }
    }
    return {reinterpret_cast<const char*>(found.data()), found.size() * sizeof(std::int32_t)};
}

std::optional<std::pair<std::size_t, std::string_view>> first_bad_network(const py::sequence& networks) {
    const text_list texts(networks);
    std::optional<bad_text> bad;
    {
        const gil_released release;
        network parsed;
        for (std::size_t i = 0; i < texts.views().size() && !bad; ++i) {
            if (const parse_result read = parse_network(texts.views()[i], parsed); !read)
                bad = {i, read.error};
        }
    }
    if (!bad) return std::nullopt;
    return std::pair(bad->index, message(bad->error));
}

}  // namespace

void bind_ip(py::module_& module) {
    py::class_<range_table>(module, "RangeTable",
                            "Finds the label of an address among networks; it never changes.", py::is_final())
        .def(py::init(&make_table), py::arg("networks"), py::arg("labels"), py::kw_only(),
             py::arg("first_wins") = false)
        .def("find", &find, py::arg("addresses"),
             "The labels as int32, one an address: -1 if no network holds it, -2 if the text is no address.")
        .def("__len__", &range_table::size, "How many ranges the networks became.");
    module.def("first_bad_network", &first_bad_network, py::arg("networks"),
               "Index of the first text that is no network and why, or None.");
}

}  // namespace tickline::python
