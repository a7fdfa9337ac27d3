// For the tests of this room: a server with a handler for every habit, on virtual time.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "http/server.hpp"
#include "io/task_group.hpp"
#include "testing/memory_stream.hpp"
#include "testing/simulation.hpp"

namespace kwaai::http {

/// Answers by path: /hello, /echo, /empty, /stream (two chunks, a second apart), /forever (a chunk
/// a second), /stubborn (writes on after errors), /think (waits an hour), /throw, /inject (a header
/// with a line end); anything else not at all.
class WorldHandler final : public Handler {
public:
    explicit WorldHandler(io::Clock& clock) : clock_(clock) {}

    io::Task<void> handle(const Request& request, Exchange& exchange) override;

    std::vector<std::string> log;  // "GET /hello", "cancelled /think"
    std::string last_error;        // of the last call to the exchange that failed

private:
    io::Task<void> stream(Exchange& exchange, int chunks);

    io::Clock& clock_;
};

/// A client's side of a conversation with the server.
using Conversation = io::Task<void> (*)(struct World& world, io::Stream& client);

struct World {
    explicit World(Limits limits = Limits(),
                   testing::StreamPairOptions stream_options = testing::StreamPairOptions())
        : options(stream_options), server(simulation.clock(), handler, limits) {}

    /// Has one connection served while `conversation` talks over it.
    void converse(Conversation conversation);

    /// Seconds of virtual time since the beginning.
    [[nodiscard]] double seconds() {
        return std::chrono::duration<double>(simulation.clock().now() - start).count();
    }

    testing::Simulation simulation;
    io::TimePoint start = simulation.clock().now();
    testing::StreamPairOptions options;
    WorldHandler handler{simulation.clock()};
    Server server;
};

io::Task<void> send(io::Stream& stream, std::string text);
/// Everything up to the end.
io::Task<std::string> read_all(io::Stream& stream);
/// Everything up to and with `mark`, or to the end.
io::Task<std::string> read_until(io::Stream& stream, std::string mark);

/// A request without body, HTTP/1.1.
[[nodiscard]] std::string get(std::string_view path, std::string_view fields = "");

}  // namespace kwaai::http
