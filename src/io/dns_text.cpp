#include "io/dns_text.hpp"

#include <algorithm>
#include <span>

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>

#include "io/network.hpp"

namespace kwaai::io {
namespace {

constexpr int kTryAfterSeconds = 2;  // a caller's patience is a few seconds
constexpr int kTries = 2;

// The resolver's state, of one look-up.
class SystemResolver {
public:
    SystemResolver() : is_ready_(res_ninit(&state_) == 0) {
        state_.retrans = std::min(state_.retrans, kTryAfterSeconds);
        state_.retry = std::min(state_.retry, kTries);
        state_.options |= RES_USE_EDNS0;  // longer answers, before TCP has to be used
    }

    SystemResolver(const SystemResolver&) = delete;
    SystemResolver& operator=(const SystemResolver&) = delete;

    ~SystemResolver() {
        if (is_ready_) res_nclose(&state_);
    }

    [[nodiscard]] bool is_ready() const { return is_ready_; }

    [[nodiscard]] bool ask_only(const Address& server) {
        sockaddr_in place{};
        place.sin_family = AF_INET;
        place.sin_port = htons(server.port);
        if (inet_pton(AF_INET, server.host.c_str(), &place.sin_addr) != 1) return false;
        state_.nscount = 1;
        state_.nsaddr_list[0] = place;
        return true;
    }

    /// The size of the answer; nothing where there is none.
    std::optional<std::size_t> ask(const std::string& name, std::span<unsigned char> answer) {
        const int size = res_nquery(&state_,
                                    name.c_str(),
                                    ns_c_in,
                                    ns_t_txt,
                                    answer.data(),
                                    static_cast<int>(answer.size()));
        if (size < 0) return std::nullopt;
        return std::min(static_cast<std::size_t>(size), answer.size());  // more had no room
    }

    [[nodiscard]] Error failure() const {
        if (state_.res_h_errno == HOST_NOT_FOUND || state_.res_h_errno == NO_DATA)
            return {Errc::not_found, "it has none"};
        return {Errc::unavailable, "no answer from a name server"};
    }

private:
    struct __res_state state_{};
    bool is_ready_;
};

/// Strings of up to 255 bytes, each behind its length. Nothing where one is cut short.
std::optional<std::string> join_strings(std::span<const unsigned char> data) {
    std::string text;
    while (!data.empty()) {
        const std::size_t size = data.front();
        data = data.subspan(1);
        if (size > data.size()) return std::nullopt;
        text += as_text(std::as_bytes(data.first(size)));
        data = data.subspan(size);
    }
    return text;
}

}  // namespace

Result<std::vector<std::string>> read_text_records(Bytes message) {
    const auto* const bytes = reinterpret_cast<const unsigned char*>(message.data());
    ns_msg handle{};
    if (message.empty() || message.size() > NS_MAXMSG ||
        ns_initparse(bytes, static_cast<int>(message.size()), &handle) != 0)
        return fail(Errc::malformed, "the answer is no DNS message");
    std::vector<std::string> records;
    for (int i = 0; i < ns_msg_count(handle, ns_s_an); ++i) {
        if (records.size() == kTextRecordsMax) break;
        ns_rr record{};
        if (ns_parserr(&handle, ns_s_an, i, &record) != 0)
            return fail(Errc::malformed, "a record of the answer is malformed");
        if (ns_rr_type(record) != ns_t_txt || ns_rr_class(record) != ns_c_in) continue;
        auto text = join_strings(std::span(ns_rr_rdata(record), ns_rr_rdlen(record)));
        if (text) records.push_back(std::move(*text));
    }
    return records;
}

Result<std::vector<std::string>> look_up_text(const std::string& name,
                                              const std::optional<Address>& server) {
    SystemResolver resolver;
    if (!resolver.is_ready())
        return fail(Errc::unavailable, "the system's resolver cannot be set up");
    if (server && !resolver.ask_only(*server))
        return fail(Errc::invalid_argument, server->host + " is no IPv4 address of a name server");
    std::vector<unsigned char> answer(NS_MAXMSG);
    const std::optional<std::size_t> size = resolver.ask(name, answer);
    if (!size) return std::unexpected<Error>(resolver.failure());
    const Bytes message = std::as_bytes(std::span(answer).first(*size));
    KWAAI_TRY(std::vector<std::string> records, read_text_records(message));
    if (records.empty()) return fail(Errc::not_found, "it has none");
    return records;
}

}  // namespace kwaai::io
