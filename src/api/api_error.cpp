#include "api/api_error.hpp"

#include "json/writer.hpp"

namespace kwaai::api {
namespace {

std::string_view error_type(int status) {
    if (status == 503) return "unavailable_error";
    return status < 500 ? "invalid_request_error" : "server_error";
}

void write_or_null(json::Writer& out, std::string_view key, const std::string& text) {
    if (text.empty())
        out.key(key).value(nullptr);
    else
        out.member(key, text);
}

}  // namespace

int http_status(Errc code) {
    switch (code) {
        case Errc::invalid_argument:
        case Errc::malformed:
        case Errc::unsupported:
        case Errc::limit_exceeded: return 400;
        case Errc::not_found: return 404;
        case Errc::unavailable:
        case Errc::wrong_peer:
        case Errc::cancelled:
        case Errc::closed: return 503;
        case Errc::timed_out: return 504;
        case Errc::io: return 500;
    }
    return 500;
}

ApiError api_error(const Error& error, std::string param) {
    return {.status = http_status(error.code),
            .message = error.context,
            .code = {},
            .param = std::move(param)};
}

std::string error_body(const ApiError& error) {
    json::Writer out;
    out.begin_object().key("error").begin_object();
    out.member("message", error.message).member("type", error_type(error.status));
    write_or_null(out, "code", error.code);
    write_or_null(out, "param", error.param);
    return out.end().end().take();
}

}  // namespace kwaai::api
