#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <utility>

#include <natpmp.h>
#include <poll.h>

#include "p2p/ip_text.hpp"
#include "p2p/nat/gateway.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::chrono::seconds kPatience{3};

Error refused(std::string what, int code) {
    return {.code = Errc::unavailable,
            .context = "NAT-PMP: " + std::move(what) + " (" + std::to_string(code) + ")"};
}

// A socket to the router, for one request after the other.
class Session {
public:
    explicit Session(const std::string& ip) {
        in_addr_t forced = 0;
        if (const auto bytes = parse_ip4(ip)) std::memcpy(&forced, bytes->data(), sizeof(forced));
        error_ = initnatpmp(&natpmp_, ip.empty() ? 0 : 1, forced);
    }

    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    ~Session() {
        if (error_ == 0) closenatpmp(&natpmp_);
    }

    [[nodiscard]] int error() const { return error_; }

    Result<std::string> external_ip() {
        const int sent = sendpublicaddressrequest(&natpmp_);
        if (sent < 0) return std::unexpected<Error>(refused("no request could be sent", sent));
        KWAAI_TRY(const natpmpresp_t answer, wait());
        Ip4 ip{};
        std::memcpy(ip.data(), &answer.pnu.publicaddress.addr, ip.size());
        return ip4_text(ip);
    }

    Result<natpmpresp_t> map(std::uint16_t inner,
                             std::uint16_t outer,
                             std::chrono::seconds lifetime) {
        const int sent = sendnewportmappingrequest(&natpmp_,
                                                   NATPMP_PROTOCOL_TCP,
                                                   inner,
                                                   outer,
                                                   static_cast<std::uint32_t>(lifetime.count()));
        if (sent < 0) return std::unexpected<Error>(refused("no request could be sent", sent));
        return wait();
    }

private:
    // The library sends again what is not answered, for a minute: that is too long here.
    Result<natpmpresp_t> wait() {
        const auto deadline = std::chrono::steady_clock::now() + kPatience;
        while (true) {
            natpmpresp_t answer{};
            const int code = readnatpmpresponseorretry(&natpmp_, &answer);
            if (code == 0) return answer;
            if (code != NATPMP_TRYAGAIN)
                return std::unexpected<Error>(refused("the router refuses", code));
            const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
                deadline - std::chrono::steady_clock::now());
            if (left.count() <= 0)
                return std::unexpected<Error>(refused("no router answers", code));
            timeval next{};
            getnatpmprequesttimeout(&natpmp_, &next);
            const auto next_ms = std::max<long long>(1, next.tv_sec * 1000 + next.tv_usec / 1000);
            pollfd ready{.fd = natpmp_.s, .events = POLLIN, .revents = 0};
            poll(&ready, 1, static_cast<int>(std::min<long long>(left.count() + 1, next_ms)));
        }
    }

    natpmp_t natpmp_{};
    int error_ = 0;
};

class NatpmpGateway final : public Gateway {
public:
    explicit NatpmpGateway(std::string ip) : ip_(std::move(ip)) {}

    Result<PortMapping> map(std::uint16_t port, std::chrono::seconds lifetime) override {
        Session session(ip_);
        if (session.error() != 0)
            return std::unexpected<Error>(refused("no router is known", session.error()));
        KWAAI_TRY(std::string ip, session.external_ip());
        KWAAI_TRY(const natpmpresp_t answer, session.map(port, port, lifetime));
        return PortMapping{.ip = std::move(ip),
                           .port = answer.pnu.newportmapping.mappedpublicport,
                           .lifetime = std::chrono::seconds(answer.pnu.newportmapping.lifetime)};
    }

    void unmap(std::uint16_t port, const PortMapping& /*mapping*/) override {
        Session session(ip_);
        if (session.error() != 0) return;
        const auto removed = session.map(port, 0, std::chrono::seconds(0));
        static_cast<void>(removed);  // it ends by itself
    }

private:
    std::string ip_;
};

}  // namespace

std::shared_ptr<Gateway> make_natpmp_gateway(std::string ip) {
    return std::make_shared<NatpmpGateway>(std::move(ip));
}

}  // namespace kwaai::p2p
