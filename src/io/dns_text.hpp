// TXT records of the domain name system, by way of the system's resolver (glibc's libresolv): its
// name servers, its timeouts, TCP where an answer is too long for UDP.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "io/address.hpp"

namespace kwaai::io {

/// The TXT records among the answers of a DNS message (RFC 1035 §3.3.14), at most kTextRecordsMax,
/// the strings of each joined. Records that are no valid TXT are skipped; `Errc::malformed` where
/// the message is none.
[[nodiscard]] Result<std::vector<std::string>> read_text_records(Bytes message);

/// The TXT records of `name`. Blocks, with a silent server for 4 s, with three for 10 s. Asks
/// `server` (an IPv4 address; tests) or, where there is none, those that the system is set up with.
/// `Errc::not_found` where the name has none, `unavailable` where nobody answers, `malformed`,
/// `invalid_argument` for another kind of server. From any thread.
[[nodiscard]] Result<std::vector<std::string>> look_up_text(const std::string& name,
                                                            const std::optional<Address>& server);

}  // namespace kwaai::io
