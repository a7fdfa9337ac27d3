#include "petals/backend_step.hpp"

#include <memory>
#include <optional>
#include <utility>

#include "io/event.hpp"

namespace kwaai::petals {
namespace {

// Shared, since the backend may answer when the frame that waits has gone. Touched on the loop's
// thread alone.
struct Answer {
    io::Event arrived;
    std::optional<Result<std::vector<float>>> rows;
};

}  // namespace

io::Task<Result<std::vector<float>>> compute_step(io::Loop& loop,
                                                  engine::BlockBackend& backend,
                                                  engine::BlockStep step) {
    const auto answer = std::make_shared<Answer>();
    backend.submit(std::move(step), [&loop, answer](Result<std::vector<float>> rows) mutable {
        loop.post([answer = std::move(answer), rows = std::move(rows)]() mutable {
            answer->rows.emplace(std::move(rows));
            answer->arrived.notify_all();
        });
    });
    while (!answer->rows)
        co_await answer->arrived.wait();
    co_return std::move(*answer->rows);
}

}  // namespace kwaai::petals
