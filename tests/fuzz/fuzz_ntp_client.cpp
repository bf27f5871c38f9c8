// The client as a whole, fed by the input: which servers there are, and then, each time it waits, what comes
// next: answers to its own requests (so that the fuzzer need not guess 64 random bits), the same with bytes
// changed, forged ones, errors, a step of the wall clock, a suspend. It must keep its promises (promises.hpp)
// and, as long as no more names have lied than the quorum tolerates, the true time must lie in the result.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ntp/promises.hpp"
#include "ntp/servers.hpp"

namespace {

using namespace tickline::simulation;
using tickline::ntp_endpoint;

class script : public world {
  public:
    script(const machine& options, const std::uint8_t* data, std::size_t size)
        : world(options), data_(data), left_(size) {}

    bool ended() const noexcept { return left_ == 0; }

    std::uint8_t next() noexcept {
        if (left_ == 0) return 0;
        --left_;
        return *data_++;
    }

    std::int64_t next_time() noexcept {
        static constexpr std::array<std::int64_t, 8> units{
            0, 1, microsecond, 50 * microsecond, millisecond, 10 * millisecond, 100 * millisecond, second};
        const std::uint8_t code = next();
        return units[code & 7] * (1 + (code >> 3));
    }

    // Three kinds of names: addresses, and names with one address or two.
    tickline::ntp_server_name next_name() {
        const std::uint8_t code = next();
        const unsigned number = 1 + (code & 7);
        if ((code & 0x18) == 0) return {"10.0.0." + std::to_string(number), 123};
        return {(code & 0x10 ? "two" : "one") + std::to_string(number), 123};
    }

    // The addresses that sent what no honest server would.
    std::size_t liars() const noexcept { return liars_.size(); }
    // Whether an answer to one of its requests was ever on its way from there.
    bool answered(const ntp_endpoint& from) const { return answered_.count(last_byte(from)) != 0; }

  protected:
    int on_open(const ntp_endpoint&) override { return 0; }

    found_name on_look_up(std::string_view host, tickline::ip_family) override {
        const std::uint8_t code = next();
        found_name found{(code & 3) == 0 ? 0 : next_time() + 1, {{}, "no such name"}};
        if ((code & 0x0f) == 15) found.takes_ns = never;
        if ((code & 0x70) == 0x70) return found;
        const auto number = static_cast<std::uint8_t>(host.back() - '0');
        for (unsigned i = host[0] == 't' ? 2 : 1; i > 0; --i) {
            tickline::address ip;
            ip.is_v4 = true;
            ip.bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, number};
            // The second address of a name is often the first of another.
            if (i == 2) ip.bytes[15] = static_cast<std::uint8_t>(number + 1);
            found.answer.addresses.push_back({ip, 0});
        }
        return found;
    }

    int on_send(std::size_t slot, const ntp_endpoint& to, std::string_view datagram) override {
        if (requests_.size() <= slot) requests_.resize(slot + 1);
        requests_[slot] = {std::string(datagram), to};
        const std::uint8_t code = next();
        if (code == 0xff) return ENETUNREACH;
        if (code < 0xc0) answer(slot, code);
        return 0;
    }

    void on_idle(std::int64_t) override {
        if (ended() || requests_.empty()) return;
        const std::uint8_t code = next();
        const std::size_t slot = next() % requests_.size();
        switch (code & 7) {
            case 0:
            case 1:
            case 2:
                return answer(slot, code);
            case 3:
                return forge(slot);
            case 4:
                return fail(slot, next_time(), code & 8 ? ECONNREFUSED : EHOSTUNREACH);
            case 5: {
                const std::int64_t in_ns = next_time();
                const std::int64_t by_ns = next_time();
                return step_wall_clock(in_ns, code & 8 ? by_ns : -by_ns);
            }
            case 6: {
                const std::int64_t in_ns = next_time();
                const std::int64_t for_ns = next_time();
                if (code & 8) sleep(in_ns, for_ns);
                return;
            }
            default:
                last_ = {};
                return;
        }
    }

  private:
    struct request {
        std::string bytes;
        ntp_endpoint to;
    };

    static std::uint8_t last_byte(const ntp_endpoint& of) noexcept { return of.ip.bytes[15]; }

    // An answer to the last request on this socket, honest unless bytes are changed.
    void answer(std::size_t slot, std::uint8_t code) {
        const request& asked = requests_[slot];
        const std::int64_t in_ns = next_time();
        server from;
        from.root_dispersion = code & 0x10 ? 6554 : 66;
        from.processing_ns = 0;
        if (code & 0x20) from.receive_error_ns = from.transmit_error_ns = from.admitted_ns();
        std::string bytes = answer_of(from, asked.bytes, utc_ns() + (code & 0x40 ? in_ns : 0), random());
        if (code & 8) {
            for (std::uint8_t changes = next() & 7; changes > 0; --changes) {
                // The origin stays, or the datagram is dropped like any other.
                const std::size_t at = next() % 40;
                bytes[at < 24 ? at : at + 8] = static_cast<char>(next());
            }
            if (next() & 1) {
                const std::size_t longer_by = next() % 64;
                bytes.append(longer_by, static_cast<char>(next()));
            }
            liars_.insert(last_byte(asked.to));
        }
        answered_.insert(last_byte(asked.to));
        last_ = bytes;
        deliver(slot, in_ns, std::move(bytes));
    }

    // What anybody can send: bytes of the input, an answer to another request, the request itself.
    void forge(std::size_t slot) {
        const std::uint8_t code = next();
        std::string bytes;
        if ((code & 3) == 0) bytes = last_;
        if ((code & 3) == 1) bytes = requests_[slot].bytes;
        if (code & 2) {
            bytes.resize(code >> 2);
            for (char& byte : bytes) byte = static_cast<char>(next());
        }
        // Sent again it is an answer all the same, and one that an honest server would have sent earlier.
        if (bytes.size() >= 48 && bytes.compare(24, 8, requests_[slot].bytes, 40, 8) == 0)
            liars_.insert(last_byte(requests_[slot].to));
        deliver(slot, next_time(), std::move(bytes));
    }

    const std::uint8_t* data_;
    std::size_t left_;
    std::vector<request> requests_;
    std::string last_;
    std::set<std::uint8_t> liars_;
    std::set<std::uint8_t> answered_;
};

void run(script& where, std::uint8_t flags, std::int64_t slack_ns) {
    virtual_resolver names_of{&where};
    tickline::ntp_client<virtual_clock, virtual_resolver> client(
        virtual_clock{&where}, names_of,
        {.headway_ns = flags & 1 ? 2 * second : 0, .max_servers = 4, .at_once = 3});
    std::vector<tickline::ntp_server_name> names;
    for (std::uint8_t left = where.next() % 8; left > 0; --left) names.push_back(where.next_name());

    for (int queries = 0; queries < 4; ++queries) {
        tickline::ntp_query_options options;
        options.quorum = where.next() % 6;
        // A client looks up every 50 ms at least: longer waits cost time here and show nothing new.
        options.deadline_ns = std::min(where.next_time(), 200 * millisecond);
        if (flags & 2) options.accuracy_ns = where.next_time();
        const promises promised(where, names, options, slack_ns);
        virtual_network net{&where};
        const tickline::ntp_result result = client.query(net, names, options, [] { return false; });

        std::vector<std::string> problems;
        promised.check(result, problems);
        // Liars are counted by address, each of which has one vote at most.
        const std::size_t tolerated = options.quorum > 2 ? options.quorum - 2 : 0;
        if (where.liars() <= tolerated) promised.check_truth(result, problems);
        for (const auto& one : result.servers) {
            if (one.sample && !where.answered(one.sample->where))
                problems.push_back("a sample of somebody who did not answer: " + one.name);
        }
        for (const std::string& problem : problems) std::fprintf(stderr, "%s\n", problem.c_str());
        if (!problems.empty()) std::abort();
        if (where.ended()) return;
        where.pass(where.next_time());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 4 || size > 4096) return 0;
    machine options;
    options.kernel_stamps = (data[0] & 0x80) != 0;
    options.drift_ppb = data[0] & 0x40 ? 15000 : -15000;
    if (data[0] & 0x20) options.utc_ns = 2085978496 * second - 100 * millisecond;  // a change of era
    script where(options, data + 1, size - 1);
    where.give_up_after(200000, "the input is the one that libFuzzer is at");
    run(where, data[0], millisecond);
    where.pass(100 * second);  // what was started must be harmless when the client is gone
    return 0;
}
