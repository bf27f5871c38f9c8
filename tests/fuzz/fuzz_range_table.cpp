// Labels of addresses against one look at every network. The input is a list of networks, one a line, and at
// its end 16 bytes of an address; networks get their place as label, modulo five.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>
#include <tickline/ip/range_table.hpp>
#include <vector>

#include "reference/range_table_reference.hpp"

namespace {

using tickline::address;
using tickline::labelled_network;

// The base, the address with the last bits all set, and what stands one further on both sides.
void add_ends(const tickline::network& n, std::vector<address>& out) {
    address last = n.base;
    for (unsigned bit = n.prefix_bits + (n.base.is_v4 ? 96 : 0); bit < 128; ++bit) {
        last.bytes[bit / 8] = static_cast<std::uint8_t>(last.bytes[bit / 8] | 0x80U >> (bit % 8));
    }
    address before = n.base, behind = last;
    for (std::size_t i = 16; i-- > 0 && before.bytes[i]-- == 0;) {
    }
    for (std::size_t i = 16; i-- > 0 && ++behind.bytes[i] == 0;) {
    }
    out.insert(out.end(), {n.base, last, tickline::canonical(before), tickline::canonical(behind)});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::size_t tail = std::min<std::size_t>(size, 16);
    address probe;
    std::copy_n(data + (size - tail), tail, probe.bytes.begin());
    std::vector<address> asked = {probe};
    std::vector<labelled_network> networks;
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    // The reference is quadratic.
    while (!rest.empty() && networks.size() < 100) {
        const std::size_t end = rest.find('\n');
        labelled_network one;
        if (tickline::parse_network(rest.substr(0, end), one.where)) {
            one.label = static_cast<std::int32_t>(networks.size() % 5);
            networks.push_back(one);
            add_ends(one.where, asked);
        }
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
    for (const auto order : {tickline::network_order::longest_prefix, tickline::network_order::first_wins}) {
        const tickline::range_table table(networks, order);
        for (const address& a : asked) {
            if (table.find(a) == tickline::test::slow_label(networks, order, a)) continue;
            std::fprintf(stderr, "another label than the networks give\n");
            std::abort();
        }
        if (table.size() > 2 * networks.size() + 2) std::abort();
    }
    return 0;
}
