#include "engine/engine.hpp"

#include <condition_variable>
#include <fstream>
#include <mutex>

#include <doctest/doctest.h>

#include "testing/fixtures.hpp"

namespace kwaai::engine {
namespace {

// Collects the events of one request and waits for the last.
class Collector {
public:
    std::function<void(const Event&)> handler() {
        return [this](const Event& event) {
            const std::scoped_lock lock(mutex_);
            all_.text += event.text;
            all_.tokens.insert(all_.tokens.end(), event.tokens.begin(), event.tokens.end());
            ++events_;
            if (event.finish) {
                all_.finish = event.finish;
                all_.stats = event.stats;
                all_.error = event.error;
            }
            changed_.notify_all();
        };
    }

    const Event& wait() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return all_.finish.has_value(); });
        return all_;
    }

    void wait_for_tokens(std::size_t count) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return all_.finish || all_.tokens.size() >= count; });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    Event all_;
    std::size_t events_ = 0;
};

std::unique_ptr<Engine> load(const std::string& path, const EngineOptions& options = {}) {
    auto engine = Engine::load(path, options);
    REQUIRE_MESSAGE(engine.has_value(), (engine ? std::string() : engine.error().context));
    return std::move(*engine);
}

Request story(const Engine& engine,
              std::string_view beginning,
              std::uint64_t seed = 1,
              std::uint32_t tokens = 60) {
    Request request;
    request.prompt = engine.tokenizer().encode(beginning, {});
    request.sampling.seed = seed;
    request.max_tokens = tokens;
    return request;
}

Event run(Engine& engine, Request request) {
    Collector collector;
    const auto id = engine.submit(std::move(request), collector.handler());
    REQUIRE(id.has_value());
    return collector.wait();
}

TEST_CASE("a request writes its text, and the same seed writes it again") {
    KWAAI_FIXTURE(path, testing::kStories);
    const auto engine = load(path);
    const Event first = run(*engine, story(*engine, "Once upon a time"));
    CHECK(first.finish == FinishReason::length);
    CHECK(first.stats.completion_tokens == 60);
    CHECK(first.tokens.size() == 60);
    CHECK(first.text.size() > 40);
    CHECK(run(*engine, story(*engine, "Once upon a time")).text == first.text);
    CHECK(run(*engine, story(*engine, "Once upon a time", 2)).text != first.text);
}

TEST_CASE("requests in company get the texts that they get alone") {
    KWAAI_FIXTURE(path, testing::kStories);
    const auto engine = load(path, {.threads = 2});
    constexpr std::size_t kRequests = 12;
    std::vector<std::string> alone;
    const auto request = [&](std::size_t i) {
        return story(*engine,
                     std::string(i * 17, 'a') + "Lily had a dog",
                     i,
                     20 + static_cast<std::uint32_t>(i) * 7);
    };
    for (std::size_t i = 0; i < kRequests; ++i)
        alone.push_back(run(*engine, request(i)).text);
    std::vector<Collector> collectors(kRequests);
    for (std::size_t i = 0; i < kRequests; ++i)
        REQUIRE(engine->submit(request(i), collectors[i].handler()));
    for (std::size_t i = 0; i < kRequests; ++i)
        CHECK(collectors[i].wait().text == alone[i]);
}

TEST_CASE(
    "a prompt that begins like an earlier one is not computed again, and its text is the same") {
    KWAAI_FIXTURE(path, testing::kStories);
    const auto engine = load(path);
    const std::string beginning =
        "One day, Tom and his big red ball went to the park to play with the other kids. ";
    Request plain = story(*engine, beginning + "Tom");
    plain.reuse_prefix = false;
    const Event fresh = run(*engine, plain);
    CHECK(fresh.stats.reused_tokens == 0);
    run(*engine, story(*engine, beginning + "Sam"));
    const Event again = run(*engine, story(*engine, beginning + "Tom"));
    CHECK(again.stats.reused_tokens >= 16);
    CHECK(again.text == fresh.text);
}

TEST_CASE("a text that continues its prompt keeps the space before its first word") {
    KWAAI_FIXTURE(path, testing::kStories);
    const auto engine = load(path);
    Request request = story(*engine, "Once upon a");
    request.sampling.temperature = 0;
    const std::string answer = run(*engine, request).text;
    CHECK(answer.starts_with("time"));
    request.continues_prompt = true;
    CHECK(run(*engine, request).text == " " + answer);
}

TEST_CASE("a stop string ends the text before it") {
    KWAAI_FIXTURE(path, testing::kStories);
    const auto engine = load(path);
    Request request = story(*engine, "Once upon a time");
    request.sampling.temperature = 0;
    const std::string whole = run(*engine, request).text;
    const std::string stop = whole.substr(20, 4);
    request.stops = {stop};
    const Event stopped = run(*engine, request);
    CHECK(stopped.finish == FinishReason::stop);
    CHECK(stopped.text == whole.substr(0, whole.find(stop)));
}

TEST_CASE("cancelling ends a request, and the others go on") {
    KWAAI_FIXTURE(path, testing::kStories);
    const auto engine = load(path);
    Request endless = story(*engine, "Once upon a time", 1, 400);
    endless.ignore_end = true;
    Collector cancelled;
    Collector kept;
    const auto id = engine->submit(endless, cancelled.handler());
    REQUIRE(id.has_value());
    REQUIRE(engine->submit(story(*engine, "The cat", 3, 40), kept.handler()));
    cancelled.wait_for_tokens(3);
    engine->cancel(*id);
    CHECK(cancelled.wait().finish == FinishReason::cancelled);
    CHECK(kept.wait().finish != FinishReason::cancelled);
    engine->cancel(*id);
    CHECK(run(*engine, story(*engine, "The cat", 3, 40)).tokens == kept.wait().tokens);
}

TEST_CASE("destroying the engine cancels what runs and what waits") {
    KWAAI_FIXTURE(path, testing::kStories);
    auto engine = load(path);
    std::vector<Collector> collectors(6);
    for (Collector& collector : collectors) {
        Request endless = story(*engine, "Once upon a time", 1, 400);
        endless.ignore_end = true;
        REQUIRE(engine->submit(endless, collector.handler()));
    }
    engine.reset();
    for (Collector& collector : collectors)
        CHECK(collector.wait().finish == FinishReason::cancelled);
}

TEST_CASE("more requests than there is cache for wait their turn") {
    KWAAI_FIXTURE(path, testing::kStories);
    const auto engine = load(path, {.context = 128, .kv_bytes_max = 1});  // room for one context
    std::vector<Collector> collectors(5);
    for (std::size_t i = 0; i < collectors.size(); ++i)
        REQUIRE(
            engine->submit(story(*engine, "Once upon a time", i, 100), collectors[i].handler()));
    for (Collector& collector : collectors)
        CHECK(collector.wait().finish != FinishReason::failed);
    CHECK(engine->stats().kv_bytes_used <= engine->stats().kv_bytes_max);
}

TEST_CASE("what cannot run is refused with numbers") {
    KWAAI_FIXTURE(path, testing::kStories);
    const auto engine = load(path, {.context = 32, .requests_max = 1});
    const auto ignore = [](const Event&) {
    };
    CHECK(engine->submit({}, ignore).error().code == Errc::invalid_argument);
    Request request = story(*engine, std::string(200, 'x'));
    const auto too_long = engine->submit(request, ignore);
    REQUIRE(!too_long);
    CHECK(too_long.error().code == Errc::limit_exceeded);
    CHECK(too_long.error().context.find("the context only 32") != std::string::npos);
    request.prompt = {100000};
    CHECK(engine->submit(request, ignore).error().code == Errc::invalid_argument);
    request = story(*engine, "a", 1, 20);
    request.sampling.top_p = 7;
    CHECK(engine->submit(request, ignore).error().code == Errc::invalid_argument);

    Collector first;
    Request endless = story(*engine, "a", 1, 30);
    endless.ignore_end = true;
    std::mutex gate;
    gate.lock();
    const auto held = first.handler();
    REQUIRE(engine->submit(endless, [&](const Event& event) {
        const std::scoped_lock wait(gate);
        held(event);
    }));
    const auto refused = engine->submit(endless, ignore);
    gate.unlock();
    REQUIRE(!refused);
    CHECK(refused.error().code == Errc::unavailable);
    first.wait();

    CHECK(Engine::load("/nonexistent.gguf", {}).error().code == Errc::not_found);
    CHECK(Engine::load(path, {.context = 100000}).error().code == Errc::invalid_argument);
}

}  // namespace
}  // namespace kwaai::engine
