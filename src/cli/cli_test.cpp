#include "cli/cli.hpp"

#include <array>
#include <vector>

#include <doctest/doctest.h>

#include "cli/bench.hpp"
#include "cli/exit_status.hpp"
#include "cli/process_memory.hpp"
#include "cli/report.hpp"
#include "cli/serve.hpp"
#include "cli/terminal.hpp"
#include "cli/tokenize.hpp"

namespace kwaai::cli {
namespace {

int status_of(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "kwaai");
    return run_program(static_cast<int>(arguments.size()), arguments.data());
}

TEST_CASE("mistakes in the command line end with status 2") {
    CHECK(status_of({"rnu"}) == kUsage);
    CHECK(status_of({"run", "--no-such-flag"}) == kUsage);
    CHECK(status_of({"run", "--max-tokens", "many"}) == kUsage);
    CHECK(status_of({"run", "--max-tokens", "-1"}) == kUsage);
    CHECK(status_of({"run", "--threads", "0"}) == kUsage);
    CHECK(status_of({"run", "--temperature", "-1", "--prompt", "x"}) == kUsage);
    CHECK(status_of({"inspect"}) == kUsage);
    CHECK(status_of({"serve", "--http", "nowhere"}) == kUsage);
    CHECK(status_of({"bench", "--repetitions", "0"}) == kUsage);
}

TEST_CASE("a model that is not there ends with status 1") {
    CHECK(status_of({"inspect", "no/such/model.gguf"}) == kFailure);
    CHECK(status_of({"run", "no/such/model.gguf", "--prompt", "x"}) == kFailure);
    CHECK(status_of({"tokenize", "no/such/model.gguf", "x"}) == kFailure);
}

TEST_CASE("a mistyped verb is corrected when it is near enough") {
    constexpr std::array<std::string_view, 3> kWords = {"run", "serve", "inspect"};
    CHECK(nearest_word("rnu", kWords) == "run");
    CHECK(nearest_word("server", kWords) == "serve");
    CHECK(nearest_word("insepct", kWords) == "inspect");
    CHECK(nearest_word("download", kWords).empty());
    CHECK(nearest_word("x", kWords).empty());
    CHECK(nearest_word("run", {}).empty());
}

TEST_CASE("the reader going away is success, interruption is 130, wrong use is 2") {
    CHECK(exit_status(Errc::closed) == kOk);
    CHECK(exit_status(Errc::cancelled) == kInterrupted);
    CHECK(exit_status(Errc::invalid_argument) == kUsage);
    CHECK(exit_status(Errc::malformed) == kFailure);
    CHECK(exit_status(Errc::io) == kFailure);
}

TEST_CASE("text for a terminal carries no control characters") {
    CHECK(printable("a\tb\nc é €") == "a\tb\nc é €");
    CHECK(printable("\x1b]52;c;x\x07") == "\uFFFD]52;c;x\uFFFD");
    CHECK(printable("\x7f") == "\uFFFD");
    CHECK(printable("\xc2\x9b") == "\uFFFD");  // C1: CSI in one character
    CHECK(printable("\xff") == "\uFFFD");
}

TEST_CASE("token ids are read with any of the usual separators") {
    using Ids = std::vector<inference::TokenId>;
    CHECK(parse_token_ids("1 2\n3", 10) == Ids{1, 2, 3});
    CHECK(parse_token_ids("[1, 2,3]\n", 10) == Ids{1, 2, 3});
    CHECK(parse_token_ids("", 10) == Ids{});
    const auto word = parse_token_ids("1 two", 10);
    REQUIRE(!word);
    CHECK(word.error().context.find("'two'") != std::string::npos);
    CHECK(!parse_token_ids("10", 10));
    CHECK(!parse_token_ids("-1", 10));
    CHECK(!parse_token_ids("99999999999", 10));
    CHECK(!parse_token_ids("1x", 10));
}

TEST_CASE("mean and deviation are those of a sample") {
    const std::array values = {2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0};
    CHECK(spread(values).mean == doctest::Approx(5.0));
    CHECK(spread(values).deviation == doctest::Approx(2.13809));
    CHECK(spread(std::array{3.0}).deviation == 0);
}

TEST_CASE("memory is read from the status file of Linux") {
    const ProcessMemory memory =
        parse_process_status("Name:\tkwaai\nVmHWM:\t  2048 kB\nVmRSS:\t    1024 kB\nThreads: 3\n");
    CHECK(memory.resident == 1024 * 1024);
    CHECK(memory.resident_peak == 2048 * 1024);
    CHECK(parse_process_status("Name:\tkwaai\nVmRSS:").resident == 0);
}

TEST_CASE("only addresses of this machine alone count as loopback") {
    CHECK(is_loopback({.host = "127.0.0.1", .port = 1}));
    CHECK(is_loopback({.host = "127.8.9.1", .port = 1}));
    CHECK(is_loopback({.host = "::1", .port = 1}));
    CHECK(is_loopback({.host = "localhost", .port = 1}));
    CHECK(!is_loopback({.host = "0.0.0.0", .port = 1}));
    CHECK(!is_loopback({.host = "::", .port = 1}));
    CHECK(!is_loopback({.host = "192.168.1.2", .port = 1}));
}

TEST_CASE("a speed without time is zero") {
    CHECK(per_second(10, 2) == 5);
    CHECK(per_second(10, 0) == 0);
}

}  // namespace
}  // namespace kwaai::cli
