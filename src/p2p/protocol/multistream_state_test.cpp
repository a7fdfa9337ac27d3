// The negotiation's decisions, as tables of what arrives and what is answered.
#include "p2p/protocol/multistream_state.hpp"

#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

using namespace kwaai;
using namespace kwaai::p2p;

namespace {

constexpr std::string_view kHeader = "\x13/multistream/1.0.0\n";

std::string line(std::string_view text) {
    codec::Buffer out;
    append_multistream_line(out, text);
    return std::string(as_text(out));
}

std::string output_of(auto& state) {
    return std::string(as_text(state.take_output()));
}

// What came of giving `input` to a negotiator, in pieces of `piece` bytes.
struct Outcome {
    std::string output;
    std::string agreed;
    std::string residue;
    std::string error;
};

Outcome converse(auto state, std::string_view input, std::size_t piece) {
    Outcome outcome{.output = output_of(state)};
    while (!input.empty() && state.agreed() == nullptr) {
        const std::string_view part = input.substr(0, piece);
        const Result<std::size_t> used = state.receive(as_bytes(part));
        outcome.output += output_of(state);
        if (!used) {
            outcome.error = std::string(to_string(used.error().code)) + ": " + used.error().context;
            return outcome;
        }
        CHECK((*used == part.size() || state.agreed() != nullptr));
        input.remove_prefix(*used);
    }
    if (state.agreed() != nullptr) outcome.agreed = *state.agreed();
    outcome.residue = input;
    return outcome;
}

MultistreamListener listener(std::size_t proposals_max = 32) {
    const auto knows = [](std::string_view protocol) {
        return protocol == "/a/1" || protocol == "Class.method" || protocol == "na" ||
               protocol == "ls";
    };
    return MultistreamListener(knows, proposals_max);
}

}  // namespace

TEST_CASE("the bytes of a message are its length, its text and a newline") {
    CHECK(line("/multistream/1.0.0") == kHeader);
    CHECK(line("na") == "\x03na\n");
    CHECK(line(std::string(200, 'x')) == "\xc9\x01" + std::string(200, 'x') + "\n");
}

TEST_CASE("a message is read from the front, once it is whole") {
    const std::string bytes = line("/a/1") + "behind";
    for (std::size_t size = 0; size < 6; ++size) {
        const auto read = read_multistream_line(as_bytes(bytes).first(size));
        REQUIRE(read.has_value());
        CHECK_FALSE(read->has_value());
    }
    const auto read = read_multistream_line(as_bytes(bytes));
    REQUIRE((read.has_value() && read->has_value()));
    CHECK((*read)->text == "/a/1");
    CHECK((*read)->size == 6);
}

TEST_CASE("what is not one short line is malformed") {
    const std::vector<std::string> cases = {
        std::string(1, '\0'),  // no newline
        "\x01\n",              // no text
        "\x03"
        "a\nb",  // ends without a newline
        "\x04"
        "a\nb\n",    // two lines
        "\x81\x08",  // 1025 bytes
        "\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        std::string("\x83\x00na\n", 5),  // a length that is not minimal
    };
    for (const std::string& bytes : cases) {
        CAPTURE(bytes);
        const auto read = read_multistream_line(as_bytes(bytes));
        REQUIRE_FALSE(read.has_value());
        CHECK(read.error().code == Errc::malformed);
    }
}

TEST_CASE("a line of 1024 bytes is the longest") {
    const std::string longest(1023, 'x');
    CHECK(is_protocol_id(longest));
    CHECK_FALSE(is_protocol_id(longest + "x"));
    CHECK_FALSE(is_protocol_id(""));
    CHECK_FALSE(is_protocol_id("a\nb"));
    CHECK(is_protocol_id("DHTProtocol.rpc_ping"));
    const std::string message = line(longest);
    const auto read = read_multistream_line(as_bytes(message));
    REQUIRE((read.has_value() && read->has_value()));
    CHECK((*read)->text == longest);
}

TEST_CASE("a dialer proposes one protocol after the other, however the answers are cut") {
    struct Case {
        std::vector<std::string> protocols;
        std::string input;
        Outcome expected;
    };

    const std::string header(kHeader);
    const std::string first = header + line("/a/1");
    const std::vector<Case> cases = {
        {{"/a/1"}, first + "tail", {.output = first, .agreed = "/a/1", .residue = "tail"}},
        {{"/a/1", "b"},
         header + line("na") + line("b"),
         {.output = first + line("b"), .agreed = "b"}},
        {{"/a/1", "b"},
         header + line("na") + line("na"),
         {.output = first + line("b"), .error = "unsupported: the peer does not speak /a/1, b"}},
        {{"/a/1"},
         header + line("/b/1"),
         {.output = first, .error = "malformed: the peer answers \"/a/1\" with \"/b/1\""}},
        {{"/a/1"},
         header + header,
         {.output = first,
          .error = "malformed: the peer answers \"/a/1\" with \"/multistream/1.0.0\""}},
        {{"/a/1"},
         line("/a/1"),
         {.output = first,
          .error = "malformed: the peer begins with \"/a/1\" instead of /multistream/1.0.0"}},
        {{"/a/1"},
         line("\x1b[2J"),
         {.output = first,
          .error = "malformed: the peer begins with \"?[2J\" instead of /multistream/1.0.0"}},
        {{"/a/1"},
         std::string("\0", 1),
         {.output = first, .error = "malformed: an empty multistream message"}},
    };
    for (const Case& test : cases) {
        for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, test.input.size()}) {
            CAPTURE(test.input);
            CAPTURE(piece);
            const Outcome got = converse(MultistreamDialer(test.protocols), test.input, piece);
            CHECK(got.output == test.expected.output);
            CHECK(got.agreed == test.expected.agreed);
            CHECK(got.residue == test.expected.residue);
            CHECK(got.error == test.expected.error);
        }
    }
}

TEST_CASE("a listener speaks first, refuses what it does not know, and takes the rest as residue") {
    const std::string header(kHeader);
    const std::string na = line("na");

    struct Case {
        std::string input;
        Outcome expected;
    };

    const std::vector<Case> cases = {
        {"", {.output = header}},
        {header + line("/a/1") + "tail",
         {.output = header + line("/a/1"), .agreed = "/a/1", .residue = "tail"}},
        {header + line("x") + line("Class.method"),
         {.output = header + na + line("Class.method"), .agreed = "Class.method"}},
        {header + line("ls") + line("na") + line("/a/1"),
         {.output = header + na + na + line("/a/1"), .agreed = "/a/1"}},
        {line("/a/1"),
         {.output = header,
          .error = "malformed: the peer begins with \"/a/1\" instead of /multistream/1.0.0"}},
        {"GET / HTTP/1.1\r\n\r\n" + std::string(64, ' '),
         {.output = header, .error = "malformed: a multistream message that is not one line"}},
    };
    for (const Case& test : cases) {
        for (const std::size_t piece : {std::size_t{1}, std::size_t{5}, std::size_t{4096}}) {
            CAPTURE(test.input);
            CAPTURE(piece);
            const Outcome got = converse(listener(), test.input, piece);
            CHECK(got.output == test.expected.output);
            CHECK(got.agreed == test.expected.agreed);
            CHECK(got.residue == test.expected.residue);
            CHECK(got.error == test.expected.error);
        }
    }
}

TEST_CASE("refusals are counted, and one too many is an error") {
    std::string input(kHeader);
    for (int i = 0; i < 3; ++i)
        input += line("unknown" + std::to_string(i));
    const Outcome patient = converse(listener(3), input + line("/a/1"), 1);
    CHECK(patient.agreed == "/a/1");
    const Outcome annoyed = converse(listener(2), input + line("/a/1"), 1);
    CHECK(annoyed.output == std::string(kHeader) + line("na") + line("na"));
    CHECK(annoyed.error ==
          "limit exceeded: the peer proposes one protocol after the other, lastly \"unknown2\"");
}

TEST_CASE("a message that never ends is refused before it is kept") {
    MultistreamListener endless = listener();
    const std::string bytes = std::string(kHeader) + "\x80\x08" + std::string(1022, 'x');
    CHECK(endless.receive(as_bytes(bytes)).has_value());
    const std::string rest = "xx";  // the newline is missing
    CHECK_FALSE(endless.receive(as_bytes(rest)).has_value());
}
