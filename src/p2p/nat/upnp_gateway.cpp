#include <array>
#include <memory>
#include <string>

#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>
#include <miniupnpc/upnperrors.h>

#include "p2p/nat/gateway.hpp"

namespace kwaai::p2p {
namespace {

constexpr int kDiscoveryMs = 2000;
constexpr unsigned char kTtl = 2;
constexpr int kIpBytes = 64;         // of an address as text, more than any has
constexpr int kOnlyPermanent = 725;  // error codes of the WANIPConnection service
constexpr int kConflict = 718;
constexpr unsigned kPortsTried = 4;
constexpr unsigned kPortStep = 1000;
constexpr const char* kDescription = "kwaai";

// What miniupnpc knows of a router; owns its strings.
class Router {
public:
    explicit Router(const std::string& url) {
        is_found_ = url.empty() ? discover() : describe(url);
    }

    Router(const Router&) = delete;
    Router& operator=(const Router&) = delete;

    ~Router() { FreeUPNPUrls(&urls_); }

    [[nodiscard]] bool is_found() const { return is_found_; }

    [[nodiscard]] std::string external_ip() const {
        std::array<char, kIpBytes> ip{};
        const int error =
            UPNP_GetExternalIPAddress(urls_.controlURL, data_.first.servicetype, ip.data());
        return error == UPNPCOMMAND_SUCCESS ? std::string(ip.data()) : std::string();
    }

    /// An error code of UPnP, 0 for none.
    int add(std::uint16_t inner, std::uint16_t outer, std::chrono::seconds lifetime) const {
        return UPNP_AddPortMapping(urls_.controlURL,
                                   data_.first.servicetype,
                                   std::to_string(outer).c_str(),
                                   std::to_string(inner).c_str(),
                                   own_ip_.data(),
                                   kDescription,
                                   "TCP",
                                   nullptr,
                                   std::to_string(lifetime.count()).c_str());
    }

    void remove(std::uint16_t outer) const {
        UPNP_DeletePortMapping(urls_.controlURL,
                               data_.first.servicetype,
                               std::to_string(outer).c_str(),
                               "TCP",
                               nullptr);
    }

private:
    bool discover() {
        int error = 0;
        const std::unique_ptr<UPNPDev, void (*)(UPNPDev*)> devices(
            upnpDiscover(kDiscoveryMs, nullptr, nullptr, UPNP_LOCAL_PORT_ANY, 0, kTtl, &error),
            freeUPNPDevlist);
        if (devices == nullptr) return false;
#if MINIUPNPC_API_VERSION >= 18
        const int kind =
            UPNP_GetValidIGD(devices.get(), &urls_, &data_, own_ip_.data(), kIpBytes, nullptr, 0);
#else
        const int kind = UPNP_GetValidIGD(devices.get(), &urls_, &data_, own_ip_.data(), kIpBytes);
#endif
        return kind == 1;  // connected to the outside
    }

    bool describe(const std::string& url) {
        return UPNP_GetIGDFromUrl(url.c_str(), &urls_, &data_, own_ip_.data(), kIpBytes) == 1;
    }

    UPNPUrls urls_{};
    IGDdatas data_{};
    std::array<char, kIpBytes> own_ip_{};
    bool is_found_ = false;
};

class UpnpGateway final : public Gateway {
public:
    explicit UpnpGateway(std::string url) : url_(std::move(url)) {}

    Result<PortMapping> map(std::uint16_t port, std::chrono::seconds lifetime) override {
        if (router_ == nullptr) router_ = std::make_unique<Router>(url_);
        auto mapping = map_at(port, lifetime);
        if (!mapping) router_.reset();  // it is looked for again next time
        return mapping;
    }

    void unmap(std::uint16_t /*port*/, const PortMapping& mapping) override {
        if (router_ != nullptr) router_->remove(mapping.port);
    }

private:
    Result<PortMapping> map_at(std::uint16_t port, std::chrono::seconds lifetime) {
        if (!router_->is_found()) return fail(Errc::unavailable, "UPnP: no router answers");
        std::string ip = router_->external_ip();
        if (ip.empty()) return fail(Errc::unavailable, "UPnP: the router has no outer address");
        int error = kConflict;
        unsigned outer = port;
        for (unsigned i = 0; i < kPortsTried && error == kConflict; ++i) {
            outer = port + i * kPortStep;
            if (outer > 65535) break;
            const auto at = static_cast<std::uint16_t>(outer);
            error = router_->add(port, at, lifetime);
            if (error == kOnlyPermanent) {
                lifetime = std::chrono::seconds(0);
                error = router_->add(port, at, lifetime);
            }
        }
        if (error == UPNPCOMMAND_SUCCESS)
            return PortMapping{.ip = std::move(ip),
                               .port = static_cast<std::uint16_t>(outer),
                               .lifetime = lifetime};
        const char* const why = strupnperror(error);
        return fail(Errc::unavailable,
                    "UPnP: the router refuses port " + std::to_string(port) + ": " +
                        (why == nullptr ? "error " + std::to_string(error) : std::string(why)));
    }

    std::string url_;
    std::unique_ptr<Router> router_;
};

}  // namespace

std::shared_ptr<Gateway> make_upnp_gateway(std::string url) {
    return std::make_shared<UpnpGateway>(std::move(url));
}

}  // namespace kwaai::p2p
