// A set of byte strings that keeps the strings: what it says is certain.
//
// It is the table of Arrow's dictionaries (dedup/table.hpp) with the answers of a set. Besides its bytes a
// key takes 16 bytes for where they are and 12.8 to 25.6 bytes of slots (three to six eighths of them are
// empty): at most 42 bytes of overhead, and 55 for the moment in which slots grow. Look-up and insertion take
// views and build no string. Seeded; best in batches.
//
// Where memory runs out: see arrow/buffer.hpp; memory_after() tells before. Not thread-safe.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "../error.hpp"
#include "set_file.hpp"
#include "table.hpp"

namespace tickline {
inline namespace v0 {

// Strings that never move: copied into chunks, or borrowed from a buffer that outlives them.
class shared_strings {
  public:
    std::size_t size() const noexcept { return places_.size(); }
    std::size_t bytes() const noexcept { return bytes_; }
    std::string_view operator[](std::uint32_t id) const noexcept { return places_[id]; }

    bool append(std::string_view key) {
        places_.push_back(borrowing_ ? key : copy_of(key));
        bytes_ += key.size();
        return true;
    }

    // A new chunk may be needed, and up to a quarter of each is left over.
    std::size_t memory_after(std::size_t more, std::size_t bytes) const noexcept {
        const std::size_t chunks = bytes <= left_ ? 0 : bytes + bytes / 3 + usual_chunk();
        return (size() + more) * sizeof(std::string_view) + chunk_bytes_ + chunks;
    }

    void reserve(std::size_t count, std::size_t) { places_.reserve(count); }

    void set_borrowing(bool on) noexcept { borrowing_ = on; }
    void own_from(std::size_t first) {
        for (std::size_t id = first; id < size(); ++id) places_[id] = copy_of(places_[id]);
    }

  private:
    static constexpr std::size_t least_chunk = 4096, most_chunk = std::size_t{1} << 20;

    // Chunks grow with the set.
    std::size_t usual_chunk() const noexcept {
        return std::clamp(std::bit_floor(chunk_bytes_ | 1), least_chunk, most_chunk);
    }

    std::string_view copy_of(std::string_view key) {
        if (key.size() > left_) {
            // A long key gets a chunk of its own, so that little is left over.
            const std::size_t usual = usual_chunk();
            const bool alone = key.size() > usual / 4;
            detail::memory_block& chunk = chunks_.emplace_back();
            chunk.grow(alone ? key.size() : usual);
            chunk_bytes_ += chunk.capacity();
            if (alone) {
                detail::copy_bytes(chunk.data(), key.data(), key.size());
                return {chunk.data(), key.size()};
            }
            next_ = chunk.data();
            left_ = chunk.capacity();
        }
        detail::copy_bytes(next_, key.data(), key.size());
        const std::string_view copy(next_, key.size());
        next_ += key.size();
        left_ -= key.size();
        return copy;
    }

    detail::buffer<std::string_view> places_;
    std::size_t bytes_ = 0;  // of all strings
    std::vector<detail::memory_block> chunks_;
    std::size_t chunk_bytes_ = 0;
    char* next_ = nullptr;
    std::size_t left_ = 0;
    bool borrowing_ = false;
};

class exact_set {
  public:
    // Keys are hashed, and their slots fetched, in groups of this many.
    static constexpr std::size_t group = key_table<shared_strings>::group;

    explicit exact_set(std::uint64_t seed = process_seed()) : table_(seed) {}

    std::size_t size() const noexcept { return table_.size(); }
    bool empty() const noexcept { return table_.empty(); }
    std::uint64_t seed() const noexcept { return table_.seed(); }
    // Bytes of all keys together.
    std::size_t bytes() const noexcept { return table_.bytes(); }
    // The chance that a key was taken for another one.
    static constexpr double collision_odds() noexcept { return 0; }

    // Bytes of memory that are in use while `keys` more keys with `bytes` bytes in all are inserted.
    std::size_t memory_after(std::size_t keys, std::size_t bytes) const noexcept {
        return table_.memory_after(keys, bytes);
    }

    bool contains(std::string_view key) const noexcept { return table_.find(key) != table::npos; }

    // Whether slots need not grow for so many more; and room for `count` keys in all.
    bool has_room(std::size_t more) const noexcept { return table_.has_room(more); }
    void reserve(std::size_t count) { table_.reserve(count); }

    // While borrowing is on, new keys are not copied: their bytes must stay where they are as long as the set
    // lives, or until own_from() has copied the keys from number `first` on.
    void set_borrowing(bool on) noexcept { table_.set_borrowing(on); }
    void own_from(std::size_t first) { table_.own_from(first); }

    // Keys in the order of their insertion, i < size(), valid as long as the set.
    std::string_view operator[](std::size_t i) const noexcept {
        return table_[static_cast<std::uint32_t>(i)];
    }

    // is_new[i] becomes whether keys[i] was neither in the set nor among the keys before it. False where the
    // set is full (2,684,354,560 keys): is_new is then undefined, and what was inserted stays.
    [[nodiscard]] bool insert(std::span<const std::string_view> keys, bool* is_new) {
        std::uint32_t ids[group];
        for (std::size_t done = 0; done < keys.size();) {
            const auto some = keys.subspan(done, std::min(group, keys.size() - done));
            std::size_t next = size();
            if (!table_.find_or_insert(some, ids)) return false;
            for (std::size_t i = 0; i < some.size(); ++i) {
                const bool fresh = ids[i] == next;
                is_new[done + i] = fresh;
                next += std::size_t{fresh};
            }
            done += some.size();
        }
        return true;
    }

    // Whether one key is new; it is in the set then. False also where the set is full.
    bool insert(std::string_view key) {
        const std::size_t before = size();
        static_cast<void>(table_.find_or_insert(key));
        return size() != before;
    }

    // Writes the file of dedup/set_file.hpp through `write(std::string_view) -> bool`. Whether all went well.
    template <class Write>
    [[nodiscard]] bool save(Write&& write) const {
        detail::set_writer<std::remove_reference_t<Write>> out(write);
        out.header({detail::set_kind::keys, 0, size()});
        for (std::size_t i = 0; i < size(); ++i) {
            out.number((*this)[i].size());
            out.add((*this)[i]);
        }
        return out.finish();
    }

    // Reads such a file through `read(char* out, std::size_t wanted) -> std::size_t`, which gives 0 at the
    // end. A file that is damaged, foreign or of another version is an error, and nothing of it is taken.
    template <class Read>
    static result<exact_set> load(Read&& read, std::uint64_t seed = process_seed()) {
        detail::set_reader<std::remove_reference_t<Read>> in(read);
        detail::set_header head;
        if (const errc error = in.header(detail::set_kind::keys, head); error != errc::ok) return error;
        exact_set out(seed);
        for (std::uint64_t i = 0; i < head.count; ++i) {
            std::uint64_t length = 0;
            if (!in.number(length)) return errc::damaged_file;
            const std::string_view key = in.take(length);
            // The same key twice would have been written by nobody.
            if (key.size() != length || !out.insert(key)) return errc::damaged_file;
        }
        if (head.seed != 0 || !in.finish()) return errc::damaged_file;
        return out;
    }

  private:
    class table : public key_table<shared_strings> {
      public:
        using key_table::key_table;
        void set_borrowing(bool on) noexcept { store().set_borrowing(on); }
        void own_from(std::size_t first) { store().own_from(first); }
    };

    table table_;
};

}  // namespace v0
}  // namespace tickline
