#include <algorithm>

#include "base/check.hpp"
#include "base/checked.hpp"
#include "tensor/packed_matrix.hpp"

// The products of a batch of rows: how panels and rows are cut into tasks and tiles. The bits do
// not depend on any of it.
namespace kwaai::tensor {
namespace {

using kernels::Act;
using kernels::Format;
using kernels::kBlock;
using kernels::kPanelRows;
using kernels::kSuperBlock;
using kernels::kWideChunk;
using kernels::Wide;

constexpr std::size_t kRowBlock = 128;       // rows whose quantised activations fit the L2 cache
constexpr std::size_t kTasksPerWorker = 8;   // so that the last one to finish is not late
constexpr std::size_t kTaskWork = 64 << 10;  // bytes of weights times tiles: a few microseconds
constexpr std::size_t kSerialValues = 16 << 10;  // activations quantised faster than handed out
constexpr int kPrefetchBytes = 6144;
constexpr std::size_t kPrefetchRowsMax = 16;

// Whether a panel is unpacked once per chunk rather than once per tile: for the formats whose
// scales cost most to unpack it gains 10 %, for the others it loses as much.
bool widens(Format format, std::size_t rows) {
    return (format == Format::q6_k || format == Format::q4_k) &&
           rows >= static_cast<std::size_t>(kernels::kWideRowsMin);
}

// One panel of one product.
struct Job {
    const PackedMatrix* weights;
    const std::byte* panel;
    float* out;  // column of the panel's first row
    std::size_t out_stride;
};

class Multiplier {
public:
    Multiplier(const ActivationRows& x, const kernels::Isa& isa)
        : x_(x), isa_(isa), tile_rows_(static_cast<std::size_t>(isa.tile_rows_max)) {
        const bool few = x.rows() > 1 && x.rows() <= kPrefetchRowsMax;
        prefetch_bytes_ = few ? kPrefetchBytes : 0;  // a single row streams well by itself
    }

    // Rows [first, last) of the activations.
    void run(const Job& job, std::size_t first, std::size_t last, Wide* scratch) const {
        const Format format = job.weights->format();
        if (kernels::is_float(format)) return run_float(job, first, last);
        if (widens(format, x_.rows())) return run_wide(job, first, last, scratch);
        for (std::size_t row = first; row < last; row += tile_rows_) {
            isa_.multiply(format,
                          job.panel,
                          static_cast<int>(job.weights->records()),
                          tile(job, row, 0),
                          prefetch_bytes_);
        }
    }

private:
    [[nodiscard]] int rows_of(std::size_t row) const {
        return static_cast<int>(std::min(tile_rows_, x_.rows() - row));
    }

    // The tile that starts at `row`, from block `block` on.
    [[nodiscard]] kernels::Tile tile(const Job& job, std::size_t row, std::size_t block) const {
        const int rows = rows_of(row);
        return {x_.tile(row) + block * static_cast<std::size_t>(rows),
                job.out + row * job.out_stride,
                job.out_stride,
                rows};
    }

    void run_float(const Job& job, std::size_t first, std::size_t last) const {
        for (std::size_t row = first; row < last; row += tile_rows_) {
            const kernels::FloatTile tile{x_.x() + row * x_.stride(),
                                          x_.stride(),
                                          job.out + row * job.out_stride,
                                          job.out_stride,
                                          rows_of(row),
                                          prefetch_bytes_};
            isa_.multiply_float(job.weights->format(), job.panel, static_cast<int>(x_.k()), tile);
        }
    }

    void run_wide(const Job& job, std::size_t first, std::size_t last, Wide* scratch) const {
        const Format format = job.weights->format();
        const auto blocks_of = static_cast<std::size_t>(kernels::record_k(format) / kBlock);
        const std::size_t step = kWideChunk / blocks_of;
        for (std::size_t record = 0; record < job.weights->records(); record += step) {
            const std::size_t count = std::min(step, job.weights->records() - record);
            isa_.widen(format,
                       job.panel + record * kernels::record_bytes(format),
                       static_cast<int>(count),
                       scratch);
            for (std::size_t row = first; row < last; row += tile_rows_) {
                isa_.multiply_wide(format,
                                   scratch,
                                   static_cast<int>(count * blocks_of),
                                   tile(job, row, record * blocks_of),
                                   record != 0);
            }
        }
    }

    const ActivationRows& x_;
    const kernels::Isa& isa_;
    std::size_t tile_rows_;
    int prefetch_bytes_;
};

// Panels of a task: few enough that every worker gets several tasks, many enough that handing one
// out costs nothing.
std::size_t panels_per_task(std::size_t bytes,
                            std::size_t panels,
                            std::size_t tiles,
                            unsigned workers) {
    const std::size_t panel_work = std::max<std::size_t>(1, bytes / panels * tiles);
    const std::size_t enough = std::max<std::size_t>(1, kTaskWork / panel_work);
    return std::max(enough, panels / (workers * kTasksPerWorker));
}

// The products whose activations share a scale per `group` values.
void multiply_group(std::size_t group,
                    std::span<const Product> products,
                    ActivationRows& x,
                    Executor& executor,
                    const kernels::Isa& isa) {
    const auto belongs = [&](const Product& product) {
        return product.weights->activation_group() == group;
    };
    std::size_t panels = 0;
    std::size_t bytes = 0;
    for (const Product& product : products) {
        if (!belongs(product)) continue;
        panels += product.weights->panels();
        bytes += product.weights->size_bytes();
    }
    if (panels == 0) return;
    if (group > 1) x.quantise(group, executor, isa);
    const std::size_t tiles =
        (x.rows() + static_cast<std::size_t>(isa.tile_rows_max) - 1) / isa.tile_rows_max;
    const std::size_t step = panels_per_task(bytes, panels, tiles, executor.worker_count());
    const Multiplier multiplier(x, isa);

    executor.run((panels + step - 1) / step, [&](std::size_t task, unsigned worker) {
        for (std::size_t row = 0; row < x.rows(); row += kRowBlock) {
            const std::size_t last_row = std::min(x.rows(), row + kRowBlock);
            std::size_t skip = task * step;  // panels before this task's
            std::size_t left = std::min(step, panels - skip);
            for (const Product& product : products) {
                const std::size_t here = belongs(product) ? product.weights->panels() : 0;
                if (skip >= here) {
                    skip -= here;
                    continue;
                }
                for (std::size_t panel = skip; panel < here && left > 0; ++panel, --left) {
                    const Job job{product.weights,
                                  product.weights->panel(panel),
                                  product.out + panel * kPanelRows,
                                  product.out_stride};
                    multiplier.run(job, row, last_row, x.wide(worker));
                }
                skip = 0;
            }
        }
    });
}

}  // namespace

void ActivationRows::set(const float* x, std::size_t stride, std::size_t rows, std::size_t k) {
    x_ = x;
    stride_ = stride;
    rows_ = rows;
    k_ = k;
    blocks_ = round_up(k, std::size_t{kSuperBlock}) / kBlock;
}

void ActivationRows::quantise(std::size_t group, Executor& executor, const kernels::Isa& isa) {
    const std::size_t act_bytes = rows_ * blocks_ * sizeof(Act);
    const std::size_t wide_bytes = rows_ < static_cast<std::size_t>(kernels::kWideRowsMin)
                                       ? 0
                                       : executor.worker_count() * kWideChunk * sizeof(Wide);
    constexpr std::size_t kLine = 64;
    if (memory_.size() < act_bytes + wide_bytes + kLine)
        memory_.resize(act_bytes + wide_bytes + kLine);
    const auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
    std::byte* aligned = memory_.data() + (round_up(address, kLine) - address);
    acts_ = reinterpret_cast<Act*>(aligned);
    wide_ = wide_bytes == 0 ? nullptr : reinterpret_cast<Wide*>(aligned + act_bytes);

    const auto tile_rows = static_cast<std::size_t>(isa.tile_rows_max);
    const std::size_t blocks_used = round_up(k_, std::size_t{kBlock}) / kBlock;
    const auto quantise_tile = [&](std::size_t index, unsigned) {
        const std::size_t first = index * tile_rows;
        const std::size_t count = std::min(tile_rows, rows_ - first);
        Act* tile = acts_ + first * blocks_;
        for (std::size_t m = 0; m < count; ++m)
            isa.quantise(x_ + (first + m) * stride_,
                         static_cast<int>(k_),
                         static_cast<int>(group),
                         tile + m,
                         count);
        std::fill(tile + blocks_used * count, tile + blocks_ * count, Act{});
    };
    const std::size_t tiles = (rows_ + tile_rows - 1) / tile_rows;
    if (rows_ * k_ <= kSerialValues) {
        for (std::size_t index = 0; index < tiles; ++index)
            quantise_tile(index, 0);
        return;
    }
    executor.run(tiles, quantise_tile);
}

void multiply(std::span<const Product> products,
              ActivationRows& x,
              Executor& executor,
              const kernels::Isa& isa) {
    for (const Product& product : products)
        KWAAI_CHECK(product.weights->k() == x.k(), "weights [rows, k] meet activations [rows, k]");
    if (x.rows() == 0) return;
    for (const int group : {1, kBlock, kSuperBlock})
        multiply_group(static_cast<std::size_t>(group), products, x, executor, isa);
}

}  // namespace kwaai::tensor
