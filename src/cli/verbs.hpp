// The verbs of the program. Each declares its flags on a sub-command and hands back what it does.
#pragma once
#include <functional>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's
class App;
}

namespace kwaai::cli {

/// What a verb does once its flags are parsed; returns the exit status.
using Action = std::function<int()>;

Action add_run(CLI::App& verb);
Action add_serve(CLI::App& verb);
Action add_demo(CLI::App& verb);
Action add_id(CLI::App& verb);
Action add_ping(CLI::App& verb);
Action add_p2p(CLI::App& verb);
Action add_inspect(CLI::App& verb);
Action add_tokenize(CLI::App& verb);
Action add_bench(CLI::App& verb);

}  // namespace kwaai::cli
