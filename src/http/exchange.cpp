#include "http/exchange.hpp"

namespace kwaai::http {
namespace {

const Headers& no_headers() {
    static const Headers kNone;
    return kNone;
}

}  // namespace

io::Task<Result<>> Exchange::respond(int status,
                                     std::string_view content_type,
                                     std::string_view body) {
    return respond(status, content_type, body, no_headers());
}

io::Task<Result<>> Exchange::start_stream(int status, std::string_view content_type) {
    return start_stream(status, content_type, no_headers());
}

}  // namespace kwaai::http
