// What can stand behind the header of an NTP packet: extension fields (RFC 5905 section 7.5 as RFC 7822 has
// it) and, at the end, a MAC or a crypto-NAK.
//
//   extension field   type 16 bits, length 16 bits (of all of the field, a multiple of 4, at least 16), value
//   MAC               key id 32 bits, digest of 16 or 20 bytes
//   crypto-NAK        32 zero bits: the server could not check our MAC
//
// Neither says which of them it is; only the bytes that are left do. More than 24: an extension field comes
// next. 24 or 20: a MAC. 4 zero bytes: a crypto-NAK. None: the end. All else is no packet (RFC 7822 section
// 7.5.1.4). So the last field of a packet without a MAC has at least 28 bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>
#include <tickline/error.hpp>
#include <tickline/ntp/packet.hpp>

namespace tickline {
inline namespace v0 {

struct ntp_extension {
    std::uint16_t type = 0;
    std::string_view value;  // with the padding; only the type's own rules tell where that begins
};

namespace detail {

inline constexpr std::size_t ntp_smallest_extension = 16;
inline constexpr std::size_t ntp_largest_mac = 24;
inline constexpr std::size_t ntp_smallest_mac = 20;
inline constexpr std::size_t ntp_crypto_nak_bytes = 4;

constexpr std::uint16_t load_big_endian16(const char* bytes) noexcept {
    return static_cast<std::uint16_t>(static_cast<unsigned char>(bytes[0]) << 8 |
                                      static_cast<unsigned char>(bytes[1]));
}

// The length that the field at the beginning of `bytes` (4 or more) says it has, or 0 if it cannot be.
constexpr std::size_t ntp_extension_length(std::string_view bytes) noexcept {
    const std::size_t length = load_big_endian16(bytes.data() + 2);
    const bool possible = length >= ntp_smallest_extension && length % 4 == 0 && length <= bytes.size();
    return possible ? length : 0;
}

}  // namespace detail

// The fields of a trailer that split_ntp_trailer() took; a forward range of ntp_extension. It holds views:
// the packet must outlive it.
class ntp_extensions {
  public:
    class iterator {
      public:
        using iterator_category = std::forward_iterator_tag;
        using value_type = ntp_extension;
        using difference_type = std::ptrdiff_t;
        using pointer = const ntp_extension*;
        using reference = ntp_extension;

        constexpr iterator() noexcept = default;
        constexpr explicit iterator(std::string_view rest) noexcept : rest_(rest) {}

        constexpr ntp_extension operator*() const noexcept {
            return {detail::load_big_endian16(rest_.data()), rest_.substr(4, length() - 4)};
        }
        constexpr iterator& operator++() noexcept {
            rest_.remove_prefix(length());
            return *this;
        }
        constexpr iterator operator++(int) noexcept {
            const iterator before = *this;
            ++*this;
            return before;
        }
        // Only of iterators over the same packet.
        friend constexpr bool operator==(const iterator& a, const iterator& b) noexcept {
            return a.rest_.size() == b.rest_.size();
        }

      private:
        constexpr std::size_t length() const noexcept { return detail::load_big_endian16(rest_.data() + 2); }

        std::string_view rest_;
    };

    constexpr ntp_extensions() noexcept = default;

    constexpr iterator begin() const noexcept { return iterator(bytes_); }
    constexpr iterator end() const noexcept { return iterator(bytes_.substr(bytes_.size())); }
    constexpr bool empty() const noexcept { return bytes_.empty(); }

  private:
    friend constexpr parse_result split_ntp_trailer(std::string_view bytes,
                                                    struct ntp_trailer& trailer) noexcept;
    // Fields that have been walked through once already.
    constexpr explicit ntp_extensions(std::string_view bytes) noexcept : bytes_(bytes) {}

    std::string_view bytes_;
};

struct ntp_trailer {
    ntp_extensions extensions;
    bool crypto_nak = false;
    std::uint32_t key_id = 0;  // of the MAC
    std::string_view digest;   // 16 or 20 bytes; empty: there is no MAC

    constexpr bool has_mac() const noexcept { return !digest.empty(); }
};

// Takes apart what stands behind the header (nothing is fine). The digest is not checked: that takes the key.
//   bad_length     not a multiple of 4 bytes
//   bad_extension  a field is too short, or longer than the packet, or what is left is no MAC; ptr is there
// trailer is written only on success.
constexpr parse_result split_ntp_trailer(std::string_view bytes, ntp_trailer& trailer) noexcept {
    if (bytes.size() % 4 != 0) return {bytes.data() + bytes.size() / 4 * 4, errc::bad_length};
    std::string_view rest = bytes;
    while (rest.size() > detail::ntp_largest_mac) {
        const std::size_t length = detail::ntp_extension_length(rest);
        if (length == 0) return {rest.data(), errc::bad_extension};
        rest.remove_prefix(length);
    }
    ntp_trailer split;
    split.extensions = ntp_extensions(bytes.substr(0, bytes.size() - rest.size()));
    if (rest.size() >= detail::ntp_smallest_mac) {
        split.key_id = detail::load_big_endian32(rest.data());
        split.digest = rest.substr(4);
    } else if (rest.size() == detail::ntp_crypto_nak_bytes && detail::load_big_endian32(rest.data()) == 0) {
        split.crypto_nak = true;
    } else if (!rest.empty()) {
        return {rest.data(), errc::bad_extension};
    }
    trailer = split;
    return {bytes.data() + bytes.size(), errc::ok};
}

}  // namespace v0
}  // namespace tickline
