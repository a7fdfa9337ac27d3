#include "http/world_test.hpp"

#include <array>
#include <functional>
#include <stdexcept>

namespace kwaai::http {
using namespace std::chrono_literals;

io::Task<void> WorldHandler::stream(Exchange& exchange, int chunks) {
    Result<> sent = co_await exchange.start_stream(200, "text/event-stream");
    for (int i = 0; sent && i < chunks; ++i) {
        if (i > 0) co_await clock_.sleep_for(1s);
        sent = co_await exchange.write_chunk("");  // must not look like the end
        if (!sent) break;
        const std::string text = "chunk " + std::to_string(i) + "\n";
        sent = co_await exchange.write_chunk(text);
    }
    if (sent) sent = co_await exchange.finish();
    if (!sent) last_error = sent.error().context;
}

io::Task<void> WorldHandler::handle(const Request& request, Exchange& exchange) {
    struct Unwound {
        std::vector<std::string>& log;
        const std::string& path;
        bool is_finished = false;

        ~Unwound() {
            if (!is_finished) log.push_back("cancelled " + path);
        }
    };

    log.push_back(request.method + " " + request.path);
    Unwound note{log, request.path};
    Result<> sent;
    if (request.path == "/hello") sent = co_await exchange.respond(200, "text/plain", "hello");
    if (request.path == "/echo") sent = co_await exchange.respond(200, "text/plain", request.body);
    if (request.path == "/stream") co_await stream(exchange, 2);
    if (request.path == "/forever") co_await stream(exchange, 1'000'000);
    if (request.path == "/stubborn") {
        sent = co_await exchange.start_stream(200, "text/plain");
        const std::string text(1000, 'x');
        for (int i = 0; i < 5; ++i)
            sent = co_await exchange.write_chunk(text);
    }
    if (request.path == "/think") co_await clock_.sleep_for(1h);
    if (request.path == "/empty") sent = co_await exchange.respond(204, "", "");
    if (request.path == "/throw") {
        note.is_finished = true;
        throw std::runtime_error("a bug in a handler");
    }
    if (request.path == "/inject") {
        Headers headers;
        headers.add("X-Name", "value\r\nSet-Cookie: a=b");
        sent = co_await exchange.respond(200, "text/plain", "no", headers);
    }
    if (!sent) last_error = sent.error().context;
    note.is_finished = true;
}

void World::converse(Conversation conversation) {
    static const auto serving = [](Server& own, std::unique_ptr<io::Stream> stream) {
        return own.serve_connection(std::move(stream));
    };
    static const auto body =
        [](io::TaskGroup& group, World& world, Conversation talk) -> io::Task<void> {
        testing::StreamPair pair = testing::make_stream_pair(world.options);
        group.spawn(serving, std::ref(world.server), std::move(pair.server));
        co_await talk(world, *pair.client);
    };
    simulation.run(io::with_group(body, std::ref(*this), conversation));
    CHECK(server.stats().connections == 0);
    CHECK(server.stats().exchanges == 0);
}

io::Task<void> send(io::Stream& stream, std::string text) {
    const Result<> written = co_await stream.write(as_bytes(text));
    CHECK(written.has_value());
}

io::Task<std::string> read_until(io::Stream& stream, std::string mark) {
    std::string text;
    std::array<std::byte, 512> chunk;
    while (mark.empty() || !text.contains(mark)) {
        // One byte at a time towards a mark: what follows it stays in the stream.
        const MutableBytes into = MutableBytes(chunk).first(mark.empty() ? chunk.size() : 1);
        const Result<std::size_t> count = co_await stream.read_some(into);
        if (!count || *count == 0) break;
        text += as_text(into.first(*count));
    }
    co_return text;
}

io::Task<std::string> read_all(io::Stream& stream) {
    return read_until(stream, "");
}

std::string get(std::string_view path, std::string_view fields) {
    return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
}

}  // namespace kwaai::http
