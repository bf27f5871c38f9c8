// Counts what has been allocated and not been given back.
#pragma once

#include <cstddef>
#include <memory>

namespace tickline::test {

inline int allocations = 0;

template <class T>
struct counting_allocator {
    using value_type = T;
    counting_allocator() = default;
    template <class U>
    explicit counting_allocator(const counting_allocator<U>&) {}
    T* allocate(std::size_t count) {
        ++allocations;
        return std::allocator<T>{}.allocate(count);
    }
    void deallocate(T* at, std::size_t count) {
        --allocations;
        std::allocator<T>{}.deallocate(at, count);
    }
    template <class U>
    bool operator==(const counting_allocator<U>&) const {
        return true;
    }
};

}  // namespace tickline::test
