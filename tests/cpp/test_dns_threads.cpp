// ntp/dns_system.hpp, and the cache under many threads at once. Run under ThreadSanitizer it looks for races.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tickline/ntp/dns_cache.hpp"
#include "tickline/ntp/dns_system.hpp"

namespace {

using tickline::dns_answer;
using tickline::dns_cache;
using tickline::dns_request;
using tickline::dns_state;
using tickline::dns_wake;
using tickline::ip_family;
using tickline::detail::dns_threads;
using namespace std::chrono_literals;

// Closed, it lets nobody through; the one of a job that hangs.
class gate {
  public:
    void pass() {
        std::unique_lock lock(mutex_);
        ++waiting_;
        changed_.notify_all();
        changed_.wait(lock, [this] { return open_; });
    }
    void open() {
        const std::lock_guard lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }
    void wait_for(unsigned count) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return waiting_ >= count; });
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    unsigned waiting_ = 0;
    bool open_ = false;
};

// As a program uses the cache: asks, sleeps until woken, asks again. Fails after the time is over.
dns_state wait_for(const dns_cache& cache, const std::string& host, dns_answer& out,
                   std::chrono::milliseconds patience) {
    struct bell {
        std::mutex mutex;
        std::condition_variable rung;
        bool ringing = false;
    };
    const auto mine = std::make_shared<bell>();
    const dns_wake wake = std::make_shared<const std::function<void()>>([mine] {
        const std::lock_guard lock(mine->mutex);
        mine->ringing = true;
        mine->rung.notify_one();
    });
    const auto until = std::chrono::steady_clock::now() + patience;
    for (;;) {
        const std::int64_t now = tickline::ntp_system_clock{}.monotonic_ns();
        const dns_state state = cache.look_up(host, ip_family::any, now, out, wake);
        if (state != dns_state::pending) return state;
        std::unique_lock lock(mine->mutex);
        if (!mine->rung.wait_until(lock, until, [&] { return mine->ringing; })) return state;
        mine->ringing = false;
    }
}

bool reaches(const std::atomic<unsigned>& count, std::size_t wanted) {
    for (int i = 0; i < 60000 && count != wanted; ++i) std::this_thread::sleep_for(1ms);
    return count == wanted;
}

dns_answer some_address() {
    dns_answer answer;
    answer.addresses.emplace_back();
    return answer;
}

// Looks names up on the helper threads of the process: names that begin with "hang" wait at the gate.
dns_cache::launcher on_threads(std::shared_ptr<gate> hanging) {
    return [hanging = std::move(hanging)](const dns_request& request) {
        dns_threads::shared().run([hanging, request] {
            if (request.host.starts_with("hang")) hanging->pass();
            const bool fails = request.host.starts_with("fail");
            dns_cache::complete(request, fails ? dns_answer{{}, "no"} : some_address(),
                                tickline::ntp_system_clock{}.monotonic_ns());
        });
    };
}

}  // namespace

TEST_CASE("the system's resolver: names of the hosts file, of one family, and a sentence for what is none") {
    const dns_answer v4 = tickline::look_up_host("localhost", ip_family::v4);
    REQUIRE(v4.addresses.size() == 1);
    CHECK(v4.addresses[0].ip.is_v4);
    CHECK(v4.addresses[0].ip.bytes[12] == 127);
    CHECK(v4.why.empty());

    const dns_answer v6 = tickline::look_up_host("::1", ip_family::v6);
    REQUIRE(v6.addresses.size() == 1);
    CHECK(!v6.addresses[0].ip.is_v4);
    CHECK(v6.addresses[0].ip.bytes[15] == 1);

    const dns_answer other = tickline::look_up_host("127.0.0.1", ip_family::v6);
    CHECK(other.addresses.empty());
    CHECK(!other.why.empty());
    CHECK(!tickline::look_up_host("::ffff:192.0.2.1", ip_family::v6).why.empty());
    CHECK(tickline::look_up_host("::ffff:192.0.2.1", ip_family::any).addresses.at(0).ip.is_v4);
}

TEST_CASE("the cache asks the system on a thread of its own") {
    const dns_cache cache;
    dns_answer out;
    CHECK(wait_for(cache, "localhost", out, 60s) == dns_state::found);
    CHECK(!out.addresses.empty());
    CHECK(wait_for(cache, "localhost", out, 0s) == dns_state::found);
    CHECK(cache.stats().hits == 1);
    CHECK(cache.stats().look_ups == 1);
}

TEST_CASE("no more than 64 threads wait for the resolver; others queue, and what is too much is told") {
    const auto hanging = std::make_shared<gate>();
    auto& threads = *new dns_threads;  // is never destroyed in programs either
    static dns_threads* const reachable = &threads;
    CHECK(reachable != nullptr);
    std::atomic<unsigned> done{0};
    for (unsigned i = 0; i < dns_threads::max_threads + dns_threads::max_queued; ++i) {
        CHECK(threads.run([&done, hanging] {
            hanging->pass();
            ++done;
        }) == nullptr);
    }
    hanging->wait_for(dns_threads::max_threads);
    CHECK(threads.run([] {}) != nullptr);
    CHECK(done == 0);
    hanging->open();
    CHECK(reaches(done, dns_threads::max_threads + dns_threads::max_queued));
    CHECK(threads.run([&done] { ++done; }) == nullptr);
    CHECK(reaches(done, dns_threads::max_threads + dns_threads::max_queued + 1));
}

TEST_CASE("a name that hangs does not hold up others, and no deadline is passed for it") {
    const auto hanging = std::make_shared<gate>();
    dns_answer out;
    {
        const dns_cache cache({}, on_threads(hanging));
        for (int i = 0; i < 20; ++i) {
            CHECK(wait_for(cache, "hang" + std::to_string(i), out, 0s) == dns_state::pending);
        }
        CHECK(wait_for(cache, "good", out, 60s) == dns_state::found);
        CHECK(wait_for(cache, "fail", out, 60s) == dns_state::failed);
        CHECK(wait_for(cache, "hang0", out, 5ms) == dns_state::pending);
        CHECK(cache.stats().pending == 20);
    }
    hanging->open();  // their answers come when the cache is gone
}

TEST_CASE("many threads share a cache: nobody waits in vain, and every question is counted") {
    const auto hanging = std::make_shared<gate>();
    hanging->open();
    constexpr unsigned askers = 8;
    constexpr unsigned questions = 400;
    {
        // No time at all for some answers, little room: evictions, repeats and failures all the time.
        const dns_cache cache({200000, 50000, 300000, 6}, on_threads(hanging));
        std::atomic<unsigned> answered{0};
        std::vector<std::thread> threads;
        for (unsigned asker = 0; asker < askers; ++asker) {
            threads.emplace_back([&, asker] {
                std::mt19937 random(asker);
                dns_answer out;
                for (unsigned i = 0; i < questions; ++i) {
                    const std::array<const char*, 3> kinds = {"good", "fail", "hang"};
                    const std::string host = kinds.at(random() % 3) + std::to_string(random() % 3);
                    const dns_state state = wait_for(cache, host, out, 60s);
                    // A full cache may refuse; it never leaves anybody waiting.
                    if (state != dns_state::pending) ++answered;
                    if (state == dns_state::found && out.addresses.empty()) --answered;
                    if (random() % 64 == 0) cache.clear();
                    if (random() % 16 == 0) (void)cache.stats();
                }
            });
        }
        for (std::thread& one : threads) one.join();
        CHECK(answered == askers * questions);
        const tickline::dns_cache_stats stats = cache.stats();
        CHECK(stats.hits + stats.stale_hits + stats.negative_hits + stats.misses + stats.joined +
                  stats.refused >=
              askers * questions);
        CHECK(stats.entries <= 6);
    }
}

TEST_CASE("a process ends while look-ups hang") {
    // This test runs itself, in a process that has had no other threads.
    if (std::getenv("TICKLINE_TEST_ENDS") != nullptr) {  // NOLINT(concurrency-mt-unsafe)
        static const dns_cache cache({}, [](const dns_request& request) {
            dns_threads::shared().run([request] {
                for (;;) std::this_thread::sleep_for(1ms);
            });
        });
        dns_answer out;
        for (int i = 0; i < 70; ++i) (void)wait_for(cache, "a" + std::to_string(i), out, 0s);
        std::exit(7);  // NOLINT(concurrency-mt-unsafe): that is the point
    }
    const pid_t child = fork();
    if (child == 0) {
        setenv("TICKLINE_TEST_ENDS", "1", 1);  // NOLINT(concurrency-mt-unsafe)
        execl("/proc/self/exe", "test", "--test-case=a process ends while look-ups hang", "--out=/dev/null",
              nullptr);
        _exit(99);
    }
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 7);
}
