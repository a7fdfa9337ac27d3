#include "petals/uuid.hpp"

#include "codec/multibase.hpp"
#include "hivemind/rpc_wire.hpp"

namespace kwaai::petals {

std::string make_uuid() {
    const hivemind::CallId bytes = hivemind::make_call_id();
    std::string text = codec::encode_base(codec::Base::base16, bytes);
    for (const std::size_t dash : {8, 13, 18, 23})
        text.insert(dash, 1, '-');
    return text;
}

}  // namespace kwaai::petals
