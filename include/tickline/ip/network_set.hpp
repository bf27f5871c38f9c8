// Is an address in any of these networks? For lists of tens of thousands, as of VPN providers.
#pragma once

#include <span>
#include <tickline/ip/address.hpp>
#include <tickline/ip/range_table.hpp>
#include <vector>

namespace tickline {
inline namespace v0 {

// Holds what any of its networks holds by contains(network, address): a range_table with one label. Never
// changes once it is made.
class network_set {
  public:
    network_set() = default;
    explicit network_set(std::span<const network> networks) {
        std::vector<labelled_network> labelled;
        labelled.reserve(networks.size());
        for (const network& one : networks) labelled.push_back({one, 0});
        table_ = range_table(labelled);
    }

    bool empty() const noexcept { return table_.empty(); }

    bool contains(const address& a) const noexcept { return table_.find(a) != range_table::none; }

  private:
    range_table table_;
};

}  // namespace v0
}  // namespace tickline
