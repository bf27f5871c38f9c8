// Servers as people write them: "host", "host:port", "192.0.2.1", "2001:db8::1", "[2001:db8::1]:port". An
// IPv6 address may name its interface ("fe80::1%eth0").
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tickline/error.hpp>
#include <tickline/ip/address.hpp>
#include <tickline/ntp/query.hpp>
#include <tickline/text/number.hpp>

namespace tickline {
inline namespace v0 {

namespace detail {

// The longest name that DNS can carry, with a dot at its end.
inline constexpr std::size_t longest_host_name = 254;

// Not whether DNS would take it, that is for the resolver to say: only what can be no name at all, and would
// make one name look like another in a message.
constexpr bool is_host_name(std::string_view host) noexcept {
    if (host.empty() || host.size() > longest_host_name) return false;
    for (const char c : host) {
        if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f || c == '[' || c == ']' || c == '/')
            return false;
    }
    return true;
}

constexpr bool is_v6_with_interface(std::string_view host) noexcept {
    const std::size_t percent = host.find('%');
    address ip;
    return percent != std::string_view::npos && percent + 1 < host.size() &&
           host.find(':') != std::string_view::npos && bool(parse_address(host.substr(0, percent), ip));
}

// The address that a name is, if it is one. One with an interface is left to the resolver, which knows the
// interfaces of this machine.
constexpr std::optional<address> literal_address(std::string_view host) noexcept {
    address ip;
    if (!parse_address(host, ip)) return std::nullopt;
    return canonical(ip);
}

// Colons stand in addresses only.
constexpr bool is_server_host(std::string_view host) noexcept {
    if (!is_host_name(host)) return false;
    return host.find(':') == std::string_view::npos || literal_address(host) || is_v6_with_interface(host);
}

}  // namespace detail

// Reads one server.
//   bad_address   nothing, or something that is no name of a host
//   bad_digit     what stands behind the colon is no number
//   out_of_range  a port outside 1..65535
inline result<ntp_server_name> parse_ntp_server(std::string_view text,
                                                std::uint16_t default_port = 123) noexcept {
    std::string_view host = text;
    std::optional<std::string_view> digits;
    const bool in_brackets = !text.empty() && text.front() == '[';
    if (in_brackets) {
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos) return errc::bad_address;
        host = text.substr(1, end - 1);
        const std::string_view rest = text.substr(end + 1);
        if (!rest.empty() && rest.front() != ':') return errc::bad_address;
        if (!rest.empty()) digits = rest.substr(1);
    } else if (const std::size_t colon = text.find(':');
               colon != std::string_view::npos && text.find(':', colon + 1) == std::string_view::npos) {
        // With one colon it is a port; with more of them an IPv6 address without a port.
        host = text.substr(0, colon);
        digits = text.substr(colon + 1);
    }
    if (!detail::is_server_host(host)) return errc::bad_address;
    if (in_brackets && host.find(':') == std::string_view::npos) return errc::bad_address;

    std::uint64_t port = default_port;
    if (digits) {
        if (const parse_result number = parse_uint64(*digits, port); !number) {
            return number.error == errc::number_overflow ? errc::out_of_range : errc::bad_digit;
        }
    }
    if (port == 0 || port > 65535) return errc::out_of_range;
    return ntp_server_name{std::string(host), static_cast<std::uint16_t>(port)};
}

// "192.0.2.1", "2001:db8::1", "fe80::1%2" with the number of the interface, whose name may change.
inline std::string text_of(const address& ip, std::uint32_t scope) {
    std::array<char, address_text_size> space{};
    std::string text(space.data(), write_address(space.data(), canonical(ip)));
    if (scope != 0) text.append("%").append(std::to_string(scope));
    return text;
}

// As parse_ntp_server() reads it: "192.0.2.1:123", "[2001:db8::1]:123".
inline std::string text_of(const ntp_endpoint& where) {
    std::string text = text_of(where.ip, where.scope);
    if (!canonical(where.ip).is_v4) text = "[" + text + "]";
    return text.append(":").append(std::to_string(where.port));
}

}  // namespace v0
}  // namespace tickline
