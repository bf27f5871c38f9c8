// A table that gives each distinct byte string a dense number: 0 for the first one that was inserted, then 1,
// 2, ... It is the dictionary of Arrow's dictionary-coded columns and the set under exact de-duplication.
//
// Open addressing, linear probing, a power of two of 8-byte slots {32-bit tag of the hash, number + 1}; the
// strings stand one behind the other in one arena with n + 1 offsets, which is Arrow's layout for text, so a
// dictionary is handed over without a copy. The first bits of the tag are the slot, so that growing reads no
// string again, needs no hash, and walks through both arrays of slots from front to end. A tag and a place
// agree by chance for 1 in 2^32 / capacity neighbours, and these are told apart by their bytes.
//
// Strangers choose what is inserted (request URIs, user agents), so the hash is seeded, by default with a
// number drawn at random once per process. Numbers depend on the order of insertion only, never on the seed.
//
// Where memory runs out: see arrow/buffer.hpp. Not thread-safe.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <span>
#include <string_view>
#include <tuple>
#include <utility>

#include "../arrow/buffer.hpp"
#include "hash.hpp"

namespace tickline {
inline namespace v0 {

// One random number per process, drawn from std::random_device at the first call.
inline std::uint64_t process_seed() {
    static const std::uint64_t seed = [] {
        std::random_device device;
        return (std::uint64_t{device()} << 32) ^ std::uint64_t{device()};
    }();
    return seed;
}

namespace detail {

inline void prefetch(const void* address) noexcept {
#if defined(__GNUC__)
    __builtin_prefetch(address);
#else
    static_cast<void>(address);
#endif
}

inline std::uint64_t load_u64(const char* p) noexcept {
    std::uint64_t value;
    std::memcpy(&value, p, 8);
    return value;
}

// Are two strings of the same length equal? Like copy_bytes: no call for short ones, and no loop below 64
// bytes.
inline bool equal_bytes(const char* a, const char* b, std::size_t size) noexcept {
    if (size >= 16) {
        if (size > 128) return std::memcmp(a, b, size) == 0;
        std::uint64_t difference = 0;
        for (std::size_t i = 0; i + 16 < size; i += 16) {
            difference |= (load_u64(a + i) ^ load_u64(b + i)) | (load_u64(a + i + 8) ^ load_u64(b + i + 8));
        }
        const std::size_t last = size - 16;
        difference |=
            (load_u64(a + last) ^ load_u64(b + last)) | (load_u64(a + last + 8) ^ load_u64(b + last + 8));
        return difference == 0;
    }
    if (size >= 8) {
        const std::size_t last = size - 8;
        return ((load_u64(a) ^ load_u64(b)) | (load_u64(a + last) ^ load_u64(b + last))) == 0;
    }
    bool equal = true;
    for (std::size_t i = 0; i < size; ++i) equal &= a[i] == b[i];
    return equal;
}

struct keep_as_is {
    constexpr std::string_view operator()(std::string_view key) const noexcept { return key; }
};

}  // namespace detail

// Where a key_table keeps its strings, by their numbers: one behind the other, with n + 1 offsets. Offset is
// the integer that positions are stored as: std::int32_t (2 GiB of strings, Arrow's utf8) or std::int64_t.
template <class Offset>
class packed_strings {
  public:
    packed_strings() { offsets_.push_back(0); }

    std::size_t size() const noexcept { return offsets_.size() - 1; }
    std::size_t bytes() const noexcept { return arena_.size(); }

    std::string_view operator[](std::uint32_t id) const noexcept {
        const auto begin = static_cast<std::size_t>(offsets_[id]);
        return {arena_.data() + begin, static_cast<std::size_t>(offsets_[id + std::size_t{1}]) - begin};
    }

    // False if that would go beyond the range of Offset.
    bool append(std::string_view key) {
        constexpr auto most_bytes = static_cast<std::size_t>(std::numeric_limits<Offset>::max());
        if (key.size() > most_bytes - arena_.size()) return false;
        detail::copy_bytes(arena_.extend(key.size()), key.data(), key.size());
        offsets_.push_back(static_cast<Offset>(arena_.size()));
        return true;
    }

    // What buffers hold in reserve is not counted: pages that nobody has written to are not there.
    std::size_t memory_after(std::size_t more, std::size_t bytes) const noexcept {
        return (offsets_.size() + more) * sizeof(Offset) + arena_.size() + bytes;
    }

    void reserve(std::size_t count, std::size_t bytes) {
        offsets_.reserve(count + 1);
        arena_.reserve(bytes);
    }

    void clear() noexcept {
        offsets_.truncate(1);
        arena_.truncate(0);
    }

    // Gives offsets and bytes away, padded for Arrow, and starts anew.
    std::pair<detail::memory_block, detail::memory_block> take() {
        std::pair<detail::memory_block, detail::memory_block> out(offsets_.finish(), arena_.finish());
        offsets_.push_back(0);
        return out;
    }

  private:
    detail::buffer<Offset> offsets_;
    detail::buffer<char> arena_;
};

// The numbers of strings that stand in a Store: packed_strings, or shared_strings of dedup/exact_set.hpp.
template <class Store>
class key_table {
  public:
    static constexpr std::uint32_t npos = 0xffffffff;
    // Keys are hashed and their slots prefetched in groups of this many before the first of them is looked
    // up.
    static constexpr std::size_t group = 64;
    // So many distinct strings fit in: five eighths of as many slots as a tag can tell apart.
    static constexpr std::size_t most_strings = (std::size_t{1} << 32) / 8 * 5;

    explicit key_table(std::uint64_t seed = process_seed()) : seed_(seed) {}

    std::size_t size() const noexcept { return store_.size(); }
    bool empty() const noexcept { return size() == 0; }
    // Bytes of all strings together.
    std::size_t bytes() const noexcept { return store_.bytes(); }
    std::uint64_t seed() const noexcept { return seed_; }

    // The string with this number (< size()). Valid until the next insertion.
    std::string_view operator[](std::uint32_t id) const noexcept { return store_[id]; }

    // Bytes of memory in use while `more` strings of `bytes` bytes in all are inserted: while slots grow, the
    // old ones stand beside the new ones.
    std::size_t memory_after(std::size_t more, std::size_t bytes) const noexcept {
        const std::size_t new_slots = has_room(more) ? 0 : capacity_for(size() + more);
        return (capacity_ + new_slots) * sizeof(std::uint64_t) + store_.memory_after(more, bytes);
    }

    // Whether slots need not grow for so many more.
    bool has_room(std::size_t more) const noexcept {
        return std::min(size() + more, most_strings) * 8 <= capacity_ * 5;
    }

    // Makes room for this many distinct strings.
    void reserve(std::size_t count, std::size_t bytes = 0) {
        make_room(count > size() ? count - size() : 0);
        store_.reserve(count, bytes);
    }

    // The number of a string, or npos.
    std::uint32_t find(std::string_view key) const noexcept {
        if (capacity_ == 0) return npos;
        return slot_of(key, hash_seeded(key, seed_)).id;
    }

    // The number of a string, which is inserted if it is not there yet.
    std::uint32_t find_or_insert(std::string_view key) {
        make_room(1);
        return resolve(key, hash_seeded(key, seed_), detail::keep_as_is{});
    }

    // The same for many: ids[i] becomes the number of keys[i]; ids needs room for keys.size() numbers. Much
    // faster than one at a time as soon as the table does not fit into the first-level cache. keys[i] was new
    // if and only if ids[i] is size() as it was before the call + the number of new keys before i. False
    // where a key could not be inserted (more than most_strings, or the range of Offset): ids are then
    // undefined; what was inserted stays.
    bool find_or_insert(std::span<const std::string_view> keys, std::uint32_t* ids) {
        return find_or_insert(keys, ids, detail::keep_as_is{});
    }

    // The same with a hook for keys that are not in the table: `stored = prepare(key)` is what will be looked
    // up and inserted in its place, so only what is new pays for checks. It has to give back the very view it
    // got where nothing is to be changed, and a second call on what it gave must not change that again.
    template <class Prepare>
    bool find_or_insert(std::span<const std::string_view> keys, std::uint32_t* ids, Prepare&& prepare) {
        std::uint64_t hashes[group];
        for (std::size_t done = 0; done < keys.size();) {
            const std::size_t count = std::min(group, keys.size() - done);
            make_room(count);  // no growing inside a group: the prefetched slots stay where they are
            const std::string_view* const key = keys.data() + done;
            std::uint32_t* const id = ids + done;
            const std::uint64_t repeats = in_runs_ ? find_repeats(key, count) : 0;
            for (std::size_t i = 0; i < count; ++i) {
                if ((repeats >> i & 1) != 0) continue;
                hashes[i] = hash_seeded(key[i], seed_);
                detail::prefetch(&slots_[home(hashes[i])]);
            }
            for (std::size_t i = 0; i < count; ++i) {
                id[i] = (repeats >> i & 1) != 0 ? id[i - 1] : resolve(key[i], hashes[i], prepare);
                if (id[i] == npos) return false;
            }
            std::size_t same = 0;
            for (std::size_t i = 1; i < count; ++i) same += id[i] == id[i - 1];
            in_runs_ = same * 4 > count * 3;
            done += count;
        }
        return true;
    }

  protected:
    void clear_slots() noexcept {
        if (capacity_ != 0 && !empty()) std::memset(slots_.get(), 0, capacity_ * sizeof(std::uint64_t));
    }

    Store& store() noexcept { return store_; }

  private:
    struct place {
        std::size_t slot;
        std::uint32_t id;
    };

    struct free_memory {
        void operator()(void* memory) const noexcept { std::free(memory); }
    };
    using slot_array = std::unique_ptr<std::uint64_t[], free_memory>;

    std::size_t mask() const noexcept { return capacity_ - 1; }

    // The first bits of a hash, all of them in its tag.
    std::size_t home(std::uint64_t hash) const noexcept { return static_cast<std::size_t>(hash >> shift_); }

    static std::uint64_t tag_of(std::uint64_t hash) noexcept { return hash & 0xffffffff00000000; }

    // Where a key stands, or the empty slot where it would be inserted (id npos).
    place slot_of(std::string_view key, std::uint64_t hash) const noexcept {
        const std::uint64_t tag = tag_of(hash);
        for (std::size_t slot = home(hash);; slot = (slot + 1) & mask()) {
            const std::uint64_t entry = slots_[slot];
            if (entry == 0) return {slot, npos};
            if ((entry ^ tag) >> 32 == 0) {
                const auto id = static_cast<std::uint32_t>(entry) - 1;
                const std::string_view stored = (*this)[id];
                if (stored.size() == key.size() &&
                    detail::equal_bytes(stored.data(), key.data(), key.size())) {
                    return {slot, id};
                }
            }
        }
    }

    template <class Prepare>
    std::uint32_t resolve(std::string_view key, std::uint64_t hash, Prepare&& prepare) {
        const place found = slot_of(key, hash);
        if (found.id != npos) return found.id;
        const std::string_view stored = prepare(key);
        if (stored.data() == key.data() && stored.size() == key.size()) return insert(found.slot, key, hash);
        return resolve(stored, hash_seeded(stored, seed_), detail::keep_as_is{});
    }

    std::uint32_t insert(std::size_t slot, std::string_view key, std::uint64_t hash) {
        if (size() >= most_strings) return npos;
        const auto id = static_cast<std::uint32_t>(size());
        if (!store_.append(key)) return npos;
        slots_[slot] = tag_of(hash) | (id + std::uint64_t{1});
        return id;
    }

    // Bit i: key i is the one before it. Columns like the bucket are the same in nearly every row, and
    // comparing with the row before is cheaper than hashing; where values are mixed it only costs, so it is
    // done only after a group of which three quarters were repeats.
    static std::uint64_t find_repeats(const std::string_view* key, std::size_t count) noexcept {
        std::uint64_t repeats = 0;
        for (std::size_t i = 1; i < count; ++i) {
            const bool same = key[i].size() == key[i - 1].size() &&
                              detail::equal_bytes(key[i].data(), key[i - 1].data(), key[i].size());
            repeats |= std::uint64_t{same} << i;
        }
        return repeats;
    }

    // Keeps at least three slots in eight empty, also after `more` insertions.
    void make_room(std::size_t more) {
        if (!fits(size() + more)) grow(capacity_for(size() + more));
    }

    bool fits(std::size_t count) const noexcept { return std::min(count, most_strings) * 8 <= capacity_ * 5; }

    static std::size_t capacity_for(std::size_t count) noexcept {
        return std::max(std::size_t{256}, std::bit_ceil(std::min(count, most_strings) * 8 / 5));
    }

    void grow(std::size_t capacity) {
        slot_array old(static_cast<std::uint64_t*>(std::calloc(capacity, sizeof(std::uint64_t))));
        if (old == nullptr) detail::out_of_memory();
        std::swap(old, slots_);
        const std::size_t old_capacity = std::exchange(capacity_, capacity);
        shift_ = 64 - std::countr_zero(capacity);
        for (std::size_t i = 0; i < old_capacity; ++i) {
            if (old[i] == 0) continue;
            std::size_t slot = home(old[i]);
            while (slots_[slot] != 0) slot = (slot + 1) & mask();
            slots_[slot] = old[i];
        }
    }

    slot_array slots_;
    std::size_t capacity_ = 0;
    int shift_ = 0;
    std::uint64_t seed_;
    bool in_runs_ = false;
    Store store_;
};

// The dictionary of Arrow's columns: no insertion goes beyond the range of Offset, it gives npos instead.
template <class Offset>
class byte_table : public key_table<packed_strings<Offset>> {
  public:
    using key_table<packed_strings<Offset>>::key_table;

    // Forgets all strings and keeps the memory of the slots.
    void clear() noexcept {
        this->clear_slots();
        this->store().clear();
    }

    // Gives arena and offsets (size() + 1 of them) away, padded for Arrow, and starts anew.
    struct strings {
        std::size_t count = 0;
        detail::memory_block offsets, bytes;
    };
    strings take() {
        strings out;
        out.count = this->size();
        this->clear_slots();
        std::tie(out.offsets, out.bytes) = this->store().take();
        return out;
    }
};

}  // namespace v0
}  // namespace tickline
