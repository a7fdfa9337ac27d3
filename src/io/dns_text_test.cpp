// The system's resolver beside a name server of our own on loopback.
#include "io/dns_text.hpp"

#include <doctest/doctest.h>

#include "io/loop.hpp"
#include "io/task_group.hpp"
#include "io/tcp.hpp"
#include "io/udp.hpp"

using namespace kwaai;
using io::Loop;
using io::Task;
using io::TaskGroup;
using Records = std::vector<std::string>;

namespace {

constexpr unsigned kTypeName = 5;
constexpr unsigned kTypeText = 16;

std::string u16(unsigned value) {
    return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}

/// A string behind its length, as in TXT records.
std::string counted(const std::string& text) {
    return static_cast<char>(text.size()) + text;
}

/// Of the name that was asked for, which begins at byte 12.
std::string make_record(unsigned type, const std::string& data) {
    const std::string time_to_live = u16(0) + u16(60);
    return u16(0xc00c) + u16(type) + u16(1) + time_to_live +
           u16(static_cast<unsigned>(data.size())) + data;
}

/// The answer to `query` (one question, maybe more behind it).
std::string make_answer(const std::string& query,
                        const Records& records,
                        unsigned response_code = 0) {
    const std::size_t name_end = query.find('\0', 12);
    std::string answer = query.substr(0, 2) + u16(0x8180 + response_code) + u16(1) +
                         u16(static_cast<unsigned>(records.size())) + u16(0) + u16(0) +
                         query.substr(12, name_end + 5 - 12);
    for (const std::string& record : records)
        answer += record;
    return answer;
}

std::string make_query(const std::string& name_bytes) {
    return u16(7) + u16(0x0100) + u16(1) + u16(0) + u16(0) + u16(0) + name_bytes + '\0' +
           u16(kTypeText) + u16(1);
}

const std::string& any_query() {
    static const std::string query = make_query(counted("_dnsaddr") + counted("example"));
    return query;
}

/// A name server for one question.
struct NameServer {
    explicit NameServer(Loop& loop)
        : socket(io::open_udp(loop, {.host = "127.0.0.1", .port = 0}).value()),
          address(io::to_address(socket->local())) {}

    std::unique_ptr<io::UdpSocket> socket;
    io::Address address;
    io::Endpoint from;
    std::string query;
};

Task<void> receive_query(NameServer& server) {
    const auto packets = co_await server.socket->receive();
    REQUIRE(packets.has_value());
    server.from = packets->front().from;
    server.query = as_text(packets->front().bytes);
}

void send_answer(NameServer& server, const std::string& answer) {
    CHECK(server.socket->send(server.from, as_bytes(answer), answer.size()));
}

Task<void> serve(NameServer& server, Records records, unsigned response_code) {
    co_await receive_query(server);
    send_answer(server, make_answer(server.query, records, response_code));
}

Task<void> ask_once(TaskGroup& group,
                    NameServer& server,
                    io::TcpNetwork& network,
                    Records answer,
                    unsigned response_code,
                    Result<Records>& result) {
    group.spawn(serve, std::ref(server), std::move(answer), response_code);
    result = co_await network.resolve_text("_dnsaddr.example");
}

/// What a look-up of "_dnsaddr.example" gives where the name server answers so.
Result<Records> look_up(Records answer, unsigned response_code = 0) {
    Loop loop;
    NameServer server(loop);
    io::TcpNetwork network(loop, server.address);
    Result<Records> result;
    loop.run(io::with_group(ask_once,
                            std::ref(server),
                            std::ref(network),
                            std::move(answer),
                            response_code,
                            std::ref(result)));
    CHECK(server.query.find(counted("_dnsaddr") + counted("example")) == 12);
    return result;
}

Task<void> look_up_anything(io::TcpNetwork& network, bool& has_returned) {
    const auto records = co_await network.resolve_text("_dnsaddr.example");
    has_returned = true;
}

Task<void> cancel_when_asked(TaskGroup& group,
                             NameServer& server,
                             io::TcpNetwork& network,
                             bool& has_returned) {
    group.spawn(look_up_anything, std::ref(network), std::ref(has_returned));
    co_await receive_query(server);
    group.cancel();
}

}  // namespace

TEST_CASE("TXT records are read from an answer, the strings of each joined") {
    const std::string answer =
        make_answer(any_query(),
                    {make_record(kTypeText, counted("dnsaddr=/ip4/") + counted("192.0.2.1")),
                     make_record(kTypeName, counted("other") + '\0'),
                     make_record(kTypeText, counted("")),
                     make_record(kTypeText, counted("second"))});
    CHECK(io::read_text_records(as_bytes(answer)) ==
          Records{"dnsaddr=/ip4/192.0.2.1", "", "second"});
}

TEST_CASE("a TXT record with a string that is cut short is skipped") {
    const std::string answer = make_answer(any_query(),
                                           {make_record(kTypeText,
                                                        "\x09"
                                                        "short"),
                                            make_record(kTypeText, counted("whole"))});
    CHECK(io::read_text_records(as_bytes(answer)) == Records{"whole"});
}

TEST_CASE("what is no DNS message, or is cut short anywhere, is malformed") {
    const std::string answer = make_answer(any_query(), {make_record(kTypeText, counted("a"))});
    for (std::size_t size = 0; size < answer.size(); ++size) {
        const auto records = io::read_text_records(as_bytes(answer.substr(0, size)));
        REQUIRE(!records.has_value());
        CHECK(records.error().code == Errc::malformed);
    }
    const std::string large(std::size_t{1} << 20, '\0');
    CHECK(!io::read_text_records(as_bytes(large)).has_value());
}

TEST_CASE("of a name with many TXT records some are taken") {
    const std::string answer =
        make_answer(any_query(), Records(200, make_record(kTypeText, counted("a"))));
    const auto records = io::read_text_records(as_bytes(answer));
    REQUIRE(records.has_value());
    CHECK(records->size() == io::kTextRecordsMax);
}

TEST_CASE("loopback: the TXT records of a name come from the name server") {
    const std::string long_text(255, 'x');
    const auto found = look_up({make_record(kTypeText, counted("first")),
                                make_record(kTypeText, counted(long_text) + counted("y"))});
    CHECK(found == Records{"first", long_text + "y"});
}

TEST_CASE("loopback: a name that does not exist, or has no TXT record, is not found") {
    constexpr unsigned kNoSuchName = 3;
    for (const auto& found : {look_up({}, kNoSuchName),
                              look_up({}),
                              look_up({make_record(kTypeName, counted("other") + '\0')})}) {
        REQUIRE(!found.has_value());
        CHECK(found.error().code == Errc::not_found);
        CHECK(found.error().context.find("_dnsaddr.example") != std::string::npos);
    }
}

TEST_CASE("loopback: a look-up of TXT records that is cancelled ends before the answer") {
    Loop loop;
    NameServer server(loop);
    io::TcpNetwork network(loop, server.address);
    bool has_returned = false;
    loop.run(io::with_group(
        cancel_when_asked, std::ref(server), std::ref(network), std::ref(has_returned)));
    CHECK_FALSE(has_returned);
    // So that the thread, which nothing can interrupt, ends at once.
    send_answer(server, make_answer(server.query, {make_record(kTypeText, counted("late"))}));
}

TEST_CASE("TXT records of what is no host name, or of a server without IPv4, are nobody's") {
    Loop loop;
    io::TcpNetwork network(loop, io::Address{.host = "::1", .port = 53});
    for (const std::string& name : {std::string(), std::string(300, 'a'), std::string("a\0b", 3)}) {
        const auto found = loop.run(network.resolve_text(name));
        REQUIRE(!found.has_value());
        CHECK(found.error().code == Errc::invalid_argument);
    }
    const auto found = loop.run(network.resolve_text("_dnsaddr.example"));
    REQUIRE(!found.has_value());
    CHECK(found.error().code == Errc::invalid_argument);
}
