// The client on real sockets, on loopback. Servers are threads of the test.
#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <tickline/ntp/client.hpp>
#include <tickline/ntp/dns_cache.hpp>
#include <tickline/ntp/socket.hpp>
#include <vector>

#include "udp_peer.hpp"

using namespace tickline;
using test::peer;

namespace {

constexpr std::int64_t ms = 1000000;

// A server that answers rightly, from a thread, until it is destroyed.
class honest_server {
  public:
    explicit honest_server(bool v6 = false)
        : peer_(v6), where_(peer_.where()), thread_([this] { serve(); }) {}
    honest_server(const honest_server&) = delete;
    honest_server(honest_server&&) = delete;
    honest_server& operator=(const honest_server&) = delete;
    honest_server& operator=(honest_server&&) = delete;
    ~honest_server() {
        ntp_sockets network;
        int handle = -1;
        stop_ = true;
        if (network.open(where_, handle) == 0) network.send(handle, "stop");
        thread_.join();
    }
    bool usable() const { return peer_.usable(); }
    ntp_server_name name() const { return {is_v4_mapped(where_.ip) ? "127.0.0.1" : "::1", where_.port}; }
    unsigned answered() const { return answered_; }

  private:
    void serve() {
        while (!stop_) {
            const std::string request = peer_.receive();
            ntp_packet packet;
            if (!parse_ntp_packet(request, packet)) continue;
            const std::int64_t wall = ntp_system_clock{}.read().wall_ns;
            const auto stamp =
                ntp64::from_unix_time({wall / 1000000000, static_cast<std::uint32_t>(wall % 1000000000)});
            packet.origin = packet.transmit;
            packet.receive = packet.transmit = packet.reference = stamp;
            packet.mode = 4;
            packet.stratum = 2;
            packet.precision = -20;
            packet.root_dispersion = ntp_short::from_ns(ms);
            std::string answer(ntp_header_bytes, '\0');
            write_ntp_packet(packet, answer.data());
            ++answered_;
            peer_.send(answer);
        }
    }

    peer peer_;
    ntp_endpoint where_;
    std::atomic<bool> stop_ = false;
    std::atomic<unsigned> answered_ = 0;
    std::thread thread_;
};

TEST_CASE("the client on sockets: a quorum, from IPv4 and IPv6, beside a dead port") {
    honest_server a;
    honest_server b;
    honest_server c;
    honest_server d(true);
    peer gone;
    const ntp_server_name dead{"127.0.0.1", gone.where().port};
    gone.close();
    std::vector<ntp_server_name> servers{dead, a.name(), b.name(), c.name()};
    if (d.usable()) servers.push_back(d.name());
    dns_cache names;
    ntp_client client(ntp_system_clock{}, names);
    ntp_sockets network;
    const ntp_result result = client.query(network, servers, {});
    CHECK(result.ok);
    CHECK(result.elapsed_ns < 1900 * ms);
    const ntp_clock_reading reading = ntp_system_clock{}.read();
    const std::int64_t utc = reading.wall_ns - (reading.monotonic_ns - result.monotonic_ns);
    CHECK(result.earliest_ns <= utc);
    CHECK(utc <= result.latest_ns);
}

TEST_CASE("one client for many threads: all get the time, and each server one packet") {
    honest_server a;
    honest_server b;
    honest_server c;
    const std::vector<ntp_server_name> servers{a.name(), b.name(), c.name()};
    dns_cache names;
    ntp_client client(ntp_system_clock{}, names, {.headway_ns = std::int64_t{1} << 40});
    std::array<bool, 8> ok{};
    std::vector<std::thread> threads;
    threads.reserve(ok.size());
    for (bool& mine : ok) {
        threads.emplace_back([&] {
            ntp_sockets network;
            mine = client.query(network, servers).ok;
        });
    }
    for (std::thread& one : threads) one.join();
    for (const bool one : ok) CHECK(one);
    for (const honest_server* one : {&a, &b, &c}) CHECK(one->answered() == 1);
}

}  // namespace
