#include "http/answer.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace kwaai::http {
namespace {

bool is_token(std::string_view text) {
    static constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               kMarks.contains(c);
    });
}

// Nothing that would end the line: a value that comes from a client must not add headers.
bool is_value(std::string_view text) {
    return std::ranges::none_of(text, [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return (byte < 0x20 && c != '\t') || byte == 0x7f;
    });
}

std::unexpected<Error> out_of_order(std::string_view call) {
    return fail(Errc::invalid_argument,
                std::string(call) + " does not fit the state of this exchange");
}

bool has_no_body(int status) {
    return status == 204 || status == 304;
}

}  // namespace

// The head of the answer, or why it cannot be sent; decides whether the connection goes on.
Result<std::string> Answer::start(int status,
                                  std::string_view content_type,
                                  const Headers& headers,
                                  std::string_view framing) {
    if (status < 200 || status > 599)
        return fail(Errc::invalid_argument, std::to_string(status) + " is no final HTTP status");
    std::string head = "HTTP/1.1 " + std::to_string(status) + " ";
    head += reason_phrase(status);
    head += "\r\n";
    const auto add = [&head](std::string_view name, std::string_view value) {
        head.append(name).append(": ").append(value).append("\r\n");
    };
    if (!is_value(content_type))
        return fail(Errc::invalid_argument, "the content type has a control character");
    if (!content_type.empty()) add("Content-Type", content_type);
    for (const Header& field : headers) {
        if (!is_token(field.name) || !is_value(field.value))
            return fail(Errc::invalid_argument,
                        "the header \"" + field.name + "\" has a character that is not allowed");
        add(field.name, field.value);
    }
    head += framing;
    if (!keeps_alive_)
        add("Connection", "close");
    else if (request_.version_minor == 0)
        add("Connection", "keep-alive");
    head += "\r\n";
    return head;
}

io::Task<Result<>> Answer::respond(int status,
                                   std::string_view content_type,
                                   std::string_view body,
                                   const Headers& headers) {
    if (phase_ != Phase::fresh) co_return out_of_order("respond()");
    keeps_alive_ = request_.wants_keep_alive() && !connection_.is_stopping();
    std::string framing;
    if (!has_no_body(status)) framing = "Content-Length: " + std::to_string(body.size()) + "\r\n";
    KWAAI_CO_TRY(const std::string head, start(status, content_type, headers, framing));
    phase_ = Phase::final;
    const std::array<Bytes, 2> parts = {as_bytes(head), as_bytes(body)};
    const bool is_bodiless = is_head() || has_no_body(status);
    const std::span<const Bytes> sent = std::span(parts).first(is_bodiless ? 1 : 2);
    Result<> written = co_await connection_.write(sent);
    is_complete_ = written.has_value();
    co_return written;
}

io::Task<Result<>> Answer::start_stream(int status,
                                        std::string_view content_type,
                                        const Headers& headers) {
    if (phase_ != Phase::fresh || has_no_body(status)) co_return out_of_order("start_stream()");
    keeps_alive_ = is_chunked() && request_.wants_keep_alive() && !connection_.is_stopping();
    const std::string_view framing = is_chunked() ? "Transfer-Encoding: chunked\r\n" : "";
    KWAAI_CO_TRY(const std::string head, start(status, content_type, headers, framing));
    phase_ = Phase::streaming;
    const Bytes part = as_bytes(head);
    Result<> written = co_await connection_.write(std::span(&part, 1));
    co_return written;
}

io::Task<Result<>> Answer::write_chunk(std::string_view text) {
    if (phase_ != Phase::streaming) co_return out_of_order("write_chunk()");
    // An empty chunk would end the body.
    if (text.empty() || is_head()) co_return Result<>();
    std::array<char, 18> size_line;  // 16 hexadecimal digits and a line end
    char* const end = std::to_chars(size_line.data(), size_line.data() + 16, text.size(), 16).ptr;
    end[0] = '\r';
    end[1] = '\n';
    const std::string_view size_text(size_line.data(), end + 2);
    const std::array<Bytes, 3> parts = {as_bytes(size_text), as_bytes(text), as_bytes("\r\n")};
    const std::span<const Bytes> all(parts);
    const std::span<const Bytes> sent = is_chunked() ? all : all.subspan(1, 1);
    Result<> written = co_await connection_.write(sent);
    co_return written;
}

io::Task<Result<>> Answer::finish() {
    if (phase_ != Phase::streaming) co_return out_of_order("finish()");
    phase_ = Phase::final;
    if (is_chunked() && !is_head()) {
        const Bytes last = as_bytes("0\r\n\r\n");
        Result<> written = co_await connection_.write(std::span(&last, 1));
        if (!written) co_return written;
    }
    is_complete_ = true;
    co_return Result<>();
}

}  // namespace kwaai::http
