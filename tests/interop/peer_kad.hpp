// What --kad adds to a node that others test against: a node of a table, its values and providers.
#pragma once
#include <string>

#include "json/writer.hpp"
#include "p2p/host.hpp"
#include "p2p/kad/dht.hpp"

namespace kwaai::interop {

/// Under /interop/kad/1.0.0, with the namespaces "pk" and "interop" (values that begin with a
/// digit, of which the higher one wins).
[[nodiscard]] p2p::kad::DhtOptions kad_options(bool is_server);

/// Joins through the node at `address`, puts the value and the own key, and provides.
io::Task<Result<>> join_table(p2p::Host& host, p2p::kad::Dht& dht, std::string address);

/// Asks the table of the node at `address` for the peer `wanted`, and for what that one has put
/// and provides; into `out`, as peers/README.md describes it.
io::Task<Result<>> look_in_table(p2p::kad::Dht& dht,
                                 std::string address,
                                 std::string wanted,
                                 json::Writer& out);

}  // namespace kwaai::interop
