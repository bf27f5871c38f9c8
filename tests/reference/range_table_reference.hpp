// Labels of addresses, slow and obvious: every network is looked at for every address.
#pragma once

#include <cstdint>
#include <span>
#include <tickline/ip/range_table.hpp>

namespace tickline::test {

inline std::int32_t slow_label(std::span<const labelled_network> networks, network_order order,
                               const address& a) {
    const labelled_network* best = nullptr;
    const auto length = [](const network& n) { return n.prefix_bits + (n.base.is_v4 ? 96 : 0); };
    for (const labelled_network& one : networks) {
        if (!contains(one.where, a)) continue;
        if (best == nullptr ||
            (order == network_order::longest_prefix && length(one.where) > length(best->where))) {
            best = &one;
        }
    }
    return best == nullptr ? range_table::none : best->label;
}

}  // namespace tickline::test
