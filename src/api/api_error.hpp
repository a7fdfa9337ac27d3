// Refusals as OpenAI's clients expect them: a status and a body with message, type, code and param.
#pragma once
#include <string>

#include "base/result.hpp"

namespace kwaai::api {

/// What a client is told instead of an answer.
struct ApiError {
    int status = 400;
    std::string message;
    std::string code;   // for programs, e.g. "context_length_exceeded"; empty = null
    std::string param;  // the field of the request at fault; empty = null
};

/// The HTTP status of an error that reaches a client.
[[nodiscard]] int http_status(Errc code);

/// `error` about the field `param` (may be empty).
[[nodiscard]] ApiError api_error(const Error& error, std::string param);

/// {"error":{"message":...,"type":...,"code":...,"param":...}}; type is "invalid_request_error" for
/// 4xx, "unavailable_error" for 503, else "server_error".
[[nodiscard]] std::string error_body(const ApiError& error);

}  // namespace kwaai::api
