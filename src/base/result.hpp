// Errors are values. `Result<T>` carries either a T or an `Error`: a code to act on and a sentence
// for people.
#pragma once
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace kwaai {

/// What went wrong, as far as a caller may act on it. Detail for people goes to `Error::context`.
enum class Errc : std::uint8_t {
    invalid_argument,  ///< the caller's fault
    malformed,         ///< the peer's or the file's fault: bytes that break their format
    unsupported,       ///< well-formed, but something this build does not do
    not_found,
    timed_out,
    unavailable,  ///< try again later or elsewhere
    cancelled,
    closed,
    limit_exceeded,
    wrong_peer,  ///< somebody else than was asked for is there
    io,
};

/// The code in words, e.g. "not found".
[[nodiscard]] std::string_view to_string(Errc code);

struct [[nodiscard]] Error {
    Errc code;
    std::string context;

    /// Prepends what the caller was doing: "loading model: reading header: truncated".
    Error with(std::string_view doing) && {
        context.insert(0, ": ").insert(0, doing);
        return std::move(*this);
    }
};

template <class T = void>
using Result = std::expected<T, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(Errc code, std::string context) {
    Error error{code, std::move(context)};
    return std::unexpected<Error>(std::move(error));
}

/// The error of a failed result, moved out, to be returned from a function of another result type.
template <class T>
[[nodiscard]] std::unexpected<Error> forward_error(Result<T>& result) {
    return std::unexpected<Error>(std::move(result).error());
}

/// As above, with what the caller was doing put in front.
template <class T>
[[nodiscard]] std::unexpected<Error> forward_error(Result<T>& result, std::string_view doing) {
    return std::unexpected<Error>(std::move(result).error().with(doing));
}

}  // namespace kwaai

// The names with a trailing underscore are for the macros below alone; parentheses would break
// declarations. NOLINTBEGIN(readability-identifier-naming,bugprone-macro-parentheses)
#define KWAAI_CAT_(a, b) a##b
#define KWAAI_CAT(a, b) KWAAI_CAT_(a, b)
#define KWAAI_TRY_IMPL_(ret, decl, expr, tmp)              \
    auto tmp = (expr);                                     \
    if (!tmp) ret std::unexpected(std::move(tmp).error()); \
    decl = std::move(*tmp)
#define KWAAI_TRY_VOID_IMPL_(ret, expr, tmp) \
    auto tmp = (expr);                       \
    if (!tmp) ret std::unexpected(std::move(tmp).error())
// One statement, so that it may follow `if` or `for` without braces (the switch keeps an `else`
// behind it apart); coroutines must not await in a condition.
#define KWAAI_CHECKED_IMPL_(expr, tmp) \
    switch (0)                         \
    default:                           \
        if (auto tmp = (expr); tmp) {  \
        } else                         \
            return std::unexpected(std::move(tmp).error())
/// `KWAAI_TRY(auto x, f());` or `KWAAI_CHECKED(f());`, and the KWAAI_CO_ forms inside coroutines.
#define KWAAI_TRY(decl, expr) \
    KWAAI_TRY_IMPL_(return, decl, expr, KWAAI_CAT(kwaai_try_, __COUNTER__))
#define KWAAI_CO_TRY(decl, expr) \
    KWAAI_TRY_IMPL_(co_return, decl, expr, KWAAI_CAT(kwaai_try_, __COUNTER__))
#define KWAAI_CHECKED(expr) KWAAI_CHECKED_IMPL_(expr, KWAAI_CAT(kwaai_try_, __COUNTER__))
#define KWAAI_CO_CHECKED(expr) \
    KWAAI_TRY_VOID_IMPL_(co_return, expr, KWAAI_CAT(kwaai_try_, __COUNTER__))
// NOLINTEND(readability-identifier-naming,bugprone-macro-parentheses)
