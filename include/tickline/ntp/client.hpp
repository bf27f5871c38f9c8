// A client that asks many servers for the time at once, and believes those that agree.
//
//   tickline::dns_cache names;
//   tickline::ntp_client client(tickline::ntp_system_clock{}, names);
//   tickline::ntp_sockets network;
//   const auto result = client.query(network, servers, {});
//   if (result.ok) ...  // UTC at result.monotonic_ns lies in [earliest_ns, latest_ns]
//
// What it asks, believes and remembers:
// - One packet per address and query, 48 bytes that say nothing about this machine. The first 8 names are
//   asked at once, the others as soon as one of these has ended, or one every 25 ms.
// - One vote per name. It ends with the quorum (see select.hpp), when the quorum cannot be reached any
//   more, or at the deadline, which look-ups count towards.
// - Each server has a headway, and kisses are honoured (server_memory.hpp): who asks again too soon gets what
//   was answered before. When two threads ask the same server, one does, and both get the answer.
// - The result is an interval at an instant of the monotonic clock: what happens to the wall clock meanwhile
//   changes nothing but wall_step_ns. If the machine is suspended during a query there is no result.
// - It never sets a clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <tickline/ntp/clock.hpp>
#include <tickline/ntp/detail/query_run.hpp>
#include <tickline/ntp/metrics.hpp>
#include <tickline/ntp/network.hpp>
#include <tickline/ntp/query.hpp>
#include <tickline/ntp/server_memory.hpp>
#include <tickline/ntp/server_name.hpp>
#include <utility>

namespace tickline {
inline namespace v0 {

struct ntp_client_options {
    // No server is sent a packet sooner than this after the last one.
    std::int64_t headway_ns = 2000000000;
    // So many servers are remembered, those asked last.
    std::size_t max_servers = 1024;
    // So many names are asked at once; the others follow one by one.
    unsigned at_once = 8;
};

// What outlives a query: who was asked when and who asked us to stay away, and the metrics. Several threads
// may query through one client at the same time, each with a network of its own: what they share is under a
// mutex.
template <ntp_clock Clock, ntp_resolver Resolver>
class ntp_client {
  public:
    // The resolver must outlive the client.
    ntp_client(Clock clock, Resolver& resolver, ntp_client_options options = {})
        : clock_(std::move(clock)),
          resolver_(resolver),
          at_once_(options.at_once),
          memory_(options.max_servers, options.headway_ns) {}

    // Ends by the deadline, whatever the network and the resolver do. `interrupted` is a function that is
    // asked now and then, at least every 50 ms, whether the caller wants to stop: true ends the query.
    template <ntp_network Network, class Stop>
    ntp_result query(Network& network, std::span<const ntp_server_name> servers,
                     const ntp_query_options& options, Stop&& interrupted) {
        ntp_result result = detail::ntp_query_run(clock_, network, resolver_, memory_, at_once_, servers,
                                                  options, interrupted)
                                .run();
        const std::lock_guard lock(mutex_);
        metrics_.add(result);
        return result;
    }

    template <ntp_network Network>
    ntp_result query(Network& network, std::span<const ntp_server_name> servers,
                     const ntp_query_options& options = {}) {
        return query(network, servers, options, [] { return false; });
    }

    ntp_metrics metrics() const {
        const std::lock_guard lock(mutex_);
        return metrics_;
    }

    const Clock& clock() const noexcept { return clock_; }

  private:
    Clock clock_;
    Resolver& resolver_;
    const unsigned at_once_;
    detail::ntp_server_memory memory_;
    mutable std::mutex mutex_;
    ntp_metrics metrics_;
};

}  // namespace v0
}  // namespace tickline
