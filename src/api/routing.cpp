#include "api/routing.hpp"

#include <array>
#include <optional>

namespace kwaai::api {
namespace {

struct Route {
    std::string_view path;
    Endpoint endpoint;
    std::string_view method;
};

constexpr std::array kRoutes = {
    Route{"/v1/chat/completions", Endpoint::chat, "POST"},
    Route{"/v1/completions", Endpoint::completion, "POST"},
    Route{"/v1/models", Endpoint::models, "GET"},
    Route{"/health", Endpoint::health, "GET"},
};

constexpr std::string_view kModelPrefix = "/v1/models/";

std::optional<Route> find(std::string_view path) {
    for (const Route& known : kRoutes) {
        if (known.path == path) return known;
    }
    if (path.starts_with(kModelPrefix) && path.size() > kModelPrefix.size())
        return Route{path, Endpoint::model, "GET"};
    return std::nullopt;
}

std::optional<unsigned> hex_digit(char c) {
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
    return std::nullopt;
}

}  // namespace

Routing route(std::string_view method, std::string_view path) {
    Routing result;
    const bool is_preflight = method == "OPTIONS";
    const auto found = find(path);
    if (!found) {
        if (is_preflight && path == "*") result.outcome = Routing::Outcome::preflight;
        return result;
    }
    result.endpoint = found->endpoint;
    result.allow = found->method == "GET" ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
    if (found->endpoint == Endpoint::model)
        result.model_id = percent_decoded(path.substr(kModelPrefix.size()));
    const bool is_head = method == "HEAD" && found->method == "GET";
    if (is_preflight)
        result.outcome = Routing::Outcome::preflight;
    else if (method == found->method || is_head)
        result.outcome = Routing::Outcome::found;
    else
        result.outcome = Routing::Outcome::wrong_method;
    return result;
}

std::string percent_decoded(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool has_room = text[i] == '%' && i + 2 < text.size();
        const auto high = has_room ? hex_digit(text[i + 1]) : std::nullopt;
        const auto low = has_room ? hex_digit(text[i + 2]) : std::nullopt;
        if (high && low) {
            result += static_cast<char>(*high * 16 + *low);
            i += 2;
        } else {
            result += text[i];
        }
    }
    return result;
}

}  // namespace kwaai::api
