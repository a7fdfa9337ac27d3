// Which route a request is for, and whether it may be asked so. Pure.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace kwaai::api {

enum class Endpoint : std::uint8_t { chat, completion, models, model, health };

/// A request sorted: the endpoint, or the refusal.
struct Routing {
    enum class Outcome : std::uint8_t { found, preflight, unknown_path, wrong_method };
    Outcome outcome = Outcome::unknown_path;
    Endpoint endpoint = Endpoint::health;
    std::string allow;     // the methods of the path; empty for unknown_path
    std::string model_id;  // of Endpoint::model, percent-decoded
};

/// `path` as in http::Request. OPTIONS is a preflight on every known path and on "*".
[[nodiscard]] Routing route(std::string_view method, std::string_view path);

/// "%41" becomes "A"; what is no escape stays.
[[nodiscard]] std::string percent_decoded(std::string_view text);

}  // namespace kwaai::api
