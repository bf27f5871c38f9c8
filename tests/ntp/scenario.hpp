// One run of the simulator: a machine, names with servers behind them, queries, and what must be true of
// every answer, whatever happened. random_stage.hpp makes random ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tickline/ip/address.hpp>
#include <tickline/ntp/client.hpp>
#include <utility>
#include <vector>

#include "ntp/promises.hpp"
#include "ntp/servers.hpp"

namespace tickline::simulation {

using client = ntp_client<virtual_clock, virtual_resolver>;

inline ntp_endpoint endpoint_of(unsigned number, bool v6 = false, std::uint16_t port = 123) {
    ntp_endpoint made;
    made.port = port;
    address& ip = made.ip;
    ip.is_v4 = !v6;
    if (v6) {
        ip.bytes = {0x20, 0x01, 0x0d, 0xb8};
    } else {
        ip.bytes[10] = ip.bytes[11] = 0xff;
        ip.bytes[12] = 10;
    }
    for (std::size_t i = 0; i < 3; ++i) ip.bytes[15 - i] = static_cast<std::uint8_t>(number >> (8 * i));
    return made;
}

inline std::string text_of(const address& ip) {
    char text[address_text_size];
    return {text, write_address(text, ip)};
}

class stage {
  public:
    stage(const machine& machine_options, const ntp_client_options& client_options)
        : machine_(machine_options),
          client_options_(client_options),
          world_(std::make_unique<servers>(machine_options)),
          resolver_(std::make_unique<virtual_resolver>(virtual_resolver{world_.get()})),
          client_(std::make_unique<client>(virtual_clock{world_.get()}, *resolver_, client_options)) {
        world_->give_up_after(20'000'000, how_to_repeat());
    }

    servers& where() noexcept { return *world_; }
    dice& random() noexcept { return world_->random(); }
    const std::vector<ntp_server_name>& names() const noexcept { return names_; }
    ntp_query_options options;
    std::size_t interrupted_after = 0;  // questions; 0: never

    std::string how_to_repeat() const {
        return "repeat with TICKLINE_SIMULATION_SEED=" + std::to_string(machine_.seed);
    }

    // A server that is named by its address.
    ntp_endpoint add(const server& what, bool v6 = false) {
        const ntp_endpoint at = endpoint_of(++endpoints_, v6);
        world_->add(at, what);
        names_.push_back({text_of(at.ip), at.port});
        liars_ += what.honest() ? 0 : 1;
        return at;
    }

    // A name with these servers behind it; without any, its look-up fails.
    std::vector<ntp_endpoint> add_name(std::int64_t takes_ns, const std::vector<server>& behind) {
        std::vector<ntp_endpoint> all;
        for (const server& one : behind) {
            all.push_back(endpoint_of(++endpoints_, random().chance(0.3)));
            world_->add(all.back(), one);
        }
        add_alias(takes_ns, all);
        return all;
    }

    // A name that leads to servers that are there already.
    void add_alias(std::int64_t takes_ns, const std::vector<ntp_endpoint>& known) {
        found_name found{takes_ns, {{}, known.empty() ? "no such name" : ""}};
        bool honest = true;
        for (const ntp_endpoint& one : known) {
            found.answer.addresses.push_back({one.ip, one.scope});
            honest = honest && world_->find(one)->honest();
        }
        liars_ += honest ? 0 : 1;
        const std::string host = "host" + std::to_string(names_.size()) + ".example";
        world_->add_name(host, found);
        names_.push_back({host, 123});
    }

    unsigned liars() const noexcept { return liars_; }
    bool too_many_liars() const noexcept { return liars_ > (options.quorum > 2 ? options.quorum - 2 : 0); }

    // In the order of a shuffle, so that liars come first, last and in between.
    void shuffle() {
        for (std::size_t i = names_.size(); i > 1; --i) std::swap(names_[i - 1], names_[random().below(i)]);
    }

    // Asks, and says what is wrong about the answer.
    ntp_result ask(std::vector<std::string>& problems) {
        virtual_network net{world_.get()};
        const promises promised{*world_, names_, options,
                                millisecond + machine_.late_ns + 30 * machine_.pause_ns};
        std::size_t questions = 0;
        const auto interrupted = [&] { return interrupted_after != 0 && ++questions > interrupted_after; };
        ntp_result result = client_->query(net, names_, options, interrupted);
        promised.check(result, problems);
        if (!too_many_liars()) promised.check_truth(result, problems);
        check_samples(result, problems);
        return result;
    }

    // Whatever was started must stay harmless when the client is gone.
    void end() {
        client_.reset();
        world_->pass(100 * second);
    }

    void check_packets(std::vector<std::string>& problems) const {
        std::map<std::pair<address, std::uint16_t>, std::int64_t> last;
        std::set<std::uint64_t> transmits;
        for (const world::packet& one : world_->packets()) {
            if (!transmits.insert(one.transmit).second) problems.emplace_back("a transmit stamp used twice");
            const auto [at, first] = last.try_emplace({one.to.ip, one.to.port}, one.monotonic_ns);
            // The client counts from its last look at the clock, which is some calls and pauses before.
            const std::int64_t slack = 100 * machine_.call_ns + 5 * machine_.pause_ns;
            if (!first && one.monotonic_ns - at->second < client_options_.headway_ns - slack)
                problems.push_back("packets too near to each other, to " + text_of(one.to.ip));
            at->second = one.monotonic_ns;
        }
    }

  private:
    void check_samples(const ntp_result& result, std::vector<std::string>& problems) const {
        for (const ntp_server_report& one : result.servers) {
            if (!one.sample) continue;
            const server* const known = world_->find(one.sample->where);
            if (known == nullptr) {
                problems.push_back("a sample of nobody: " + one.name);
                continue;
            }
            if (known->answers != server::manner::time && known->answers != server::manner::garbled)
                problems.push_back("a sample of somebody who sends none: " + one.name);
            if (!known->honest() || world_->time().slept_ns() != 0) continue;
            const auto [first, last] = world_->time().utc_at(one.sample->monotonic_ns);
            if (first < one.sample->utc_ns - one.sample->root_distance_ns ||
                last > one.sample->utc_ns + one.sample->root_distance_ns)
                problems.push_back("an honest sample is further off than its root distance: " + one.name);
            if (one.standing == ntp_standing::falseticker && !too_many_liars())
                problems.push_back("an honest server is called a falseticker: " + one.name);
        }
    }

    machine machine_;
    ntp_client_options client_options_;
    std::unique_ptr<servers> world_;
    std::unique_ptr<virtual_resolver> resolver_;
    std::unique_ptr<client> client_;
    std::vector<ntp_server_name> names_;
    unsigned endpoints_ = 0;
    unsigned liars_ = 0;
};

}  // namespace tickline::simulation
