// Addresses of a name by the system's resolver (getaddrinfo), and the threads that wait for it.
//
// getaddrinfo blocks for as long as the resolver pleases and cannot be interrupted, so nobody who has a
// deadline may call it. It runs on helper threads: at most 64 in the process, started when a name is asked
// for and ended when none is left to ask. What comes while all are busy waits in a queue. Names that hang for
// ever keep their threads for ever; when 64 of them do and 256 wait, further names fail at once with a
// sentence.
#pragma once

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): pthread_sigmask is POSIX
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <system_error>
#include <tickline/ntp/query.hpp>
#include <utility>

namespace tickline {
inline namespace v0 {

// Addresses beyond these are left out: nobody tries so many.
inline constexpr std::size_t max_dns_addresses = 64;

namespace detail {

// The address in a socket address of the wanted family; false for others.
inline bool dns_address_of(const sockaddr* from, ip_family family, dns_address& out) noexcept {
    out = {};
    if (from->sa_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, from, sizeof v4);
        out.ip.bytes[10] = out.ip.bytes[11] = 0xff;
        std::memcpy(out.ip.bytes.data() + 12, &v4.sin_addr, 4);
    } else if (from->sa_family == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, from, sizeof v6);
        std::memcpy(out.ip.bytes.data(), &v6.sin6_addr, 16);
        out.scope = v6.sin6_scope_id;
    } else {
        return false;
    }
    out.ip = canonical(out.ip);  // a hosts file may hold ::ffff:192.0.2.1
    return family == ip_family::any || (family == ip_family::v4) == out.ip.is_v4;
}

}  // namespace detail

// Asks the system's resolver and waits for it. The order is the system's (RFC 6724).
inline dns_answer look_up_host(const std::string& host, ip_family family) noexcept {
    addrinfo hints{};
    hints.ai_family = family == ip_family::v4 ? AF_INET : family == ip_family::v6 ? AF_INET6 : AF_UNSPEC;
    // One kind of socket, or every address comes three times. No AI_ADDRCONFIG: it hides what loopback and
    // link-local interfaces could reach, and an address out of reach fails at once anyway.
    hints.ai_socktype = SOCK_DGRAM;
    hints.ai_protocol = IPPROTO_UDP;
    addrinfo* list = nullptr;
    dns_answer answer;
    const int error = getaddrinfo(host.c_str(), nullptr, &hints, &list);
    if (error != 0) {
        answer.why = error == EAI_SYSTEM ? std::generic_category().message(errno) : gai_strerror(error);
        return answer;
    }
    for (const addrinfo* one = list; one != nullptr && answer.addresses.size() < max_dns_addresses;
         one = one->ai_next) {
        dns_address found;
        if (!detail::dns_address_of(one->ai_addr, family, found)) continue;
        auto& all = answer.addresses;
        if (std::find(all.begin(), all.end(), found) == all.end()) all.push_back(found);
    }
    freeaddrinfo(list);
    if (answer.addresses.empty()) answer.why = "the name has no address of the wanted family";
    return answer;
}

namespace detail {

// Runs jobs on detached threads. It is never destroyed: threads that hang outlive main().
class dns_threads {
  public:
    static constexpr unsigned max_threads = 64;
    static constexpr std::size_t max_queued = 256;

    using job = std::function<void()>;

    // Runs the job on another thread, now or when one is free; otherwise says why not.
    const char* run(job work) {
        const std::lock_guard lock(mutex_);
        if (unfinished_ == max_threads + max_queued) return "too many look-ups hang in the system's resolver";
        if (threads_ < max_threads) {
            if (start_thread()) {
                ++threads_;
            } else if (threads_ == 0) {
                return "the system lets no thread be started for the look-up";
            }  // else a running thread takes it from the queue
        }
        queue_.push_back(std::move(work));
        ++unfinished_;
        return nullptr;
    }

    // The one of this process: a child of fork() has none of its parent's threads, and begins anew.
    static dns_threads& shared() {
        static std::atomic<dns_threads*> current{nullptr};
        dns_threads* found = current.load(std::memory_order_acquire);
        while (found == nullptr || found->process_ != getpid()) {
            auto* fresh = new dns_threads;
            if (current.compare_exchange_strong(found, fresh, std::memory_order_acq_rel)) return *fresh;
            delete fresh;
        }
        return *found;
    }

  private:
    bool start_thread() noexcept {
        pthread_attr_t attributes;
        if (pthread_attr_init(&attributes) != 0) return false;
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        // Signals are for the program's own threads: a handler that runs here would interrupt nobody's wait.
        sigset_t all;
        sigset_t before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pthread_t thread{};
        const auto body = [](void* self) -> void* {
            static_cast<dns_threads*>(self)->work();
            return nullptr;
        };
        const bool started = pthread_create(&thread, &attributes, body, this) == 0;
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        pthread_attr_destroy(&attributes);
        return started;
    }

    void work() {
        std::unique_lock lock(mutex_);
        while (!queue_.empty()) {
            job next = std::move(queue_.front());
            queue_.pop_front();
            lock.unlock();
            next();
            next = nullptr;
            lock.lock();
            --unfinished_;
        }
        --threads_;
    }

    std::mutex mutex_;
    std::deque<job> queue_;
    unsigned threads_ = 0;
    std::size_t unfinished_ = 0;  // queued, or on a thread
    const pid_t process_ = getpid();
};

}  // namespace detail
}  // namespace v0
}  // namespace tickline
