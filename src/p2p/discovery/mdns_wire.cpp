#include "p2p/discovery/mdns_wire.hpp"

#include <algorithm>
#include <string_view>

#include "base/check.hpp"

namespace kwaai::p2p {
namespace {

constexpr std::size_t kHeaderBytes = 12;
constexpr std::size_t kNameBytesMax = 255;
constexpr std::size_t kLabelBytesMax = 63;
constexpr std::size_t kTxtBytesMax = 255;
constexpr unsigned kPointer = 0xc0;
constexpr std::uint16_t kResponse = 0x8400;  // a response, with authority
constexpr std::uint16_t kClassIn = 1;
constexpr std::uint16_t kCacheFlush = 0x8000;

std::unexpected<Error> cut() {
    return fail(Errc::malformed, "dns: the message is cut");
}

/// Reads from front to back, names also from before.
class Reader {
public:
    explicit Reader(Bytes message) : message_(message) {}

    [[nodiscard]] std::size_t position() const { return position_; }

    Result<std::uint8_t> u8() {
        if (position_ >= message_.size()) return cut();
        return std::to_integer<std::uint8_t>(message_[position_++]);
    }

    Result<std::uint16_t> u16() {
        KWAAI_TRY(const unsigned high, u8());
        KWAAI_TRY(const unsigned low, u8());
        return static_cast<std::uint16_t>(high << 8 | low);
    }

    Result<std::uint32_t> u32() {
        KWAAI_TRY(const std::uint32_t high, u16());
        KWAAI_TRY(const std::uint32_t low, u16());
        return high << 16 | low;
    }

    Result<Bytes> bytes(std::size_t count) {
        if (count > message_.size() - position_) return cut();
        const Bytes part = message_.subspan(position_, count);
        position_ += count;
        return part;
    }

    /// Each pointer leads before the name or the pointer that led there: there is no loop.
    Result<std::string> name() {
        std::string text;
        std::size_t limit = position_;
        std::size_t behind = 0;  // where reading goes on after the first pointer
        while (true) {
            KWAAI_TRY(const unsigned length, u8());
            if (length == 0) break;
            if ((length & kPointer) == kPointer) {
                KWAAI_TRY(const unsigned low, u8());
                const std::size_t target = (length & ~kPointer) << 8 | low;
                if (target >= limit) return fail(Errc::malformed, "dns: a pointer forwards");
                if (behind == 0) behind = position_;
                limit = position_ = target;
                continue;
            }
            if (length > kLabelBytesMax) return fail(Errc::malformed, "dns: a label too long");
            KWAAI_TRY(const Bytes label, bytes(length));
            if (!text.empty()) text += '.';
            text += as_text(label);
            if (text.size() > kNameBytesMax) return fail(Errc::malformed, "dns: a name too long");
        }
        if (behind != 0) position_ = behind;
        std::ranges::transform(text, text.begin(), [](char letter) {
            return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
        });
        return text;
    }

private:
    Bytes message_;
    std::size_t position_ = 0;
};

Result<> read_texts(Bytes data, std::vector<std::string>& texts) {
    Reader reader(data);
    while (reader.position() < data.size()) {
        KWAAI_TRY(const std::size_t length, reader.u8());
        KWAAI_TRY(const Bytes text, reader.bytes(length));
        if (texts.size() < kDnsTextsMax) texts.emplace_back(as_text(text));
    }
    return {};
}

Result<> read_record(Reader& reader, DnsMessage& message) {
    DnsRecord record;
    KWAAI_TRY(record.name, reader.name());
    KWAAI_TRY(record.type, reader.u16());
    KWAAI_TRY(const std::uint16_t record_class, reader.u16());
    KWAAI_TRY(record.ttl_s, reader.u32());
    KWAAI_TRY(const std::size_t size, reader.u16());
    const std::size_t begin = reader.position();
    if (record.type == kDnsPtr) {
        KWAAI_TRY(record.target, reader.name());
        if (reader.position() != begin + size)
            return fail(Errc::malformed, "dns: a name longer than its record");
    } else {
        KWAAI_TRY(const Bytes data, reader.bytes(size));
        if (record.type == kDnsTxt) {
            KWAAI_CHECKED(read_texts(data, record.texts));
        }
    }
    const bool is_wanted = record.type == kDnsPtr || record.type == kDnsTxt;
    if (is_wanted && (record_class & ~kCacheFlush) == kClassIn &&
        message.records.size() < kDnsRecordsMax)
        message.records.push_back(std::move(record));
    return {};
}

class Writer {
public:
    explicit Writer(codec::Buffer& out) : out_(out) {}

    void u8(std::size_t value) { out_.push_back(static_cast<std::byte>(value)); }

    void u16(std::size_t value) {
        u8(value >> 8);
        u8(value & 0xff);
    }

    void name(std::string_view text) {
        while (!text.empty()) {
            const std::string_view label = text.substr(0, text.find('.'));
            KWAAI_CHECK(label.size() <= kLabelBytesMax, "a label of DNS has at most 63 bytes");
            u8(label.size());
            codec::append(out_, label);
            text.remove_prefix(std::min(label.size() + 1, text.size()));
        }
        u8(0);
    }

    void record(const DnsRecord& record) {
        name(record.name);
        u16(record.type);
        u16(record.type == kDnsPtr ? kClassIn : kClassIn | kCacheFlush);
        u16(record.ttl_s >> 16);
        u16(record.ttl_s & 0xffff);
        const std::size_t size_at = out_.size();
        u16(0);
        if (record.type == kDnsA) codec::append(out_, Bytes(record.ip));
        if (record.type == kDnsSrv) {
            u16(0);  // priority
            u16(0);  // weight
            u16(record.port);
        }
        if (record.type == kDnsPtr || record.type == kDnsSrv) name(record.target);
        for (const std::string& text : record.texts) {
            KWAAI_CHECK(text.size() <= kTxtBytesMax, "a text of DNS has at most 255 bytes");
            u8(text.size());
            codec::append(out_, text);
        }
        const std::size_t size = out_.size() - size_at - 2;
        out_[size_at] = static_cast<std::byte>(size >> 8);
        out_[size_at + 1] = static_cast<std::byte>(size & 0xff);
    }

private:
    codec::Buffer& out_;
};

}  // namespace

Result<DnsMessage> decode_dns(Bytes bytes) {
    Reader reader(bytes);
    KWAAI_CHECKED(reader.u16());  // of no meaning in mDNS
    KWAAI_TRY(const unsigned flags, reader.u16());
    KWAAI_TRY(const std::size_t questions, reader.u16());
    std::size_t records = 0;
    for (int section = 0; section < 3; ++section) {
        KWAAI_TRY(const std::size_t count, reader.u16());
        records += count;
    }
    DnsMessage message{.is_response = (flags & 0x8000) != 0, .questions = {}, .records = {}};
    for (std::size_t i = 0; i < questions; ++i) {
        DnsQuestion question;
        KWAAI_TRY(question.name, reader.name());
        KWAAI_TRY(question.type, reader.u16());
        KWAAI_CHECKED(reader.u16());
        if (message.questions.size() < kDnsQuestionsMax)
            message.questions.push_back(std::move(question));
    }
    for (std::size_t i = 0; i < records; ++i)
        KWAAI_CHECKED(read_record(reader, message));
    return message;
}

codec::Buffer encode_dns(const DnsMessage& message) {
    codec::Buffer out;
    out.reserve(kHeaderBytes);
    Writer writer(out);
    writer.u16(0);
    writer.u16(message.is_response ? kResponse : 0);
    writer.u16(message.questions.size());
    writer.u16(message.records.size());
    writer.u16(0);
    writer.u16(0);
    for (const DnsQuestion& question : message.questions) {
        writer.name(question.name);
        writer.u16(question.type);
        writer.u16(kClassIn);
    }
    for (const DnsRecord& record : message.records)
        writer.record(record);
    return out;
}

}  // namespace kwaai::p2p
