// Arbitrary bytes into a server, in arbitrary pieces: it neither crashes nor hangs, keeps nothing,
// and answers with HTTP.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>

#include "http/server.hpp"
#include "io/task_group.hpp"
#include "testing/memory_stream.hpp"
#include "testing/simulation.hpp"

using namespace kwaai;
using io::Task;

namespace {

class EchoHandler final : public http::Handler {
public:
    Task<void> handle(const http::Request& request, http::Exchange& exchange) override {
        if (request.body.size() > 4096) std::abort();  // the limit below
        if (request.path.starts_with("/s")) {
            Result<> sent = co_await exchange.start_stream(200, "text/plain");
            if (sent) sent = co_await exchange.write_chunk(request.query);
            if (sent) sent = co_await exchange.finish();
            co_return;
        }
        (void)co_await exchange.respond(200, "text/plain", request.body);  // the client may be gone
    }
};

Task<void> send(io::Stream& client, Bytes input) {
    const Result<> written = co_await client.write(input);
    if (written) (void)co_await client.shutdown_write();
}

Task<void> converse(io::TaskGroup& group,
                    http::Server& server,
                    testing::StreamPair& pair,
                    Bytes input) {
    static const auto serving = [](http::Server& own, std::unique_ptr<io::Stream> stream) {
        return own.serve_connection(std::move(stream));
    };
    group.spawn(serving, std::ref(server), std::move(pair.server));
    group.spawn(send, std::ref(*pair.client), input);
    std::string start;
    std::array<std::byte, 4096> chunk;
    for (;;) {
        const Result<std::size_t> count = co_await pair.client->read_some(chunk);
        if (!count || *count == 0) break;
        if (start.size() < 9) start += as_text(Bytes(chunk).first(*count));
    }
    if (!start.empty() && !start.starts_with("HTTP/1.1 ")) std::abort();
    pair.client->close();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const Bytes input = std::as_bytes(std::span(data, size)).subspan(1);
    testing::Simulation simulation;
    EchoHandler handler;
    http::Limits limits;
    limits.header_bytes_max = 1024;
    limits.body_bytes_max = 4096;
    http::Server server(simulation.clock(), handler, limits);
    testing::StreamPair pair = testing::make_stream_pair({.seed = data[0], .capacity = 4096});
    simulation.run(io::with_group(converse, std::ref(server), std::ref(pair), input));
    if (server.stats().connections != 0 || server.stats().exchanges != 0) std::abort();
    return 0;
}
