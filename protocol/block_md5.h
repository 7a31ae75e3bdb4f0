// MD5 of many independent blocks at once: the check that every block of every file passes on both
// ends. 16 messages share a vector register's lanes (AVX-512; 8 on AVX2), which makes MD5, a serial
// algorithm, several times as fast as one message at a time; measurements in bench/block_md5_bench.
//
// Call it on the thread that has the data at hand: to pass blocks to another thread for hashing
// costs more than it gains. No heap is used; the need of stack is about 10 KiB.
//
// Executor: thread-safe. Blocks: never, but computes: about 0.1 ms for 1 MiB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "protocol/block.h"
#include "protocol/md5_digest.h"

namespace homefs {

/// Writes the MD5 of blocks[i] to digests[i]. The blocks may be of any, also unequal, lengths and
/// alignments, and may overlap. Best given many at once, of like length: a lane whose block has
/// ended takes the next block, and only the last ones leave lanes idle.
/// Precondition: as many digests as blocks.
void md5_blocks(std::span<const std::span<const std::byte>> blocks, std::span<Md5Digest> digests);

/// Cuts `data`, which lies at `file_offset` of a file, at the multiples of kBlockBytes, and writes
/// the MD5 of each piece. The first and the last piece may be shorter than a block.
/// Precondition: piece_count(file_offset, data.size()) digests.
void md5_pieces(std::uint64_t file_offset, std::span<const std::byte> data,
                std::span<Md5Digest> digests);

/// Whether each piece of `data`, cut as by md5_pieces(), has the MD5 in `digests`. If not, and
/// `first_bad` is not null, *first_bad is the index of the first piece that differs; else it is
/// left alone.
/// Precondition: piece_count(file_offset, data.size()) digests.
[[nodiscard]] bool md5_pieces_equal(std::uint64_t file_offset, std::span<const std::byte> data,
                                    std::span<const Md5Digest> digests, std::size_t* first_bad);

}  // namespace homefs
