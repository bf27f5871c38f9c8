// The network of ntp_client on POSIX sockets: poll(2), one connected UDP socket per server.
//
// A connected socket on a port that the system draws (RFC 9109) hears nobody but its server, and a port where
// nobody listens answers at once (ICMP) in place of never. Where the kernel stamps what it receives (Linux,
// SO_TIMESTAMPNS) that stamp is used: it does not wait for this thread to be scheduled. It is a stamp of the
// wall clock, so it is used only if that clock has not been stepped since the first socket was opened.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/timerfd.h>
#endif
#if __has_include(<sys/random.h>)
#include <sys/random.h>
#endif

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <tickline/ip/address.hpp>
#include <tickline/ntp/clock.hpp>
#include <tickline/ntp/network.hpp>
#include <tickline/ntp/query.hpp>
#include <tickline/ntp/system_clock.hpp>
#include <vector>

namespace tickline {
inline namespace v0 {

namespace detail {

// By how much two readings can differ about the distance of wall and monotonic clock without anybody having
// touched the wall clock. 100 ns are for the rounding within the clocks.
constexpr std::int64_t ntp_reading_noise_ns(const ntp_clock_reading& a, const ntp_clock_reading& b) noexcept {
    return a.width_ns / 2 + b.width_ns / 2 + 100;
}

constexpr bool wall_clock_moved(const ntp_clock_reading& from, const ntp_clock_reading& to) noexcept {
    const std::int64_t moved = (to.wall_ns - from.wall_ns) - (to.monotonic_ns - from.monotonic_ns);
    const std::int64_t noise = ntp_reading_noise_ns(from, to);
    return moved > noise || moved < -noise;
}

// A stamp of the wall clock, on the monotonic clock: never earlier than it was, because that would make a
// delay look shorter. `from` was read before the stamp can have been made, `to` after it, and no step was
// seen between them: that leaves room for one as large as the noise as it was seen, and as much again because
// both readings can be off.
constexpr std::int64_t monotonic_stamp(std::int64_t wall_stamp_ns, const ntp_clock_reading& from,
                                       const ntp_clock_reading& to) noexcept {
    return to.monotonic_ns - (to.wall_ns - wall_stamp_ns) + 2 * ntp_reading_noise_ns(from, to);
}

// Notices every step of the wall clock since it was made, one that has been undone as well: the kernel
// cancels a timer of ours at each (timerfd_create(2)). Without a timer (no Linux, no more descriptors) it
// says that there may have been one.
class wall_clock_watch {
  public:
    wall_clock_watch() noexcept {
#ifdef __linux__
        timer_ = ::timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
        if (timer_ < 0) return;
        itimerspec never{};
        never.it_value.tv_sec = std::numeric_limits<time_t>::max();
        stepped_ =
            ::timerfd_settime(timer_, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, nullptr) != 0;
#endif
    }
    wall_clock_watch(const wall_clock_watch&) = delete;
    wall_clock_watch(wall_clock_watch&&) = delete;
    wall_clock_watch& operator=(const wall_clock_watch&) = delete;
    wall_clock_watch& operator=(wall_clock_watch&&) = delete;
    ~wall_clock_watch() {
        if (timer_ >= 0) ::close(timer_);
    }

    bool stepped() noexcept {
        // ECANCELED is told once; EAGAIN: nothing has happened.
        std::uint64_t expired = 0;
        stepped_ = stepped_ || ::read(timer_, &expired, sizeof expired) >= 0 || errno != EAGAIN;
        return stepped_;
    }

  private:
    int timer_ = -1;
    bool stepped_ = false;
};

// Ends a poll(2) of another thread. Without descriptors (the process has no more of them) it does nothing,
// and whoever waits finds out a little later.
class wake_pipe {
  public:
    wake_pipe() noexcept {
#ifdef __linux__
        if (::pipe2(ends_.data(), O_CLOEXEC | O_NONBLOCK) != 0) ends_ = {-1, -1};
#else
        if (::pipe(ends_.data()) != 0) {
            ends_ = {-1, -1};
            return;
        }
        for (const int end : ends_) {
            ::fcntl(end, F_SETFD, FD_CLOEXEC);
            ::fcntl(end, F_SETFL, O_NONBLOCK);
        }
#endif
    }
    wake_pipe(const wake_pipe&) = delete;
    wake_pipe(wake_pipe&&) = delete;
    wake_pipe& operator=(const wake_pipe&) = delete;
    wake_pipe& operator=(wake_pipe&&) = delete;
    ~wake_pipe() {
        for (const int end : ends_) {
            if (end >= 0) ::close(end);
        }
    }

    int readable_end() const noexcept { return ends_[0]; }

    void wake() const noexcept {
        // A pipe that is full wakes as well as one with a byte more.
        const char byte = 0;
        while (ends_[1] >= 0 && ::write(ends_[1], &byte, 1) < 0 && errno == EINTR) {
        }
    }

    void drain() const noexcept {
        std::array<char, 256> bytes{};
        while (ends_[0] >= 0 && ::read(ends_[0], bytes.data(), bytes.size()) > 0) {
        }
    }

  private:
    std::array<int, 2> ends_{-1, -1};
};

struct socket_address {
    sockaddr_storage storage{};
    socklen_t size = 0;

    explicit socket_address(const ntp_endpoint& where) noexcept {
        // Copied in, not cast: the storage is no object of either type.
        if (is_v4_mapped(where.ip)) {
            sockaddr_in v4{};
            v4.sin_family = AF_INET;
            v4.sin_port = htons(where.port);
            std::memcpy(&v4.sin_addr, where.ip.bytes.data() + 12, 4);
            std::memcpy(&storage, &v4, sizeof v4);
            size = sizeof v4;
        } else {
            sockaddr_in6 v6{};
            v6.sin6_family = AF_INET6;
            v6.sin6_port = htons(where.port);
            v6.sin6_scope_id = where.scope;
            std::memcpy(&v6.sin6_addr, where.ip.bytes.data(), 16);
            std::memcpy(&storage, &v6, sizeof v6);
            size = sizeof v6;
        }
    }
};

}  // namespace detail

// For one query at a time; see ntp_network for what the functions do. Handles are places in the list of
// poll().
class ntp_sockets {
  public:
    ntp_sockets() : pipe_(std::make_shared<const detail::wake_pipe>()) {
        polled_.push_back({pipe_->readable_end(), POLLIN, 0});
    }
    ntp_sockets(const ntp_sockets&) = delete;
    ntp_sockets(ntp_sockets&&) = delete;
    ntp_sockets& operator=(const ntp_sockets&) = delete;
    ntp_sockets& operator=(ntp_sockets&&) = delete;
    ~ntp_sockets() {
        for (std::size_t i = 1; i < polled_.size(); ++i) close(static_cast<int>(i));
    }

    int open(const ntp_endpoint& where, int& handle) {
        const detail::socket_address peer(where);
#ifdef __linux__
        const int made = ::socket(peer.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (made < 0) return errno;
        // If the kernel does not want to, there are no stamps of its.
        const int on = 1;
        ::setsockopt(made, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
#else
        const int made = ::socket(peer.storage.ss_family, SOCK_DGRAM, 0);
        if (made < 0) return errno;
        ::fcntl(made, F_SETFD, FD_CLOEXEC);
        ::fcntl(made, F_SETFL, O_NONBLOCK);
#endif
        if (::connect(made, reinterpret_cast<const sockaddr*>(&peer.storage), peer.size) != 0) {
            const int error = errno;
            ::close(made);
            return error;
        }
        if (open_++ == 0) {
            watch_.emplace();
            first_ = clock_.read();
        }
        const auto place =
            std::find_if(polled_.begin() + 1, polled_.end(), [](const pollfd& one) { return one.fd < 0; });
        handle = static_cast<int>(place - polled_.begin());
        if (place == polled_.end()) polled_.emplace_back();
        polled_[static_cast<std::size_t>(handle)] = {made, POLLIN, 0};
        return 0;
    }

    int send(int handle, std::string_view datagram) {
        while (true) {
            if (::send(at(handle).fd, datagram.data(), datagram.size(), MSG_NOSIGNAL) >= 0) return 0;
            if (errno != EINTR) return errno;
        }
    }

    void wait(std::int64_t until_ns) {
        const std::int64_t left = until_ns - std::min(until_ns, clock_.monotonic_ns());
#ifdef __linux__
        const timespec pause{static_cast<time_t>(left / 1000000000), static_cast<long>(left % 1000000000)};
        const int ready = ::ppoll(polled_.data(), polled_.size(), &pause, nullptr);
#else
        const std::int64_t ms = left / 1000000 + (left % 1000000 != 0 ? 1 : 0);
        const int ready = ::poll(polled_.data(), static_cast<nfds_t>(polled_.size()),
                                 static_cast<int>(std::min<std::int64_t>(ms, INT_MAX)));
#endif
        if (ready < 0) {
            const bool interrupted = errno == EINTR;
            for (pollfd& one : polled_) one.revents = 0;
            // No memory in the kernel: rather late than busy.
            if (!interrupted) ::poll(nullptr, 0, 1);
            return;
        }
        if (polled_.front().revents != 0) pipe_->drain();
    }

    int receive(int handle, char* buffer, std::size_t size, ntp_received& received) {
        pollfd& one = at(handle);
        if (one.revents == 0) return EAGAIN;
        alignas(cmsghdr) std::array<char, 256> control{};
        iovec piece{buffer, size};
        msghdr message{};
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        ssize_t count = 0;
        do {
            count = ::recvmsg(one.fd, &message, 0);
        } while (count < 0 && errno == EINTR);
        if (count < 0) {
            const int error = errno;
            if (error == EAGAIN || error == EWOULDBLOCK) one.revents = 0;
            return error;
        }
        received.size = static_cast<std::size_t>(count);
        received.truncated = (message.msg_flags & MSG_TRUNC) != 0;
        received.stamp = ntp_stamp::program;
        received.monotonic_ns = clock_.monotonic_ns();
        if (const auto wall = kernel_stamp(message)) use_kernel_stamp(*wall, received);
        return 0;
    }

    void close(int handle) {
        pollfd& one = at(handle);
        if (one.fd < 0) return;
        ::close(one.fd);
        one = {-1, 0, 0};
        --open_;
    }

    int random64(std::uint64_t& random) {
#ifdef __linux__
        // Early at boot the kernel has none yet: EAGAIN, where getentropy would wait for them.
        return ::getrandom(&random, sizeof random, GRND_NONBLOCK) == ssize_t{sizeof random} ? 0 : errno;
#else
        return ::getentropy(&random, sizeof random) == 0 ? 0 : errno;
#endif
    }

    std::function<void()> waker() {
        return [pipe = pipe_] { pipe->wake(); };
    }

  private:
    pollfd& at(int handle) { return polled_[static_cast<std::size_t>(handle)]; }

    static std::optional<std::int64_t> kernel_stamp([[maybe_unused]] msghdr& message) {
#ifdef __linux__
        for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
            timespec stamp{};
            if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SO_TIMESTAMPNS) continue;
            if (one->cmsg_len < CMSG_LEN(sizeof stamp)) continue;
            std::memcpy(&stamp, CMSG_DATA(one), sizeof stamp);
            return std::int64_t{stamp.tv_sec} * 1000000000 + stamp.tv_nsec;
        }
#endif
        return std::nullopt;
    }

    void use_kernel_stamp(std::int64_t wall_ns, ntp_received& received) {
        // In this order: of a step and its undoing, the first one has been told when the second one is done,
        // and what is not undone by the reading is seen in it.
        const ntp_clock_reading now = clock_.read();
        if (detail::wall_clock_moved(first_, now) || watch_->stepped()) return;
        const std::int64_t stamp = detail::monotonic_stamp(wall_ns, first_, now);
        if (stamp >= received.monotonic_ns) return;
        received.monotonic_ns = stamp;
        received.stamp = ntp_stamp::kernel;
    }

    ntp_system_clock clock_;
    std::shared_ptr<const detail::wake_pipe> pipe_;
    std::vector<pollfd> polled_;  // the pipe, and then a place for each socket; free ones have no descriptor
    std::size_t open_ = 0;
    // Since the first of those open now was opened.
    ntp_clock_reading first_;
    std::optional<detail::wall_clock_watch> watch_;
};

static_assert(ntp_network<ntp_sockets>);

}  // namespace v0
}  // namespace tickline
