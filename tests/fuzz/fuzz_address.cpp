// Addresses and networks against inet_pton. RFC 4291 section 2.2 decides what an address is; glibc's
// inet_pton reads exactly that, and for IPv4 it wants four octets without leading zeros as we do. What
// differs is taken out here: it reads up to the first NUL, and such a text is never an address for us.
#include <arpa/inet.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <tickline/ip/address.hpp>

namespace {

void check(bool good, const char* what, std::string_view text) {
    if (good) return;
    std::fprintf(stderr, "%s: %.*s\n", what, static_cast<int>(text.size()), text.data());
    std::abort();
}

std::optional<tickline::address> reference(std::string_view view) {
    const std::string text(view);
    if (text.find('\0') != std::string::npos) return std::nullopt;
    tickline::address a;
    if (inet_pton(AF_INET, text.c_str(), a.bytes.data() + 12) == 1) {
        a.bytes[10] = a.bytes[11] = 0xff;
        a.is_v4 = true;
        return a;
    }
    if (inet_pton(AF_INET6, text.c_str(), a.bytes.data()) == 1) return a;
    return std::nullopt;
}

std::string written(const tickline::address& a) {
    char text[tickline::address_text_size];
    return std::string(text, tickline::write_address(text, a));
}

void check_written(const tickline::address& a) {
    const std::string text = written(a);
    tickline::address back;
    check(bool(tickline::parse_address(text, back)), "own text is not read", text);
    check(back == a && back.is_v4 == a.is_v4, "own text is read as another address", text);
    check(written(back) == text, "two texts for one address", text);

    // inet_ntop follows RFC 5952 too, but for the deprecated IPv4-compatible addresses, which it writes with
    // dots.
    char theirs[INET6_ADDRSTRLEN];
    if (inet_ntop(AF_INET6, a.bytes.data(), theirs, sizeof theirs) == nullptr) std::abort();
    const std::string_view system_text = theirs;
    if (!a.is_v4 && (tickline::is_v4_mapped(a) || system_text.find('.') == std::string_view::npos)) {
        check(text == system_text, "not as RFC 5952 wants", text);
    }
}

void check_address(std::string_view text) {
    const std::optional<tickline::address> expected = reference(text);
    tickline::address ours;
    const tickline::parse_result stop = tickline::parse_address(text, ours);
    check(bool(stop) == expected.has_value(), "accepted or not", text);
    check(stop.ptr >= text.data() && stop.ptr <= text.data() + text.size(), "place", text);
    if (!expected) return;
    check(stop.ptr == text.data() + text.size(), "end", text);
    check(ours == *expected && ours.is_v4 == expected->is_v4, "bytes", text);
    check_written(ours);
}

// Bit by bit, with the family asked first.
bool slowly_contains(const tickline::network& n, const tickline::address& a) {
    if (tickline::is_v4_mapped(n.base) != tickline::is_v4_mapped(a)) return false;
    const unsigned begin = n.base.is_v4 ? 96 : 0;
    for (unsigned i = begin; i < begin + n.prefix_bits; ++i) {
        if (((n.base.bytes[i / 8] ^ a.bytes[i / 8]) & (128U >> (i % 8))) != 0) return false;
    }
    return true;
}

void check_network(std::string_view text, const tickline::address& probe) {
    tickline::network n;
    const tickline::parse_result stop = tickline::parse_network(text, n);
    const std::size_t slash = text.find('/');
    check(bool(reference(text.substr(0, slash))) == (stop.error != tickline::errc::bad_address),
          "network's address", text);
    if (!stop) return;
    check(stop.ptr == text.data() + text.size(), "network's end", text);
    check(n.prefix_bits <= (n.base.is_v4 ? 32U : 128U), "network's length", text);
    check(tickline::contains(n, n.base), "network without its first address", text);
    check(tickline::contains(n, probe) == slowly_contains(n, probe), "network's content", text);

    tickline::network back;
    const std::string own = written(n.base) + "/" + std::to_string(n.prefix_bits);
    check(bool(tickline::parse_network(own, back)) && back == n, "network's own text", own);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    tickline::address bytes;
    std::copy_n(data, std::min<std::size_t>(size, 16), bytes.bytes.begin());
    check_written(bytes);

    std::string_view rest = input;
    while (!rest.empty()) {
        const std::size_t end = rest.find('\n');
        const std::string_view line = rest.substr(0, end);
        check_address(line);
        check_network(line, bytes);
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
    return 0;
}
