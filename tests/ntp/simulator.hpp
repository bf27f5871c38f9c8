// A world for ntp_client to run in: its clock, its network and its name look-up are computed, and time goes
// on only when the client calls. No thread, no socket, no waiting, and the same number gives the same run.
//
// True time is counted in whole nanoseconds from the world's beginning. The client sees it through clocks
// that drift, are stepped and stop while the machine sleeps; only the tests see the truth. What servers do is
// left to those who derive from world (servers.hpp; the fuzzer).
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tickline/ntp/client.hpp>
#include <tickline/ntp/query.hpp>
#include <utility>
#include <vector>

#include "ntp/machine.hpp"

namespace tickline::simulation {

// How a name is looked up.
struct found_name {
    std::int64_t takes_ns = 0;  // `never`: the resolver hangs
    dns_answer answer;          // without addresses: the look-up fails
};

class world {
  public:
    explicit world(const machine& options) : options_(options), random_(options.seed), time_(options) {}
    world(const world&) = delete;
    world& operator=(const world&) = delete;
    virtual ~world() = default;

    // ---- for the tests --------------------------------------------------------------------------------

    struct packet {
        ntp_endpoint to;
        std::int64_t monotonic_ns;
        std::uint64_t transmit;
    };

    dice& random() noexcept { return random_; }
    const machine_time& time() const noexcept { return time_; }
    std::int64_t utc_ns() const noexcept { return time_.utc_ns(); }
    std::int64_t monotonic_ns() const noexcept { return time_.monotonic_ns(); }

    // What happens to the machine when `in_ns` have gone by.
    void step_wall_clock(std::int64_t in_ns, std::int64_t by_ns) {
        push(in_ns, {.what = event::kind::step, .amount = by_ns});
    }
    void sleep(std::int64_t in_ns, std::int64_t for_ns) {
        push(in_ns, {.what = event::kind::sleep, .amount = for_ns});
    }

    // Lets time go by, as a program does between two queries.
    void pass(std::int64_t ns) { advance_to(time_.true_ns() + ns); }

    // Everything the client did wrong towards the system, in words.
    const std::vector<std::string>& complaints() const noexcept { return complaints_; }
    const std::vector<packet>& packets() const noexcept { return packets_; }
    std::size_t packets_sent() const noexcept { return packets_sent_; }
    std::size_t calls() const noexcept { return calls_; }
    std::size_t open_sockets() const noexcept {
        return static_cast<std::size_t>(
            std::count_if(sockets_.begin(), sockets_.end(), [](const socket& s) { return s.open; }));
    }
    // Long runs keep no list of packets, so that only the client's own memory can grow.
    void keep_packets(bool keep) noexcept { keep_packets_ = keep; }

    // A client that never comes back would stop the tests; it ends them instead, and says where.
    void give_up_after(std::size_t calls, std::string how_to_repeat) {
        calls_left_ = calls;
        how_to_repeat_ = std::move(how_to_repeat);
    }

    // ---- for the client, through clock, network and resolver ------------------------------------------

    std::int64_t read_monotonic() {
        charge();
        return monotonic_ns();
    }

    std::int64_t read_wall() {
        charge();
        return time_.wall_ns();
    }

    int draw(std::uint64_t& out) {
        charge();
        out = random_.bits();
        return on_random(out);
    }

    int open_socket(const ntp_endpoint& peer, int& handle) {
        charge();
        if (const int error = on_open(peer)) return error;
        std::size_t slot = 0;
        while (slot < sockets_.size() && sockets_[slot].open) ++slot;
        if (slot == sockets_.size()) sockets_.emplace_back();
        socket& opened = sockets_[slot];
        opened.open = true;
        ++opened.generation;
        opened.peer = peer;
        opened.inbox.clear();
        opened.error = 0;
        // The system gives the lowest number that is free, so a number says nothing about whose it was.
        handle = static_cast<int>(slot) + first_handle;
        return 0;
    }

    int send(int handle, std::string_view datagram) {
        charge();
        socket* const s = find(handle, "send");
        if (s == nullptr) return EBADF;
        if (const int error = on_send(static_cast<std::size_t>(handle - first_handle), s->peer, datagram))
            return error;
        ++packets_sent_;
        std::uint64_t transmit = 0;
        for (std::size_t i = 40; i < std::min<std::size_t>(48, datagram.size()); ++i)
            transmit = transmit << 8 | static_cast<unsigned char>(datagram[i]);
        if (keep_packets_) packets_.push_back({s->peer, monotonic_ns(), transmit});
        return 0;
    }

    void wait(std::int64_t until) {
        charge();
        if (random_.chance(options_.interrupted_chance)) return;
        while (!*woken_ && !readable() && monotonic_ns() < until) {
            const std::int64_t end = time_.true_at(until);  // each time: a suspend moves it
            if (events_.empty() || events_.front().at > end) on_idle(end);
            if (events_.empty() && until == std::numeric_limits<std::int64_t>::max()) hang("waits for ever");
            advance_to(events_.empty() ? end : std::min(end, events_.front().at));
        }
        *woken_ = false;
        if (options_.late_ns > 0) advance_to(time_.true_ns() + random_.between(0, options_.late_ns));
    }

    int receive(int handle, char* buffer, std::size_t size, ntp_received& out) {
        charge();
        socket* const s = find(handle, "receive");
        if (s == nullptr) return EBADF;
        if (s->error != 0) return std::exchange(s->error, 0);
        if (s->inbox.empty()) return EAGAIN;
        const arrived first = std::move(s->inbox.front());
        s->inbox.erase(s->inbox.begin());
        out.size = std::min(size, first.bytes.size());
        out.truncated = first.bytes.size() > size;
        if (out.size > 0) std::memcpy(buffer, first.bytes.data(), out.size);
        const std::int64_t now = monotonic_ns();
        out.stamp = options_.kernel_stamps ? ntp_stamp::kernel : ntp_stamp::program;
        // The way from the wall clock's stamp to the monotonic clock errs to the late side.
        out.monotonic_ns =
            options_.kernel_stamps ? std::min(now, first.monotonic_ns + random_.between(0, 200)) : now;
        return 0;
    }

    void close_socket(int handle) {
        charge();
        if (socket* const s = find(handle, "close")) s->open = false;
    }

    // The waker outlives the network, so it owns what it touches.
    std::function<void()> waker() {
        return [woken = woken_] { *woken = true; };
    }

    dns_state look_up(std::string_view host, ip_family family, dns_answer& out, const dns_wake& wake) {
        charge();
        name_state& name = names_[{std::string(host), family}];
        if (!name.asked) {
            name.asked = true;
            name.found = on_look_up(host, family);
            if (name.found.takes_ns == 0) name.done = true;
            if (name.found.takes_ns > 0) {
                push(name.found.takes_ns,
                     {.what = event::kind::found, .host = std::string(host), .family = family});
            }
        }
        if (!name.done) {
            name.wakes.emplace_back(wake);
            return dns_state::pending;
        }
        out = name.found.answer;
        return out.addresses.empty() ? dns_state::failed : dns_state::found;
    }

    // As if the cache had lost all that it knew.
    void forget_names() {
        std::erase_if(names_, [](const auto& entry) { return entry.second.done; });
    }

  protected:
    // What answers a packet; an error number is what send() gives back.
    virtual int on_send(std::size_t slot, const ntp_endpoint& to, std::string_view request) = 0;
    virtual int on_open(const ntp_endpoint&) { return 0; }
    virtual int on_random(std::uint64_t&) { return 0; }
    virtual found_name on_look_up(std::string_view, ip_family) { return {}; }
    // The client waits and nothing is going to happen before `end`: the fuzzer makes something happen.
    virtual void on_idle(std::int64_t /*end*/) {}

    // Into the inbox of a socket as it is now: what comes when it has been closed goes nowhere.
    void deliver(std::size_t slot, std::int64_t in_ns, std::string bytes) {
        push(in_ns, {.what = event::kind::datagram,
                     .slot = slot,
                     .generation = sockets_[slot].generation,
                     .bytes = std::move(bytes)});
    }
    void fail(std::size_t slot, std::int64_t in_ns, int error) {
        push(in_ns, {.what = event::kind::failure,
                     .slot = slot,
                     .generation = sockets_[slot].generation,
                     .amount = error});
    }
    void complain(std::string what) {
        if (complaints_.size() < 20) complaints_.push_back(std::move(what));
    }
    std::size_t socket_count() const noexcept { return sockets_.size(); }
    bool is_open(std::size_t slot) const noexcept { return sockets_[slot].open; }

  private:
    static constexpr int first_handle = 3;

    struct event {
        enum class kind : std::uint8_t { datagram, failure, found, step, sleep };
        std::int64_t at = 0;
        std::uint64_t order = 0;  // of two at the same time the older comes first
        kind what = kind::datagram;
        std::size_t slot = 0;
        std::uint32_t generation = 0;
        std::int64_t amount = 0;
        std::string bytes{};
        std::string host{};
        ip_family family = ip_family::any;

        static bool later(const event& a, const event& b) noexcept {
            return a.at != b.at ? a.at > b.at : a.order > b.order;
        }
    };

    struct arrived {
        std::string bytes;
        std::int64_t monotonic_ns = 0;
    };

    struct socket {
        bool open = false;
        std::uint32_t generation = 0;
        ntp_endpoint peer;
        std::vector<arrived> inbox;
        int error = 0;
    };

    struct name_state {
        bool asked = false;
        bool done = false;
        found_name found;
        std::vector<std::weak_ptr<const std::function<void()>>> wakes;
    };

    void charge() {
        if (++calls_; calls_left_ != 0 && --calls_left_ == 0) hang("does not end");
        std::int64_t cost = random_.between(1, std::max<std::int64_t>(1, options_.call_ns));
        if (options_.pause_chance > 0 && random_.chance(options_.pause_chance))
            cost += random_.between(0, options_.pause_ns);
        advance_to(time_.true_ns() + cost);
    }

    void advance_to(std::int64_t target) {
        while (!events_.empty() && events_.front().at <= target) {
            std::pop_heap(events_.begin(), events_.end(), event::later);
            const event now = std::move(events_.back());
            events_.pop_back();
            time_.go_on_to(now.at);
            happen(now);
        }
        time_.go_on_to(target);
    }

    void happen(const event& now) {
        switch (now.what) {
            case event::kind::datagram:
            case event::kind::failure: {
                socket& s = sockets_[now.slot];
                if (!s.open || s.generation != now.generation) return;
                if (now.what == event::kind::failure) {
                    s.error = static_cast<int>(now.amount);
                } else if (s.inbox.size() < 1000) {  // a buffer that is full loses what comes
                    s.inbox.push_back({now.bytes, monotonic_ns()});
                }
                return;
            }
            case event::kind::found: {
                name_state& name = names_[{now.host, now.family}];
                name.done = true;
                for (const auto& weak : std::exchange(name.wakes, {})) {
                    if (const dns_wake wake = weak.lock()) (*wake)();
                }
                return;
            }
            case event::kind::step:
                time_.step(now.amount);
                return;
            case event::kind::sleep:
                time_.sleep(now.amount);
                return;
        }
    }

    void push(std::int64_t in_ns, event next) {
        next.at = time_.true_ns() + std::max<std::int64_t>(0, in_ns);
        next.order = ++order_;
        events_.push_back(std::move(next));
        std::push_heap(events_.begin(), events_.end(), event::later);
    }

    // ---- sockets --------------------------------------------------------------------------------------

    socket* find(int handle, const char* call) {
        const auto slot = static_cast<std::size_t>(handle - first_handle);
        if (handle >= first_handle && slot < sockets_.size() && sockets_[slot].open) return &sockets_[slot];
        complain(std::string(call) + " on a socket that is not open");
        return nullptr;
    }

    bool readable() const noexcept {
        return std::any_of(sockets_.begin(), sockets_.end(),
                           [](const socket& s) { return s.open && (s.error != 0 || !s.inbox.empty()); });
    }

    [[noreturn]] void hang(const char* what) const {
        std::fprintf(stderr, "the client %s; %s\n", what, how_to_repeat_.c_str());
        std::abort();
    }

    machine options_;
    dice random_;
    machine_time time_;
    std::vector<event> events_;  // a heap
    std::uint64_t order_ = 0;
    std::vector<socket> sockets_;
    std::map<std::pair<std::string, ip_family>, name_state> names_;
    std::vector<packet> packets_;
    std::size_t packets_sent_ = 0;
    bool keep_packets_ = true;
    std::vector<std::string> complaints_;
    std::size_t calls_ = 0;
    std::size_t calls_left_ = 0;
    std::string how_to_repeat_;
    std::shared_ptr<bool> woken_ = std::make_shared<bool>(false);
};

// ---- what the client takes in place of the system ----------------------------------------------------

struct virtual_clock {
    world* where;

    std::int64_t monotonic_ns() const noexcept { return where->read_monotonic(); }
    ntp_clock_reading read() const noexcept {
        return detail::read_ntp_clock([this] { return where->read_monotonic(); },
                                      [this] { return where->read_wall(); });
    }
    std::int64_t asleep_ns() const noexcept { return where->time().slept_ns(); }
};

struct virtual_network {
    world* where;

    int open(const ntp_endpoint& peer, int& handle) { return where->open_socket(peer, handle); }
    int send(int handle, std::string_view datagram) { return where->send(handle, datagram); }
    void wait(std::int64_t until) { where->wait(until); }
    int receive(int handle, char* buffer, std::size_t size, ntp_received& out) {
        return where->receive(handle, buffer, size, out);
    }
    void close(int handle) { where->close_socket(handle); }
    int random64(std::uint64_t& out) { return where->draw(out); }
    std::function<void()> waker() { return where->waker(); }
};

struct virtual_resolver {
    world* where;

    dns_state look_up(std::string_view host, ip_family family, std::int64_t /*now_ns*/, dns_answer& out,
                      const dns_wake& wake) {
        return where->look_up(host, family, out, wake);
    }
};

static_assert(ntp_clock<virtual_clock> && ntp_network<virtual_network> && ntp_resolver<virtual_resolver>);

}  // namespace tickline::simulation
