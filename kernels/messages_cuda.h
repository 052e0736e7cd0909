// SPDX-License-Identifier: Apache-2.0
//
// Messages of any length and alignment, read by a thread of a GPU word by word.
#pragma once

#include "kernels/hash_cuda.h"
#include "kernels/words_cuda.h"

namespace colophon::kernels {
namespace {

// What is hashed of a message: its prefix, if any, and its bytes.
struct Message {
  __device__ Message(const HashCudaMessages& messages, uint32_t i)
      : begin(messages.offsets[i]),
        end(messages.offsets[i + 1]),
        prefix(messages.prefix),
        prefix_bytes(messages.prefix < kHashCudaNoPrefix ? 1 : 0),
        bytes(end - begin + prefix_bytes) {}

  uint64_t begin, end;  // in the buffer
  uint32_t prefix, prefix_bytes;
  uint64_t bytes;
};

// From byte `from` on, a multiple of four, `bytes` bytes; then kPadding once, then zeros. Each word
// of the buffer is loaded once, and only if it holds a byte of the message.
template <uint32_t kPadding>
class MessageReader {
 public:
  __device__ MessageReader(const uint8_t* buffer, const Message& message, uint64_t from,
                           uint64_t bytes)
      : left_(static_cast<int64_t>(bytes)),
        prefix_(from == 0 && message.prefix_bytes != 0 ? message.prefix : kNone) {
    // With a prefix the buffer's byte before the message stands for it, which may be in a word that
    // holds none of the message's, or be that before the buffer.
    const int64_t at = static_cast<int64_t>(message.begin + from) - message.prefix_bytes;
    const int64_t first = at >> 2;
    const int64_t begin = static_cast<int64_t>(message.begin >> 2);
    const int64_t end =
        message.begin < message.end ? static_cast<int64_t>((message.end + 3) >> 2) : first;
    shift_ = 8 * static_cast<uint32_t>(at & 3);
    words_ = reinterpret_cast<const uint32_t*>(buffer) + first;
    words_left_ = end - first;
    held_ = first >= begin && first < end ? words_[0] : 0;
  }

  // The next words, bytes in their order in memory.
  template <int kWords>
  __device__ void read(uint32_t (&w)[kWords]) {
    const int there = static_cast<int>(min(words_left_, int64_t{kWords} + 1));
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      const uint32_t next = i + 1 < there ? words_[i + 1] : 0;
      w[i] = __funnelshift_r(held_, next, shift_);
      held_ = next;
    }
    if (prefix_ != kNone) w[0] = (w[0] & 0xffffff00) | prefix_;
    prefix_ = kNone;
    if (left_ < 4 * kWords) {
      const int bytes = static_cast<int>(left_);
#pragma unroll
      for (int i = 0; i < kWords; ++i) {
        const int of_word = bytes - 4 * i;  // of the message's bytes, if it is 0 to 3
        if (of_word < 0) w[i] = 0;
        if (of_word >= 0 && of_word < 4) {
          w[i] = (w[i] & ((1U << 8 * of_word) - 1)) | kPadding << 8 * of_word;
        }
      }
    }
    left_ -= 4 * kWords;
    words_ += kWords;
    words_left_ -= kWords;
  }

 private:
  static constexpr uint32_t kNone = kHashCudaNoPrefix;

  int64_t left_;  // below 0 once it is padded
  const uint32_t* words_;
  int64_t words_left_;  // that hold bytes of the message, `held_` among them
  uint32_t held_;
  uint32_t shift_;
  uint32_t prefix_;
};

}  // namespace
}  // namespace colophon::kernels
