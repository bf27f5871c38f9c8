// Growing memory for columns and tables: 64-byte aligned, never zero-initialised (std::vector would write
// every byte twice), padded with zeros to a multiple of 64 when it is finished, as Arrow recommends:
// https://arrow.apache.org/docs/format/Columnar.html#buffer-alignment-and-padding
//
// Where memory runs out, growing throws std::bad_alloc; a program built without exceptions ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

namespace tickline {
inline namespace v0 {

namespace detail {

[[noreturn]] inline void out_of_memory() {
#if defined(__cpp_exceptions)
    throw std::bad_alloc();
#else
    std::abort();
#endif
}

// Copies `size` bytes that do not overlap. Most log fields are shorter than 64 bytes, and there a call into
// the C library costs more than the copy: pairs of loads that may overlap in the middle need no loop.
inline void copy_bytes(char* out, const char* in, std::size_t size) noexcept {
    if (size > 64) {
        std::memcpy(out, in, size);
    } else if (size > 32) {
        char head[32], tail[32];
        std::memcpy(head, in, 32);
        std::memcpy(tail, in + size - 32, 32);
        std::memcpy(out, head, 32);
        std::memcpy(out + size - 32, tail, 32);
    } else if (size >= 16) {
        char head[16], tail[16];
        std::memcpy(head, in, 16);
        std::memcpy(tail, in + size - 16, 16);
        std::memcpy(out, head, 16);
        std::memcpy(out + size - 16, tail, 16);
    } else if (size >= 8) {
        std::uint64_t head, tail;
        std::memcpy(&head, in, 8);
        std::memcpy(&tail, in + size - 8, 8);
        std::memcpy(out, &head, 8);
        std::memcpy(out + size - 8, &tail, 8);
    } else if (size >= 4) {
        std::uint32_t head, tail;
        std::memcpy(&head, in, 4);
        std::memcpy(&tail, in + size - 4, 4);
        std::memcpy(out, &head, 4);
        std::memcpy(out + size - 4, &tail, 4);
    } else if (size > 0) {
        const char first = in[0], middle = in[size / 2], last = in[size - 1];
        out[0] = first;
        out[size / 2] = middle;
        out[size - 1] = last;
    }
}

// Untyped, owned, aligned memory. size() counts the bytes that are in use.
class memory_block {
  public:
    static constexpr std::size_t alignment = 64;

    memory_block() noexcept = default;
    memory_block(memory_block&& other) noexcept { swap(other); }
    memory_block& operator=(memory_block&& other) noexcept {
        memory_block(std::move(other)).swap(*this);
        return *this;
    }
    memory_block(const memory_block&) = delete;
    memory_block& operator=(const memory_block&) = delete;
    ~memory_block() { std::free(base_); }

    char* data() noexcept { return data_; }
    const char* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    std::size_t capacity() const noexcept { return capacity_; }
    void set_size(std::size_t size) noexcept { size_ = size; }

    // Makes room for `wanted` bytes and keeps the first size() of them. realloc and not a new block: glibc
    // moves large blocks by changing page tables, so that doubling a buffer of many megabytes copies nothing.
    void grow(std::size_t wanted) {
        if (wanted <= capacity_) return;
        const std::size_t capacity = (wanted + alignment - 1) / alignment * alignment;
        const std::size_t old_shift = base_ == nullptr ? 0 : shift_of(base_);
        void* base = capacity < wanted ? nullptr : std::realloc(base_, capacity + alignment);
        if (base == nullptr) out_of_memory();
        base_ = base;
        data_ = static_cast<char*>(base) + shift_of(base);
        capacity_ = capacity;
        if (size_ != 0 && shift_of(base) != old_shift) {
            std::memmove(data_, static_cast<char*>(base) + old_shift, size_);
        }
    }

    // Zeros behind the last byte, up to the next multiple of 64.
    void pad() noexcept {
        const std::size_t padded = (size_ + alignment - 1) / alignment * alignment;
        if (padded != size_) std::memset(data_ + size_, 0, padded - size_);
    }

    // Gives back what is far too much: more than twice what is in use.
    void trim() noexcept {
        const std::size_t used = (size_ + alignment - 1) / alignment * alignment;
        if (capacity_ <= 2 * used + 1024) return;
        const std::size_t shift = shift_of(base_);
        void* const base = std::realloc(base_, used + alignment);
        if (base == nullptr) return;
        base_ = base;
        data_ = static_cast<char*>(base) + shift_of(base);
        capacity_ = used;
        if (shift_of(base) != shift) std::memmove(data_, static_cast<char*>(base) + shift, used);
    }

    void swap(memory_block& other) noexcept {
        std::swap(base_, other.base_);
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(capacity_, other.capacity_);
    }

  private:
    static std::size_t shift_of(const void* base) noexcept {
        return (alignment - reinterpret_cast<std::uintptr_t>(base) % alignment) % alignment;
    }

    void* base_ = nullptr;
    char* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

// The same with a type, growing by doubling.
template <class T>
class buffer {
    static_assert(std::is_trivially_copyable_v<T>);

  public:
    T* data() noexcept { return reinterpret_cast<T*>(block_.data()); }
    const T* data() const noexcept { return reinterpret_cast<const T*>(block_.data()); }
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    T& operator[](std::size_t i) noexcept { return data()[i]; }
    const T& operator[](std::size_t i) const noexcept { return data()[i]; }

    void reserve(std::size_t count) {
        if (count * sizeof(T) > block_.capacity()) grow(count);
    }

    void push_back(T value) {
        reserve(size_ + 1);
        data()[size_++] = value;
    }

    // Appends `count` values that the caller writes, and returns where they begin.
    T* extend(std::size_t count) {
        reserve(size_ + count);
        T* begin = data() + size_;
        size_ += count;
        return begin;
    }

    // Forgets all values behind the first `size`.
    void truncate(std::size_t size) noexcept { size_ = size; }

    // Gives the memory away, padded; the buffer is empty afterwards. Batches are alike: the next one begins
    // with as much room, so that it does not double and copy itself through sizes that malloc gives back to
    // the system each time.
    memory_block finish() {
        reserve(1);
        expected_ = size_;
        block_.set_size(size_ * sizeof(T));
        block_.pad();
        block_.trim();
        size_ = 0;
        return std::move(block_);
    }

  private:
    void grow(std::size_t count) {
        constexpr std::size_t smallest = 1024;
        const std::size_t doubled = block_.capacity() < smallest ? smallest : 2 * block_.capacity();
        const std::size_t wanted = count > expected_ ? count : expected_;
        block_.set_size(size_ * sizeof(T));
        block_.grow(wanted * sizeof(T) > doubled ? wanted * sizeof(T) : doubled);
    }

    memory_block block_;
    std::size_t size_ = 0;
    std::size_t expected_ = 0;  // what the last one held
};

}  // namespace detail

}  // namespace v0
}  // namespace tickline
