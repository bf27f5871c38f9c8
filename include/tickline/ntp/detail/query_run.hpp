// One query, from its first look-up to its result.
//
// A name is looked up, and its addresses are asked one after the other: the next at once when one has failed,
// and after a while when one is silent. The first good answer is the vote of the name, and ends it. An
// address is asked by one name only, and once.
//
// Time is counted by the monotonic clock alone. The wall clock is read once at the begin, and goes on from
// there in thought: whatever happens to it meanwhile changes no offset.
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tickline/ntp/clock.hpp>
#include <tickline/ntp/detail/query_state.hpp>
#include <tickline/ntp/detail/query_votes.hpp>
#include <tickline/ntp/detail/query_words.hpp>
#include <tickline/ntp/network.hpp>
#include <tickline/ntp/packet.hpp>
#include <tickline/ntp/query.hpp>
#include <tickline/ntp/select.hpp>
#include <tickline/ntp/server_memory.hpp>
#include <tickline/ntp/server_name.hpp>
#include <tickline/ntp/validate.hpp>
#include <unordered_set>
#include <utility>
#include <vector>

namespace tickline {
inline namespace v0 {
namespace detail {

template <ntp_clock Clock, ntp_network Network, ntp_resolver Resolver, class Stop>
class ntp_query_run {
  public:
    ntp_query_run(const Clock& clock, Network& network, Resolver& resolver, ntp_server_memory& memory,
                  unsigned at_once, std::span<const ntp_server_name> servers,
                  const ntp_query_options& options, Stop& interrupted)
        : clock_(clock),
          network_(network),
          resolver_(resolver),
          memory_(memory),
          at_once_(std::max(at_once, 1U)),
          servers_(servers),
          options_(options),
          interrupted_(interrupted),
          names_(servers.size()),
          reports_(servers),
          votes_(options.quorum, options.policy.drift_ppb) {}

    ntp_result run() {
        // In this order: if the machine has not slept by a later look, all that was counted since is right.
        asleep_ns_ = clock_.asleep_ns();
        begin_ = clock_.read();
        now_ = begin_.monotonic_ns;
        result_.monotonic_ns = now_;
        result_.tolerated = ntp_tolerated(options_.quorum);
        result_.why = ntp_query_fault(servers_, options_);
        if (result_.why.empty()) {
            deadline_ = saturating_add(now_, options_.deadline_ns);
            wake_network_ = network_.waker();
            conclude(loop());
        } else {
            for (ntp_server_report& one : reports_.all()) one.why = "the query could not begin";
        }
        result_.servers = reports_.take();
        return std::move(result_);
    }

  private:
    using phase = ntp_name_state::phase;

    ntp_ending loop() {
        while (true) {
            // Before anybody else is asked: it may not be needed.
            if (const ntp_ending ending = judge_votes(); ending != ntp_ending::none) return ending;
            if (look_at_clock() >= deadline_) return ntp_ending::deadline;
            if (slept()) return ntp_ending::slept;
            if (interrupted_()) return ntp_ending::interrupted;
            ask_next_addresses();
            start_names();
            std::erase_if(attempts_, [](const ntp_attempt& one) { return one.handle == ntp_attempt::ended; });
            network_.wait(next_instant());
            look_at_clock();
            follow_signals();
            for (std::size_t a = 0; a < attempts_.size(); ++a) receive(a);
            end_doubted();
        }
    }

    // Never goes back, whatever the clock does.
    std::int64_t look_at_clock() {
        now_ = std::max(now_, clock_.monotonic_ns());
        return now_;
    }

    bool slept() const { return clock_.asleep_ns() > saturating_add(asleep_ns_, ntp_shortest_sleep_ns); }

    std::int64_t next_instant() const {
        std::int64_t next = std::min(deadline_, saturating_add(now_, ntp_longest_wait_ns));
        if (changed_ || may_start()) return now_;
        for (const ntp_attempt& one : attempts_) {
            if (one.doubted_until_ns) next = std::min(next, *one.doubted_until_ns);
        }
        if (is_full()) return next;
        if (started_ < names_.size()) next = std::min(next, next_start_ns_);
        for (std::size_t i = 0; i < started_; ++i) {
            if (names_[i].has_more()) next = std::min(next, names_[i].next_ns);
        }
        return next;
    }

    // ---- names ----------------------------------------------------------------------------------------

    bool is_full() const noexcept { return attempts_.size() >= ntp_most_attempts; }

    bool may_start() const noexcept {
        if (started_ == names_.size() || is_full()) return false;
        return busy_ < at_once_ + doubted_ || now_ >= next_start_ns_;
    }

    void start_names() {
        for (int n = 0; n < ntp_most_starts && may_start(); ++n) {
            next_start_ns_ = saturating_add(now_, ntp_next_name_ns);
            start(started_++);
        }
    }

    void start(std::size_t i) {
        ntp_name_state& name = names_[i];
        ++busy_;
        name.signal = std::make_shared<ntp_signal>();
        name.signal->wake = wake_network_;
        name.wake = std::make_shared<const std::function<void()>>([signal = name.signal] {
            signal->raised.store(true);
            if (signal->wake) signal->wake();
        });
        if (!seen_.insert(ntp_name_key(servers_[i])).second) {
            reports_.note(i, {ntp_standing::duplicate, "the same name was given before"});
            finish(i);
        } else if (const auto literal = literal_address(servers_[i].host)) {
            found(i, {dns_address{*literal, 0}});
        } else {
            name.now = phase::looking_up;
            look_up(i);
        }
    }

    void look_up(std::size_t i) {
        dns_answer answer;
        const dns_state state =
            resolver_.look_up(servers_[i].host, options_.family, now_, answer, names_[i].wake);
        if (state == dns_state::pending) return;
        if (state == dns_state::found) {
            found(i, answer.addresses);
            return;
        }
        if (answer.why.empty()) answer.why = "its name has no address";
        reports_.note(i, {ntp_standing::unreachable, std::move(answer.why)});
        finish(i);
    }

    void found(std::size_t i, const std::vector<dns_address>& addresses) {
        ntp_name_state& name = names_[i];
        name.addresses = ntp_endpoints_of(addresses, servers_[i].port, options_.family);
        if (name.addresses.empty()) {
            reports_.note(i, {ntp_standing::unreachable, "its name has no address of the wanted kind"});
        } else if (!seen_.insert(ntp_addresses_key(name.addresses)).second) {
            // Or one machine with four addresses would have four votes.
            reports_.note(i, {ntp_standing::duplicate, "another name has led to the same addresses",
                              name.addresses.front()});
            name.addresses.clear();
        }
        name.now = phase::asking;
        ask_next(i);
    }

    void finish(std::size_t i) {
        names_[i].now = phase::done;
        --busy_;
        changed_ = true;
    }

    // Asks the next address of a name, and those behind it as long as nothing comes of them.
    void ask_next(std::size_t i) {
        ntp_name_state& name = names_[i];
        while (name.next < name.addresses.size()) {
            const ntp_endpoint where = name.addresses[name.next++];
            if (!claimed_.insert(where).second) {
                reports_.note(i,
                              {ntp_standing::duplicate, "another name has led to the same address", where});
            } else if (ask(i, where)) {
                return;
            }
        }
        if (name.under_way == 0) finish(i);
    }

    void ask_next_addresses() {
        for (std::size_t i = 0; i < started_ && !is_full(); ++i) {
            if (names_[i].has_more() && now_ >= names_[i].next_ns) ask_next(i);
        }
    }

    void follow_signals() {
        for (std::size_t i = 0; i < started_; ++i) {
            const ntp_name_state& name = names_[i];
            if (name.now == phase::done || !name.signal->raised.exchange(false)) continue;
            if (name.now == phase::looking_up) {
                look_up(i);
                continue;
            }
            // Not those that begin meanwhile: they may have to wait for the very same query again.
            const std::size_t known = attempts_.size();
            for (std::size_t a = 0; a < known && name.now == phase::asking; ++a) {
                const ntp_attempt attempt = attempts_[a];
                if (attempt.name != i || attempt.handle != ntp_attempt::of_another_query) continue;
                end(a);
                if (!ask(i, attempt.where)) ask_next(i);
            }
        }
    }

    // ---- attempts -------------------------------------------------------------------------------------

    // True if an answer is being waited for, or is there already.
    bool ask(std::size_t i, const ntp_endpoint& where) {
        const ntp_permit permit = memory_.admit(where, now_, names_[i].wake);
        switch (permit.what) {
            case ntp_permission::ask:
                return send(i, where, permit);
            case ntp_permission::reuse:
                return reuse(i, where, permit.answer);
            case ntp_permission::wait:
                begin({i, ntp_attempt::of_another_query, where, 0, 0});
                return true;
            default:
                reports_.note(i, ntp_note_of(permit, where));
                return false;
        }
    }

    bool send(std::size_t i, const ntp_endpoint& where, const ntp_permit& permit) {
        ntp_attempt attempt{i, ntp_attempt::ended, where, 0, 0};
        std::string why;
        if (const int error = network_.open(where, attempt.handle)) {
            attempt.handle = ntp_attempt::ended;
            why = ntp_error_text("no socket could be opened", error);
        } else if (!draw_transmit(network_, attempt.transmit)) {
            why = "the system gives no random numbers";
        } else {
            std::array<char, ntp_header_bytes> request{};
            write_ntp_packet(make_ntp_request(attempt.transmit), request.data());
            attempt.sent_ns = look_at_clock();
            if (const int refused = network_.send(attempt.handle, {request.data(), request.size()})) {
                why = ntp_error_text("the request could not be sent", refused);
            }
        }
        if (!why.empty()) {
            memory_.not_sent(where, permit);
            if (attempt.handle != ntp_attempt::ended) network_.close(attempt.handle);
            reports_.note(i, {ntp_standing::unreachable, std::move(why), where});
            return false;
        }
        ++result_.packets_sent;
        ++reports_[i].packets_sent;
        begin(attempt);
        return true;
    }

    void begin(const ntp_attempt& attempt) {
        attempts_.push_back(attempt);
        ntp_name_state& name = names_[attempt.name];
        ++name.under_way;
        name.next_ns = saturating_add(now_, std::min(ntp_next_address_ns, options_.deadline_ns / 4));
    }

    void end(std::size_t a) {
        ntp_attempt& attempt = attempts_[a];
        if (attempt.handle >= 0) network_.close(attempt.handle);
        if (attempt.doubted_until_ns) --doubted_;
        attempt.handle = ntp_attempt::ended;
        --names_[attempt.name].under_way;
    }

    void receive(std::size_t a) {
        for (int n = 0; n < ntp_most_datagrams && attempts_[a].handle >= 0; ++n) {
            ntp_received got;
            const int error = network_.receive(attempts_[a].handle, buffer_.data(), buffer_.size(), got);
            if (error == EAGAIN || error == EWOULDBLOCK || error == EINTR) return;
            if (error == 0) {
                judge(a, got);
                continue;
            }
            doubt(a, error);
        }
    }

    // The system has heard that nobody is there. Whoever knows the port can say so without having seen our
    // request, so the socket stays open for a while; but the next address need not wait.
    void doubt(std::size_t a, int error) {
        ntp_attempt& attempt = attempts_[a];
        if (attempt.doubted_until_ns) return;
        ++doubted_;
        attempt.doubted_until_ns = saturating_add(now_, std::min(ntp_doubt_ns, options_.deadline_ns / 4));
        reports_.note(attempt.name, {ntp_standing::unreachable,
                                     ntp_error_text("no answer can come from there", error), attempt.where});
        names_[attempt.name].next_ns = now_;
    }

    void end_doubted() {
        for (std::size_t a = 0; a < attempts_.size(); ++a) {
            const ntp_attempt lost = attempts_[a];
            if (lost.handle < 0 || !lost.doubted_until_ns || now_ < *lost.doubted_until_ns) continue;
            end(a);
            memory_.gave_nothing(lost.where);
            ask_next(lost.name);
        }
    }

    void judge(std::size_t a, ntp_received got) {
        const ntp_attempt attempt = attempts_[a];
        // A stamp from before the request or from the future is of no use; our own clock is good enough.
        if (look_at_clock(); got.monotonic_ns < attempt.sent_ns || got.monotonic_ns > now_) {
            got.monotonic_ns = now_;
            got.stamp = ntp_stamp::program;
        }
        const std::string_view datagram(buffer_.data(), std::min(got.size, buffer_.size()));
        ntp_exchange exchange = ntp_exchange_of(begin_, attempt.transmit, attempt.sent_ns, got.monotonic_ns);
        exchange.truncated = got.truncated;
        const ntp_verdict verdict = validate_ntp_response(datagram, exchange, options_.policy);
        if (verdict.kind == ntp_verdict_kind::drop) {
            reports_.dropped(attempt.name, verdict.reason);
            return;
        }
        end(a);
        if (verdict.kind == ntp_verdict_kind::accept) {
            ntp_kept_answer kept;
            std::copy_n(datagram.begin(), ntp_header_bytes, kept.header.begin());
            kept.transmit = attempt.transmit;
            kept.sent_ns = attempt.sent_ns;
            kept.received_ns = got.monotonic_ns;
            kept.asleep_ns = asleep_ns_;
            kept.stamp = got.stamp;
            memory_.answered(attempt.where, kept);
            if (!vote(attempt.name, attempt.where, verdict, kept, false)) ask_next(attempt.name);
            return;
        }
        if (verdict.kind == ntp_verdict_kind::kiss) {
            memory_.kissed(attempt.where, verdict.kiss_code);
        } else {
            memory_.gave_nothing(attempt.where);
        }
        reports_.note(attempt.name, ntp_note_of(verdict, attempt.where));
        ask_next(attempt.name);
    }

    // ---- votes ----------------------------------------------------------------------------------------

    // What a server said to this client a moment ago. It is judged again: this query may be stricter.
    bool reuse(std::size_t i, const ntp_endpoint& where, const ntp_kept_answer& kept) {
        if (asleep_ns_ > saturating_add(kept.asleep_ns, ntp_shortest_sleep_ns)) {
            reports_.note(i, {ntp_standing::held,
                              "it was asked a moment ago, and the machine was suspended since", where});
            return false;
        }
        const ntp_exchange exchange = ntp_exchange_of(begin_, kept.transmit, kept.sent_ns, kept.received_ns);
        const ntp_verdict verdict =
            validate_ntp_response({kept.header.data(), kept.header.size()}, exchange, options_.policy);
        if (verdict.kind == ntp_verdict_kind::accept) return vote(i, where, verdict, kept, true);
        reports_.note(i, ntp_note_of(verdict, where));
        return false;
    }

    bool vote(std::size_t i, const ntp_endpoint& where, const ntp_verdict& verdict,
              const ntp_kept_answer& kept, bool reused) {
        const ntp_sample sample = ntp_sample_of(begin_, where, verdict, kept, reused);
        if (!is_representable(sample)) {
            reports_.note(i, {ntp_standing::rejected, std::string(message(ntp_reason::pivot)), where,
                              ntp_reason::pivot});
            return false;
        }
        votes_.add(i, sample);
        reports_.vote(i, sample);
        for (std::size_t a = 0; a < attempts_.size(); ++a) {
            if (attempts_[a].name == i) give_up(a);
        }
        finish(i);
        return true;
    }

    // Nobody waits for this answer any more. True if it was one of our own requests.
    bool give_up(std::size_t a) {
        const ntp_attempt attempt = attempts_[a];
        if (attempt.handle == ntp_attempt::ended) return false;
        end(a);
        if (attempt.handle == ntp_attempt::of_another_query) return false;
        memory_.gave_nothing(attempt.where);
        return true;
    }

    ntp_ending judge_votes() {
        if (!changed_) return ntp_ending::none;
        changed_ = false;
        const std::size_t open = names_.size() - started_ + busy_;
        const ntp_selection selection = votes_.count(now_);
        if (selection.agreed) {
            const bool exact =
                !options_.accuracy_ns || ntp_error_of(selection.interval) <= *options_.accuracy_ns;
            return exact || open == 0 ? ntp_ending::agreed : ntp_ending::none;
        }
        if (selection.too_many_liars) return ntp_ending::liars;
        return selection.most_overlapping + open < options_.quorum ? ntp_ending::hopeless : ntp_ending::none;
    }

    // ---- the end --------------------------------------------------------------------------------------

    void conclude(ntp_ending ending) {
        for (std::size_t a = 0; a < attempts_.size(); ++a) note_unanswered(a, ending);
        for (std::size_t i = 0; i < names_.size(); ++i) reports_.unasked(i, names_[i].now, ending);
        const ntp_clock_reading end = clock_.read();
        result_.asleep_ns = clock_.asleep_ns();
        if (slept()) ending = ntp_ending::slept;
        result_.monotonic_ns = std::max(now_, end.monotonic_ns);
        result_.elapsed_ns = saturating_subtract(result_.monotonic_ns, begin_.monotonic_ns);
        result_.wall_step_ns = ntp_wall_step(begin_, end);

        const ntp_selection selection = votes_.count(result_.monotonic_ns);
        result_.ok = selection.agreed && ending != ntp_ending::interrupted && ending != ntp_ending::slept;
        for (std::size_t v = 0; v < votes_.size(); ++v) {
            reports_.judge(votes_.name(v), votes_.interval(v), result_.ok, selection.interval);
        }
        if (result_.ok) {
            set_ntp_time(result_, selection.interval, end);
            result_.why = ntp_success_text(result_, reports_.servers(), options_);
        } else {
            result_.why = ntp_failure_text(ending, selection, votes_.size(), options_.quorum, reports_.all());
        }
    }

    void note_unanswered(std::size_t a, ntp_ending ending) {
        const ntp_attempt attempt = attempts_[a];
        if (give_up(a)) {
            if (attempt.doubted_until_ns) return;  // what there is to say has been said
            reports_.note(attempt.name, ntp_note_of(ending, reports_[attempt.name].dropped, attempt.where));
        } else if (attempt.handle == ntp_attempt::of_another_query) {
            reports_.note(
                attempt.name,
                {ntp_standing::held, "another query has asked it and waits for its answer", attempt.where});
        }
    }

    const Clock& clock_;
    Network& network_;
    Resolver& resolver_;
    ntp_server_memory& memory_;
    const unsigned at_once_;
    const std::span<const ntp_server_name> servers_;
    const ntp_query_options& options_;
    Stop& interrupted_;

    ntp_clock_reading begin_;
    std::int64_t asleep_ns_ = 0;  // at the begin
    std::int64_t now_ = 0;        // the last look at the monotonic clock
    std::int64_t deadline_ = 0;
    std::function<void()> wake_network_;

    std::vector<ntp_name_state> names_;
    std::size_t started_ = 0;
    unsigned busy_ = 0;     // started and not done
    unsigned doubted_ = 0;  // attempts that perhaps nobody will answer
    std::int64_t next_start_ns_ = 0;
    std::vector<ntp_attempt> attempts_;
    std::unordered_set<ntp_endpoint, ntp_endpoint_hash> claimed_;
    std::unordered_set<std::string> seen_;  // names, and what names have led to
    ntp_reports reports_;
    ntp_votes votes_;
    bool changed_ = true;              // a name has ended since the votes were counted
    std::array<char, 2048> buffer_{};  // longer than any answer to 48 bytes
    ntp_result result_;
};

}  // namespace detail
}  // namespace v0
}  // namespace tickline
