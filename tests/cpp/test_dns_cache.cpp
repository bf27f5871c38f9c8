// ntp/dns_cache.hpp on a clock and with look-ups that the tests play themselves.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "counting_allocator.hpp"
#include "reference/dns_cache_reference.hpp"
#include "tickline/ntp/dns_cache.hpp"

namespace {

using tickline::dns_answer;
using tickline::dns_cache;
using tickline::dns_cache_options;
using tickline::dns_cache_stats;
using tickline::dns_request;
using tickline::dns_state;
using tickline::dns_wake;
using tickline::ip_family;

constexpr std::int64_t second = 1000000000;

dns_answer found(std::uint8_t last) {
    dns_answer answer;
    answer.addresses.emplace_back();
    answer.addresses[0].ip.bytes[15] = last;
    return answer;
}

dns_answer failure(std::string why) { return {{}, std::move(why)}; }

// A cache whose look-ups stay in a list until the test answers them.
struct played {
    explicit played(const dns_cache_options& options = {})
        : cache(options, [list = asked](dns_request request) { list->push_back(std::move(request)); }) {}

    dns_state ask(const std::string& host, std::int64_t now, const dns_wake& wake = nullptr) {
        return cache.look_up(host, ip_family::any, now, out, wake);
    }
    // Answers the oldest look-up.
    void answer(const dns_answer& with, std::int64_t now) {
        REQUIRE(!asked->empty());
        const dns_request request = asked->front();
        asked->erase(asked->begin());
        dns_cache::complete(request, with, now);
    }
    int last() const { return out.addresses.empty() ? -1 : out.addresses[0].ip.bytes[15]; }

    std::shared_ptr<std::vector<dns_request>> asked = std::make_shared<std::vector<dns_request>>();
    dns_cache cache;
    dns_answer out;
};

struct counter {
    int calls = 0;
    dns_wake wake = std::make_shared<const std::function<void()>>([this] { ++calls; });
};

}  // namespace

TEST_CASE("a name is looked up once, and then answered from memory until its time is over") {
    played test;
    CHECK(test.ask("a.example", 0) == dns_state::pending);
    CHECK(test.asked->size() == 1);
    CHECK(test.asked->front().host == "a.example");
    test.answer(found(1), 1 * second);
    CHECK(test.ask("a.example", 31 * second - 1) == dns_state::found);
    CHECK(test.last() == 1);
    CHECK(test.asked->empty());
    const dns_cache_stats stats = test.cache.stats();
    CHECK(stats.hits == 1);
    CHECK(stats.misses == 1);
    CHECK(stats.hit_ratio() == 0.5);
}

TEST_CASE("an old answer serves while the name is looked up anew, however long that takes") {
    played test;
    (void)test.ask("a.example", 0);
    test.answer(found(1), 0);
    for (int i = 0; i < 3; ++i) {
        CHECK(test.ask("a.example", (30 + i) * second) == dns_state::found);
        CHECK(test.last() == 1);
    }
    CHECK(test.asked->size() == 1);  // and is not asked for again meanwhile
    CHECK(test.cache.stats().stale_hits == 3);
    CHECK(test.ask("a.example", 330 * second - 1) == dns_state::found);
    CHECK(test.ask("a.example", 330 * second) == dns_state::pending);
    CHECK(test.cache.stats().joined == 1);
    test.answer(found(2), 340 * second);
    CHECK(test.ask("a.example", 341 * second) == dns_state::found);
    CHECK(test.last() == 2);
}

TEST_CASE("an old answer serves when looking up fails, which is tried again after the negative time") {
    played test;
    (void)test.ask("a.example", 0);
    test.answer(found(1), 0);
    (void)test.ask("a.example", 40 * second);
    test.answer(failure("no"), 41 * second);
    CHECK(test.ask("a.example", 46 * second - 1) == dns_state::found);
    CHECK(test.asked->empty());
    CHECK(test.ask("a.example", 46 * second) == dns_state::found);
    CHECK(test.asked->size() == 1);
    test.answer(failure("gone"), 329 * second);
    CHECK(test.ask("a.example", 331 * second) == dns_state::failed);  // too old now, and just failed
    CHECK(test.out.why == "gone");
    CHECK(test.out.addresses.empty());
    CHECK(test.ask("a.example", 334 * second) == dns_state::pending);
}

TEST_CASE("a failure is remembered, and told with its sentence") {
    played test;
    (void)test.ask("a.example", 0);
    test.answer(failure("no such name"), 0);
    for (int i = 0; i < 5; ++i) CHECK(test.ask("a.example", i * second) == dns_state::failed);
    CHECK(test.out.why == "no such name");
    CHECK(test.asked->empty());
    CHECK(test.cache.stats().negative_hits == 5);
    CHECK(test.cache.stats().failures == 1);
    CHECK(test.ask("a.example", 5 * second) == dns_state::pending);
    CHECK(test.out.why.empty());
    test.answer({}, 5 * second);
    CHECK(test.ask("a.example", 5 * second) == dns_state::failed);
    CHECK(!test.out.why.empty());
}

TEST_CASE("all who ask for a pending name are woken by one look-up, once each") {
    played test;
    std::array<counter, 3> askers;
    for (const counter& one : askers) CHECK(test.ask("a.example", 0, one.wake) == dns_state::pending);
    CHECK(test.ask("a.example", 0, askers[0].wake) == dns_state::pending);  // impatient, but the same
    CHECK(test.asked->size() == 1);
    CHECK(test.cache.stats().misses == 1);
    CHECK(test.cache.stats().joined == 2);
    askers[1].wake.reset();  // has gone
    test.answer(found(7), 1);
    CHECK(askers[0].calls == 1);
    CHECK(askers[1].calls == 0);
    CHECK(askers[2].calls == 1);
}

TEST_CASE("who was woken gets the answer even if nothing is to be remembered, and is not counted twice") {
    played test({0, 0, 0, 100});
    counter asker;
    CHECK(test.ask("a.example", 0, asker.wake) == dns_state::pending);
    test.answer(found(1), 5);
    CHECK(test.ask("a.example", 6, asker.wake) == dns_state::found);
    CHECK(test.cache.stats().hits == 0);
    CHECK(test.ask("a.example", 7, asker.wake) == dns_state::pending);
    test.answer(failure("no"), 8);
    CHECK(test.ask("a.example", 9, asker.wake) == dns_state::failed);
    CHECK(test.out.why == "no");
    CHECK(test.cache.stats().misses == 2);

    // But not if it comes for it much later.
    CHECK(test.ask("b.example", 10, asker.wake) == dns_state::pending);
    test.answer(found(1), 11);
    CHECK(test.ask("b.example", 11 + second, asker.wake) == dns_state::pending);
}

TEST_CASE("those who ask and go leave nothing behind while a look-up hangs") {
    played test;
    (void)test.ask("a.example", 0);
    for (int i = 0; i < 1000; ++i) {
        const dns_wake wake =
            std::allocate_shared<const std::function<void()>>(tickline::test::counting_allocator<char>{});
        (void)test.ask("a.example", 0, wake);
        CHECK(tickline::test::allocations <= 2);  // this one, and the last one until this one came
    }
    CHECK(test.asked->size() == 1);
    CHECK(test.cache.stats().pending == 1);
}

TEST_CASE("families of a name are names of their own") {
    played test;
    CHECK(test.cache.look_up("a.example", ip_family::v4, 0, test.out) == dns_state::pending);
    CHECK(test.cache.look_up("a.example", ip_family::v6, 0, test.out) == dns_state::pending);
    REQUIRE(test.asked->size() == 2);
    CHECK(test.asked->at(0).family == ip_family::v4);
    test.answer(found(4), 0);
    CHECK(test.cache.look_up("a.example", ip_family::v6, 0, test.out) == dns_state::pending);
    CHECK(test.cache.look_up("a.example", ip_family::v4, 0, test.out) == dns_state::found);
}

TEST_CASE("the name that nobody has asked for longest makes room") {
    dns_cache_options options;
    options.max_entries = 3;
    played test(options);
    for (const char* host : {"a", "b", "c"}) {
        (void)test.ask(host, 0);
        test.answer(found(1), 0);
    }
    CHECK(test.ask("a", 1) == dns_state::found);
    CHECK(test.ask("d", 1) == dns_state::pending);  // in place of b
    CHECK(test.ask("a", 2) == dns_state::found);
    CHECK(test.ask("c", 2) == dns_state::found);
    CHECK(test.ask("b", 2) == dns_state::pending);  // in place of a
    CHECK(test.cache.stats().evictions == 2);
    CHECK(test.cache.stats().entries == 3);
}

TEST_CASE("names that hang stay in a full cache, and a further one fails at once with a sentence") {
    dns_cache_options options;
    options.max_entries = 2;
    played test(options);
    (void)test.ask("a", 0);
    (void)test.ask("b", 0);
    CHECK(test.ask("c", 0) == dns_state::failed);
    CHECK(test.out.why.find("no room") != std::string::npos);
    CHECK(test.cache.stats().refused == 1);
    test.answer(found(1), 1);  // and as soon as one is back, there is room
    CHECK(test.ask("c", 1) == dns_state::pending);
}

TEST_CASE("what is no name is never looked up") {
    played test;
    for (const std::string& host : {std::string(), std::string("a\0b", 3), std::string(256, 'a')}) {
        CHECK(test.ask(host, 0) == dns_state::failed);
        CHECK(!test.out.why.empty());
    }
    CHECK(test.asked->empty());
    CHECK(test.cache.stats().entries == 0);
}

TEST_CASE("clearing forgets answers, and not those who wait") {
    played test;
    counter asker;
    (void)test.ask("a", 0);
    test.answer(found(1), 0);
    (void)test.ask("b", 0, asker.wake);
    test.cache.clear();
    CHECK(test.cache.stats().entries == 1);
    test.answer(found(2), 1);
    CHECK(asker.calls == 1);
    CHECK(test.ask("b", 1, asker.wake) == dns_state::found);
    CHECK(test.ask("a", 1) == dns_state::pending);
}

TEST_CASE("answers that come twice, late or for nobody change nothing") {
    played test;
    (void)test.ask("a", 0);
    const dns_request request = test.asked->front();
    dns_cache::complete(request, found(1), 1);
    dns_cache::complete(request, found(2), 2);
    dns_cache::complete({}, found(3), 2);
    dns_cache::complete({"a", ip_family::any, request.id + 1, request.cache}, found(4), 2);
    CHECK(test.ask("a", 3) == dns_state::found);
    CHECK(test.last() == 1);

    // The first look-up's answer again, while the second one is under way.
    CHECK(test.ask("a", 400 * second) == dns_state::pending);
    dns_cache::complete(request, found(5), 400 * second);
    CHECK(test.cache.stats().pending == 1);
    test.asked->erase(test.asked->begin());
    test.answer(found(6), 400 * second);
    CHECK(test.ask("a", 400 * second) == dns_state::found);
    CHECK(test.last() == 6);

    dns_request orphan;
    {
        played gone;
        (void)gone.ask("a", 0);
        orphan = gone.asked->front();
    }
    dns_cache::complete(orphan, found(1), 1);
}

TEST_CASE("a launcher may know the answer at once") {
    const dns_cache cache({}, [](const dns_request& request) { dns_cache::complete(request, found(9), 0); });
    counter asker;
    dns_answer out;
    CHECK(cache.look_up("a", ip_family::any, 0, out, asker.wake) == dns_state::pending);
    CHECK(asker.calls == 1);
    CHECK(cache.look_up("a", ip_family::any, 0, out, asker.wake) == dns_state::found);
}

TEST_CASE("the longest and the shortest times do not overflow") {
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
    for (const std::int64_t now : {-most, std::int64_t{0}, most - 1}) {
        played test({most, most, most, 1});
        (void)test.ask("a", now);
        test.answer(found(1), now);
        CHECK(test.ask("a", now) == dns_state::found);
    }
    played test({-most, -most, -most, 0});
    (void)test.ask("a", 0);
    test.answer(found(1), 0);
    CHECK(test.ask("a", 0) == dns_state::pending);
}

// What a child of fork() says.
template <class Question>
bool in_child(const Question& question) {
    const pid_t child = fork();
    if (child == 0) _exit(question() ? 0 : 1);
    int status = -1;
    return waitpid(child, &status, 0) == child && status == 0;
}

TEST_CASE("a child of fork() looks up anew what its parent was looking up") {
    played test;
    (void)test.ask("a", 0);
    CHECK(in_child([&] {
        return test.cache.stats().pending == 0 && test.ask("a", 0) == dns_state::pending &&
               test.asked->size() == 2 && test.cache.stats().pending == 1;
    }));
}

TEST_CASE("what its parent was looking up takes no room from a child of fork()") {
    dns_cache_options options;
    options.max_entries = 2;
    played test(options);
    (void)test.ask("a", 0);
    (void)test.ask("b", 0);
    CHECK(in_child([&] {
        const bool asked = test.ask("c", 0) == dns_state::pending;
        return asked && test.cache.stats().pending == 1 && test.cache.stats().evictions == 1;
    }));
    CHECK(in_child([&] {
        test.cache.clear();
        return test.cache.stats().entries == 0 && test.cache.stats().pending == 0;
    }));
    test.cache.clear();
    CHECK(test.cache.stats().entries == 2);
}

TEST_CASE("the cache answers as a plain list does, whatever is asked, answered and cleared") {
    using tickline::reference::dns_cache_reference;
    for (unsigned run = 0; run < 300; ++run) {
        std::mt19937 random(run);
        const auto draw = [&random](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
        const dns_cache_options options{draw(4) * second, draw(3) * second, draw(6) * second,
                                        static_cast<std::size_t>(1 + draw(5))};
        played test(options);
        dns_cache_reference slow(options);
        std::array<counter, 4> askers;  // the first one is never woken
        std::int64_t now = draw(1000);
        for (int step = 0; step < 300; ++step) {
            CAPTURE(run);
            CAPTURE(step);
            now += draw(3) == 0 ? draw(3000) * (second / 1000) : 0;
            const int what = draw(20);
            if (what == 0) {
                test.cache.clear();
                slow.clear();
            } else if (what < 7 && !test.asked->empty()) {
                const dns_request request = test.asked->front();
                const dns_answer answer =
                    draw(2) == 0 ? found(static_cast<std::uint8_t>(step)) : failure("no");
                std::array<int, 4> before{};
                for (std::size_t i = 0; i < 4; ++i) before[i] = askers[i].calls;
                test.answer(answer, now);
                const std::set<int> woken = slow.complete(request.host, request.family, answer, now);
                for (std::size_t i = 1; i < 4; ++i) {
                    REQUIRE(askers[i].calls - before[i] == (woken.contains(static_cast<int>(i)) ? 1 : 0));
                }
            } else {
                const std::string host(1, static_cast<char>('a' + draw(4)));
                const ip_family family = draw(2) == 0 ? ip_family::any : ip_family::v4;
                const int asker = draw(4);
                const std::size_t look_ups = test.asked->size();
                const dns_state got =
                    test.cache.look_up(host, family, now, test.out,
                                       asker == 0 ? nullptr : askers[static_cast<std::size_t>(asker)].wake);
                dns_answer wanted;
                bool begun = false;
                REQUIRE(got == slow.look_up(host, family, now, asker, wanted, begun));
                REQUIRE(test.out.addresses == wanted.addresses);
                REQUIRE(test.out.why.empty() == wanted.why.empty());
                REQUIRE(test.asked->size() - look_ups == (begun ? 1U : 0U));
            }
            const dns_cache_stats stats = test.cache.stats();
            REQUIRE(stats.hits == slow.stats.hits);
            REQUIRE(stats.stale_hits == slow.stats.stale_hits);
            REQUIRE(stats.negative_hits == slow.stats.negative_hits);
            REQUIRE(stats.misses == slow.stats.misses);
            REQUIRE(stats.joined == slow.stats.joined);
            REQUIRE(stats.refused == slow.stats.refused);
            REQUIRE(stats.look_ups == slow.stats.look_ups);
            REQUIRE(stats.failures == slow.stats.failures);
            REQUIRE(stats.evictions == slow.stats.evictions);
            REQUIRE(stats.entries == slow.size());
            REQUIRE(stats.pending == test.asked->size());
        }
    }
}
