// ntp_sockets on loopback: what the kernel does.
#include <doctest/doctest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <limits>
#include <memory>
#include <thread>
#include <tickline/ntp/client.hpp>
#include <tickline/ntp/dns_cache.hpp>
#include <tickline/ntp/socket.hpp>
#include <vector>

#include "udp_peer.hpp"

using namespace tickline;
using test::loopback;
using test::peer;

namespace {

constexpr std::int64_t ms = 1000000;

std::int64_t now() { return ntp_system_clock{}.monotonic_ns(); }

// Waits, a bounded time, until there is something.
int receive(ntp_sockets& network, int handle, ntp_received& got, char* buffer, std::size_t size) {
    for (int i = 0; i < 100; ++i) {
        network.wait(now() + 50 * ms);
        if (const int error = network.receive(handle, buffer, size, got); error != EAGAIN) return error;
    }
    return EAGAIN;
}

TEST_CASE("a datagram goes there and back, over IPv4 and IPv6") {
    for (const bool v6 : {false, true}) {
        peer server(v6);
        if (!server.usable()) {
            MESSAGE("no IPv6 on loopback here: not tested");
            continue;
        }
        ntp_sockets network;
        int handle = -1;
        REQUIRE(network.open(server.where(), handle) == 0);
        std::array<char, 100> buffer{};
        ntp_received got;
        CHECK(network.receive(handle, buffer.data(), buffer.size(), got) == EAGAIN);
        const std::int64_t before = now();
        REQUIRE(network.send(handle, "hello") == 0);
        REQUIRE(server.receive() == "hello");
        server.send("answer");
        REQUIRE(receive(network, handle, got, buffer.data(), buffer.size()) == 0);
        CHECK(std::string_view(buffer.data(), got.size) == "answer");
        CHECK_FALSE(got.truncated);
        CHECK(got.monotonic_ns >= before);
        CHECK(got.monotonic_ns <= now());
        CHECK(network.receive(handle, buffer.data(), buffer.size(), got) == EAGAIN);
        network.close(handle);
        network.close(handle);
    }
}

#ifdef __linux__
TEST_CASE("the kernel's stamp is the time of arrival, however late the program reads") {
    peer server;
    ntp_sockets network;
    int handle = -1;
    REQUIRE(network.open(server.where(), handle) == 0);
    REQUIRE(network.send(handle, "x") == 0);
    REQUIRE(server.receive() == "x");
    std::array<char, 100> buffer{};
    ntp_received got;
    // The kernel begins to stamp some time after the first socket wants it; until then it does so at the
    // read.
    bool early = false;
    for (int round = 0; round < 20 && !early; ++round) {
        const std::int64_t before = now();
        server.send("y");
        std::this_thread::sleep_for(std::chrono::milliseconds(30));
        const std::int64_t later = now();
        REQUIRE(receive(network, handle, got, buffer.data(), buffer.size()) == 0);
        CHECK(got.monotonic_ns >= (got.stamp == ntp_stamp::kernel ? before : later));
        early = got.monotonic_ns < later;
    }
    // Without a watch over the wall clock there are no stamps of the kernel.
    CHECK((early || got.stamp == ntp_stamp::program));
}
#endif

TEST_CASE("a longer datagram than the buffer is marked as cut") {
    peer server;
    ntp_sockets network;
    int handle = -1;
    REQUIRE(network.open(server.where(), handle) == 0);
    REQUIRE(network.send(handle, "x") == 0);
    server.receive();
    server.send("0123456789");
    std::array<char, 4> buffer{};
    ntp_received got;
    REQUIRE(receive(network, handle, got, buffer.data(), buffer.size()) == 0);
    CHECK(got.truncated);
    CHECK(got.size == 4);
}

TEST_CASE("a port where nobody listens says so at once") {
    peer server;
    const ntp_endpoint dead = server.where();
    server.close();
    ntp_sockets network;
    int handle = -1;
    REQUIRE(network.open(dead, handle) == 0);
    REQUIRE(network.send(handle, "x") == 0);
    std::array<char, 100> buffer{};
    ntp_received got;
    CHECK(receive(network, handle, got, buffer.data(), buffer.size()) == ECONNREFUSED);
}

TEST_CASE("nobody but the server is heard, and every socket has a port of its own") {
    peer server;
    peer stranger;
    ntp_sockets network;
    std::vector<std::uint16_t> ports;
    int handle = -1;
    for (int i = 0; i < 3; ++i) {
        REQUIRE(network.open(server.where(), handle) == 0);
        REQUIRE(network.send(handle, "x") == 0);
        server.receive();
        ports.push_back(server.client_port());
    }
    CHECK(ports[0] != ports[1]);
    CHECK(ports[1] != ports[2]);
    // The stranger learns the port, and sends to it.
    const detail::socket_address victim(loopback(false, ports[2]));
    const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
    ::sendto(fd, "forged", 6, 0, reinterpret_cast<const sockaddr*>(&victim.storage), victim.size);
    ::close(fd);
    server.send("true");
    std::array<char, 100> buffer{};
    ntp_received got;
    REQUIRE(receive(network, handle, got, buffer.data(), buffer.size()) == 0);
    CHECK(std::string_view(buffer.data(), got.size) == "true");
    CHECK(network.receive(handle, buffer.data(), buffer.size(), got) == EAGAIN);
}

TEST_CASE("wait ends in time, when woken, and at a signal") {
    ntp_sockets network;
    const std::int64_t begin = now();
    network.wait(begin + 20 * ms);
    CHECK(now() >= begin + 20 * ms);
    network.wait(begin);  // past
    network.wait(std::numeric_limits<std::int64_t>::min());

    SUBCASE("by a waker, before or during the wait") {
        const auto waker = network.waker();
        waker();
        network.wait(now() + 60000 * ms);
        std::thread other([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            for (int i = 0; i < 100000; ++i) waker();  // more than the pipe holds
        });
        network.wait(now() + 60000 * ms);
        other.join();
    }
    SUBCASE("by a signal") {
        struct sigaction act {};
        struct sigaction old {};
        act.sa_handler = [](int) {};
        ::sigaction(SIGUSR1, &act, &old);
        const pthread_t self = ::pthread_self();
        std::atomic<bool> done = false;
        std::thread other([&] {
            while (!done) {
                std::this_thread::sleep_for(std::chrono::milliseconds(5));
                ::pthread_kill(self, SIGUSR1);
            }
        });
        network.wait(now() + 60000 * ms);
        done = true;
        other.join();
        ::sigaction(SIGUSR1, &old, nullptr);
    }
    CHECK(now() - begin < 30000 * ms);
}

TEST_CASE("a waker may be called when the network is gone") {
    std::function<void()> waker;
    {
        ntp_sockets network;
        waker = network.waker();
    }
    waker();
}

// While it lives this process gets no new descriptors. Sanitizers need some to work, so not for long.
class no_descriptors {
  public:
    no_descriptors() {
        ::getrlimit(RLIMIT_NOFILE, &old_);
        const rlimit none{0, old_.rlim_max};
        ::setrlimit(RLIMIT_NOFILE, &none);
    }
    no_descriptors(const no_descriptors&) = delete;
    no_descriptors(no_descriptors&&) = delete;
    no_descriptors& operator=(const no_descriptors&) = delete;
    no_descriptors& operator=(no_descriptors&&) = delete;
    ~no_descriptors() { ::setrlimit(RLIMIT_NOFILE, &old_); }

  private:
    rlimit old_{};
};

struct sockets_without_descriptors : ntp_sockets {
    int open(const ntp_endpoint& where, int& handle) {
        const no_descriptors limit;
        return ntp_sockets::open(where, handle);
    }
};

TEST_CASE("without descriptors there is an error, and waiting still works") {
#ifndef __SANITIZE_ADDRESS__
    // The sanitizers look at pointers through a pipe, and call all of them wrong when they get none.
    {
        auto limit = std::make_unique<no_descriptors>();
        ntp_sockets network;  // not even a pipe
        limit.reset();
        network.waker()();
        const std::int64_t begin = now();
        network.wait(begin + 5 * ms);
        CHECK(now() >= begin + 5 * ms);
    }
#endif
    sockets_without_descriptors network;
    int handle = -1;
    CHECK(network.open(loopback(false, 123), handle) == EMFILE);
    dns_cache names;
    ntp_client client(ntp_system_clock{}, names);
    ntp_query_options options;
    options.quorum = 1;
    const std::vector<ntp_server_name> servers{{"127.0.0.1", 123}};
    const ntp_result result = client.query(network, servers, options);
    CHECK_FALSE(result.ok);
    CHECK(result.servers[0].standing == ntp_standing::unreachable);
}

#ifdef __linux__
TEST_CASE("where steps of the wall clock would go unseen, the kernel's stamp is not used") {
    peer server;
    ntp_sockets network;
    int handle = -1;
    const int next = ::dup(0);
    REQUIRE(next >= 0);
    ::close(next);
    rlimit old{};
    ::getrlimit(RLIMIT_NOFILE, &old);
    const rlimit one_more{static_cast<rlim_t>(next) + 1, old.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &one_more);  // for the socket, and not for the watch over the clock
    const int error = network.open(server.where(), handle);
    ::setrlimit(RLIMIT_NOFILE, &old);
    REQUIRE(error == 0);
    REQUIRE(network.send(handle, "x") == 0);
    server.receive();
    server.send("y");
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const std::int64_t before = now();
    std::array<char, 100> buffer{};
    ntp_received got;
    REQUIRE(receive(network, handle, got, buffer.data(), buffer.size()) == 0);
    CHECK(got.stamp == ntp_stamp::program);
    CHECK(got.monotonic_ns >= before);
}
#endif

TEST_CASE("random numbers are not the same twice") {
    ntp_sockets network;
    std::uint64_t one = 0;
    std::uint64_t two = 0;
    CHECK(network.random64(one) == 0);
    CHECK(network.random64(two) == 0);
    CHECK(one != two);
}

TEST_CASE("a stamp of the wall clock on the monotonic clock is never too early, and none across a step") {
    constexpr ntp_clock_reading from{1000000, 5000000, 60};
    constexpr ntp_clock_reading to{3000000, 7000000, 40};
    static_assert(!detail::wall_clock_moved(from, to));
    static_assert(detail::monotonic_stamp(6000000, from, to) == 2000000 + 2 * (30 + 20 + 100));
    static_assert(!detail::wall_clock_moved(from, {3000000, 7000150, 40}));
    static_assert(detail::wall_clock_moved(from, {3000000, 7000151, 40}));
    static_assert(detail::wall_clock_moved(from, {3000000, 6999849, 40}));
    // Clocks that were equal and then stepped by so much: a step that is not seen makes no stamp early,
    // however far the readings are off.
    unsigned unseen = 0;
    for (std::int64_t step = -400; step <= 400; ++step) {
        for (const std::int64_t off : {-30, 0, 30}) {
            for (const std::int64_t off_too : {-20, 0, 20}) {
                const ntp_clock_reading before{1000, 1000 + off, 60};
                const ntp_clock_reading after{3000, 3000 + step + off_too, 40};
                if (detail::wall_clock_moved(before, after)) continue;
                ++unseen;
                CHECK(detail::monotonic_stamp(2000, before, after) >= 2000);
            }
        }
    }
    CHECK(unseen > 2000);
}

}  // namespace
