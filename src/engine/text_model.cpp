#include "engine/text_model.hpp"

namespace kwaai::engine {

std::string_view to_string(FinishReason reason) {
    switch (reason) {
        case FinishReason::stop: return "stop";
        case FinishReason::length: return "length";
        case FinishReason::cancelled: return "cancelled";
        case FinishReason::failed: return "failed";
    }
    return "unknown";
}

}  // namespace kwaai::engine
