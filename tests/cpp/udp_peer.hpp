// The other end of a UDP socket on loopback.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <tickline/ip/address.hpp>
#include <tickline/ntp/socket.hpp>
#include <utility>

namespace tickline::test {

inline ntp_endpoint loopback(bool v6, std::uint16_t port) {
    ntp_endpoint where;
    parse_address(v6 ? "::1" : "127.0.0.1", where.ip);
    where.port = port;
    return where;
}

// A UDP socket on a free port of loopback, which a test reads and answers from.
class peer {
  public:
    explicit peer(bool v6 = false) : v6_(v6), fd_(::socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0)) {
        const detail::socket_address any(loopback(v6, 0));
        usable_ = fd_ >= 0 && ::bind(fd_, reinterpret_cast<const sockaddr*>(&any.storage), any.size) == 0;
        const timeval most{5, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    }
    peer(const peer&) = delete;
    peer(peer&&) = delete;
    peer& operator=(const peer&) = delete;
    peer& operator=(peer&&) = delete;
    ~peer() { close(); }

    bool usable() const { return usable_; }
    void close() {
        if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    }
    ntp_endpoint where() const {
        sockaddr_storage own{};
        socklen_t size = sizeof own;
        ::getsockname(fd_, reinterpret_cast<sockaddr*>(&own), &size);
        std::uint16_t port = 0;  // at the same place in both families
        std::memcpy(&port, reinterpret_cast<const char*>(&own) + 2, 2);
        return loopback(v6_, ntohs(port));
    }
    // Reads one datagram and remembers who sent it. Empty: none came.
    std::string receive() {
        std::string bytes(100, '\0');
        size_ = sizeof client_;
        const ssize_t count =
            ::recvfrom(fd_, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&client_), &size_);
        bytes.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
        return bytes;
    }
    void send(std::string_view bytes) {
        ::sendto(fd_, bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&client_), size_);
    }
    std::uint16_t client_port() const {
        std::uint16_t port = 0;
        std::memcpy(&port, reinterpret_cast<const char*>(&client_) + 2, 2);
        return ntohs(port);
    }

  private:
    bool v6_;
    int fd_;
    bool usable_ = false;
    sockaddr_storage client_{};
    socklen_t size_ = 0;
};

}  // namespace tickline::test
