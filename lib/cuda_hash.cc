// SPDX-License-Identifier: Apache-2.0
#include "cuda_hash.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <vector>

#include "cuda_launch.h"
#include "kernels/hash_cuda.h"
#include "round_up.h"
#include "slices_shape.h"

namespace colophon {
namespace {

using kernels::Blake3CudaMessages;
using kernels::HashCudaMessages;
using kernels::HashCudaPairs;
using kernels::MerkleCudaTiles;

// Of a piece's parts in the device's memory, and in the host's.
constexpr std::size_t kPartUnit = 256;

template <class Argument>
CudaLaunched launch(void (*kernel)(Argument), std::uint32_t blocks, Argument argument,
                    const char* what, cudaStream_t stream) {
  return {launch_kernel(kernel, blocks, kernels::kHashCudaThreads, argument, stream), what};
}

// Pieces that landed, in their order: all, or those before the device failed. While the device is
// at work on one, the next is put together. start(slot, i) and land(slot, i) are false where it
// failed.
template <class Start, class Land>
std::size_t run_pieces(CudaSession& session, std::size_t count, const Start& start,
                       const Land& land) noexcept {
  std::size_t landed = 0;
  try {
    std::array<CudaSlot*, 2> slots{};
    slots[0] = session.take_slot(/*wait=*/true);
    if (slots[0] == nullptr) return 0;
    if (count > 1) slots[1] = session.take_slot(/*wait=*/false);
    const std::size_t flying_max = slots[1] == nullptr ? 1 : 2;
    for (std::size_t i = 0; i < count + flying_max; ++i) {
      CudaSlot* const slot = slots[i % flying_max];
      if (i >= flying_max && i - flying_max < count) {
        if (!land(*slot, landed)) break;
        ++landed;
      }
      if (i < count && !start(*slot, i)) break;
    }
    // The last taken first: a slot's graphs are its own, and so its next work is what it had
    // before. Those of a session that has failed are not used again; where the CPU failed, there
    // is no reason not to.
    for (CudaSlot* const slot : {slots[1], slots[0]}) {
      if (slot != nullptr && slot->finish_work()) session.give_back(slot);
    }
  } catch (const std::exception&) {
    (void)session.fail(make_error(ErrorCode::kInternal, "out of memory", "backend"));
  }
  return landed;
}

// Whether the device's `digest` is the CPU's.
bool is_right(CudaSession& session, const Result<void>& computed, const std::uint8_t* expected,
              const std::uint8_t* digest, std::size_t bytes) {
  if (!computed) return false;  // the CPU's failure, as it will say itself of what is left
  if (std::memcmp(expected, digest, bytes) == 0) return true;
  (void)session.fail(make_error(ErrorCode::kUnavailable,
                                "the device wrote something that is no digest of its input",
                                "backend"));
  return false;
}

// Items of one length, one after another, each of which becomes one result of one length.
template <class LaunchItems, class ComputeItem>
struct Fixed {
  std::size_t in_bytes, out_bytes;
  // (in, out, count, stream): of items in the device's memory.
  LaunchItems launch;
  // (item, result): of one, on the CPU.
  ComputeItem compute;
};
template <class LaunchItems, class ComputeItem>
Fixed(std::size_t, std::size_t, LaunchItems, ComputeItem) -> Fixed<LaunchItems, ComputeItem>;

template <class LaunchItems, class ComputeItem>
std::size_t run_fixed(CudaSession& session, const Fixed<LaunchItems, ComputeItem>& fixed,
                      const std::uint8_t* in, std::size_t count, std::uint8_t* out) noexcept {
  const std::size_t room = session.work_bytes_max();
  if (room < fixed.in_bytes + fixed.out_bytes + kPartUnit) return 0;
  const std::size_t each = (room - kPartUnit) / (fixed.in_bytes + fixed.out_bytes);
  const auto size_of = [&](std::size_t piece) { return std::min(each, count - piece * each); };
  const auto start = [&](CudaSlot& slot, std::size_t piece) {
    const std::size_t items = size_of(piece);
    const std::size_t in_bytes = items * fixed.in_bytes;
    std::memcpy(slot.work(), in + piece * each * fixed.in_bytes, in_bytes);
    const std::size_t at = round_up(in_bytes, kPartUnit);
    return slot
        .start_work(in_bytes, at, items * fixed.out_bytes,
                    [&](std::uint8_t* device, cudaStream_t stream) {
                      return fixed.launch(reinterpret_cast<const std::uint32_t*>(device),
                                          reinterpret_cast<std::uint32_t*>(device + at),
                                          static_cast<std::uint32_t>(items), stream);
                    })
        .ok();
  };
  const auto land = [&](CudaSlot& slot, std::size_t piece) {
    const std::size_t items = size_of(piece);
    // Before the results, which may take the place of the items.
    std::array<std::uint8_t, kDigestBytesMax> first;
    std::array<std::uint8_t, kDigestBytesMax> last;
    const std::uint8_t* const piece_in = in + piece * each * fixed.in_bytes;
    Result<void> computed = fixed.compute(piece_in, first.data());
    if (computed) computed = fixed.compute(piece_in + (items - 1) * fixed.in_bytes, last.data());
    const Result<const std::uint8_t*> results = slot.finish_work();
    if (!results || !is_right(session, computed, first.data(), *results, fixed.out_bytes) ||
        !is_right(session, computed, last.data(), *results + (items - 1) * fixed.out_bytes,
                  fixed.out_bytes)) {
      return false;
    }
    std::memcpy(out + piece * each * fixed.out_bytes, *results, items * fixed.out_bytes);
    return true;
  };
  const std::size_t landed = run_pieces(session, (count + each - 1) / each, start, land);
  return std::min(landed * each, count);
}

struct PairKernels {
  void (*pairs)(HashCudaPairs);
  void (*nodes)(HashCudaPairs);
};

PairKernels pair_kernels(HashAlgorithm algorithm) {
  switch (algorithm) {
    case HashAlgorithm::kSha256:
      return {kernels::sha256_cuda_pairs, kernels::sha256_cuda_nodes};
    case HashAlgorithm::kSha512:
      return {kernels::sha512_cuda_pairs, kernels::sha512_cuda_nodes};
    case HashAlgorithm::kSm3:
      return {kernels::sm3_cuda_pairs, kernels::sm3_cuda_nodes};
    case HashAlgorithm::kBlake3:
      return {kernels::blake3_cuda_pairs, kernels::blake3_cuda_nodes};
    case HashAlgorithm::kKeccak256:
      break;
  }
  return {kernels::keccak256_cuda_pairs, kernels::keccak256_cuda_nodes};
}

// By `kernel`, from items of `in_bytes`.
std::size_t run_pairs(CudaSession& session, const BackendImplementation& cpu, const HashForm& form,
                      void (*kernel)(HashCudaPairs), std::size_t in_bytes, const std::uint8_t* in,
                      std::size_t count, std::uint8_t* out) {
  const Fixed fixed = {in_bytes, digest_bytes(form.algorithm),
                       [&](const std::uint32_t* inputs, std::uint32_t* digests, std::uint32_t items,
                           cudaStream_t stream) {
                         const auto prefix = static_cast<std::uint32_t>(std::max(form.prefix, 0));
                         return launch(kernel, kernels::hash_cuda_blocks(items),
                                       HashCudaPairs{inputs, digests, items, prefix},
                                       "launch of a hash", stream);
                       },
                       [&](const std::uint8_t* item, std::uint8_t* digest) {
                         const std::array<std::uint64_t, 2> offsets = {0, in_bytes};
                         return cpu.hash(form, {{item, in_bytes}, offsets}, digest);
                       }};
  return run_fixed(session, fixed, in, count, out);
}

// --- messages of any length ----------------------------------------------------------------------

CudaLaunched launch_messages(const HashForm& form, const HashCudaMessages& messages,
                             std::uint64_t bytes, std::uint64_t longest, std::uint32_t* scratch,
                             cudaStream_t stream) {
  const char* const what = "launch of a hash";
  const std::uint32_t blocks = kernels::hash_cuda_blocks(messages.count);
  switch (form.algorithm) {
    case HashAlgorithm::kSha256:
      return launch(kernels::sha256_cuda_messages, blocks, messages, what, stream);
    case HashAlgorithm::kSha512:
      return launch(kernels::sha512_cuda_messages, blocks, messages, what, stream);
    case HashAlgorithm::kSm3:
      return launch(kernels::sm3_cuda_messages, blocks, messages, what, stream);
    case HashAlgorithm::kKeccak256:
      return launch(kernels::keccak256_cuda_messages, blocks, messages, what, stream);
    case HashAlgorithm::kBlake3:
      break;
  }
  const std::uint64_t places = kernels::blake3_cuda_places(bytes, messages.count);
  Blake3CudaMessages chunks{messages, scratch, static_cast<std::uint32_t>(places), 0};
  CudaLaunched launched =
      launch(kernels::blake3_cuda_chunks, kernels::hash_cuda_blocks(places), chunks, what, stream);
  const std::uint32_t levels = kernels::blake3_cuda_levels(longest);
  for (chunks.level = 1; chunks.level <= levels && launched.result == cudaSuccess; ++chunks.level) {
    launched = launch(kernels::blake3_cuda_parents, kernels::hash_cuda_blocks(places), chunks, what,
                      stream);
  }
  return launched;
}

// Messages [first, end); or one for which no slot has room, and which is the CPU's.
struct Piece {
  std::size_t first, end;
  bool is_too_large = false;
};

// Where a piece has what, in the device's memory.
struct MessagesLayout {
  std::size_t bytes, digests, scratch, end;
  MessagesLayout(std::size_t count, std::uint64_t message_bytes, std::size_t digest_size,
                 bool is_blake3) {
    bytes = round_up((count + 1) * sizeof(std::uint64_t), kPartUnit);
    digests = round_up(bytes + message_bytes, kPartUnit);
    scratch = round_up(digests + count * digest_size, kPartUnit);
    // 32 bytes a chunk.
    end = scratch + (is_blake3 ? 32 * kernels::blake3_cuda_places(message_bytes, count) : 0);
  }
};

class MessagesRun {
 public:
  MessagesRun(CudaSession& session, const BackendImplementation& cpu, const HashForm& form,
              const Slices& messages, std::uint8_t* digests)
      : session_(session),
        cpu_(cpu),
        form_(form),
        messages_(messages),
        digests_(digests),
        each_(digest_bytes(form.algorithm)) {}

  std::size_t run() {
    cut();
    const std::size_t landed = run_pieces(
        session_, pieces_.size(), [this](CudaSlot& slot, std::size_t i) { return start(slot, i); },
        [this](CudaSlot& slot, std::size_t i) { return land(slot, i); });
    return landed == 0 ? 0 : pieces_[landed - 1].end;
  }

 private:
  [[nodiscard]] MessagesLayout layout(const Piece& piece) const {
    const std::uint64_t bytes = messages_.offsets[piece.end] - messages_.offsets[piece.first];
    return {piece.end - piece.first, bytes, each_, form_.algorithm == HashAlgorithm::kBlake3};
  }

  void cut() {
    Piece piece{0, 0};
    while (piece.end < messages_.size()) {
      const bool has_room = layout({piece.first, piece.end + 1}).end <= session_.work_bytes_max();
      if (has_room || piece.first == piece.end) ++piece.end;
      if (has_room) continue;
      piece.is_too_large =
          piece.end == piece.first + 1 && layout(piece).end > session_.work_bytes_max();
      pieces_.push_back(piece);
      piece = {piece.end, piece.end};
    }
    if (piece.first != piece.end) pieces_.push_back(piece);
  }

  [[nodiscard]] bool start(CudaSlot& slot, std::size_t index) {
    const Piece piece = pieces_[index];
    if (piece.is_too_large) return true;
    const MessagesLayout at = layout(piece);
    const std::size_t count = piece.end - piece.first;
    const std::uint64_t begin = messages_.offsets[piece.first];
    const std::uint64_t bytes = messages_.offsets[piece.end] - begin;
    auto* const offsets = reinterpret_cast<std::uint64_t*>(slot.work());
    std::uint64_t longest = 0;
    for (std::size_t i = 0; i <= count; ++i) {
      offsets[i] = messages_.offsets[piece.first + i] - begin;
      if (i != 0) longest = std::max(longest, offsets[i] - offsets[i - 1]);
    }
    if (bytes != 0) std::memcpy(slot.work() + at.bytes, messages_.bytes.data() + begin, bytes);
    // The kernels read whole words.
    const std::size_t padding = round_up(bytes, sizeof(std::uint32_t)) - bytes;
    std::memset(slot.work() + at.bytes + bytes, 0, padding);
    const std::uint32_t prefix = form_.prefix == HashForm::kNoPrefix
                                     ? kernels::kHashCudaNoPrefix
                                     : static_cast<std::uint32_t>(form_.prefix);
    const std::uint64_t prefixes = form_.prefix == HashForm::kNoPrefix ? 0 : 1;
    return slot
        .start_work(at.bytes + bytes + padding, at.digests, count * each_,
                    [&](std::uint8_t* device, cudaStream_t stream) {
                      const HashCudaMessages messages{
                          device + at.bytes, reinterpret_cast<const std::uint64_t*>(device),
                          reinterpret_cast<std::uint32_t*>(device + at.digests),
                          static_cast<std::uint32_t>(count), prefix};
                      return launch_messages(form_, messages, bytes, longest + prefixes,
                                             reinterpret_cast<std::uint32_t*>(device + at.scratch),
                                             stream);
                    })
        .ok();
  }

  [[nodiscard]] bool land(CudaSlot& slot, std::size_t index) {
    const Piece piece = pieces_[index];
    const std::size_t count = piece.end - piece.first;
    if (piece.is_too_large) {
      const Slices alone{messages_.bytes, messages_.offsets.subspan(piece.first, 2)};
      return cpu_.hash(form_, alone, digests_ + piece.first * each_).ok();
    }
    const Result<const std::uint8_t*> results = slot.finish_work();
    if (!results) return false;
    for (const std::size_t i : {std::size_t{0}, count - 1}) {
      std::array<std::uint8_t, kDigestBytesMax> expected;
      const Result<void> computed = cpu_.hash(
          form_, {messages_.bytes, messages_.offsets.subspan(piece.first + i, 2)}, expected.data());
      if (!is_right(session_, computed, expected.data(), *results + i * each_, each_)) return false;
    }
    std::memcpy(digests_ + piece.first * each_, *results, count * each_);
    return true;
  }

  CudaSession& session_;
  const BackendImplementation& cpu_;
  const HashForm& form_;
  const Slices& messages_;
  std::uint8_t* const digests_;
  const std::size_t each_;
  std::vector<Piece> pieces_;
};

}  // namespace

std::size_t cuda_hash(CudaSession& session, const BackendImplementation& cpu, const HashForm& form,
                      const Slices& messages, std::uint8_t* digests) noexcept {
  if (form.twice) return 0;
  try {
    const std::size_t each = digest_bytes(form.algorithm);
    const std::size_t length = length_of_each(messages);
    const bool has_prefix = form.prefix != HashForm::kNoPrefix;
    const auto run = [&](void (*kernel)(HashCudaPairs)) {
      return run_pairs(session, cpu, form, kernel, length, messages[0].data(), messages.size(),
                       digests);
    };
    if (length == 2 * each) {
      const PairKernels kernels = pair_kernels(form.algorithm);
      return run(has_prefix ? kernels.nodes : kernels.pairs);
    }
    if (length == each && has_prefix && form.algorithm == HashAlgorithm::kSha256) {
      return run(kernels::sha256_cuda_leaves);
    }
    return MessagesRun(session, cpu, form, messages, digests).run();
  } catch (const std::exception&) {
    return 0;  // out of memory, before the device had anything
  }
}

std::size_t cuda_hash_pairs(CudaSession& session, const BackendImplementation& cpu,
                            const HashForm& form, const std::uint8_t* nodes, std::size_t count,
                            std::uint8_t* parents) noexcept {
  if (form.twice) return 0;
  const PairKernels kernels = pair_kernels(form.algorithm);
  return run_pairs(session, cpu, form,
                   form.prefix == HashForm::kNoPrefix ? kernels.pairs : kernels.nodes,
                   2 * digest_bytes(form.algorithm), nodes, count, parents);
}

std::size_t cuda_hash_tiles(CudaSession& session, const BackendImplementation& cpu, TilesOf kind,
                            const std::uint8_t* nodes, std::size_t count,
                            std::uint8_t* roots) noexcept {
  constexpr std::size_t kNodes = kernels::kMerkleCudaTileLeaves;
  constexpr std::size_t kTileBytes = kNodes * sizeof(Digest);
  const auto kernel =
      kind == TilesOf::kLeaves ? kernels::merkle_cuda_tiles_of_leaves : kernels::merkle_cuda_tiles;
  const Fixed fixed = {kTileBytes, sizeof(Digest),
                       [kernel](const std::uint32_t* inputs, std::uint32_t* out,
                                std::uint32_t tiles, cudaStream_t stream) {
                         return launch(kernel, kernels::merkle_cuda_blocks(tiles),
                                       MerkleCudaTiles{inputs, out, tiles}, "launch of tiles",
                                       stream);
                       },
                       [&](const std::uint8_t* tile, std::uint8_t* root) -> Result<void> {
                         std::array<std::uint8_t, kTileBytes> hashes;
                         if (kind == TilesOf::kLeaves) {
                           std::array<std::uint64_t, kNodes + 1> offsets;
                           for (std::size_t i = 0; i <= kNodes; ++i)
                             offsets[i] = i * sizeof(Digest);
                           const Slices leaves{{tile, kTileBytes}, offsets};
                           COLOPHON_TRY(cpu.hash({.prefix = 0x00}, leaves, hashes.data()));
                           tile = hashes.data();
                         }
                         return cpu.hash_tree({.prefix = 0x01}, tile, kNodes, root);
                       }};
  return run_fixed(session, fixed, nodes, count, roots);
}

}  // namespace colophon
