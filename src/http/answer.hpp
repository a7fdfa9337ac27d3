// The Exchange of a connection: frames one answer.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "http/connection.hpp"
#include "http/exchange.hpp"

namespace kwaai::http {

class Answer final : public Exchange {
public:
    Answer(Connection& connection, const Request& request)
        : connection_(connection), request_(request) {}

    using Exchange::respond;
    using Exchange::start_stream;

    io::Task<Result<>> respond(int status,
                               std::string_view content_type,
                               std::string_view body,
                               const Headers& headers) override;
    io::Task<Result<>> start_stream(int status,
                                    std::string_view content_type,
                                    const Headers& headers) override;
    io::Task<Result<>> write_chunk(std::string_view text) override;
    io::Task<Result<>> finish() override;

    [[nodiscard]] bool is_started() const override { return phase_ != Phase::fresh; }

    [[nodiscard]] bool is_closed() const override { return connection_.is_client_gone(); }

    /// The last bytes are on their way: the client may close its side without losing them.
    [[nodiscard]] bool is_final() const { return phase_ == Phase::final; }

    /// The last bytes have been written.
    [[nodiscard]] bool is_complete() const { return is_complete_; }

    /// Another request may follow; known once started.
    [[nodiscard]] bool keeps_alive() const { return keeps_alive_; }

private:
    enum class Phase { fresh, streaming, final };

    [[nodiscard]] bool is_chunked() const { return request_.version_minor >= 1; }

    [[nodiscard]] bool is_head() const { return request_.method == "HEAD"; }

    Result<std::string> start(int status,
                              std::string_view content_type,
                              const Headers& headers,
                              std::string_view framing);

    Connection& connection_;
    const Request& request_;
    Phase phase_ = Phase::fresh;
    bool keeps_alive_ = false;
    bool is_complete_ = false;
};

}  // namespace kwaai::http
