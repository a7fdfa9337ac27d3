// What both kinds of byte-pair encoding do: merge the best pair of neighbours until none is left.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "inference/tokenizer.hpp"

namespace kwaai::inference {

inline constexpr TokenId kNoToken = 0xFFFFFFFFu;

/// A stretch of the text, in a list of those that follow each other. Merged into its left neighbour
/// it has size 0.
struct Symbol {
    static constexpr std::uint32_t kNone = 0xFFFFFFFFu;

    std::uint32_t begin;  // bytes
    std::uint32_t size;   // bytes
    TokenId token;        // kNoToken where the vocabulary lacks it
    std::uint32_t previous = kNone;
    std::uint32_t next = kNone;
};

/// What two neighbours become; the lowest rank goes first.
struct MergeRule {
    std::uint32_t rank;
    TokenId token;
};

/// The state of a run over one stretch of text, reused from one to the next.
class Merger {
public:
    /// To be filled through `add`, then read after `run`, skipping those of size 0.
    std::vector<Symbol> symbols;

    void add(std::uint32_t begin, std::uint32_t size, TokenId token) {
        symbols.push_back({.begin = begin, .size = size, .token = token});
    }

    /// Merges until `rule(left, right)` has nothing for any two neighbours: the lowest rank first,
    /// of equal ones the leftmost. O(n log n).
    template <class Rule>  // std::optional<MergeRule>(const Symbol& left, const Symbol& right)
    void run(const Rule& rule) {
        link();
        for (std::uint32_t i = 0; i + 1 < symbols.size(); ++i)
            push(i, rule);
        std::ranges::make_heap(heap_, is_later);
        while (!heap_.empty()) {
            std::ranges::pop_heap(heap_, is_later);
            const Candidate best = heap_.back();
            heap_.pop_back();
            if (!is_current(best)) continue;
            merge(best);
            if (const std::uint32_t before = symbols[best.left].previous; before != Symbol::kNone)
                push_heap(before, rule);
            push_heap(best.left, rule);
        }
    }

private:
    struct Candidate {
        std::uint32_t rank;
        std::uint32_t left;
        std::uint32_t size;  // of both symbols, when it was found
        TokenId token;
    };

    static bool is_later(const Candidate& a, const Candidate& b) {
        return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
    }

    void link() {
        heap_.clear();
        for (std::uint32_t i = 0; i < symbols.size(); ++i) {
            symbols[i].previous = i == 0 ? Symbol::kNone : i - 1;
            symbols[i].next = i + 1 == symbols.size() ? Symbol::kNone : i + 1;
        }
    }

    // Symbols only grow until they vanish, so that the sum of the sizes tells whether both
    // neighbours are still those for which the candidate was found.
    [[nodiscard]] bool is_current(const Candidate& candidate) const {
        const Symbol& left = symbols[candidate.left];
        if (left.size == 0 || left.next == Symbol::kNone) return false;
        return left.size + symbols[left.next].size == candidate.size;
    }

    void merge(const Candidate& candidate) {
        Symbol& left = symbols[candidate.left];
        Symbol& right = symbols[left.next];
        left.size = candidate.size;
        left.token = candidate.token;
        right.size = 0;
        left.next = right.next;
        if (left.next != Symbol::kNone) symbols[left.next].previous = candidate.left;
    }

    bool push(std::uint32_t index, const auto& rule) {
        const Symbol& left = symbols[index];
        if (left.next == Symbol::kNone) return false;
        const Symbol& right = symbols[left.next];
        const std::optional<MergeRule> found = rule(left, right);
        if (found) heap_.push_back({found->rank, index, left.size + right.size, found->token});
        return found.has_value();
    }

    void push_heap(std::uint32_t index, const auto& rule) {
        if (push(index, rule)) std::ranges::push_heap(heap_, is_later);
    }

    std::vector<Candidate> heap_;
};

}  // namespace kwaai::inference
