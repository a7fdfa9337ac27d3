// From the body of a POST route to a request that a model takes.
#pragma once
#include <cstdint>
#include <expected>
#include <string_view>

#include "api/api_error.hpp"
#include "api/openai_response.hpp"
#include "engine/text_model.hpp"

namespace kwaai::api {

/// A request ready to be submitted, and how its answer is wanted.
struct GenerationJob {
    engine::Request request;
    bool is_stream = false;
    bool includes_usage = false;
};

/// Parses, applies the chat template, tokenizes. Thread-safe; costs O(n log n) in the body, which
/// for megabytes is too long for the io thread. `seed` is for requests that name none.
std::expected<GenerationJob, ApiError> prepare_job(StreamWriter::Kind kind,
                                                   const engine::TextModel& model,
                                                   std::string_view body,
                                                   std::uint64_t seed);

/// Why the model did not take a request.
[[nodiscard]] ApiError submit_error(const Error& error, StreamWriter::Kind kind);

}  // namespace kwaai::api
