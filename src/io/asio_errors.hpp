// What the operating system reports, in our terms.
#pragma once
#include <string>

#include <boost/system/error_code.hpp>

#include "base/result.hpp"

namespace kwaai::io {

/// An Error that says `doing`, then what went wrong: "cannot connect to …: connection refused".
[[nodiscard]] Error to_error(const boost::system::error_code& code, std::string doing);

}  // namespace kwaai::io
