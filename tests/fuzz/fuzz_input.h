// SPDX-License-Identifier: Apache-2.0
//
// What the fuzz targets share: choices taken off the front of the fuzzer's bytes, edits of right
// inputs, and the one way to say that a property does not hold.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/backend.hpp"
#include "colophon/slices.hpp"

namespace colophon::fuzz {

// The targets' verdict: what does not hold is a finding.
inline void require(bool holds, const char* property) {
  if (holds) return;
  std::fprintf(stderr, "property does not hold: %s\n", property);
  std::abort();
}

inline const Backend& backend() {
  static const Result<Backend> chosen = Backend::choose("openssl");
  require(chosen.ok(), "the backend openssl is there");
  return *chosen;
}

// The fuzzer's bytes as a series of choices. When they are used up, every choice is 0.
class FuzzInput {
 public:
  FuzzInput(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

  [[nodiscard]] bool empty() const noexcept { return rest_.empty(); }
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const std::uint8_t value = rest_.front();
    rest_ = rest_.subspan(1);
    return value;
  }
  bool flag() { return (byte() & 1) != 0; }
  // One of 0 … count - 1; count is at most 2^16.
  std::size_t choice(std::size_t count) {
    std::size_t value = byte();
    if (count > 256) value |= std::size_t{byte()} << 8;
    return value % count;
  }
  std::uint64_t number() {
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | byte();
    return value;
  }
  // Fewer when fewer are left.
  ByteSpan bytes(std::size_t count) {
    const ByteSpan taken = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  ByteSpan rest() { return bytes(rest_.size()); }

 private:
  ByteSpan rest_;
};

inline std::string_view text_of(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline ByteSpan bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// Bytes that readers of text are known to stumble over.
inline constexpr std::string_view kStumblingBlocks[] = {std::string_view("\0", 1),
                                                        "\n",
                                                        "\r\n",
                                                        " ",
                                                        "\"",
                                                        "\\",
                                                        "\xef\xbb\xbf",
                                                        "\xff",
                                                        "%25",
                                                        "=",
                                                        "0"};

// Up to `count_max` edits of `bytes` (a std::string or a vector of bytes): bits flipped, bytes set,
// put in and taken out, pieces repeated and the end cut off.
template <class Bytes>
void edit(Bytes& bytes, FuzzInput& input, int count_max = 8) {
  using Byte = typename Bytes::value_type;
  for (int i = 0; i < count_max && !input.empty(); ++i) {
    const std::uint8_t what = input.byte();
    // Both ends often: what comes before and after is what readers forget.
    const std::uint8_t where = input.byte();
    std::size_t at = where % 8 == 0 ? bytes.size() : 0;
    if (where % 8 > 1) at = input.choice(std::min<std::size_t>(bytes.size() + 1, 1U << 16));
    const auto here = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    const bool inside = at < bytes.size();
    switch (what % 7) {
      case 0:
        if (inside) *here = static_cast<Byte>(*here ^ (1 << (what / 7 % 8)));
        break;
      case 1:
        if (inside) *here = static_cast<Byte>(input.byte());
        break;
      case 2:
        bytes.insert(here, static_cast<Byte>(input.byte()));
        break;
      case 3:
        if (inside) bytes.erase(here);
        break;
      case 4: {
        const std::string_view block = kStumblingBlocks[input.choice(std::size(kStumblingBlocks))];
        bytes.insert(here, block.begin(), block.end());
        break;
      }
      case 5: {
        const std::size_t length = std::min<std::size_t>(input.byte(), bytes.size() - at);
        const Bytes piece(here, here + static_cast<std::ptrdiff_t>(length));
        bytes.insert(here, piece.begin(), piece.end());
        break;
      }
      default:
        if (input.flag()) bytes.resize(at);
        break;
    }
  }
}

// Up to three edits of `text` as a list: pieces between separators left out, repeated, exchanged.
inline void edit_list(std::string& text, char separator, FuzzInput& input) {
  std::vector<std::string> pieces;
  for (std::size_t at = 0, end = 0; end != std::string::npos; at = end + 1) {
    end = text.find(separator, at);
    pieces.push_back(text.substr(at, end - at));
  }
  for (int i = 0; i < 3 && !input.empty() && !pieces.empty(); ++i) {
    const std::uint8_t what = input.byte();
    const std::size_t at = input.choice(pieces.size());
    const auto here = pieces.begin() + static_cast<std::ptrdiff_t>(at);
    if (what % 4 == 0) pieces.erase(here);
    if (what % 4 == 1) {
      const std::string piece = *here;
      pieces.insert(pieces.begin() + static_cast<std::ptrdiff_t>(input.choice(pieces.size() + 1)),
                    piece);
    }
    if (what % 4 == 2) std::swap(*here, pieces[input.choice(pieces.size())]);
  }
  text.clear();
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (i != 0) text += separator;
    text += pieces[i];
  }
}

// All that is left as it is, or one of the right texts with edits.
inline std::string choose_text(FuzzInput& input, const std::vector<std::string>& right,
                               char separator) {
  if (!input.flag()) return std::string(text_of(input.rest()));
  std::string text = right[input.choice(right.size())];
  edit_list(text, separator, input);
  edit(text, input, 4);
  return text;
}

}  // namespace colophon::fuzz
