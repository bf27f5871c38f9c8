// What is true of every query of ntp_client, whatever the network did: the tests of the simulator and the
// fuzzer hold it to the same list.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ntp/simulator.hpp"

namespace tickline::simulation {

// Made before a query; checks what came of it. Everything given must outlive it.
class promises {
  public:
    promises(const world& where, const std::vector<ntp_server_name>& names, const ntp_query_options& options,
             std::int64_t slack_ns)
        : where_(where),
          names_(names),
          options_(options),
          slack_ns_(slack_ns),
          begin_ns_(where.monotonic_ns()),
          packets_(where.packets_sent()) {}

    void check(const ntp_result& result, std::vector<std::string>& problems) const {
        check_end(result, problems);
        if (result.ok) check_interval(result, problems);
        check_servers(result, problems);
        for (const std::string& complaint : where_.complaints()) problems.push_back(complaint);
    }

    // To be asked only if no more servers lie than are tolerated.
    void check_truth(const ntp_result& result, std::vector<std::string>& problems) const {
        if (!result.ok) return;
        const auto [first, last] = where_.time().utc_at(result.monotonic_ns);
        if (first >= result.earliest_ns && last <= result.latest_ns) return;
        problems.push_back("the true time lies outside: " + std::to_string(first - result.earliest_ns) +
                           " ns behind the earliest, " + std::to_string(result.latest_ns - last) +
                           " ns before the latest");
    }

  private:
    void check_end(const ntp_result& result, std::vector<std::string>& problems) const {
        const std::int64_t took = where_.monotonic_ns() - begin_ns_;
        const std::int64_t allowed = std::max<std::int64_t>(0, options_.deadline_ns) + slack_ns_;
        if (took > allowed)
            problems.push_back("ended too late, by " + std::to_string(took - allowed) + " ns");
        if (result.elapsed_ns < 0 || result.elapsed_ns > took) problems.emplace_back("elapsed is wrong");
        if (where_.open_sockets() != 0) problems.emplace_back("a socket is left open");
        if (result.packets_sent != where_.packets_sent() - packets_)
            problems.emplace_back("packets are counted wrong");
        if (!result.ok && result.why.empty()) problems.emplace_back("not ok, and does not say why");
    }

    void check_interval(const ntp_result& result, std::vector<std::string>& problems) const {
        if (result.tolerated != (options_.quorum > 2 ? options_.quorum - 2 : 0))
            problems.emplace_back("tolerates another number of liars");
        if (result.earliest_ns > result.latest_ns) problems.emplace_back("an empty interval");
        const std::int64_t width = result.latest_ns - result.earliest_ns;
        if (result.error_ns != width / 2 + width % 2) problems.emplace_back("the error is no half width");
        if (result.monotonic_ns < begin_ns_ || result.monotonic_ns > where_.monotonic_ns())
            problems.emplace_back("the result is of another time");
    }

    void check_servers(const ntp_result& result, std::vector<std::string>& problems) const {
        if (result.servers.size() != names_.size()) {
            problems.emplace_back("not one report for each name");
            return;
        }
        std::size_t packets = 0;
        std::size_t truechimers = 0;
        for (std::size_t i = 0; i < names_.size(); ++i) {
            const ntp_server_report& one = result.servers[i];
            packets += one.packets_sent;
            if (one.name.find(names_[i].host) == std::string::npos)
                problems.push_back("report " + std::to_string(i) + " is for " + one.name);
            check_server(result, one, problems);
            truechimers += one.standing == ntp_standing::truechimer ? 1 : 0;
        }
        if (packets != result.packets_sent)
            problems.emplace_back("the packets of the servers are another sum");
        if (result.ok && truechimers < options_.quorum) problems.emplace_back("ok without a quorum");
    }

    void check_server(const ntp_result& result, const ntp_server_report& one,
                      std::vector<std::string>& problems) const {
        using standing = ntp_standing;
        const bool voted = one.standing == standing::truechimer || one.standing == standing::falseticker ||
                           one.standing == standing::unconfirmed;
        if (voted != one.sample.has_value())
            problems.push_back("a sample without a vote, or a vote without: " + one.name);
        if (result.ok ? one.standing == standing::unconfirmed
                      : one.standing == standing::truechimer || one.standing == standing::falseticker)
            problems.push_back("a standing that does not go with the result: " + one.name);
        if (one.standing != standing::truechimer && one.why.empty())
            problems.push_back("no sentence for " + one.name);
        if (one.sample && one.sample->monotonic_ns > where_.monotonic_ns())
            problems.push_back("a sample out of the future: " + one.name);
        const bool may_kiss = one.standing == standing::kiss || one.standing == standing::held;
        if (one.standing == standing::kiss ? one.kiss_code.empty() : !may_kiss && !one.kiss_code.empty())
            problems.push_back("a kiss without a code, or a code without a kiss: " + one.name);
    }

    const world& where_;
    const std::vector<ntp_server_name>& names_;
    const ntp_query_options& options_;
    std::int64_t slack_ns_;
    std::int64_t begin_ns_;
    std::size_t packets_;
};

}  // namespace tickline::simulation
