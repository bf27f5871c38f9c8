// From finished columns to Arrow's C structs: table_schema, record_batch, and a stream over batches.
// Ownership and release are written here, once.
//
// A record_batch never changes and is shared by reference count: it can be exported any number of times
// without a copy, and each export keeps its memory alive until its consumer calls release, from whatever
// thread. Children and dictionaries may be moved out of an export one by one and then live on their own.
//
// Exports return 0, or an errno value (ENOMEM, EINVAL) and then leave nothing behind in `out` (release ==
// nullptr).
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "abi.hpp"
#include "columns.hpp"

namespace tickline {
inline namespace v0 {

namespace detail {

// Arrow's encoding of metadata: int32 number of pairs, then for each key and value an int32 length and the
// bytes.
inline std::string encode_metadata(std::span<const std::pair<std::string, std::string>> pairs) {
    std::string out;
    if (pairs.empty()) return out;
    const auto add_number = [&out](std::size_t number) {
        const auto value = static_cast<std::int32_t>(number);
        char bytes[sizeof value];
        std::memcpy(bytes, &value, sizeof value);
        out.append(bytes, sizeof bytes);
    };
    add_number(pairs.size());
    for (const auto& [key, value] : pairs) {
        add_number(key.size());
        out += key;
        add_number(value.size());
        out += value;
    }
    return out;
}

// What an exported struct owns: a share of the batch or schema behind it, and the structs below it. Struct is
// ArrowArray or ArrowSchema; their children, dictionary, release and private_data work alike.
template <class Struct, class Shared>
struct export_state {
    Shared keep_alive;
    const void* buffers[3] = {nullptr, nullptr, nullptr};
    std::unique_ptr<Struct[]> children;
    std::unique_ptr<Struct*[]> child_pointers;
    std::unique_ptr<Struct> dictionary;

    // Gives `out` a state of its own with `n` released children, and a dictionary if asked. Null if memory
    // ran out.
    static export_state* attach(Struct* out, const Shared& shared, std::size_t n,
                                bool with_dictionary) noexcept {
        std::memset(out, 0, sizeof *out);
        std::unique_ptr<export_state> state(new (std::nothrow) export_state{shared, {}, {}, {}, {}});
        if (!state) return nullptr;
        if (n != 0) {
            state->children.reset(new (std::nothrow) Struct[n]{});
            state->child_pointers.reset(new (std::nothrow) Struct*[n]);
            if (!state->children || !state->child_pointers) return nullptr;
            for (std::size_t i = 0; i < n; ++i) state->child_pointers[i] = &state->children[i];
            out->n_children = static_cast<std::int64_t>(n);
            out->children = state->child_pointers.get();
        }
        if (with_dictionary) {
            state->dictionary.reset(new (std::nothrow) Struct{});
            if (!state->dictionary) return nullptr;
            out->dictionary = state->dictionary.get();
        }
        out->release = &release;
        out->private_data = state.get();
        return state.release();
    }

    // Children and dictionary first, unless they were moved out (then their release is null already).
    static void release(Struct* self) noexcept {
        for (std::int64_t i = 0; i < self->n_children; ++i) {
            if (self->children[i]->release != nullptr) self->children[i]->release(self->children[i]);
        }
        if (self->dictionary != nullptr && self->dictionary->release != nullptr) {
            self->dictionary->release(self->dictionary);
        }
        self->release = nullptr;
        delete static_cast<export_state*>(self->private_data);
    }
};

// Makes `out` empty again after a failure half-way.
template <class Struct>
int abandon(Struct* out, int error) noexcept {
    if (out->release != nullptr) out->release(out);
    std::memset(out, 0, sizeof *out);
    return error;
}

}  // namespace detail

// The columns' names and types. Cheap to copy.
class table_schema {
  public:
    explicit table_schema(std::vector<column_type> columns) {
        auto content = std::make_shared<shared_content>();
        for (const column_type& type : columns)
            content->metadata.push_back(detail::encode_metadata(type.metadata));
        content->columns = std::move(columns);
        content_ = std::move(content);
    }

    std::size_t size() const noexcept { return content_->columns.size(); }
    const column_type& operator[](std::size_t i) const noexcept { return content_->columns[i]; }

    friend bool operator==(const table_schema& a, const table_schema& b) {
        return a.content_ == b.content_ || a.content_->columns == b.content_->columns;
    }

    // A struct type ("+s") with the columns as its children.
    int export_to(ArrowSchema* out) const noexcept {
        if (attach(out, size(), false) == nullptr) return detail::abandon(out, ENOMEM);
        out->format = "+s";
        out->name = "";
        for (std::size_t i = 0; i < size(); ++i) {
            if (export_column(i, out->children[i]) != 0) return detail::abandon(out, ENOMEM);
        }
        return 0;
    }

  private:
    struct shared_content {
        std::vector<column_type> columns;
        std::vector<std::string> metadata;  // encoded
    };
    using shared = std::shared_ptr<const shared_content>;
    using exported = detail::export_state<ArrowSchema, shared>;

    exported* attach(ArrowSchema* out, std::size_t children, bool dictionary) const noexcept {
        return exported::attach(out, content_, children, dictionary);
    }

    int export_column(std::size_t i, ArrowSchema* out) const noexcept {
        const column_type& type = content_->columns[i];
        const std::string& metadata = content_->metadata[i];
        const bool has_dictionary = !type.dictionary_format.empty();
        if (attach(out, 0, has_dictionary) == nullptr) return ENOMEM;
        out->format = type.format.c_str();
        out->name = type.name.c_str();
        out->metadata = metadata.empty() ? nullptr : metadata.data();
        out->flags = type.nullable ? ARROW_FLAG_NULLABLE : 0;
        if (has_dictionary) {
            if (attach(out->dictionary, 0, false) == nullptr) return ENOMEM;
            out->dictionary->format = type.dictionary_format.c_str();
            out->dictionary->name = "";
            out->dictionary->flags = ARROW_FLAG_NULLABLE;
        }
        return 0;
    }

    shared content_;
};

// Columns of the same length that never change again. Cheap to copy.
class record_batch {
  public:
    // Nothing if the columns differ in length.
    static std::optional<record_batch> make(std::vector<finished_column> columns) {
        const std::int64_t rows = columns.empty() ? 0 : columns.front().length;
        std::vector<column_type> types;
        for (const finished_column& column : columns) {
            if (column.length != rows) return std::nullopt;
            types.push_back(column.type);
        }
        return record_batch(table_schema(std::move(types)), rows, std::move(columns));
    }

    std::int64_t num_rows() const noexcept { return rows_; }
    std::size_t num_columns() const noexcept { return columns_->size(); }
    const table_schema& schema() const noexcept { return schema_; }
    const finished_column& column(std::size_t i) const noexcept { return (*columns_)[i]; }

    // A struct array with the columns as its children.
    int export_to(ArrowArray* out) const noexcept {
        auto* state = exported::attach(out, columns_, num_columns(), false);
        if (state == nullptr) return detail::abandon(out, ENOMEM);
        out->length = rows_;
        out->n_buffers = 1;  // the validity of the rows as such: there is no null row
        out->buffers = state->buffers;
        for (std::size_t i = 0; i < num_columns(); ++i) {
            if (export_column(column(i), out->children[i]) != 0) return detail::abandon(out, ENOMEM);
        }
        return 0;
    }

  private:
    using shared = std::shared_ptr<const std::vector<finished_column>>;
    using exported = detail::export_state<ArrowArray, shared>;

    record_batch(table_schema schema, std::int64_t rows, std::vector<finished_column> columns)
        : schema_(std::move(schema)),
          rows_(rows),
          columns_(std::make_shared<const std::vector<finished_column>>(std::move(columns))) {}

    int export_column(const finished_column& column, ArrowArray* out) const noexcept {
        auto* state = exported::attach(out, columns_, 0, column.dictionary != nullptr);
        if (state == nullptr) return ENOMEM;
        const std::string& format = column.type.format;
        const bool is_text = format == "u" || format == "z";
        out->length = column.length;
        out->null_count = column.null_count;
        state->buffers[0] = column.validity.size() == 0 ? nullptr : column.validity.data();
        state->buffers[1] = column.values.data();
        state->buffers[2] = is_text ? column.text.data() : nullptr;
        out->n_buffers = is_text ? 3 : 2;
        out->buffers = state->buffers;
        return column.dictionary == nullptr ? 0 : export_column(*column.dictionary, out->dictionary);
    }

    table_schema schema_;
    std::int64_t rows_ = 0;
    shared columns_;
};

namespace detail {

class batch_stream {
  public:
    batch_stream(table_schema schema, std::vector<record_batch> batches) noexcept
        : schema_(std::move(schema)), batches_(std::move(batches)) {}

    static int get_schema(ArrowArrayStream* self, ArrowSchema* out) noexcept {
        batch_stream& stream = of(self);
        return stream.report(stream.schema_.export_to(out));
    }

    // A released array (release == nullptr) after the last batch, as often as it is asked for.
    static int get_next(ArrowArrayStream* self, ArrowArray* out) noexcept {
        batch_stream& stream = of(self);
        std::memset(out, 0, sizeof *out);
        if (stream.next_ == stream.batches_.size()) return stream.report(0);
        const int error = stream.batches_[stream.next_].export_to(out);
        if (error == 0) ++stream.next_;
        return stream.report(error);
    }

    // Null after a success; else text that lives until the next call on the stream.
    static const char* get_last_error(ArrowArrayStream* self) noexcept { return of(self).last_error_; }

    static void release(ArrowArrayStream* self) noexcept {
        delete &of(self);
        self->release = nullptr;
        self->private_data = nullptr;
    }

  private:
    static batch_stream& of(ArrowArrayStream* self) noexcept {
        return *static_cast<batch_stream*>(self->private_data);
    }

    int report(int error) noexcept {
        last_error_ = error == 0 ? nullptr : "tickline: out of memory while exporting to Arrow";
        return error;
    }

    table_schema schema_;
    std::vector<record_batch> batches_;
    std::size_t next_ = 0;
    const char* last_error_ = nullptr;
};

}  // namespace detail

// A stream over batches that all have this schema (else EINVAL). It yields them in order, once; the batches
// are shared, so any number of streams can be made over them.
inline int export_stream(const table_schema& schema, std::vector<record_batch> batches,
                         ArrowArrayStream* out) noexcept {
    std::memset(out, 0, sizeof *out);
    for (const record_batch& batch : batches) {
        if (!(batch.schema() == schema)) return EINVAL;
    }
    auto* stream = new (std::nothrow) detail::batch_stream(schema, std::move(batches));
    if (stream == nullptr) return ENOMEM;
    out->get_schema = &detail::batch_stream::get_schema;
    out->get_next = &detail::batch_stream::get_next;
    out->get_last_error = &detail::batch_stream::get_last_error;
    out->release = &detail::batch_stream::release;
    out->private_data = stream;
    return 0;
}

}  // namespace v0
}  // namespace tickline
