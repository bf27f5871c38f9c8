// The cache of names and addresses. A resolver that is written in Python runs on Python's own threads, never
// on threads of C++: what such a thread does while the interpreter ends cannot be made safe. They find their
// requests in a dns_inbox.
#include <fcntl.h>
#include <net/if.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "glue.hpp"
#include "tickline/ip/address.hpp"
#include "tickline/ntp/dns_cache.hpp"
#include "tickline/ntp/server_name.hpp"
#include "tickline/ntp/system_clock.hpp"

namespace tickline::python {

namespace {

constexpr std::array<std::string_view, 3> family_names = {"any", "v4", "v6"};
constexpr std::array<std::string_view, 3> state_names = {"pending", "found", "failed"};

ip_family family_of(std::string_view name) {
    const auto at = std::find(family_names.begin(), family_names.end(), name);
    if (at == family_names.end()) throw py::value_error("a family is one of any, v4, v6");
    return static_cast<ip_family>(at - family_names.begin());
}

dns_address address_of(std::string_view text) {
    const std::size_t percent = text.find('%');
    dns_address out;
    if (const parse_result parsed = parse_address(text.substr(0, percent), out.ip); !parsed) {
        raise(parsed.error, text);
    }
    out.ip = canonical(out.ip);
    if (percent == std::string_view::npos) return out;
    const std::string_view scope = text.substr(percent + 1);
    std::uint64_t number = 0;
    if (!parse_uint64(scope, number)) number = if_nametoindex(std::string(scope).c_str());
    if (number == 0 || number > 0xffffffff) {
        throw py::value_error(std::string(text) + ": no interface of this machine stands behind the %.");
    }
    out.scope = static_cast<std::uint32_t>(number);
    return out;
}

// Requests on their way to Python. Whoever puts one in needs no interpreter: it writes a byte into a pipe,
// from which a Python thread reads.
class dns_inbox {
  public:
    dns_inbox() { open(); }
    dns_inbox(const dns_inbox&) = delete;
    dns_inbox& operator=(const dns_inbox&) = delete;
    ~dns_inbox() { close_pipe(); }

    int fileno() const noexcept { return pipe_[0]; }

    void put(dns_request request) {
        const std::lock_guard lock(mutex_);
        requests_.push_back(std::move(request));
        ring();
    }

    // The cache is gone.
    void close() {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        ring();
    }

    std::optional<std::vector<dns_request>> take() {
        const std::lock_guard lock(mutex_);
        if (closed_) return std::nullopt;
        return std::exchange(requests_, {});
    }

    // A child of fork() shares its parent's pipe, and must not read from it.
    void renew() {
        const std::lock_guard lock(mutex_);
        close_pipe();
        open();
        requests_.clear();
        if (closed_) ring();
    }

  private:
    void open() {
        if (pipe(pipe_.data()) != 0) raise_os_error(errno);
        for (const int fd : pipe_) fcntl(fd, F_SETFD, FD_CLOEXEC);
        fcntl(pipe_[1], F_SETFL, O_NONBLOCK);
    }

    void close_pipe() noexcept {
        for (const int fd : pipe_) ::close(fd);
    }

    void ring() noexcept {
        const ssize_t written = write(pipe_[1], "", 1);
        static_cast<void>(written);  // a full pipe wakes its reader as well
    }

    std::mutex mutex_;
    std::array<int, 2> pipe_{-1, -1};
    std::vector<dns_request> requests_;
    bool closed_ = false;
};

// Stands in the cache, and ends with it.
struct dns_inbox_sender {
    explicit dns_inbox_sender(std::shared_ptr<dns_inbox> to) : inbox(std::move(to)) {}
    dns_inbox_sender(const dns_inbox_sender&) = delete;
    dns_inbox_sender& operator=(const dns_inbox_sender&) = delete;
    ~dns_inbox_sender() { inbox->close(); }

    std::shared_ptr<dns_inbox> inbox;
};

std::shared_ptr<dns_cache> make_cache(std::int64_t ttl_ns, std::int64_t negative_ttl_ns,
                                      std::int64_t stale_ns, std::size_t max_entries,
                                      const std::shared_ptr<dns_inbox>& inbox) {
    const dns_cache_options options{ttl_ns, negative_ttl_ns, stale_ns, max_entries};
    if (inbox == nullptr) return std::make_shared<dns_cache>(options);
    const auto sender = std::make_shared<dns_inbox_sender>(inbox);
    return std::make_shared<dns_cache>(
        options, [sender](dns_request request) { sender->inbox->put(std::move(request)); });
}

// Where a thread sleeps until its name has been looked up.
struct bell {
    std::mutex mutex;
    std::condition_variable rung;
    bool ringing = false;
};

py::tuple look_up(const dns_cache& cache, std::string_view host, std::string_view family,
                  std::int64_t timeout_ns) {
    const ip_family wanted = family_of(family);
    const ntp_system_clock clock;
    const std::int64_t begin_ns = clock.monotonic_ns();
    const auto mine = std::make_shared<bell>();
    const dns_wake wake = std::make_shared<const std::function<void()>>([mine] {
        const std::lock_guard lock(mine->mutex);
        mine->ringing = true;
        mine->rung.notify_one();
    });
    dns_answer answer;
    dns_state state = dns_state::pending;
    for (;;) {
        std::int64_t left_ns = 0;
        {
            const gil_released release;
            state = cache.look_up(host, wanted, clock.monotonic_ns(), answer, wake);
            left_ns = timeout_ns - (clock.monotonic_ns() - begin_ns);
            if (state == dns_state::pending && left_ns > 0) {
                // In pieces, so that Ctrl-C is heard.
                std::unique_lock lock(mine->mutex);
                const auto piece = std::chrono::nanoseconds(std::min<std::int64_t>(left_ns, 50000000));
                mine->rung.wait_for(lock, piece, [&] { return mine->ringing; });
                mine->ringing = false;
            }
        }
        if (state != dns_state::pending || left_ns <= 0) break;
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    }
    py::list addresses;
    for (const dns_address& one : answer.addresses) addresses.append(text_of(one.ip, one.scope));
    return py::make_tuple(state_names[static_cast<std::size_t>(state)], addresses, decoded(answer.why));
}

py::dict stats(const dns_cache& cache) {
    const dns_cache_stats now = cache.stats();
    py::dict out;
    out["hits"] = now.hits;
    out["stale_hits"] = now.stale_hits;
    out["negative_hits"] = now.negative_hits;
    out["misses"] = now.misses;
    out["joined"] = now.joined;
    out["refused"] = now.refused;
    out["look_ups"] = now.look_ups;
    out["failures"] = now.failures;
    out["evictions"] = now.evictions;
    out["entries"] = now.entries;
    out["pending"] = now.pending;
    out["hit_ratio"] = now.hit_ratio();
    return out;
}

void answer(const dns_request& request, const std::vector<std::string>& addresses, std::string why) {
    dns_answer given{{}, std::move(why)};
    for (const std::string& text : addresses) {
        const dns_address one = address_of(text);
        const bool wanted =
            request.family == ip_family::any || (request.family == ip_family::v4) == one.ip.is_v4;
        if (wanted && given.addresses.size() < max_dns_addresses) given.addresses.push_back(one);
    }
    if (given.addresses.empty() && given.why.empty()) {
        given.why = "the resolver gave no address of the wanted family";
    }
    // The interpreter is not released: a daemon thread that wants it back while the interpreter ends would be
    // unwound through C++. Nothing in here waits for a thread that needs it.
    dns_cache::complete(request, std::move(given), ntp_system_clock{}.monotonic_ns());
}

}  // namespace

void bind_dns_cache(py::module_& module) {
    py::class_<dns_request>(module, "DnsRequest", "A name that somebody waits for.", py::is_final())
        .def_readonly("host", &dns_request::host)
        .def_property_readonly(
            "family",
            [](const dns_request& request) { return family_names[static_cast<std::size_t>(request.family)]; })
        .def("answer", &answer, py::arg("addresses"), py::arg("why"),
             "Gives the addresses, or a sentence why there are none. Only the first answer counts.");
    py::class_<dns_inbox, std::shared_ptr<dns_inbox>>(
        module, "DnsInbox", "Requests for a resolver that is written in Python.", py::is_final())
        .def(py::init<>())
        .def("fileno", &dns_inbox::fileno, "Where a byte can be read when there is something to take.")
        .def("take", &dns_inbox::take, "The requests that came in; None when the cache is gone.")
        .def("renew", &dns_inbox::renew, "For a child of fork(): a pipe of its own, and no requests.");
    py::class_<dns_cache, std::shared_ptr<dns_cache>>(module, "DnsCache", "Names and their addresses.",
                                                      py::is_final())
        .def(py::init(&make_cache), py::kw_only(), py::arg("ttl_ns"), py::arg("negative_ttl_ns"),
             py::arg("stale_ns"), py::arg("max_entries"), py::arg("inbox") = py::none())
        .def("look_up", &look_up, py::arg("host"), py::arg("family"), py::arg("timeout_ns"),
             "pending (the time is over), found or failed; the addresses; why it failed.")
        .def("stats", &stats)
        .def("clear", &dns_cache::clear);
}

}  // namespace tickline::python
