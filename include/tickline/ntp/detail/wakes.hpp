// Those who wait for something that somebody else will know.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <tickline/ntp/query.hpp>
#include <vector>

namespace tickline {
inline namespace v0 {
namespace detail {

// Each of them once, and held weakly: who has let go of its wake is not called any more.
class dns_wakes {
  public:
    bool empty() const noexcept { return wakes_.empty(); }

    // False if it waits already. Those who have gone are dropped here, so that the list does not grow while
    // nothing is known.
    bool add(const dns_wake& wake) {
        if (wake == nullptr) return true;
        std::erase_if(wakes_, [](const auto& one) { return one.expired(); });
        if (find(wake) != wakes_.end()) return false;
        wakes_.emplace_back(wake);
        return true;
    }

    // False if it was not there.
    bool remove(const dns_wake& wake) {
        const auto mine = wake == nullptr ? wakes_.end() : find(wake);
        if (mine == wakes_.end()) return false;
        wakes_.erase(mine);
        return true;
    }

    void clear() noexcept { wakes_.clear(); }

    // Not under a mutex: nobody knows what these functions take.
    void call() const {
        for (const auto& one : wakes_) {
            if (const dns_wake wake = one.lock(); wake != nullptr && *wake) (*wake)();
        }
    }

  private:
    using list = std::vector<std::weak_ptr<const std::function<void()>>>;

    list::iterator find(const dns_wake& wake) {
        return std::find_if(wakes_.begin(), wakes_.end(),
                            [&wake](const auto& one) { return one.lock() == wake; });
    }

    list wakes_;
};

}  // namespace detail
}  // namespace v0
}  // namespace tickline
