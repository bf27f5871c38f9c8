// Packets and verdicts against the slow reference. The first 66 bytes of the input are what the caller knows
// and what the policy says, the rest is the datagram. It is looked at as it is, and once more with all that
// random bytes hardly ever have (mode, origin, era) put right, so that most of the work happens behind the
// first checks.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <tickline/ntp/validate.hpp>

#include "reference/ntp_compare.hpp"

namespace {

constexpr std::size_t settings_bytes = 66;

void check(const std::string& difference) {
    if (difference.empty()) return;
    std::fprintf(stderr, "%s\n", difference.c_str());
    std::abort();
}

// Numbers taken from the input one after the other.
class settings {
  public:
    explicit settings(const std::uint8_t* bytes) : bytes_(bytes) {}

    template <class T>
    T next() {
        T value{};
        std::memcpy(&value, bytes_, sizeof value);
        bytes_ += sizeof value;
        return value;
    }

    // Small as often as large: the second byte from the top says by how much the number is shifted.
    std::int64_t scaled() {
        const auto value = next<std::int64_t>();
        return value >> (static_cast<std::uint64_t>(value) >> 48 & 63);
    }

  private:
    const std::uint8_t* bytes_;
};

// The policy of every day but for a bit each.
tickline::ntp_policy policy_of(settings& from, std::uint8_t flags) {
    tickline::ntp_policy policy;
    policy.min_version = flags >> 3 & 7;
    policy.allow_zero_reference_time = (flags & 0x40) != 0;
    const std::int64_t pivot = from.scaled(), not_before = from.scaled(), age = from.scaled();
    const std::int64_t distance = from.scaled();
    const auto drift = from.next<std::uint32_t>();
    const auto own = from.next<std::uint32_t>();
    if ((flags & 0x80) == 0) return policy;
    policy.pivot_s = pivot;
    policy.not_before_s = not_before;
    policy.max_reference_age_ns = age;
    policy.max_distance_ns = distance;
    policy.max_delay_ns = distance ^ age;
    policy.drift_ppb = drift;
    policy.own_reference_ids = {0, own};
    return policy;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view whole(reinterpret_cast<const char*>(data), size);
    if (size < settings_bytes) {
        check(tickline::reference::packet_difference(whole));
        return 0;
    }

    settings from(data);
    const auto flags = from.next<std::uint8_t>();
    tickline::ntp_exchange exchange;
    exchange.precision = from.next<std::int8_t>();
    exchange.answered = (flags & 1) != 0;
    exchange.truncated = (flags & 2) != 0;
    exchange.wanted_mac = (flags & 4) != 0;
    exchange.transmit = from.next<std::uint64_t>();
    exchange.t1_ns = from.scaled();
    exchange.elapsed_ns = from.scaled();
    const tickline::ntp_policy policy = policy_of(from, flags);

    std::string response(whole.substr(settings_bytes));
    check(tickline::reference::packet_difference(response));
    check(tickline::reference::verdict_difference(response, exchange, policy));
    if (response.size() < tickline::ntp_header_bytes) return 0;

    // An answer to this request in all but what the input says of the server's clock.
    tickline::ntp_packet packet;
    tickline::parse_ntp_packet(response, packet);
    packet.version = 4;
    packet.mode = 4;
    packet.origin = tickline::ntp64(exchange.transmit);
    packet.transmit = tickline::ntp64(packet.receive.raw() + (packet.transmit.raw() >> 29));
    packet.reference = tickline::ntp64(packet.transmit.raw() - (packet.reference.raw() >> 12));
    tickline::write_ntp_packet(packet, response.data());
    exchange.answered = exchange.truncated = false;
    check(tickline::reference::verdict_difference(response, exchange, policy));
    return 0;
}
