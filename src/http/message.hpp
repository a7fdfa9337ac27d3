// HTTP requests and responses as plain values.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kwaai::http {

struct Header {
    std::string name;
    std::string value;
};

/// Header fields in the order in which they came. Names compare without case.
class Headers {
public:
    /// Appends; fields of the same name may repeat.
    Headers& add(std::string name, std::string value);
    /// The first field of that name.
    [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
    [[nodiscard]] std::size_t count(std::string_view name) const;

    [[nodiscard]] auto begin() const { return fields_.begin(); }

    [[nodiscard]] auto end() const { return fields_.end(); }

    [[nodiscard]] std::size_t size() const { return fields_.size(); }

private:
    std::vector<Header> fields_;
};

/// Equal but for the case of ASCII letters.
[[nodiscard]] bool equals_ignoring_case(std::string_view a, std::string_view b);

/// Whether a comma-separated field such as `Connection` lists `token`, in any case.
[[nodiscard]] bool lists_token(std::string_view field, std::string_view token);

/// A request, whole and within the server's limits.
struct Request {
    std::string method;  // "GET", as sent
    std::string path;    // "/v1/models": begins with '/', not percent-decoded; "*" for OPTIONS *
    std::string query;   // what follows '?', without it
    Headers headers;
    std::string body;
    int version_minor = 1;  // HTTP/1.x
    std::string peer;       // "127.0.0.1:52100"

    /// What the client asked for: false after "Connection: close", and by default in HTTP/1.0.
    [[nodiscard]] bool wants_keep_alive() const;
};

struct Response {
    int status = 0;
    Headers headers;
    std::string body;
};

/// "Not Found" for 404; "Unknown" for numbers without a name.
[[nodiscard]] std::string_view reason_phrase(int status);

}  // namespace kwaai::http
