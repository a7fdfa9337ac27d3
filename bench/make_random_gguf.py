#!/usr/bin/env python3
"""Writes a llama model with random F16 weights, for measuring speed: make_random_gguf.py SHAPE OUT.gguf

Shapes are those of published models; the text of such a model is noise, its speed is theirs. The vocabulary is made of
bytes and numbered names, so that any program that wants a tokenizer finds one. Needs the packages gguf and numpy.
"""
import dataclasses
import sys

import gguf
import numpy


@dataclasses.dataclass(frozen=True)
class Shape:
    name: str
    hidden: int
    blocks: int
    heads: int
    kv_heads: int
    ffn: int
    vocabulary: int
    rope_base: float
    context: int
    is_head_tied: bool


SHAPES = {
    "1b": Shape("random, Llama-3.2-1B shape", 2048, 16, 32, 8, 8192, 128256, 500000.0, 8192, True),
    "160m": Shape("random, Llama-160M shape", 768, 12, 12, 12, 3072, 32000, 10000.0, 2048, False),
}


class Weights:
    """Matrices cut from one pool of random numbers: drawing 1.2 billion of them would take minutes."""

    def __init__(self):
        self.random = numpy.random.default_rng(1)
        self.pool = (self.random.standard_normal(48 << 20, dtype=numpy.float32) * 0.02).astype(numpy.float16)

    def matrix(self, rows: int, columns: int) -> numpy.ndarray:
        out = numpy.empty(rows * columns, numpy.float16)
        filled = 0
        while filled < out.size:
            begin = int(self.random.integers(0, self.pool.size // 2))
            count = min(out.size - filled, self.pool.size - begin)
            out[filled : filled + count] = self.pool[begin : begin + count]
            filled += count
        return out.reshape(rows, columns)


def add_metadata(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_name(shape.name)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.blocks)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.hidden // shape.heads)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def add_vocabulary(writer: gguf.GGUFWriter, size: int) -> None:
    """SentencePiece: <unk>, <s>, </s>, the 256 bytes, then names that no text contains."""
    types = gguf.TokenType
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    kinds = [types.UNKNOWN, types.CONTROL, types.CONTROL, *([types.BYTE] * 256)]
    count = size - len(tokens)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens + [f"\u2402{i}" for i in range(count)])
    writer.add_token_scores([0.0] * len(tokens) + [-float(i) for i in range(count)])
    writer.add_token_types(kinds + [types.NORMAL] * count)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def add_tensors(writer: gguf.GGUFWriter, shape: Shape) -> None:
    weights = Weights()
    kv_rows = shape.kv_heads * (shape.hidden // shape.heads)
    matrices = {
        "attn_q": (shape.hidden, shape.hidden),
        "attn_k": (kv_rows, shape.hidden),
        "attn_v": (kv_rows, shape.hidden),
        "attn_output": (shape.hidden, shape.hidden),
        "ffn_gate": (shape.ffn, shape.hidden),
        "ffn_up": (shape.ffn, shape.hidden),
        "ffn_down": (shape.hidden, shape.ffn),
    }
    norm = numpy.ones(shape.hidden, numpy.float32)
    writer.add_tensor("token_embd.weight", weights.matrix(shape.vocabulary, shape.hidden))
    for block in range(shape.blocks):
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{block}.{name}.weight", norm)
        for name, (rows, columns) in matrices.items():
            writer.add_tensor(f"blk.{block}.{name}.weight", weights.matrix(rows, columns))
    writer.add_tensor("output_norm.weight", norm)
    if not shape.is_head_tied:
        writer.add_tensor("output.weight", weights.matrix(shape.vocabulary, shape.hidden))


def main() -> None:
    if len(sys.argv) != 3 or sys.argv[1] not in SHAPES:
        sys.exit(f"usage: make_random_gguf.py {'|'.join(SHAPES)} OUT.gguf")
    shape = SHAPES[sys.argv[1]]
    writer = gguf.GGUFWriter(sys.argv[2], "llama")
    add_metadata(writer, shape)
    add_vocabulary(writer, shape.vocabulary)
    add_tensors(writer, shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
