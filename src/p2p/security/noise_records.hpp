// The channel after the handshake: frames of a 16-bit length (big end first) and that many sealed
// bytes. Buffers grow to their bound, and shrink once they are little used: no allocation per
// record.
#pragma once
#include <optional>
#include <span>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "codec/buffer.hpp"
#include "p2p/security/noise_state.hpp"

namespace kwaai::p2p {

constexpr std::size_t kNoiseLengthBytes = 2;
constexpr std::size_t kRecordBytesMax = kNoiseLengthBytes + kNoiseMessageBytesMax;
constexpr std::size_t kRecordsPerFlight = 5;  // a muxer's batch of 256 KiB in one write
constexpr std::size_t kIdleBytes = 1024;      // what a quiet direction keeps
constexpr std::size_t kQuietTimes = 64;       // uses in a row that would fit it

/// The bytes of several parts, taken from the front.
class PartsReader {
public:
    /// The list and what it refers to outlive the reader.
    explicit PartsReader(std::span<const Bytes> parts);

    [[nodiscard]] std::size_t remaining() const { return remaining_; }

    /// The next `count` bytes: a view into a part, or, where they lie in several, into `scratch`
    /// [at least count], to which they are copied.
    Bytes take(std::size_t count, MutableBytes scratch);

private:
    std::span<const Bytes> parts_;
    std::size_t offset_ = 0;  // in the first part
    std::size_t remaining_ = 0;
};

/// Seals what is sent.
class RecordSealer {
public:
    explicit RecordSealer(NoiseCipher cipher) : cipher_(std::move(cipher)) {}

    /// Puts bytes in front of the next flight: the handshake's last message.
    void hold(codec::Buffer bytes) { held_ = std::move(bytes); }

    [[nodiscard]] bool is_holding() const { return !held_.empty(); }

    /// What is held, then records of as much of `parts` as kRecordsPerFlight carry; valid until the
    /// next call. Errors of NoiseCipher::seal.
    [[nodiscard]] Result<Bytes> next_flight(PartsReader& parts);

private:
    NoiseCipher cipher_;
    codec::Buffer held_;
    codec::Buffer flight_;
    std::size_t quiet_ = 0;  // small flights in a row
};

/// Opens what arrives. After an error it is not used again.
class RecordOpener {
public:
    /// @param residue bytes that came right behind the handshake
    RecordOpener(NoiseCipher cipher, Bytes residue);

    /// Where the next bytes of the transport are to be put, not empty. Ends the last view of
    /// next(), which gave nothing.
    [[nodiscard]] MutableBytes space();
    /// `count` bytes were put there.
    void commit(std::size_t count);

    /// The plaintext of the next record that has any: at the front of `into` where that has room
    /// for it, else in place, valid until space(). Nothing where more bytes are needed.
    /// `Errc::malformed` for a record that is not authentic.
    [[nodiscard]] Result<std::optional<Bytes>> next(MutableBytes into = {});

    /// Whether a record has begun and not ended.
    [[nodiscard]] bool is_inside_record() const { return begin_ != end_; }

private:
    /// Bytes of the frame at the front, as far as they are known.
    [[nodiscard]] std::size_t frame_bytes() const;

    NoiseCipher cipher_;
    codec::Buffer buffer_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::size_t quiet_ = 0;  // small reads in a row
    bool is_busy_ = false;   // the last read filled all the space there was
};

}  // namespace kwaai::p2p
