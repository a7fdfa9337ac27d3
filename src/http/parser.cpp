#include "http/parser.hpp"

#include <cstdint>
#include <optional>
#include <utility>

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

namespace kwaai::http {
namespace beast = boost::beast;
using beast::error_code;
using beast::string_view;

namespace {

std::string to_string(string_view text) {
    return {text.data(), text.size()};
}

// What our own checks put into Beast's error code to stop it; the reason lies beside it.
error_code stopped() {
    return make_error_code(boost::system::errc::operation_canceled);
}

// The callbacks that do not depend on the kind of message.
template <bool is_request>
class Sink : public beast::http::basic_parser<is_request> {
protected:
    void on_field_impl(beast::http::field,
                       string_view name,
                       string_view value,
                       error_code& error) override {
        // Fields after the body are dropped: nobody may add a header that early checks have not
        // seen.
        if (this->is_header_done()) return;
        headers.add(to_string(name), to_string(value));
        error = {};
    }

    void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code& error) override {
        error = {};
    }

    void on_chunk_header_impl(std::uint64_t, string_view, error_code& error) override {
        error = {};
    }

    std::size_t on_chunk_body_impl(std::uint64_t, string_view piece, error_code& error) override {
        return this->on_body_impl(piece, error);
    }

    void on_finish_impl(error_code& error) override { error = {}; }

public:
    Headers headers;
};

}  // namespace

struct RequestParser::State final : Sink<true> {
    void on_request_impl(beast::http::verb,
                         string_view method,
                         string_view target,
                         int version,
                         error_code& error) override {
        request.method = to_string(method);
        request.version_minor = version - 10;
        error = {};
        if (!split_target({target.data(), target.size()}))
            reject(400, "The request target must begin with '/'.", error);
    }

    void on_response_impl(int, string_view, int, error_code&) override {}

    void on_header_impl(error_code& error) override {
        error = {};
        const std::size_t hosts = headers.count("host");
        if (hosts > 1 || (hosts == 0 && request.version_minor == 1))
            return reject(400, "A request must have one Host header.", error);
        const std::size_t codings = headers.count("transfer-encoding");
        if (codings > 0 && (request.version_minor == 0 || codings > 1))
            return reject(400, "The Transfer-Encoding header is not allowed here.", error);
        if (codings == 1 && !equals_ignoring_case(*headers.find("transfer-encoding"), "chunked"))
            return reject(501, "The only transfer coding served is chunked.", error);
        const auto expect = headers.find("expect");
        if (!expect) return;
        if (!equals_ignoring_case(*expect, "100-continue"))
            return reject(417, "The only expectation served is 100-continue.", error);
        expects_continue = request.version_minor == 1;
    }

    std::size_t on_body_impl(string_view piece, error_code& error) override {
        request.body.append(piece.data(), piece.size());
        error = {};
        return piece.size();
    }

    void reject(int status, const char* reason, error_code& error) {
        rejection = Rejection{.status = status, .reason = reason};
        error = stopped();
    }

    bool split_target(std::string_view target) {
        // Absolute form, which proxies are sent: the authority is the Host header's business.
        for (const std::string_view scheme : {"http://", "https://"}) {
            if (!equals_ignoring_case(target.substr(0, scheme.size()), scheme)) continue;
            target.remove_prefix(scheme.size());
            const std::size_t end = target.find_first_of("/?");
            target.remove_prefix(end == std::string_view::npos ? target.size() : end);
            if (!target.starts_with('/')) {
                request.path.assign(1, '/');
                request.query = target.empty() ? "" : target.substr(1);
                return true;
            }
        }
        const std::size_t question = target.find('?');
        request.path = target.substr(0, question);
        if (question != std::string_view::npos) request.query = target.substr(question + 1);
        return request.path.starts_with('/') ||
               (request.path == "*" && request.method == "OPTIONS");
    }

    Request request;
    std::optional<Rejection> rejection;
    bool expects_continue = false;
};

namespace {

Rejection explain(const error_code& error, const ParserLimits& limits) {
    if (error == beast::http::error::header_limit)
        return {431,
                "The header is larger than " + std::to_string(limits.header_bytes_max) + " bytes."};
    if (error == beast::http::error::body_limit)
        return {413,
                "The body is larger than " + std::to_string(limits.body_bytes_max) + " bytes."};
    return {400, "The request is no valid HTTP/1.1: " + error.message() + "."};
}

}  // namespace

RequestParser::RequestParser(const ParserLimits& limits)
    : state_(std::make_unique<State>()), limits_(limits) {
    state_->header_limit(static_cast<std::uint32_t>(limits.header_bytes_max));
    state_->body_limit(limits.body_bytes_max);
    state_->eager(true);
}

RequestParser::~RequestParser() = default;

std::expected<std::size_t, Rejection> RequestParser::put(Bytes bytes) {
    error_code error;
    const std::size_t taken =
        state_->put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
    if (state_->rejection) return std::unexpected(*state_->rejection);
    if (error && error != beast::http::error::need_more)
        return std::unexpected(explain(error, limits_));
    return taken;
}

bool RequestParser::is_header_done() const {
    return state_->is_header_done();
}

bool RequestParser::is_done() const {
    return state_->is_done();
}

bool RequestParser::expects_continue() const {
    return state_->expects_continue;
}

std::size_t RequestParser::body_bytes() const {
    return state_->request.body.size();
}

Request RequestParser::take() {
    state_->request.headers = std::move(state_->headers);
    return std::move(state_->request);
}

struct ResponseParser::State final : Sink<false> {
    void on_request_impl(beast::http::verb, string_view, string_view, int, error_code&) override {}

    void on_response_impl(int status, string_view, int, error_code& error) override {
        response.status = status;
        error = {};
    }

    void on_header_impl(error_code& error) override { error = {}; }

    std::size_t on_body_impl(string_view piece, error_code& error) override {
        error = {};
        if (!sink) {
            response.body.append(piece.data(), piece.size());
        } else if (!sink({piece.data(), piece.size()})) {
            is_stopped = true;
            error = stopped();
        }
        return piece.size();
    }

    Response response;
    BodySink sink;
    bool is_stopped = false;
};

ResponseParser::ResponseParser(const ParserLimits& limits, bool is_bodiless, BodySink sink)
    : state_(std::make_unique<State>()) {
    state_->header_limit(static_cast<std::uint32_t>(limits.header_bytes_max));
    if (sink)
        state_->body_limit(boost::none);
    else
        state_->body_limit(limits.body_bytes_max);
    state_->sink = std::move(sink);
    state_->skip(is_bodiless);
    state_->eager(true);
}

ResponseParser::~ResponseParser() = default;

Result<std::size_t> ResponseParser::put(Bytes bytes) {
    error_code error;
    const std::size_t taken =
        state_->put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
    if (state_->is_stopped || !error || error == beast::http::error::need_more) return taken;
    const bool is_too_large =
        error == beast::http::error::header_limit || error == beast::http::error::body_limit;
    return fail(is_too_large ? Errc::limit_exceeded : Errc::malformed,
                "the answer is no HTTP this client reads: " + error.message());
}

Result<> ResponseParser::put_end() {
    if (is_done()) return {};
    error_code error;
    if (state_->is_header_done()) state_->put_eof(error);
    if (error || !state_->is_done()) return fail(Errc::closed, "the answer broke off");
    return {};
}

bool ResponseParser::is_done() const {
    return state_->is_stopped || state_->is_done();
}

Response ResponseParser::take() {
    state_->response.headers = std::move(state_->headers);
    return std::move(state_->response);
}

}  // namespace kwaai::http
