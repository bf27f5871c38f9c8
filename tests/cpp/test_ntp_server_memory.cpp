// Headway, kisses and their memory: through the client, and of the memory itself where it takes many servers.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "counting_allocator.hpp"
#include "ntp/scripted.hpp"

using namespace tickline;
using namespace tickline::scripted;
using detail::ntp_permission;
using detail::ntp_server_memory;

namespace {

ntp_endpoint numbered(unsigned n) {
    ntp_endpoint where = at("10.0.0.0");
    where.ip.bytes[14] = static_cast<std::uint8_t>(n >> 8);
    where.ip.bytes[15] = static_cast<std::uint8_t>(n);
    return where;
}

constexpr std::array<char, 4> rate{'R', 'A', 'T', 'E'};

TEST_CASE("a server is not asked again within the headway, good answer or not") {
    stage on;
    on.options.quorum = 1;
    on.options.deadline_ns = 100 * ms;
    on.in.serve("10.0.0.1", silent());
    CHECK(on.ask({"10.0.0.1"}).servers[0].standing == ntp_standing::silent);
    const ntp_result held = on.ask({"10.0.0.1"});
    CHECK(held.servers[0].standing == ntp_standing::held);
    CHECK(held.servers[0].why.find("not again for 1.9 s") != std::string::npos);
    CHECK(held.elapsed_ns == 0);
    on.in.advance(begin_mono + 2 * second - 1);
    CHECK(on.ask({"10.0.0.1"}).packets_sent == 0);
    on.in.advance(begin_mono + 2 * second);
    CHECK(on.ask({"10.0.0.1"}).packets_sent == 1);
}

TEST_CASE("with no headway every query asks") {
    stage on({.headway_ns = 0});
    on.options.quorum = 1;
    on.in.serve("10.0.0.1", honest(ms));
    for (unsigned i = 1; i <= 3; ++i) {
        CHECK(on.ask({"10.0.0.1"}).ok);
        CHECK(on.in.packets_to("10.0.0.1") == i);
    }
}

TEST_CASE("RATE doubles the interval from 4 s to 2^17 s, and good answers halve it") {
    ntp_server_memory memory(16, 2 * second);
    const ntp_endpoint where = numbered(1);
    std::int64_t now = 0;
    std::int64_t expected = 4 * second;
    for (int kiss = 0; kiss < 20; ++kiss) {
        REQUIRE(memory.admit(where, now, nullptr).what == ntp_permission::ask);
        memory.kissed(where, rate);
        const auto held = memory.admit(where, now, nullptr);
        CHECK(held.what == ntp_permission::hold);
        CHECK(held.hold_ns == expected);
        CHECK(held.kiss_code == rate);
        CHECK(memory.admit(where, now + expected - 1, nullptr).what == ntp_permission::hold);
        now += expected;
        expected = std::min(expected * 2, (std::int64_t{1} << 17) * second);
    }
    for (expected = (std::int64_t{1} << 17) * second; expected >= 4 * second; expected /= 2) {
        REQUIRE(memory.admit(where, now, nullptr).what == ntp_permission::ask);
        memory.gave_nothing(where);
        CHECK(memory.admit(where, now, nullptr).hold_ns == expected);
        now += expected;
        REQUIRE(memory.admit(where, now, nullptr).what == ntp_permission::ask);
        memory.answered(where, {});
        now += expected;
    }
    REQUIRE(memory.admit(where, now, nullptr).what == ntp_permission::ask);
    memory.gave_nothing(where);
    CHECK(memory.admit(where, now, nullptr).hold_ns == 2 * second);
}

TEST_CASE("DENY and RSTR are for good, other codes for 4 s") {
    for (const std::string code : {"DENY", "RSTR"}) {
        stage on;
        on.options.quorum = 1;
        on.in.serve("10.0.0.1", kissing(code));
        const ntp_result kissed = on.ask({"10.0.0.1"});
        CHECK(kissed.servers[0].standing == ntp_standing::kiss);
        CHECK(kissed.servers[0].kiss_code == code);
        CHECK(kissed.elapsed_ns == ms);
        on.in.advance(on.in.mono + 1000000 * second);
        const ntp_result held = on.ask({"10.0.0.1"});
        CHECK(held.servers[0].standing == ntp_standing::held);
        CHECK(held.servers[0].kiss_code.empty());
        CHECK(held.servers[0].why.find(code) != std::string::npos);
        CHECK(on.in.packets_to("10.0.0.1") == 1);
    }
    {
        const std::string code = "STEP";
        stage on;
        on.options.quorum = 1;
        on.in.serve("10.0.0.1", kissing(code));
        for (int i = 0; i < 3; ++i) {
            CHECK(on.ask({"10.0.0.1"}).servers[0].kiss_code == code);
            on.in.advance(on.in.mono + 4 * second - 2 * ms);
            CHECK(on.ask({"10.0.0.1"}).servers[0].standing == ntp_standing::held);
            on.in.advance(on.in.mono + ms);
        }
    }
}

TEST_CASE("codes for experiments are reported, and change nothing") {
    stage on;
    on.options.quorum = 1;
    on.in.serve("10.0.0.1", kissing("XYZW"));
    for (int i = 0; i < 3; ++i) {
        const ntp_result kissed = on.ask({"10.0.0.1"});
        CHECK_FALSE(kissed.ok);
        CHECK(kissed.servers[0].standing == ntp_standing::kiss);
        CHECK(kissed.servers[0].kiss_code == "XYZW");
        on.in.advance(on.in.mono + 2 * second - 2 * ms);
        const ntp_result held = on.ask({"10.0.0.1"});
        CHECK(held.servers[0].standing == ntp_standing::held);
        CHECK(held.servers[0].kiss_code.empty());
        on.in.advance(on.in.mono + ms);
    }
    ntp_server_memory memory(16, 2 * second);
    REQUIRE(memory.admit(numbered(1), 0, nullptr).what == ntp_permission::ask);
    memory.kissed(numbered(1), rate);
    REQUIRE(memory.admit(numbered(1), 4 * second, nullptr).what == ntp_permission::ask);
    memory.kissed(numbered(1), {'X', 'Y', 'Z', 'W'});
    const auto held = memory.admit(numbered(1), 4 * second, nullptr);
    CHECK(held.hold_ns == 4 * second);
    CHECK(held.kiss_code == rate);
}

TEST_CASE("memory is bounded: those asked longest ago are forgotten") {
    ntp_server_memory memory(1024, 2 * second);
    for (unsigned n = 0; n < 5000; ++n) {
        CHECK(memory.admit(numbered(n), 0, nullptr).what == ntp_permission::ask);
        memory.gave_nothing(numbered(n));
    }
    CHECK(memory.size() == 1024);
    CHECK(memory.admit(numbered(4999), 0, nullptr).what == ntp_permission::hold);
    CHECK(memory.admit(numbered(5000 - 1024), 0, nullptr).what == ntp_permission::hold);
    CHECK(memory.admit(numbered(5000 - 1025), 0, nullptr).what == ntp_permission::ask);
    // What comes for a server that was forgotten meanwhile goes nowhere.
    memory.kissed(numbered(1), rate);
    CHECK(memory.size() == 1024);
}

TEST_CASE("what was not sent does not count") {
    ntp_server_memory memory(16, 2 * second);
    const auto first = memory.admit(numbered(1), 0, nullptr);
    memory.not_sent(numbered(1), first);
    const auto again = memory.admit(numbered(1), 1, nullptr);
    REQUIRE(again.what == ntp_permission::ask);
    memory.gave_nothing(numbered(1));
    CHECK(memory.admit(numbered(1), 2, nullptr).what == ntp_permission::hold);
}

TEST_CASE("of two queries one asks, and wakes the other when it knows") {
    for (const bool good : {true, false}) {
        ntp_server_memory memory(16, 2 * second);
        int woken = 0;
        const dns_wake wake = std::make_shared<const std::function<void()>>([&] { ++woken; });
        dns_wake gone = std::make_shared<const std::function<void()>>([] { FAIL("called after its query"); });
        REQUIRE(memory.admit(numbered(1), 0, nullptr).what == ntp_permission::ask);
        REQUIRE(memory.admit(numbered(1), 1, wake).what == ntp_permission::wait);
        REQUIRE(memory.admit(numbered(1), 1, gone).what == ntp_permission::wait);
        gone.reset();
        detail::ntp_kept_answer kept;
        kept.transmit = 42;
        if (good) {
            memory.answered(numbered(1), kept);
        } else {
            memory.gave_nothing(numbered(1));
        }
        CHECK(woken == 1);
        const auto after = memory.admit(numbered(1), 2, wake);
        CHECK(after.what == (good ? ntp_permission::reuse : ntp_permission::hold));
        CHECK(after.answer.transmit == (good ? 42 : 0));
    }
}

TEST_CASE("who waits is woken once, however often it asks, and leaves nothing behind when it goes") {
    ntp_server_memory memory(16, 3600 * second);
    int woken = 0;
    const dns_wake wake = std::make_shared<const std::function<void()>>([&] { ++woken; });
    REQUIRE(memory.admit(numbered(1), 0, nullptr).what == ntp_permission::ask);
    for (int i = 0; i < 1000; ++i) {
        REQUIRE(memory.admit(numbered(1), 1, wake).what == ntp_permission::wait);
        const dns_wake brief =
            std::allocate_shared<const std::function<void()>>(test::counting_allocator<char>{});
        REQUIRE(memory.admit(numbered(1), 1, brief).what == ntp_permission::wait);
        CHECK(test::allocations <= 2);  // this one, and the last one until this one came
    }
    memory.gave_nothing(numbered(1));
    CHECK(woken == 1);
}

TEST_CASE("a child of fork() does not wait for what its parent has asked") {
    ntp_server_memory memory(16, 2 * second);
    int woken = 0;
    const dns_wake wake = std::make_shared<const std::function<void()>>([&] { ++woken; });
    REQUIRE(memory.admit(numbered(1), 0, nullptr).what == ntp_permission::ask);
    REQUIRE(memory.admit(numbered(1), 0, wake).what == ntp_permission::wait);
    const pid_t child = fork();
    if (child == 0) {
        bool good = memory.admit(numbered(1), second, wake).what == ntp_permission::hold;
        good = good && memory.admit(numbered(1), 2 * second, wake).what == ntp_permission::ask;
        memory.gave_nothing(numbered(1));
        good = good && memory.admit(numbered(1), 3 * second, wake).what == ntp_permission::hold;
        _exit(good && woken == 0 ? 0 : 1);
    }
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(memory.admit(numbered(1), second, wake).what == ntp_permission::wait);
}

TEST_CASE("a server that is forgotten while a query waits for it wakes that query") {
    ntp_server_memory memory(1, 2 * second);
    int woken = 0;
    const dns_wake wake = std::make_shared<const std::function<void()>>([&] { ++woken; });
    REQUIRE(memory.admit(numbered(1), 0, nullptr).what == ntp_permission::ask);
    REQUIRE(memory.admit(numbered(1), 0, wake).what == ntp_permission::wait);
    REQUIRE(memory.admit(numbered(2), 0, nullptr).what == ntp_permission::ask);
    CHECK(woken == 1);
}

TEST_CASE("many threads at once: never two packets to one server within the headway") {
    ntp_server_memory memory(64, std::int64_t{1} << 40);
    std::atomic<unsigned> allowed = 0;
    std::vector<std::thread> threads;
    threads.reserve(4);
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (unsigned n = 0; n < 64; ++n) {
                const auto permit = memory.admit(numbered(n), n, nullptr);
                if (permit.what != ntp_permission::ask) continue;
                ++allowed;
                memory.answered(numbered(n), {});
            }
        });
    }
    for (std::thread& one : threads) one.join();
    CHECK(allowed == 64);
}

}  // namespace
