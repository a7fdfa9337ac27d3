// kwaai id: who this node is.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/exit_status.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "crypto/key_file.hpp"
#include "json/writer.hpp"
#include "node/identity.hpp"
#include "p2p/peer_id.hpp"

namespace kwaai::cli {
namespace {

struct IdFlags {
    std::string identity;
    bool is_json = false;
};

std::string_view type_name(crypto::KeyType type) {
    switch (type) {
        case crypto::KeyType::rsa: return "RSA";
        case crypto::KeyType::ed25519: return "Ed25519";
        case crypto::KeyType::secp256k1: return "secp256k1";
        case crypto::KeyType::ecdsa: return "ECDSA";
    }
    return "";
}

Result<void> show_id(const IdFlags& flags) {
    const std::string path = flags.identity.empty() ? node::user_identity_path() : flags.identity;
    KWAAI_TRY(const crypto::PrivateKey key, crypto::load_or_create_key(path));
    const std::string id = p2p::PeerId::of(key.public_key()).to_text();
    if (!flags.is_json) return write_out(id + "\n");
    json::Writer out;
    out.begin_object().member("peer_id", id);
    out.member("key_type", type_name(key.public_key().type())).member("file", path).end();
    return write_out(out.take() + "\n");
}

}  // namespace

Action add_id(CLI::App& verb) {
    const auto flags = std::make_shared<IdFlags>();
    verb.add_option("--identity",
                    flags->identity,
                    "File of a key, made where it is missing (default: the user's, " +
                        node::user_identity_path() + ")");
    verb.add_flag("--json", flags->is_json, "Print one JSON object");
    verb.footer(
        "Examples:\n"
        "  kwaai id\n"
        "  kwaai id --identity second.key");
    return [flags] {
        const auto done = show_id(*flags);
        return done ? kOk : report(done.error());
    };
}

}  // namespace kwaai::cli
