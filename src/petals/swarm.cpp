#include "petals/swarm.hpp"

#include <algorithm>
#include <charconv>
#include <ranges>
#include <utility>

#include "codec/multibase.hpp"
#include "hivemind/rpc_client.hpp"
#include "io/timeout.hpp"
#include "petals/wire.hpp"

namespace kwaai::petals {
namespace {

std::optional<std::uint32_t> parse_number(std::string_view text) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::string digest_text(const ModelDigest& digest) {
    return codec::encode_base(codec::Base::base16, std::span(digest).first(4));
}

std::string range_text(inference::BlockRange range) {
    return std::to_string(range.begin) + ":" + std::to_string(range.end);
}

}  // namespace

Result<PeerAddress> parse_peer_address(std::string_view text) {
    const std::size_t equals = text.rfind('=');
    auto address = p2p::Multiaddr::parse(text.substr(0, equals));
    if (!address) return forward_error(address, std::string(text));
    if (!address->peer())
        return fail(
            Errc::invalid_argument,
            std::string(text) + ": the address must end with /p2p/ID, the server's identity");
    PeerAddress peer{.address = std::move(*address), .blocks = {}};
    if (equals == std::string_view::npos) return peer;
    const std::string_view blocks = text.substr(equals + 1);
    const std::size_t colon = blocks.find(':');
    const auto begin = parse_number(blocks.substr(0, colon));
    const auto end = colon == std::string_view::npos ? std::optional<std::uint32_t>()
                                                     : parse_number(blocks.substr(colon + 1));
    if (!begin || !end || *begin >= *end)
        return fail(
            Errc::invalid_argument,
            std::string(text) + ": the blocks behind = must be A:B with A below B, such as 0:4");
    peer.blocks = inference::BlockRange{*begin, *end};
    return peer;
}

Swarm::Swarm(p2p::Host& host,
             io::Clock& clock,
             SwarmOptions options,
             std::function<void(const std::string&)> on_note)
    : host_(host), clock_(clock), options_(std::move(options)), on_note_(std::move(on_note)) {
    for (const PeerAddress& address : options_.peers)
        peers_.push_back({.address = address,
                          .is_known = false,
                          .is_refused = false,
                          .is_loading = false,
                          .is_found = false,
                          .last_error = {}});
}

io::Task<Result<>> Swarm::connect() {
    const io::TimePoint deadline = clock_.now() + options_.ready_timeout;
    co_await find_peers();
    co_await io::with_group(&Swarm::ask_all, std::ref(*this));
    auto way = routes_.choose({0, options_.block_count}, clock_.now(), true);
    if (!way && options_.find && on_note_) on_note_("Waiting for servers: " + way.error().context);
    while (is_to_wait(way.has_value()) && clock_.now() < deadline) {
        const bool is_finding = !has_enough(way.has_value()) && options_.find;
        co_await clock_.sleep_for(is_finding ? options_.find_again_pause : options_.ready_pause);
        if (is_finding) co_await find_peers();
        const auto ask_them = is_finding ? &Swarm::ask_all : &Swarm::ask_loading;
        co_await io::with_group(ask_them, std::ref(*this));
        way = routes_.choose({0, options_.block_count}, clock_.now(), true);
    }
    if (way) co_return Result<>();
    std::string errors;
    for (const Peer& peer : peers_)
        if (!peer.last_error.empty())
            errors += "\n  " + peer.address.address.to_text() + ": " + peer.last_error;
    co_return fail(Errc::unavailable, way.error().context + errors);
}

bool Swarm::has_enough(bool has_way) const {
    const auto known = std::ranges::count_if(peers_, &Peer::is_known);
    return has_way && static_cast<std::size_t>(known) >= options_.servers_min;
}

bool Swarm::is_to_wait(bool has_way) const {
    if (has_enough(has_way)) return false;
    return std::ranges::any_of(peers_, &Peer::is_loading) || options_.find;
}

io::Task<void> Swarm::find_peers() {
    if (!options_.find) co_return;
    auto finding = options_.find();
    std::vector<PeerAddress> found = co_await std::move(finding);
    take_found(std::move(found));
}

// Of those found earlier, who neither joined nor is found again is forgotten.
void Swarm::take_found(std::vector<PeerAddress> found) {
    const auto is_among = [](const auto& all, const p2p::PeerId& peer) {
        return std::ranges::any_of(
            all, [&](const PeerAddress& one) { return one.address.peer() == peer; });
    };
    std::erase_if(peers_, [&](const Peer& peer) {
        return peer.is_found && !peer.is_known && !is_among(found, *peer.address.address.peer());
    });
    for (PeerAddress& address : found) {
        const auto of_found = std::ranges::count_if(peers_, &Peer::is_found);
        if (static_cast<std::size_t>(of_found) >= options_.found_max) return;
        const std::optional<p2p::PeerId> peer = address.address.peer();
        const auto known = std::views::transform(peers_, &Peer::address);
        if (!peer || is_among(known, *peer)) continue;
        peers_.push_back({.address = std::move(address),
                          .is_known = false,
                          .is_refused = false,
                          .is_loading = false,
                          .is_found = true,
                          .last_error = {}});
    }
}

io::Task<void> Swarm::ask_all(io::TaskGroup& group, Swarm& swarm) {
    for (std::size_t index = 0; index < swarm.peers_.size(); ++index)
        if (!swarm.peers_[index].is_known && !swarm.peers_[index].is_refused)
            group.spawn(&Swarm::ask_and_note, std::ref(swarm), index);
    co_return;
}

io::Task<void> Swarm::ask_loading(io::TaskGroup& group, Swarm& swarm) {
    for (std::size_t index = 0; index < swarm.peers_.size(); ++index)
        if (swarm.peers_[index].is_loading)
            group.spawn(&Swarm::ask_and_note, std::ref(swarm), index);
    co_return;
}

io::Task<void> Swarm::run() {
    io::TimePoint next_find = clock_.now() + options_.find_pause;
    while (true) {
        co_await clock_.sleep_for(options_.retry_pause);
        if (clock_.now() >= next_find) {
            co_await find_peers();
            next_find = clock_.now() + options_.find_pause;
        }
        co_await io::with_group(&Swarm::ask_all, std::ref(*this));
    }
}

io::Task<void> Swarm::ask_and_note(std::size_t index) {
    auto asking = ask(peers_[index].address);
    auto server = co_await io::with_timeout(clock_, options_.answer_timeout, std::move(asking));
    Peer& peer = peers_[index];
    if (!server) {
        const bool is_news = peer.last_error.empty();
        peer.last_error = server.error().context;
        peer.is_refused = server.error().code == Errc::invalid_argument;
        peer.is_loading = server.error().code == Errc::unavailable &&
                          host_.is_connected(*peer.address.address.peer());
        if (on_note_ && (is_news || peer.is_refused))
            on_note_(peer.address.address.to_text() + ": " + peer.last_error);
        co_return;
    }
    peer.is_known = true;
    peer.is_loading = false;
    peer.last_error.clear();
    routes_.set(*server);
    if (on_note_)
        on_note_(server->peer.short_text() + " serves blocks " + range_text(server->range));
}

io::Task<Result<KnownServer>> Swarm::ask(PeerAddress address) {
    KWAAI_CO_TRY(const p2p::PeerId peer, co_await host_.connect(address.address));
    KWAAI_CO_TRY(ServerInfo info, co_await request_info(peer, ""));
    if (!info.kwaai && address.blocks) {
        // The names of a stock server's blocks are right where it answers for one of them.
        const std::string uid =
            to_uids({.prefix = options_.prefix,
                     .range = {address.blocks->begin, address.blocks->begin + 1}});
        KWAAI_CO_TRY(info, co_await request_info(peer, uid));
    }
    co_return judge(peer, address, info);
}

io::Task<Result<ServerInfo>> Swarm::request_info(p2p::PeerId peer, std::string uid) {
    const hivemind::RpcLimits limits;
    KWAAI_CO_TRY(const codec::Buffer answer,
                 co_await hivemind::call_unary(host_, peer, kInfoMethod, encode_uid(uid), limits));
    KWAAI_CO_TRY(const codec::Buffer map, decode_info(answer));
    co_return decode_server_info(map);
}

// Errc::invalid_argument: asking again would change nothing.
Result<KnownServer> Swarm::judge(const p2p::PeerId& peer,
                                 const PeerAddress& address,
                                 const ServerInfo& info) {
    if (!info.kwaai) {
        if (!address.blocks || options_.prefix.empty())
            return fail(
                Errc::invalid_argument,
                "is a stock Petals server, which does not tell its blocks: give them behind "
                "the address (=A:B) and their name with --prefix");
        if (address.blocks->end > options_.block_count)
            return fail(Errc::invalid_argument,
                        "blocks " + range_text(*address.blocks) +
                            " are not in this model, which has " +
                            std::to_string(options_.block_count));
        return KnownServer{
            .peer = peer, .prefix = options_.prefix, .range = *address.blocks, .is_stock = true};
    }
    const KwaaiInfo& told = *info.kwaai;
    if (options_.digest && told.digest && *options_.digest != *told.digest)
        return fail(Errc::invalid_argument,
                    "serves another model (" + told.prefix + ", digest " +
                        digest_text(*told.digest) + "… instead of " +
                        digest_text(*options_.digest) +
                        "…): use the same model file on both sides");
    if (told.range.begin >= told.range.end || told.range.end > options_.block_count)
        return fail(Errc::invalid_argument,
                    "serves blocks " + range_text(told.range) + ", and this model has " +
                        std::to_string(options_.block_count));
    if (options_.digest && !told.digest)
        return fail(Errc::unavailable, "has not yet told which model file it serves");
    if (on_note_ && told.arithmetic_id != options_.arithmetic_id)
        on_note_(peer.short_text() + " computes with arithmetic " +
                 std::to_string(told.arithmetic_id) + ", this program with " +
                 std::to_string(options_.arithmetic_id) +
                 ": its text may differ in places from the text of others");
    return KnownServer{.peer = peer, .prefix = told.prefix, .range = told.range, .is_stock = false};
}

}  // namespace kwaai::petals
