// Lines typed by a person, with editing and the history of this session, over libedit.
#pragma once
#include <memory>
#include <optional>
#include <string>

namespace kwaai::cli {

/// Reads from the terminal on stdin and draws on stderr, so that stdout carries answers alone. One
/// at a time.
class LineEditor {
public:
    /// `prompt` is plain text, at most one screen line.
    explicit LineEditor(std::string prompt);
    LineEditor(const LineEditor&) = delete;
    LineEditor& operator=(const LineEditor&) = delete;
    ~LineEditor();

    /// The next line without its end; nothing at the end of input (Ctrl-D). Lines that are not
    /// empty enter the history, of which the last 500 are kept, in memory only.
    [[nodiscard]] std::optional<std::string> read();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kwaai::cli
