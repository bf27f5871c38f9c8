// The servers of a simulated world, and the network to them: honest ones, liars, and all the rest.
//
// A server is honest if the times it sends differ from the truth by no more than its packet admits (root
// delay / 2 + root dispersion, and its precision). That is computed here from the very fields it sends, by
// means of its own and not by the library's.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ntp/simulator.hpp"

namespace tickline::simulation {

// How long a packet is under way.
struct delays {
    enum class kind : std::uint8_t { fixed, exponential, heavy_tail };
    kind shape = kind::fixed;
    std::int64_t least_ns = 5 * millisecond;
    std::int64_t more_ns = 0;  // the mean of what comes on top

    std::int64_t draw(dice& random) const {
        if (shape == kind::fixed || more_ns == 0) return least_ns;
        const double u = 1 - random.fraction();  // in (0, 1]
        // Exponential, or Pareto with exponent 1.5, whose variance is infinite; of the same mean.
        const double factor = shape == kind::exponential ? -std::log(u) : (std::pow(u, -1 / 1.5) - 1) / 2;
        return least_ns + static_cast<std::int64_t>(static_cast<double>(more_ns) * std::min(factor, 1e3));
    }
};

struct server {
    enum class manner : std::uint8_t {
        time,            // answers with what the fields below say
        silent,          // never answers
        unsynchronised,  // as chronyd does: leap 3, stratum 0, no reference id
        kiss,            // with the code below
        rubbish,         // random bytes of random length
        garbled,         // an answer to this request, with random bytes where the time should stand
        refuses,         // the system says that nobody listens there
    };
    manner answers = manner::time;

    delays there;
    delays back;
    double loss = 0;        // of a packet, each way
    double duplicated = 0;  // of an answer
    int send_error = 0;
    int open_error = 0;
    // Datagrams that others send under this server's address, for each request and within so much time:
    // they saw neither the request nor its transmit stamp.
    unsigned forged = 0;
    std::int64_t forged_within_ns = 100 * millisecond;

    std::int64_t processing_ns = 20 * microsecond;
    // What is wrong with its receive and its transmit stamp, drawn for each answer: base, and up to `wander`.
    std::int64_t receive_error_ns = 0;
    std::int64_t transmit_error_ns = 0;
    std::int64_t wander_ns = 0;
    std::uint32_t root_delay = 0;       // 16.16 s
    std::uint32_t root_dispersion = 0;  // 16.16 s
    std::int8_t precision = -24;
    std::uint8_t stratum = 2;
    std::uint8_t leap = 0;
    std::uint32_t reference_id = 0xc0000201;  // 192.0.2.1
    std::int64_t reference_age_ns = 30 * second;
    std::string_view kiss_code = "RATE";

    // By how much an honest server with these fields may be wrong, rounded down.
    std::int64_t admitted_ns() const noexcept {
        const std::int64_t twice = std::int64_t{root_delay} + 2 * std::int64_t{root_dispersion};
        const std::int64_t root = twice / 65536 * (second / 2) + twice % 65536 * (second / 2) / 65536;
        return root + static_cast<std::int64_t>(std::ldexp(1e9, precision));
    }
    bool honest() const noexcept {
        const std::int64_t most =
            std::max(std::abs(receive_error_ns), std::abs(transmit_error_ns)) + wander_ns;
        return answers != manner::garbled && (answers != manner::time || most <= admitted_ns());
    }
};

// The 64 bits of a moment, rounded down; all zero means "unknown" and is avoided.
inline std::uint64_t ntp_stamp_of(std::int64_t utc_ns) noexcept {
    const std::int64_t since = utc_ns - 2085978496 * second;  // from the begin of era 1
    const std::int64_t seconds = since / second - (since % second < 0 ? 1 : 0);
    const auto rest = static_cast<std::uint64_t>(since - seconds * second);
    const std::uint64_t stamp =
        static_cast<std::uint64_t>(seconds) << 32 | (rest << 32) / static_cast<std::uint64_t>(second);
    return stamp == 0 ? 1 : stamp;
}

namespace wire {

inline void put(std::string& bytes, std::size_t at, std::uint64_t value, std::size_t width) {
    for (std::size_t i = 0; i < width; ++i)
        bytes[at + i] = static_cast<char>(value >> (8 * (width - 1 - i)) & 0xff);
}

inline std::string rubbish(dice& random) {
    std::string bytes(random.below(120), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.bits());
    return bytes;
}

// Anything from one flipped bit to a header of noise; leap, version, mode and origin stay.
inline void garble(std::string& bytes, dice& random) {
    for (std::size_t left = 1 + random.below(40); left > 0; --left) {
        const std::size_t at = 1 + random.below(47);
        if (at < 24 || at >= 32) bytes[at] = static_cast<char>(bytes[at] ^ static_cast<char>(random.bits()));
    }
}

}  // namespace wire

// What this server sends back if the request came to it at that time.
inline std::string answer_of(const server& s, std::string_view request, std::int64_t received_utc_ns,
                             dice& random) {
    using manner = server::manner;
    if (s.answers == manner::rubbish) return wire::rubbish(random);
    std::string bytes(48, '\0');
    const bool lost = s.answers == manner::unsynchronised;
    const bool kiss = s.answers == manner::kiss;
    const std::int64_t wrong_in = s.receive_error_ns + random.between(-s.wander_ns, s.wander_ns);
    const std::int64_t wrong_out = s.transmit_error_ns + random.between(-s.wander_ns, s.wander_ns);
    const std::int64_t in = received_utc_ns + wrong_in;
    // A clock that wanders still goes forward.
    const std::int64_t out = received_utc_ns + s.processing_ns + wrong_out;
    const bool backwards = out < in && s.receive_error_ns <= s.transmit_error_ns;
    wire::put(bytes, 0, (lost || kiss ? 3U : s.leap) << 6 | 4U << 3 | 4U, 1);
    wire::put(bytes, 1, lost || kiss ? 0 : s.stratum, 1);
    wire::put(bytes, 3, static_cast<std::uint8_t>(s.precision), 1);
    wire::put(bytes, 4, s.root_delay, 4);
    wire::put(bytes, 8, s.root_dispersion, 4);
    if (!lost) wire::put(bytes, 12, s.reference_id, 4);
    if (kiss) bytes.replace(12, 4, s.kiss_code);
    if (!lost && !kiss) wire::put(bytes, 16, ntp_stamp_of(in - s.reference_age_ns), 8);
    bytes.replace(24, 8, request.substr(40, 8));
    wire::put(bytes, 32, ntp_stamp_of(in), 8);
    wire::put(bytes, 40, ntp_stamp_of(backwards ? in : out), 8);
    if (s.answers == manner::garbled) wire::garble(bytes, random);
    return bytes;
}

class servers : public world {
  public:
    using world::world;

    void add(const ntp_endpoint& where, const server& what) { known_.emplace_back(where, what); }
    void add_name(std::string host, found_name found) {
        lookups_.emplace_back(std::move(host), std::move(found));
    }
    // What all those are that were not added.
    void others(const server& what) { others_ = what; }
    server* find(const ntp_endpoint& where) noexcept {
        for (auto& [endpoint, known] : known_)
            if (endpoint == where) return &known;
        return nullptr;
    }

    // That so many of the next draws of random numbers fail, or give 0.
    void fail_random(unsigned failing, unsigned zeros) {
        random_failing_ = failing;
        random_zeros_ = zeros;
    }

  protected:
    int on_open(const ntp_endpoint& where) override { return of(where).open_error; }

    int on_random(std::uint64_t& out) override {
        if (random_failing_ > 0) {
            --random_failing_;
            return ENOSYS;
        }
        if (random_zeros_ > 0) {
            --random_zeros_;
            out = 0;
        }
        return 0;
    }

    found_name on_look_up(std::string_view host, ip_family) override {
        for (const auto& [name, found] : lookups_)
            if (name == host) return found;
        return {0, {{}, "no such name"}};
    }

    int on_send(std::size_t slot, const ntp_endpoint& to, std::string_view request) override {
        const server& s = of(to);
        if (s.send_error != 0) return s.send_error;
        if (!check(request)) return 0;
        forge(slot, s, request);
        const std::int64_t there = s.there.draw(random());
        const std::int64_t back = s.back.draw(random());
        if (s.answers == server::manner::refuses) fail(slot, there + back, ECONNREFUSED);
        if (s.answers == server::manner::silent || s.answers == server::manner::refuses) return 0;
        if (random().chance(s.loss) || random().chance(s.loss)) return 0;
        const std::string bytes = answer_of(s, request, utc_ns() + there, random());
        deliver(slot, there + s.processing_ns + back, bytes);
        while (random().chance(s.duplicated))
            deliver(slot, there + s.processing_ns + s.back.draw(random()), bytes);
        return 0;
    }

  private:
    const server& of(const ntp_endpoint& where) {
        const server* const known = find(where);
        return known != nullptr ? *known : others_;
    }

    // The request must tell nothing of this machine (draft-ietf-ntp-data-minimization).
    bool check(std::string_view request) {
        if (request.size() != 48 || request[0] != 0x23) {
            complain("a request that is none");
            return false;
        }
        for (std::size_t i = 1; i < 40; ++i)
            if (request[i] != (i == 3 ? 0x20 : 0)) complain("a request that tells more than it must");
        const std::string_view transmit = request.substr(40);
        if (transmit == std::string_view("\0\0\0\0\0\0\0\0", 8)) complain("a transmit stamp of zero");
        return true;
    }

    // What somebody can send who does not see the traffic, and what a network reflects.
    void forge(std::size_t slot, const server& s, std::string_view request) {
        server liar;
        liar.receive_error_ns = liar.transmit_error_ns = 3600 * second;
        for (unsigned i = 0; i < s.forged; ++i) {
            const std::int64_t in_ns = random().between(0, s.forged_within_ns);
            std::string transmit(48, '\0');
            wire::put(transmit, 40, random().chance(0.1) ? 0 : random().bits(), 8);
            if (random().chance(0.1)) {
                // One byte short of a hit.
                transmit.replace(40, 8, request.substr(40, 8));
                transmit[40 + random().below(8)] ^= static_cast<char>(1U << random().below(8));
            }
            liar.answers = random().pick({server::manner::time, server::manner::kiss,
                                          server::manner::unsynchronised, server::manner::rubbish});
            liar.kiss_code = random().pick<std::string_view>({"DENY", "RATE", "RSTR"});
            std::string bytes = random().chance(0.1) ? std::string(request)
                                                     : answer_of(liar, transmit, utc_ns() + in_ns, random());
            if (random().chance(0.05)) bytes.append(random().below(2000), '\0');
            deliver(slot, in_ns, std::move(bytes));
        }
    }

    std::vector<std::pair<ntp_endpoint, server>> known_;
    std::vector<std::pair<std::string, found_name>> lookups_;
    server others_;
    unsigned random_failing_ = 0;
    unsigned random_zeros_ = 0;
};

}  // namespace tickline::simulation
