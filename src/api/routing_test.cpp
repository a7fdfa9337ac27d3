#include "api/routing.hpp"

#include <doctest/doctest.h>

namespace kwaai::api {
namespace {

using Outcome = Routing::Outcome;

TEST_CASE("each route is found by its method and path") {
    CHECK(route("POST", "/v1/chat/completions").endpoint == Endpoint::chat);
    CHECK(route("POST", "/v1/completions").endpoint == Endpoint::completion);
    CHECK(route("GET", "/v1/models").endpoint == Endpoint::models);
    CHECK(route("GET", "/health").endpoint == Endpoint::health);
    for (const auto* path : {"/v1/models", "/health", "/v1/models/x"})
        CHECK(route("GET", path).outcome == Outcome::found);
    CHECK(route("HEAD", "/health").outcome == Outcome::found);
}

TEST_CASE("a model's name is decoded") {
    const Routing found = route("GET", "/v1/models/My%20model%2FQ4.gguf");
    CHECK(found.endpoint == Endpoint::model);
    CHECK(found.model_id == "My model/Q4.gguf");
    CHECK(route("GET", "/v1/models/").outcome == Outcome::unknown_path);
}

TEST_CASE("a wrong method is told the right ones, an unknown path is not found") {
    const Routing get = route("GET", "/v1/completions");
    CHECK(get.outcome == Outcome::wrong_method);
    CHECK(get.allow == "POST, OPTIONS");
    CHECK(route("DELETE", "/v1/models").allow == "GET, HEAD, OPTIONS");
    CHECK(route("HEAD", "/v1/chat/completions").outcome == Outcome::wrong_method);
    CHECK(route("GET", "/").outcome == Outcome::unknown_path);
    CHECK(route("GET", "/V1/models").outcome == Outcome::unknown_path);
    CHECK(route("GET", "/v1/models?").outcome == Outcome::unknown_path);
}

TEST_CASE("browsers may ask first") {
    CHECK(route("OPTIONS", "/v1/chat/completions").outcome == Outcome::preflight);
    CHECK(route("OPTIONS", "*").outcome == Outcome::preflight);
    CHECK(route("OPTIONS", "/nowhere").outcome == Outcome::unknown_path);
}

TEST_CASE("what is no escape stays as it is") {
    CHECK(percent_decoded("%41%4a%4A") == "AJJ");
    CHECK(percent_decoded("%") == "%");
    CHECK(percent_decoded("%4") == "%4");
    CHECK(percent_decoded("%zz%4g") == "%zz%4g");
    CHECK(percent_decoded("a%41") == "aA");
}

}  // namespace
}  // namespace kwaai::api
