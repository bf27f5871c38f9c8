// What a client needs of the world besides a clock: a way to send datagrams, and a way to look names up. Both
// are concepts, so that a simulator can drive the very client that runs on sockets.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <tickline/ntp/query.hpp>

namespace tickline {
inline namespace v0 {

struct ntp_received {
    std::size_t size = 0;           // bytes of the datagram that stand in the buffer
    bool truncated = false;         // it was longer than the buffer
    std::int64_t monotonic_ns = 0;  // when it came in: never earlier than it really did
    ntp_stamp stamp = ntp_stamp::program;
};

// The sockets of one query. Nothing here blocks but wait(); the int results are errno, 0 for success.
//
//   open(where, handle)   a new socket on a random port of ours that hears nobody but `where`
//   send(handle, bytes)   one datagram
//   wait(until)           until something may have come in, the waker was called, or this instant of the
//                         monotonic clock, whatever is first; earlier is fine
//   receive(handle, buffer, size, received)
//                         one datagram. EAGAIN: there is none. Other numbers: the server cannot be reached.
//   close(handle)
//   random64(out)         64 bits that nobody else can guess
//   waker()               a function that ends the current or the next wait(). It may be called by any thread
//                         and at any time, even when the network is gone: a look-up can end long after the
//                         query that asked for it.
template <class Network>
concept ntp_network = requires(Network& network, const ntp_endpoint& where, int handle, int& opened,
                               std::string_view bytes, char* buffer, std::size_t size, ntp_received& received,
                               std::int64_t until, std::uint64_t& random) {
    { network.open(where, opened) } -> std::same_as<int>;
    { network.send(handle, bytes) } -> std::same_as<int>;
    { network.wait(until) } -> std::same_as<void>;
    { network.receive(handle, buffer, size, received) } -> std::same_as<int>;
    { network.close(handle) } -> std::same_as<void>;
    { network.random64(random) } -> std::same_as<int>;
    { network.waker() } -> std::same_as<std::function<void()>>;
};

// Looks a name up without ever blocking; dns_cache is one. After `pending` it calls `wake` once, when it is
// worth asking again, from whatever thread it likes.
template <class Resolver>
concept ntp_resolver = requires(Resolver& resolver, std::string_view host, ip_family family, std::int64_t now,
                                dns_answer& answer, const dns_wake& wake) {
    { resolver.look_up(host, family, now, answer, wake) } -> std::same_as<dns_state>;
};

}  // namespace v0
}  // namespace tickline
