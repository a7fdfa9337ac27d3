// The inside of SimNetwork: one direction of a connection, and the state that all hosts share.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "io/event.hpp"
#include "testing/read_splitter.hpp"
#include "testing/sim_network.hpp"

namespace kwaai::testing {

class SimFlow;
class SimHost;
class SimNat;

using HostIndex = std::uint32_t;
using HostPair = std::pair<HostIndex, HostIndex>;  // from, to

/// What the last segment of a direction says.
enum class SimEnding : std::uint8_t {
    none,
    finished,  // no more bytes; the other direction goes on
    gone,      // closed: what comes back meets nobody
    broken,    // reset: bytes that were not read are lost
};

struct SimWorld {
    SimWorld(VirtualClock& its_clock, const SimNetworkOptions& its_options);
    ~SimWorld();

    struct Line {
        SimLink link;
        io::TimePoint is_free_at{};
    };

    [[nodiscard]] HostIndex index_of(const std::string& ip);
    [[nodiscard]] Line& line(HostPair pair);
    [[nodiscard]] bool is_blocked(HostPair pair) const;
    /// Lets segments go on that had found their way blocked.
    void resume();
    void record(HostPair pair, std::uint64_t size);

    VirtualClock& clock;
    SimNetworkOptions options;
    std::vector<std::unique_ptr<SimHost>> hosts;
    std::map<std::string, HostIndex> indices;
    std::map<std::string, std::unique_ptr<SimNat>> nats;  // by the address outside
    std::map<std::string, std::vector<std::string>> names;
    std::map<std::string, std::vector<std::string>> texts;  // TXT records by name
    std::map<HostPair, Line> lines;
    std::set<HostPair> cuts;
    std::set<HostIndex> frozen;
    std::set<HostPair> garbage;
    std::map<std::uint64_t, SimFlow*> flows;  // by number: the order of their start
    std::uint64_t next_number = 1;
    std::uint64_t trace = 0;
    std::uint64_t deliveries = 0;
};

/// One direction. Segments leave in order and arrive in order; each arrival is one call of the
/// clock.
class SimFlow : public std::enable_shared_from_this<SimFlow> {
public:
    SimFlow(std::shared_ptr<SimWorld> world, HostPair pair);
    SimFlow(const SimFlow&) = delete;
    SimFlow& operator=(const SimFlow&) = delete;
    ~SimFlow();

    void set_reverse(const std::shared_ptr<SimFlow>& reverse) { reverse_ = reverse; }

    [[nodiscard]] std::shared_ptr<SimFlow> reverse() const { return reverse_.lock(); }

    [[nodiscard]] HostPair pair() const { return pair_; }

    // The sender's side.
    [[nodiscard]] std::size_t room() const;

    [[nodiscard]] bool is_writable() const {
        return !is_unwanted_ && ending_sent_ == SimEnding::none;
    }

    /// Takes as much as there is room for.
    void send(Bytes bytes);
    void end(SimEnding ending);

    // The receiver's side.
    [[nodiscard]] bool has_news() const;

    [[nodiscard]] bool is_broken() const { return ending_ == SimEnding::broken; }

    /// Bytes that arrived; 0 where there are none.
    std::size_t take(MutableBytes into);
    /// Nobody will read: what arrives is dropped.
    void discard();

    /// The end of the connection that receives this flow is broken, at once.
    void break_receiver();
    void resume();

    [[nodiscard]] io::Event& changed() { return changed_; }

private:
    struct Segment {
        std::vector<std::byte> bytes;
        SimEnding ending = SimEnding::none;
        io::TimePoint due;
    };

    [[nodiscard]] io::TimePoint due_of(std::size_t size);
    void push(Segment segment);
    void schedule();
    void deliver();
    void arrive(Segment segment);

    std::shared_ptr<SimWorld> world_;
    HostPair pair_;
    std::uint64_t number_;
    std::weak_ptr<SimFlow> reverse_;
    CounterRandom random_;
    ReadSplitter splitter_;

    std::deque<Segment> under_way_;
    std::size_t bytes_under_way_ = 0;
    io::TimePoint last_due_{};
    bool is_scheduled_ = false;
    bool is_stalled_ = false;
    bool is_unwanted_ = false;  // the sender knows that nobody reads
    SimEnding ending_sent_ = SimEnding::none;

    std::vector<std::byte> arrived_;
    std::size_t read_ = 0;  // bytes at the front of arrived_ that were taken
    bool is_discarding_ = false;
    SimEnding ending_ = SimEnding::none;
    io::Event changed_;
};

/// One end of a connection.
[[nodiscard]] std::unique_ptr<io::Stream> make_sim_stream(std::shared_ptr<SimFlow> in,
                                                          std::shared_ptr<SimFlow> out,
                                                          std::string peer);

}  // namespace kwaai::testing
