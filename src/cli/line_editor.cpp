#include "cli/line_editor.hpp"

#include <clocale>
#include <cstdio>
#include <string_view>

#include <histedit.h>
#include <langinfo.h>

#include "base/check.hpp"

namespace kwaai::cli {
namespace {

constexpr int kHistoryLinesMax = 500;

/// libedit decodes what is typed by the locale: without one it would refuse everything but ASCII.
void prefer_utf8() {
    std::setlocale(LC_CTYPE, "");
    if (std::string_view(::nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
}

}  // namespace

struct LineEditor::Impl {
    std::string prompt;
    EditLine* editor = nullptr;
    History* history = nullptr;
};

LineEditor::LineEditor(std::string prompt) : impl_(std::make_unique<Impl>()) {
    prefer_utf8();
    impl_->prompt = std::move(prompt);
    impl_->editor = ::el_init("kwaai", stdin, stderr, stderr);
    impl_->history = ::history_init();
    KWAAI_CHECK(impl_->editor != nullptr && impl_->history != nullptr, "libedit starts");
    HistEvent event;
    ::history(impl_->history, &event, H_SETSIZE, kHistoryLinesMax);
    ::el_set(impl_->editor, EL_CLIENTDATA, impl_.get());
    char* (*const draw)(EditLine*) = [](EditLine* editor) {
        Impl* impl = nullptr;
        ::el_get(editor, EL_CLIENTDATA, &impl);
        return impl->prompt.data();
    };
    ::el_set(impl_->editor, EL_PROMPT, draw);
    ::el_set(impl_->editor, EL_EDITOR, "emacs");
    ::el_set(impl_->editor, EL_HIST, ::history, impl_->history);
    // Ctrl-D typed while an answer was written, outside raw mode, arrives as a NUL: it means the
    // same.
    ::el_set(impl_->editor, EL_BIND, "^@", "em-delete-or-list", nullptr);
    ::el_source(impl_->editor, nullptr);  // the user's ~/.editrc
}

LineEditor::~LineEditor() {
    ::history_end(impl_->history);
    ::el_end(impl_->editor);
}

std::optional<std::string> LineEditor::read() {
    // libedit itself shows the prompt before it takes the terminal over; keys typed between were
    // lost.
    ::el_set(impl_->editor, EL_PREP_TERM, 1);
    int count = 0;
    const char* typed = ::el_gets(impl_->editor, &count);
    if (typed == nullptr || count <= 0) return std::nullopt;
    std::string line(typed, static_cast<std::size_t>(count));
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r'))
        line.pop_back();
    if (!line.empty()) {
        HistEvent event;
        ::history(impl_->history, &event, H_ENTER, line.c_str());
    }
    return line;
}

}  // namespace kwaai::cli
