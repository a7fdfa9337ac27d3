#include "p2p/peer_id.hpp"

#include "testing/fixtures.hpp"

using namespace kwaai;
using namespace kwaai::p2p;

TEST_CASE("a peer id reads back from base58 and from a CID") {
    const auto bare = PeerId::parse("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N");
    const auto cid = PeerId::parse("bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe");
    REQUIRE(bare);
    REQUIRE(cid);
    CHECK(*bare == *cid);
    CHECK(cid->to_text() == "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N");
}
