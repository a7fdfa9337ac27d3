#include "tensor/packed_matrix.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>

#include "base/check.hpp"
#include "base/checked.hpp"
#include "tensor/panel.hpp"

namespace kwaai::tensor {
namespace {

using kernels::kPanelRows;

// Panels of one task: enough bytes that handing it out costs nothing.
constexpr std::size_t kTaskBytes = 256 << 10;

std::string describe(const MatrixSource& source) {
    return std::string(to_string(source.dtype)) + " matrix [" + std::to_string(source.rows) + ", " +
           std::to_string(source.k) + "]";
}

// The error of the lowest panel that failed, so that the message does not depend on who ran first.
struct Failure {
    std::size_t panel = std::numeric_limits<std::size_t>::max();
    std::optional<Error> error;
};

// Repacks panels of one matrix; one object serves all workers.
class Packer {
public:
    Packer(const MatrixSource& source,
           std::size_t row_bytes,
           std::byte* out,
           std::size_t panel_size)
        : source_(source), row_bytes_(row_bytes), out_(out), panel_bytes_(panel_size) {
        mapped_ = source.bytes->view(source.offset, source.rows * row_bytes);
    }

    /// Memory for 16 rows of each worker, where the source is not addressable.
    Result<void> stage(unsigned workers) {
        if (!mapped_.empty()) return {};
        const auto size = checked_mul<std::size_t>(std::size_t{workers} * kPanelRows, row_bytes_);
        if (!size) {
            return fail(Errc::limit_exceeded,
                        "a " + describe(source_) + " has rows too long to be read in panels");
        }
        HeapSource heap;
        KWAAI_TRY(staging_, heap.allocate(*size));
        return {};
    }

    /// @return the bytes of the file that the panel took
    Result<std::size_t> pack(std::size_t panel, unsigned worker) const {
        const std::size_t first = panel * kPanelRows;
        const std::size_t count = std::min<std::size_t>(kPanelRows, source_.rows - first);
        const std::byte* rows[kPanelRows] = {};
        for (std::size_t r = 0; r < count; ++r) {
            const std::size_t row = source_.source_row == nullptr
                                        ? first + r
                                        : source_.source_row(first + r, source_.head_dim);
            KWAAI_CHECK(row < source_.rows, "source_row names a row of the matrix");
            if (!mapped_.empty()) {
                rows[r] = mapped_.data() + row * row_bytes_;
                continue;
            }
            std::byte* to = staging_.data() + (worker * kPanelRows + r) * row_bytes_;
            KWAAI_CHECKED(source_.bytes->read(source_.offset + row * row_bytes_, {to, row_bytes_}));
            rows[r] = to;
        }
        pack_panel(source_.dtype, rows, source_.k, out_ + panel * panel_bytes_);
        return count * row_bytes_;
    }

private:
    const MatrixSource& source_;
    std::size_t row_bytes_;
    std::byte* out_;
    std::size_t panel_bytes_;
    Bytes mapped_;
    Buffer staging_;
};

Result<void> run(const Packer& packer,
                 std::size_t panels,
                 std::size_t step,
                 Executor& executor,
                 std::atomic<std::uint64_t>* packed_bytes) {
    std::vector<Failure> failures(executor.worker_count());
    executor.run((panels + step - 1) / step, [&](std::size_t task, unsigned worker) {
        const std::size_t last = std::min(panels, (task + 1) * step);
        for (std::size_t panel = task * step; panel < last; ++panel) {
            auto packed = packer.pack(panel, worker);
            if (!packed) {
                Failure& failure = failures[worker];
                if (panel < failure.panel) failure = {panel, std::move(packed).error()};
                return;
            }
            if (packed_bytes != nullptr)
                packed_bytes->fetch_add(*packed, std::memory_order_relaxed);
        }
    });
    const auto first =
        std::min_element(failures.begin(), failures.end(), [](const Failure& a, const Failure& b) {
            return a.panel < b.panel;
        });
    if (first->error) return std::unexpected(std::move(*first->error));
    return {};
}

}  // namespace

kernels::Format packed_format(Dtype dtype) {
    switch (dtype) {
        case Dtype::f32:
        case Dtype::bf16: return kernels::Format::f32;
        case Dtype::f16: return kernels::Format::f16;
        case Dtype::q8_0: return kernels::Format::q8_0;
        case Dtype::q4_0: return kernels::Format::q4_0;
        case Dtype::q4_1: return kernels::Format::q4_1;
        case Dtype::q5_0:
        case Dtype::q5_1:
        case Dtype::q5_k: return kernels::Format::u6;
        case Dtype::q4_k: return kernels::Format::q4_k;
        case Dtype::q6_k: return kernels::Format::q6_k;
    }
    return kernels::Format::f32;
}

Result<PackedMatrix> PackedMatrix::pack(const MatrixSource& source,
                                        BufferSource& memory,
                                        Executor& executor,
                                        std::atomic<std::uint64_t>* packed_bytes) {
    const std::size_t values = block_values(source.dtype);
    KWAAI_CHECK(source.bytes != nullptr, "a matrix has a source");
    if (source.rows == 0 || source.k == 0 || source.k % values != 0) {
        return fail(Errc::malformed,
                    "a " + describe(source) + " is empty or its rows are not whole blocks of " +
                        std::to_string(values) + " values");
    }
    PackedMatrix matrix;
    matrix.rows_ = source.rows;
    matrix.k_ = source.k;
    matrix.dtype_ = source.dtype;
    matrix.format_ = packed_format(source.dtype);
    const auto record = static_cast<std::size_t>(kernels::record_k(matrix.format_));
    matrix.records_ = source.k / record + (source.k % record != 0 ? 1 : 0);

    const std::size_t row_bytes = source.k / values * block_bytes(source.dtype);
    const auto file_bytes = checked_mul(source.rows, row_bytes);
    const auto panel_bytes = checked_mul(matrix.records_, kernels::record_bytes(matrix.format_));
    const auto size = panel_bytes ? checked_mul(*panel_bytes, matrix.panels()) : std::nullopt;
    if (!file_bytes || !size || source.k > std::numeric_limits<int>::max() / 2) {
        return fail(Errc::limit_exceeded,
                    "a " + describe(source) + " is larger than this machine can address");
    }
    if (source.offset > source.bytes->size() ||
        *file_bytes > source.bytes->size() - source.offset) {
        return fail(Errc::malformed,
                    source.bytes->name() + ": a " + describe(source) + " of " +
                        std::to_string(*file_bytes) + " bytes at offset " +
                        std::to_string(source.offset) + " passes the end of the file at " +
                        std::to_string(source.bytes->size()));
    }
    KWAAI_TRY(matrix.buffer_, memory.allocate(*size));
    Packer packer(source, row_bytes, matrix.buffer_.data(), *panel_bytes);
    KWAAI_CHECKED(packer.stage(executor.worker_count()));
    const std::size_t step =
        std::max<std::size_t>(1, kTaskBytes / std::max<std::size_t>(*panel_bytes, 1));
    KWAAI_CHECKED(run(packer, matrix.panels(), step, executor, packed_bytes));
    return matrix;
}

void PackedMatrix::row(std::size_t row, float* out) const {
    KWAAI_CHECK(row < rows_, "row of the matrix");
    unpack_row(dtype_, panel(row / kPanelRows), row % kPanelRows, k_, out);
}

}  // namespace kwaai::tensor
