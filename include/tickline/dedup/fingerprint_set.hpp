// A set of byte strings that keeps 64 bits of each and not the string: 11 to 21 bytes a key, whatever its
// length (32 for the moment in which it grows), and a small chance of error in one direction only. A key that
// is in the set is always found; a new one can be taken for one that is there.
//
//   one new key                   n / 2^64, n being the number of keys in the set
//   any of n different keys       n (n - 1) / 2^65 at most: 0.003 % for 30 million, 2.7 % for 1,000 million
//
// That holds for text that nobody has made to collide. XXH3 is no cryptographic hash, but the seed is drawn
// at random for each process, so that nobody can prepare such a text; a saved set carries its seed, and who
// can read the file can prepare one.
//
// Open addressing, linear probing, a power of two of 64-bit slots, at most three quarters of them in use; the
// first bits of a fingerprint are its slot, so that growing walks through both arrays from front to end.
//
// Where memory runs out: see arrow/buffer.hpp; memory_after() tells before. Not thread-safe.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "../arrow/buffer.hpp"
#include "../error.hpp"
#include "hash.hpp"
#include "set_file.hpp"
#include "table.hpp"

namespace tickline {
inline namespace v0 {

class fingerprint_set {
  public:
    static constexpr std::size_t group = 64;

    explicit fingerprint_set(std::uint64_t seed = process_seed()) noexcept : seed_(seed) {}

    fingerprint_set(fingerprint_set&& other) noexcept { swap(other); }
    fingerprint_set& operator=(fingerprint_set&& other) noexcept {
        fingerprint_set(std::move(other)).swap(*this);
        return *this;
    }
    fingerprint_set(const fingerprint_set&) = delete;
    fingerprint_set& operator=(const fingerprint_set&) = delete;
    ~fingerprint_set() = default;

    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    std::uint64_t seed() const noexcept { return seed_; }

    // The chance that any of the keys that were found new so far was taken for another: n (n - 1) / 2^65.
    double collision_odds() const noexcept {
        const auto n = static_cast<double>(size_);
        return size_ < 2 ? 0 : std::min(1.0, n * (n - 1) / 2 / 18446744073709551616.0);
    }

    // Bytes of memory that are in use while `keys` more keys are inserted: while the slots grow, the old ones
    // stand beside the new ones. The bytes of the keys do not matter; exact_set's do.
    std::size_t memory_after(std::size_t keys, std::size_t /*bytes*/ = 0) const noexcept {
        return sizeof(std::uint64_t) * (capacity_ + (has_room(keys) ? 0 : capacity_for(size_ + keys)));
    }

    // Whether slots need not grow for so many more; and room for `count` keys in all.
    bool has_room(std::size_t more) const noexcept { return (size_ + more) * 4 <= capacity_ * 3; }
    void reserve(std::size_t count) { make_room(count > size_ ? count - size_ : 0); }

    // The 64 bits that stand for a key under this seed: XXH3, and 1 where that is 0.
    static std::uint64_t fingerprint(std::string_view key, std::uint64_t seed) noexcept {
        const std::uint64_t hash = hash_seeded(key, seed);
        return hash + std::uint64_t{hash == 0};
    }

    bool contains(std::string_view key) const noexcept {
        if (capacity_ == 0) return false;
        const std::uint64_t wanted = fingerprint(key, seed_);
        for (std::size_t slot = home(wanted);; slot = (slot + 1) & (capacity_ - 1)) {
            if (slots_[slot] == wanted) return true;
            if (slots_[slot] == 0) return false;
        }
    }

    // is_new[i] becomes whether keys[i] was neither in the set nor among the keys before it. Always true;
    // exact_set can be full.
    bool insert(std::span<const std::string_view> keys, bool* is_new) {
        std::uint64_t prints[group];
        for (std::size_t done = 0; done < keys.size();) {
            const std::size_t count = std::min(group, keys.size() - done);
            make_room(count);  // no growing inside a group: the prefetched slots stay where they are
            for (std::size_t i = 0; i < count; ++i) {
                prints[i] = fingerprint(keys[done + i], seed_);
                detail::prefetch(&slots_[home(prints[i])]);
            }
            for (std::size_t i = 0; i < count; ++i) is_new[done + i] = put(prints[i]);
            done += count;
        }
        return true;
    }

    // Whether one key is new; it is in the set then.
    bool insert(std::string_view key) {
        make_room(1);
        return put(fingerprint(key, seed_));
    }

    // Writes the file of dedup/set_file.hpp through `write(std::string_view) -> bool`. Whether all went well.
    // Needs 8 bytes a key for the time it takes: fingerprints are written in ascending order, so that the
    // file says nothing about the order of insertion.
    template <class Write>
    [[nodiscard]] bool save(Write&& write) const {
        detail::buffer<std::uint64_t> sorted;
        std::uint64_t* const out_prints = sorted.extend(size_);
        std::copy_if(slots_.get(), slots_.get() + capacity_, out_prints,
                     [](std::uint64_t print) { return print != 0; });
        std::sort(out_prints, out_prints + size_);
        detail::set_writer<std::remove_reference_t<Write>> out(write);
        out.header({detail::set_kind::fingerprints, seed_, size_});
        for (std::size_t i = 0; i < size_; ++i) out.number(out_prints[i]);
        return out.finish();
    }

    // Reads such a file through `read(char* out, std::size_t wanted) -> std::size_t`, which gives 0 at the
    // end. A file that is damaged, foreign or of another version is an error, and nothing of it is taken.
    template <class Read>
    static result<fingerprint_set> load(Read&& read) {
        detail::set_reader<std::remove_reference_t<Read>> in(read);
        detail::set_header head;
        if (const errc error = in.header(detail::set_kind::fingerprints, head); error != errc::ok) {
            return error;
        }
        fingerprint_set out(head.seed);
        std::uint64_t before = 0;
        for (std::uint64_t i = 0; i < head.count; ++i) {
            std::uint64_t print = 0;
            if (!in.number(print) || print <= before) return errc::damaged_file;
            out.make_room(1);
            out.put(print);
            before = print;
        }
        if (!in.finish()) return errc::damaged_file;
        return out;
    }

  private:
    struct free_memory {
        void operator()(void* memory) const noexcept { std::free(memory); }
    };
    using slot_array = std::unique_ptr<std::uint64_t[], free_memory>;

    void swap(fingerprint_set& other) noexcept {
        std::swap(slots_, other.slots_);
        std::swap(capacity_, other.capacity_);
        std::swap(shift_, other.shift_);
        std::swap(size_, other.size_);
        std::swap(seed_, other.seed_);
    }

    static std::size_t capacity_for(std::size_t count) noexcept {
        return std::max(std::size_t{256}, std::bit_ceil(count / 3 * 4 + 4));
    }

    std::size_t home(std::uint64_t print) const noexcept { return static_cast<std::size_t>(print >> shift_); }

    bool put(std::uint64_t print) noexcept {
        for (std::size_t slot = home(print);; slot = (slot + 1) & (capacity_ - 1)) {
            if (slots_[slot] == print) return false;
            if (slots_[slot] == 0) {
                slots_[slot] = print;
                ++size_;
                return true;
            }
        }
    }

    void make_room(std::size_t more) {
        if (!has_room(more)) grow(capacity_for(size_ + more));
    }

    void grow(std::size_t capacity) {
        slot_array old(static_cast<std::uint64_t*>(std::calloc(capacity, sizeof(std::uint64_t))));
        if (old == nullptr) detail::out_of_memory();
        std::swap(old, slots_);
        const std::size_t old_capacity = std::exchange(capacity_, capacity);
        shift_ = 64 - std::countr_zero(capacity);
        size_ = 0;
        for (std::size_t i = 0; i < old_capacity; ++i) {
            if (old[i] != 0) put(old[i]);
        }
    }

    slot_array slots_;
    std::size_t capacity_ = 0;
    int shift_ = 0;
    std::size_t size_ = 0;
    std::uint64_t seed_ = 0;
};

}  // namespace v0
}  // namespace tickline
