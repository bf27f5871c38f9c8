// A network for ntp_client that does what a test says, to the nanosecond: nothing takes time but waiting, and
// what comes in, and when, is written down for each address. (simulator.hpp is the one with chance in it.)
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tickline/ntp/client.hpp>
#include <tickline/ntp/packet.hpp>
#include <utility>
#include <vector>

namespace tickline::scripted {

inline constexpr std::int64_t ms = 1000000;
inline constexpr std::int64_t second = 1000000000;
inline constexpr std::int64_t begin_mono = 1000 * second;
inline constexpr std::int64_t begin_utc = 1800000000 * second;  // 2027-01-15

// What comes in on a socket, so long after the request was sent.
struct event {
    std::int64_t after_ns = 0;
    std::string bytes;
    int error = 0;
    std::optional<std::int64_t> kernel_after_ns = std::nullopt;  // when the kernel says that it came
    bool truncated = false;
};

using script = std::function<std::vector<event>(std::string_view request, std::int64_t utc_ns)>;

struct found {
    std::int64_t after_ns = 0;  // -1: never
    std::vector<std::string> addresses;
};

inline ntp_endpoint at(std::string_view text, std::uint16_t port = 123) {
    ntp_endpoint where;
    parse_address(text, where.ip);
    where.port = port;
    return where;
}

struct world {
    std::int64_t mono = begin_mono;
    std::int64_t wall_error = 0;
    std::int64_t asleep = 0;
    std::vector<std::pair<std::int64_t, std::function<void()>>>
        plan;  // at this instant of the monotonic clock

    struct socket {
        ntp_endpoint peer;
        bool open = true;
        std::vector<std::pair<std::int64_t, event>> coming;
        std::int64_t sent = 0;
    };
    std::vector<std::pair<ntp_endpoint, script>> scripts;
    std::vector<socket> opened;
    std::vector<std::pair<std::int64_t, ntp_endpoint>> sent;
    std::map<std::string, found> names;
    std::map<std::string, std::int64_t> asked_names;
    std::vector<std::pair<std::int64_t, std::weak_ptr<const std::function<void()>>>> wakes;
    std::uint64_t random = 0x0123456789abcdef;
    int open_error = 0;
    int send_error = 0;
    int random_error = 0;
    unsigned waits = 0;

    std::int64_t utc() const { return begin_utc + (mono - begin_mono); }

    void serve(std::string_view address, script what, std::uint16_t port = 123) {
        scripts.emplace_back(at(address, port), std::move(what));
    }
    unsigned packets_to(std::string_view address, std::uint16_t port = 123) const {
        return static_cast<unsigned>(std::count_if(
            sent.begin(), sent.end(), [&](const auto& one) { return one.second == at(address, port); }));
    }

    void advance(std::int64_t to) {
        std::stable_sort(plan.begin(), plan.end(),
                         [](const auto& a, const auto& b) { return a.first < b.first; });
        while (!plan.empty() && plan.front().first <= to) {
            mono = std::max(mono, plan.front().first);
            const auto act = std::move(plan.front().second);
            plan.erase(plan.begin());
            act();
        }
        mono = std::max(mono, to);
    }
};

struct virtual_clock {
    world* in;
    std::int64_t monotonic_ns() const noexcept { return in->mono; }
    ntp_clock_reading read() const noexcept {
        return {in->mono, detail::saturating_add(in->utc(), in->wall_error), 0};
    }
    std::int64_t asleep_ns() const noexcept { return in->asleep; }
};

struct sockets {
    world* in;

    int open(const ntp_endpoint& where, int& handle) {
        if (in->open_error != 0) return in->open_error;
        in->opened.push_back({where, true, {}, 0});
        handle = static_cast<int>(in->opened.size()) - 1;
        return 0;
    }
    int send(int handle, std::string_view bytes) {
        if (in->send_error != 0) return in->send_error;
        world::socket& one = in->opened[static_cast<std::size_t>(handle)];
        in->sent.emplace_back(in->mono, one.peer);
        one.sent = in->mono;
        for (const auto& [where, what] : in->scripts) {
            if (!(where == one.peer)) continue;
            for (event& next : what(bytes, in->utc()))
                one.coming.emplace_back(in->mono + next.after_ns, next);
        }
        return 0;
    }
    void wait(std::int64_t until) {
        ++in->waits;
        std::int64_t next = until;
        for (const auto& one : in->opened) {
            if (!one.open) continue;
            for (const auto& [when, what] : one.coming) next = std::min(next, when);
        }
        for (const auto& [when, wake] : in->wakes) next = std::min(next, when);
        in->advance(std::max(next, in->mono));
        auto due = std::exchange(in->wakes, {});
        for (const auto& [when, weak] : due) {
            if (when > in->mono) {
                in->wakes.emplace_back(when, weak);
            } else if (const dns_wake wake = weak.lock()) {
                (*wake)();
            }
        }
    }
    int receive(int handle, char* buffer, std::size_t size, ntp_received& out) {
        world::socket& one = in->opened[static_cast<std::size_t>(handle)];
        for (auto next = one.coming.begin(); next != one.coming.end(); ++next) {
            if (next->first > in->mono) continue;
            const event what = std::move(next->second);
            one.coming.erase(next);
            if (what.error != 0) return what.error;
            out.size = std::min(size, what.bytes.size());
            out.truncated = what.truncated || what.bytes.size() > size;
            std::memcpy(buffer, what.bytes.data(), out.size);
            out.monotonic_ns = what.kernel_after_ns ? one.sent + *what.kernel_after_ns : in->mono;
            out.stamp = what.kernel_after_ns ? ntp_stamp::kernel : ntp_stamp::program;
            return 0;
        }
        return EAGAIN;
    }
    void close(int handle) { in->opened[static_cast<std::size_t>(handle)].open = false; }
    int random64(std::uint64_t& out) {
        out = in->random++;
        return in->random_error;
    }
    std::function<void()> waker() { return {}; }
};

struct virtual_names {
    world* in;

    dns_state look_up(std::string_view host, ip_family, std::int64_t now, dns_answer& out,
                      const dns_wake& wake) {
        const std::string name(host);
        const auto known = in->names.find(name);
        if (known == in->names.end()) {
            out.why = "no such name";
            return dns_state::failed;
        }
        const std::int64_t asked = in->asked_names.emplace(name, now).first->second;
        const found& answer = known->second;
        if (answer.after_ns < 0) return dns_state::pending;
        if (now < asked + answer.after_ns) {
            in->wakes.emplace_back(asked + answer.after_ns, wake);
            return dns_state::pending;
        }
        for (const std::string& one : answer.addresses) out.addresses.push_back({at(one).ip, 0});
        return dns_state::found;
    }
};

// The answer of a server whose clock is off by `error_ns`, and which takes `there_ns` to hear the request.
inline std::string answer(std::string_view request, std::int64_t utc_ns, std::int64_t there_ns,
                          std::int64_t error_ns = 0) {
    ntp_packet asked;
    parse_ntp_packet(request, asked);
    const std::int64_t heard = utc_ns + there_ns + error_ns;
    const auto stamp = [](std::int64_t ns) {
        return ntp64::from_unix_time({ns / second, static_cast<std::uint32_t>(ns % second)});
    };
    ntp_packet packet;
    packet.version = 4;
    packet.mode = 4;
    packet.stratum = 2;
    packet.precision = -25;
    packet.root_delay = ntp_short::from_ns(ms);
    packet.root_dispersion = ntp_short::from_ns(ms);
    packet.reference_id = 0xc0000201;
    packet.reference = stamp(heard - 10 * second);
    packet.origin = asked.transmit;
    packet.receive = packet.transmit = stamp(heard);
    std::string bytes(ntp_header_bytes, '\0');
    write_ntp_packet(packet, bytes.data());
    return bytes;
}

inline std::string kiss(std::string_view request, std::string_view code) {
    std::string bytes = answer(request, begin_utc, 0);
    bytes[0] = '\xe4';  // leap 3, as servers send it
    bytes[1] = 0;
    std::copy(code.begin(), code.end(), bytes.begin() + 12);
    return bytes;
}

// One that answers after rtt_ns, half of it each way.
inline script honest(std::int64_t rtt_ns, std::int64_t error_ns = 0) {
    return [=](std::string_view request, std::int64_t utc_ns) {
        return std::vector<event>{{rtt_ns, answer(request, utc_ns, rtt_ns / 2, error_ns)}};
    };
}

inline script kissing(std::string code) {
    return [=](std::string_view request, std::int64_t) {
        return std::vector<event>{{ms, kiss(request, code)}};
    };
}

inline script silent() {
    return [](std::string_view, std::int64_t) { return std::vector<event>{}; };
}

// A client in such a world. Servers are given as parse_ntp_server() reads them.
struct stage {
    world in;
    virtual_names names{&in};
    ntp_client<virtual_clock, virtual_names> client;
    ntp_query_options options;

    explicit stage(ntp_client_options wanted = {}) : client(virtual_clock{&in}, names, wanted) {}

    ntp_result ask(const std::vector<std::string>& servers) {
        std::vector<ntp_server_name> parsed;
        for (const std::string& one : servers) parsed.push_back(parse_ntp_server(one).value());
        sockets net{&in};
        return client.query(net, parsed, options);
    }
};

}  // namespace tickline::scripted
