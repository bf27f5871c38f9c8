// The rules of ntp_client, each by itself, on a network that does exactly what is written here.
#include <doctest/doctest.h>

#include <cerrno>
#include <limits>
#include <string>
#include <vector>

#include "ntp/scripted.hpp"

using namespace tickline;
using namespace tickline::scripted;

namespace {

bool holds_the_truth(const stage& on, const ntp_result& result) {
    const std::int64_t utc = begin_utc + (result.monotonic_ns - begin_mono);
    return result.ok && result.earliest_ns <= utc && utc <= result.latest_ns &&
           on.in.mono >= result.monotonic_ns;
}

bool all_closed(const stage& on) {
    return std::none_of(on.in.opened.begin(), on.in.opened.end(), [](const auto& one) { return one.open; });
}

const std::vector<std::string> four{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"};

void serve_four(stage& on) {
    for (int i = 0; i < 4; ++i) on.in.serve(four[static_cast<std::size_t>(i)], honest((i + 1) * 10 * ms));
}

TEST_CASE("the query ends with the answer that makes the quorum") {
    stage on;
    serve_four(on);
    const ntp_result result = on.ask(four);
    CHECK(holds_the_truth(on, result));
    CHECK(result.elapsed_ns == 30 * ms);
    CHECK(result.packets_sent == 4);
    CHECK(result.tolerated == 1);
    CHECK(result.why.empty());
    CHECK(result.servers[0].standing == ntp_standing::truechimer);
    CHECK(result.servers[3].standing == ntp_standing::unfinished);
    CHECK(all_closed(on));
}

TEST_CASE("all names start together, eight at once, and one more every 25 ms while they are silent") {
    stage on;
    std::vector<std::string> names;
    for (int i = 1; i <= 11; ++i) names.push_back("10.0.1." + std::to_string(i));
    on.options.deadline_ns = 60 * ms;
    const ntp_result result = on.ask(names);
    CHECK(result.packets_sent == 10);
    for (std::size_t i = 0; i < 8; ++i) CHECK(on.in.sent[i].first == begin_mono);
    CHECK(on.in.sent[8].first == begin_mono + 25 * ms);
    CHECK(on.in.sent[9].first == begin_mono + 50 * ms);
    CHECK(result.servers[0].standing == ntp_standing::silent);
    CHECK(result.servers[10].standing == ntp_standing::not_asked);
    CHECK(result.elapsed_ns == 60 * ms);
}

TEST_CASE("a slot that has become free is taken at once") {
    stage on({.at_once = 1});
    serve_four(on);
    on.options.quorum = 2;
    CHECK(on.ask(four).packets_sent == 2);
    CHECK(on.in.sent[1].first == begin_mono + 10 * ms);
}

TEST_CASE("a name asks its next address at once after a failure, and after a while in silence") {
    stage on;
    on.options.quorum = 1;
    SUBCASE("refused by the network") {
        on.in.serve("10.0.0.1", [](auto, auto) { return std::vector<event>{{ms, {}, ECONNREFUSED}}; });
        on.in.serve("10.0.0.2", honest(4 * ms));
        on.in.names["pool"] = {0, {"10.0.0.1", "10.0.0.2"}};
        CHECK(on.ask({"pool"}).elapsed_ns == 5 * ms);
    }
    SUBCASE("a kiss") {
        on.in.serve("10.0.0.1", kissing("DENY"));
        on.in.serve("10.0.0.2", honest(4 * ms));
        on.in.names["pool"] = {0, {"10.0.0.1", "10.0.0.2"}};
        CHECK(on.ask({"pool"}).elapsed_ns == 5 * ms);
    }
    SUBCASE("an answer that must not be used") {
        on.in.serve("10.0.0.1", [](std::string_view request, std::int64_t utc) {
            std::string bytes = answer(request, utc, 0);
            bytes[0] = '\xe4';
            return std::vector<event>{{ms, bytes}};
        });
        on.in.serve("10.0.0.2", honest(4 * ms));
        on.in.names["pool"] = {0, {"10.0.0.1", "10.0.0.2"}};
        CHECK(on.ask({"pool"}).elapsed_ns == 5 * ms);
    }
    SUBCASE("silence: 250 ms, and the first address may still answer") {
        on.in.serve("10.0.0.1", honest(252 * ms));
        on.in.serve("10.0.0.2", honest(40 * ms));
        on.in.names["pool"] = {0, {"10.0.0.1", "10.0.0.2"}};
        const ntp_result result = on.ask({"pool"});
        CHECK(result.elapsed_ns == 252 * ms);
        CHECK(result.packets_sent == 2);
        CHECK(result.servers[0].where == at("10.0.0.1"));
    }
    CHECK(all_closed(on));
}

TEST_CASE("one vote per name, and none twice for an address") {
    stage on;
    on.options.quorum = 2;
    on.in.serve("10.0.0.1", honest(10 * ms));
    on.in.serve("10.0.0.2", honest(10 * ms));
    SUBCASE("the second name takes its next address") {
        on.in.names["a"] = {0, {"10.0.0.1"}};
        on.in.names["b"] = {0, {"10.0.0.1", "10.0.0.2"}};
        const ntp_result result = on.ask({"a", "b"});
        CHECK(result.ok);
        CHECK(result.servers[1].where == at("10.0.0.2"));
        CHECK(result.why.find("tolerates no server") != std::string::npos);
    }
    SUBCASE("names that lead to the same addresses are one machine for all we know") {
        on.in.names["a"] = {0, {"10.0.0.1", "10.0.0.2"}};
        on.in.names["b"] = {0, {"10.0.0.2", "10.0.0.1"}};
        const ntp_result result = on.ask({"a", "b"});
        CHECK_FALSE(result.ok);
        CHECK(result.servers[1].standing == ntp_standing::duplicate);
        CHECK(result.packets_sent == 1);
    }
    SUBCASE("a name that is given again has voted") {
        on.in.names["a"] = on.in.names["A."] = {0, {"10.0.0.1", "10.0.0.2"}};
        const ntp_result result = on.ask({"a", "a", "A."});
        CHECK_FALSE(result.ok);
        CHECK(result.servers[1].standing == ntp_standing::duplicate);
        CHECK(result.servers[2].standing == ntp_standing::duplicate);
    }
    SUBCASE("duplicates are no servers that could make up for a liar") {
        on.options.quorum = 3;
        on.in.serve("10.0.0.3", honest(10 * ms));
        const ntp_result result = on.ask({"10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.3"});
        CHECK(result.ok);
        CHECK(result.why.find("3 servers may fail") != std::string::npos);
    }
    SUBCASE("or is none") {
        on.in.names["a"] = {0, {"10.0.0.1"}};
        const ntp_result result = on.ask({"a", "10.0.0.1"});
        CHECK_FALSE(result.ok);
        CHECK(result.servers[1].standing == ntp_standing::duplicate);
        CHECK(result.packets_sent == 1);
    }
    SUBCASE("IPv4 and the same address mapped into IPv6 are one") {
        CHECK(on.ask({"10.0.0.1", "::ffff:10.0.0.1"}).servers[1].standing == ntp_standing::duplicate);
    }
    SUBCASE("another port is another server") {
        on.in.serve("10.0.0.1", honest(10 * ms), 1123);
        CHECK(on.ask({"10.0.0.1", "10.0.0.1:1123"}).ok);
    }
}

TEST_CASE("who says that nobody is there is not believed when the answer comes") {
    stage on;
    serve_four(on);
    on.in.scripts.resize(2);
    // Anybody can forge what makes the system say so: ports are all that must be known.
    on.in.serve("10.0.0.3", [](auto transmit, auto received) {
        std::vector<event> all = honest(10 * ms)(transmit, received);
        all.insert(all.begin(), {ms, {}, ECONNREFUSED});
        return all;
    });
    const ntp_result result = on.ask({"10.0.0.1", "10.0.0.2", "10.0.0.3"});
    CHECK(result.ok);
    CHECK(result.servers[2].standing == ntp_standing::truechimer);
}

TEST_CASE("an address has one way to be written, so one server has one vote") {
    const address loopback = at("::1").ip;
    const std::vector<dns_address> same{{loopback, 1}, {loopback, 2}, {at("::ffff:10.0.0.1").ip, 3}};
    const auto found = detail::ntp_endpoints_of(same, 123, ip_family::any);
    REQUIRE(found.size() == 3);
    CHECK(found[0] == at("::1"));
    CHECK(found[1] == at("::1"));
    CHECK(found[2] == at("10.0.0.1"));
    // Only there the interface is a part of the address.
    const auto local = detail::ntp_endpoints_of({{at("fe80::1").ip, 2}}, 123, ip_family::any);
    CHECK(local.at(0).scope == 2);
    // Both lead to this machine, under names that differ from its own.
    CHECK(detail::ntp_endpoints_of({{at("0.0.0.0").ip, 0}, {at("::").ip, 0}}, 123, ip_family::any).empty());
    CHECK(detail::ntp_endpoints_of(same, 123, ip_family::v4).size() == 1);
}

TEST_CASE("a query that waits for what another one asked ends by its own deadline") {
    world in;
    detail::ntp_server_memory memory(16, second);
    const ntp_endpoint where = at("10.0.0.1");
    REQUIRE(memory.admit(where, in.mono, nullptr).what == detail::ntp_permission::ask);
    // The other one gives up, and before this one can ask a third one does.
    in.plan.emplace_back(begin_mono + 1500 * ms, [&] {
        memory.gave_nothing(where);
        REQUIRE(memory.admit(where, in.mono, nullptr).what == detail::ntp_permission::ask);
    });
    sockets network{&in};
    virtual_names names{&in};
    const auto never = [] { return false; };
    const std::vector<ntp_server_name> servers{{"10.0.0.1", 123}};
    ntp_query_options options;
    options.quorum = 1;
    const ntp_result result =
        detail::ntp_query_run(virtual_clock{&in}, network, names, memory, 8, servers, options, never).run();
    CHECK(result.elapsed_ns == 2 * second);
    CHECK(result.servers[0].standing == ntp_standing::held);
}

TEST_CASE("it ends as soon as the quorum cannot come any more") {
    stage on;
    serve_four(on);
    on.in.scripts.resize(2);
    for (const char* dead : {"10.0.0.3", "10.0.0.4"}) {
        on.in.serve(dead, [](auto, auto) { return std::vector<event>{{ms, {}, ECONNREFUSED}}; });
    }
    const ntp_result result = on.ask(four);
    CHECK_FALSE(result.ok);
    // So long an answer may come from where somebody says that there is nobody.
    CHECK(result.elapsed_ns == ms + 250 * ms);
    CHECK(result.servers[2].standing == ntp_standing::unreachable);
    CHECK(result.why.find("2 unreachable") != std::string::npos);
}

TEST_CASE("more answers that contradict each other than are tolerated end it without a result") {
    stage on;
    std::vector<std::string> names;
    // Three that contradict each other, and five to come that agree: they could not mend it.
    for (int i = 0; i < 8; ++i) {
        names.push_back("10.0.0." + std::to_string(i + 1));
        on.in.serve(names.back(), i < 3 ? honest((i + 1) * ms, i * second) : honest(500 * ms));
    }
    const ntp_result result = on.ask(names);
    CHECK_FALSE(result.ok);
    CHECK(result.elapsed_ns == 3 * ms);
    CHECK(result.servers[0].standing == ntp_standing::unconfirmed);
    CHECK(result.servers[3].standing == ntp_standing::unfinished);
    CHECK(result.why.find("must be wrong") != std::string::npos);
}

TEST_CASE("a liar is outvoted and named") {
    stage on;
    serve_four(on);
    on.in.scripts[0].second = honest(5 * ms, 30 * second);
    const ntp_result result = on.ask(four);
    CHECK(holds_the_truth(on, result));
    CHECK(result.elapsed_ns == 40 * ms);
    CHECK(result.servers[0].standing == ntp_standing::falseticker);
}

TEST_CASE("with an accuracy wanted it goes on after the quorum") {
    stage on;
    serve_four(on);
    SUBCASE("and says so if that does not help") {
        on.options.accuracy_ns = 1;
        const ntp_result result = on.ask(four);
        CHECK(result.ok);
        CHECK(result.elapsed_ns == 40 * ms);
        CHECK(result.why.find("larger") != std::string::npos);
    }
    SUBCASE("but not if it is there already") {
        on.options.accuracy_ns = 100 * ms;
        CHECK(on.ask(four).elapsed_ns == 30 * ms);
    }
}

TEST_CASE("a datagram that is no answer to the request is dropped, and the wait goes on") {
    stage on;
    on.options.quorum = 1;
    on.in.serve("10.0.0.1", [](std::string_view request, std::int64_t utc) {
        std::vector<event> all;
        std::string forged = answer(request, utc, 0);
        forged[24] = static_cast<char>(forged[24] ^ 1);
        for (int i = 0; i < 100; ++i) all.push_back({ms, forged});
        all.push_back({ms, answer(request, utc, 0), 0, std::nullopt, true});  // truncated
        all.push_back({ms, std::string(request)});                            // our own request, reflected
        all.push_back({4 * ms, answer(request, utc, 2 * ms)});
        return all;
    });
    const ntp_result result = on.ask({"10.0.0.1"});
    CHECK(result.ok);
    CHECK(result.servers[0].dropped == 102);
    CHECK(result.servers[0].standing == ntp_standing::truechimer);
    CHECK(result.servers[0].reason == ntp_reason::ok);
}

TEST_CASE("a flood cannot hold up another server, nor the deadline") {
    stage on;
    on.options.quorum = 2;
    on.options.deadline_ns = 50 * ms;
    bool honest_read = false;
    on.in.serve("10.0.0.1", [](auto, auto) {
        return std::vector<event>(5000, event{ms, std::string(48, 'x')});
    });
    on.in.serve("10.0.0.2", honest(ms));
    // Time goes on while datagrams are read: here a millisecond for each turn of the loop.
    const std::vector<ntp_server_name> servers{{"10.0.0.1", 123}, {"10.0.0.2", 123}};
    scripted::sockets net{&on.in};
    const ntp_result result = on.client.query(net, servers, on.options, [&] {
        on.in.mono += ms;
        honest_read = honest_read || (on.in.opened.size() > 1 && !on.in.opened[1].open);
        return false;
    });
    CHECK(honest_read);
    CHECK(result.elapsed_ns <= 51 * ms);
    CHECK(result.servers[0].standing == ntp_standing::silent);
    CHECK(result.servers[0].dropped < 5000);
    CHECK(result.servers[1].standing == ntp_standing::unconfirmed);
}

TEST_CASE("the deadline holds whatever hangs") {
    stage on;
    on.in.names["hangs"] = {-1, {}};
    on.in.serve("10.0.0.2", silent());
    on.options.quorum = 2;
    const ntp_result result = on.ask({"hangs", "10.0.0.2"});
    CHECK(result.elapsed_ns == 2 * second);
    CHECK(result.servers[0].standing == ntp_standing::unreachable);
    CHECK(result.servers[1].standing == ntp_standing::silent);
}

TEST_CASE("names are looked up side by side, and asked as soon as they are known") {
    stage on;
    on.options.quorum = 2;
    on.in.serve("10.0.0.1", honest(10 * ms));
    on.in.serve("10.0.0.2", honest(10 * ms));
    on.in.names["slow"] = {30 * ms, {"10.0.0.1"}};
    on.in.names["fast"] = {5 * ms, {"10.0.0.2"}};
    const ntp_result result = on.ask({"slow", "fast"});
    CHECK(result.ok);
    CHECK(result.elapsed_ns == 40 * ms);
    CHECK(on.in.sent[0].first == begin_mono + 5 * ms);
}

TEST_CASE("what cannot work is said at once") {
    stage on;
    const auto why = [&](std::vector<ntp_server_name> servers) {
        scripted::sockets net{&on.in};
        const ntp_result result = on.client.query(net, servers, on.options);
        CHECK_FALSE(result.ok);
        CHECK(result.servers.size() == servers.size());
        CHECK(on.in.mono == begin_mono);
        CHECK(on.in.sent.empty());
        return result.why;
    };
    const std::vector<ntp_server_name> three{{"a", 123}, {"b", 123}, {"c", 123}};
    CHECK(why({}) == "no servers are named");
    CHECK(why({{"a", 0}, {"b", 123}, {"c", 123}}).find("a port outside 1 to 65535") != std::string::npos);
    CHECK(why({{"", 123}, {"b", 123}, {"c", 123}}).find("no name") != std::string::npos);
    CHECK(why({{"a b", 123}, {"b", 123}, {"c", 123}}).find("no name or address of a host") !=
          std::string::npos);
    CHECK(why({{"a", 123}, {"b", 123}}).find("quorum of 3") != std::string::npos);
    on.options.quorum = 0;
    CHECK(why(three).find("quorum of 0") != std::string::npos);
    on.options.quorum = 3;
    for (const std::int64_t none : {std::int64_t{0}, std::numeric_limits<std::int64_t>::min()}) {
        on.options.deadline_ns = none;
        CHECK(why(three).find("deadline") != std::string::npos);
    }
}

TEST_CASE("too few servers for a liar, and small quorums, are mentioned") {
    stage on;
    serve_four(on);
    CHECK(on.ask({four[0], four[1], four[2]}).why.find("is sure with 4") != std::string::npos);
    on.options.quorum = 1;
    CHECK(on.ask({four[3]}).why.find("tolerates no server") != std::string::npos);
}

TEST_CASE("the system says no: no socket, no packet, no random numbers") {
    stage on;
    on.options.quorum = 1;
    on.in.serve("10.0.0.1", honest(ms));
    SUBCASE("open") { on.in.open_error = EMFILE; }
    SUBCASE("send") { on.in.send_error = ENETUNREACH; }
    SUBCASE("random") { on.in.random_error = ENOSYS; }
    const ntp_result result = on.ask({"10.0.0.1"});
    CHECK(result.packets_sent == 0);
    CHECK(result.servers[0].standing == ntp_standing::unreachable);
    CHECK_FALSE(result.servers[0].why.empty());
    CHECK(all_closed(on));
    // What was never sent counts as no packet: the server may be asked at once.
    on.in.open_error = on.in.send_error = on.in.random_error = 0;
    CHECK(on.ask({"10.0.0.1"}).ok);
}

TEST_CASE("a request is never marked with zero") {
    stage on;
    on.options.quorum = 1;
    on.in.random = 0;
    on.in.serve("10.0.0.1", honest(ms));
    CHECK(on.ask({"10.0.0.1"}).ok);
}

TEST_CASE("the caller can end it within 50 ms") {
    stage on;
    on.options.quorum = 1;
    on.in.serve("10.0.0.1", silent());
    scripted::sockets net{&on.in};
    const std::vector<ntp_server_name> servers{{"10.0.0.1", 123}};
    const ntp_result result =
        on.client.query(net, servers, on.options, [&] { return on.in.mono >= begin_mono + 75 * ms; });
    CHECK_FALSE(result.ok);
    CHECK(result.why == "interrupted");
    CHECK(result.elapsed_ns <= 125 * ms);
    CHECK(result.servers[0].standing == ntp_standing::unfinished);
}

}  // namespace
