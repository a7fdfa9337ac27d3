// How a document lies in memory: one array of 16-byte nodes in document order and one string.
// Private to this room.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kwaai::json {

enum class NodeType : std::uint8_t {
    null,
    boolean,
    negative,  // integers below zero, as i64
    natural,   // other integers, as u64
    real,
    string,  // also the key that stands before each value of an object
    array,
    object,
};

/// A value is its node and, for arrays and objects, all nodes up to `Container::end`.
struct Node {
    struct Text {
        std::uint32_t offset;
        std::uint32_t size;
    };

    struct Container {
        std::uint32_t end;    // the node after the last one inside
        std::uint32_t index;  // into Tape::containers
    };

    NodeType type;

    union {
        bool boolean;
        std::int64_t negative;
        std::uint64_t natural;
        double real;
        Text text;
        Container container;
    };
};

static_assert(sizeof(Node) == 16);

struct Tape {
    struct Container {
        std::uint32_t size;   // elements or members
        std::uint32_t order;  // where its part of `order` begins; objects of more than
                              // kSmallObject members only
    };

    /// Objects up to this many members are searched one by one.
    static constexpr std::uint32_t kSmallObject = 16;

    std::vector<Node> nodes;
    std::vector<Container> containers;
    std::vector<std::uint32_t> order;  // key nodes of each large object, sorted by key
    std::string text;                  // all strings, unescaped, one after the other

    [[nodiscard]] std::string_view text_of(std::uint32_t node) const {
        return std::string_view(text).substr(nodes[node].text.offset, nodes[node].text.size);
    }

    /// The node after the value at `node`.
    [[nodiscard]] std::uint32_t next(std::uint32_t node) const {
        const Node& at = nodes[node];
        const bool is_container = at.type == NodeType::array || at.type == NodeType::object;
        return is_container ? at.container.end : node + 1;
    }

    [[nodiscard]] const Container& container_of(std::uint32_t node) const {
        return containers[nodes[node].container.index];
    }
};

}  // namespace kwaai::json
