#include "http/message.hpp"

#include <algorithm>
#include <utility>

namespace kwaai::http {
namespace {

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, {}, lower, lower);
}

bool lists_token(std::string_view field, std::string_view token) {
    for (;;) {
        const std::size_t comma = field.find(',');
        if (equals_ignoring_case(trimmed(field.substr(0, comma)), token)) return true;
        if (comma == std::string_view::npos) return false;
        field.remove_prefix(comma + 1);
    }
}

Headers& Headers::add(std::string name, std::string value) {
    fields_.push_back(Header{.name = std::move(name), .value = std::move(value)});
    return *this;
}

std::optional<std::string_view> Headers::find(std::string_view name) const {
    for (const Header& field : fields_)
        if (equals_ignoring_case(field.name, name)) return field.value;
    return std::nullopt;
}

std::size_t Headers::count(std::string_view name) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        fields_, [name](const Header& field) { return equals_ignoring_case(field.name, name); }));
}

bool Request::wants_keep_alive() const {
    bool keep_alive = version_minor >= 1;
    for (const Header& field : headers) {
        if (!equals_ignoring_case(field.name, "connection")) continue;
        if (lists_token(field.value, "close")) return false;
        if (lists_token(field.value, "keep-alive")) keep_alive = true;
    }
    return keep_alive;
}

std::string_view reason_phrase(int status) {
    switch (status) {
        case 100: return "Continue";
        case 101: return "Switching Protocols";
        case 200: return "OK";
        case 201: return "Created";
        case 202: return "Accepted";
        case 204: return "No Content";
        case 206: return "Partial Content";
        case 301: return "Moved Permanently";
        case 302: return "Found";
        case 304: return "Not Modified";
        case 307: return "Temporary Redirect";
        case 308: return "Permanent Redirect";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 406: return "Not Acceptable";
        case 408: return "Request Timeout";
        case 409: return "Conflict";
        case 411: return "Length Required";
        case 413: return "Content Too Large";
        case 415: return "Unsupported Media Type";
        case 417: return "Expectation Failed";
        case 422: return "Unprocessable Content";
        case 426: return "Upgrade Required";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 499: return "Client Closed Request";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 502: return "Bad Gateway";
        case 503: return "Service Unavailable";
        case 504: return "Gateway Timeout";
        default: return "Unknown";
    }
}

}  // namespace kwaai::http
