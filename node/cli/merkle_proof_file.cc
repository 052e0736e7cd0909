// SPDX-License-Identifier: Apache-2.0
#include "node/cli/merkle_proof_file.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "colophon/merkle.hpp"
#include "node/cli/flat_json.h"
#include "node/cli/hex_input.h"

namespace colophon::cli {
namespace {

// --- Writing -------------------------------------------------------------------------------------

void append_hex_text(std::span<const std::uint8_t> bytes, std::string& text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
}

// Names and values need no escaping: all are hex, numbers or our own words.
class ObjectWriter {
 public:
  ObjectWriter& text(std::string_view name, std::string_view value) {
    begin(name);
    text_ += '"';
    text_ += value;
    text_ += '"';
    return *this;
  }
  ObjectWriter& number(std::string_view name, std::uint64_t value) {
    begin(name);
    text_ += std::to_string(value);
    return *this;
  }
  ObjectWriter& hex(std::string_view name, std::span<const std::uint8_t> bytes) {
    begin(name);
    quoted_hex(bytes);
    return *this;
  }
  ObjectWriter& hashes(std::string_view name, std::span<const std::uint8_t> bytes,
                       std::size_t digest_size) {
    begin(name);
    text_ += '[';
    for (std::size_t i = 0; i < bytes.size(); i += digest_size) {
      if (i != 0) text_ += ',';
      quoted_hex(bytes.subspan(i, digest_size));
    }
    text_ += ']';
    return *this;
  }
  [[nodiscard]] std::string finish() { return std::move(text_) + "}"; }

 private:
  void begin(std::string_view name) {
    text_ += text_.size() == 1 ? "\"" : ",\"";
    text_ += name;
    text_ += "\":";
  }
  void quoted_hex(std::span<const std::uint8_t> bytes) {
    text_ += '"';
    append_hex_text(bytes, text_);
    text_ += '"';
  }

  std::string text_ = "{";
};

// --- Reading -------------------------------------------------------------------------------------

constexpr std::string_view kHash = "hash";

Error bad_proof(std::string_view field, std::string message) {
  return make_error(ErrorCode::kMalformed, std::move(message), std::string(field));
}

class ObjectReader {
 public:
  // The members of `text`, which must be exactly `names`, but for kHash, which may be missing.
  [[nodiscard]] static Result<ObjectReader> parse(std::string_view text,
                                                  std::initializer_list<std::string_view> names) {
    COLOPHON_TRY_ASSIGN(auto members, parse_flat_object(text, kProofHashesMax));
    for (const FlatMember& member : members) {
      if (std::find(names.begin(), names.end(), member.name) == names.end()) {
        return bad_proof(member.name, "is unknown: remove it");
      }
    }
    ObjectReader reader(std::move(members));
    for (const std::string_view name : names) {
      if (name != kHash && reader.find(name) == nullptr) return bad_proof(name, "is missing");
    }
    return reader;
  }

  [[nodiscard]] Result<HashAlgorithm> hash() const {
    if (find(kHash) == nullptr) return HashAlgorithm::kSha256;
    COLOPHON_TRY_ASSIGN(const FlatMember* member, typed(kHash, FlatMember::Type::kText));
    const auto algorithm = hash_from_name(member->text);
    if (!algorithm)
      return bad_proof(kHash, "is no hash there is: '" + shown_name(member->text) + "'");
    return *algorithm;
  }

  [[nodiscard]] Result<std::uint64_t> number(std::string_view name) const {
    COLOPHON_TRY_ASSIGN(const FlatMember* member, typed(name, FlatMember::Type::kNumber));
    return member->number;
  }

  [[nodiscard]] Result<std::vector<std::uint8_t>> bytes(std::string_view name,
                                                        std::size_t bytes_max) const {
    COLOPHON_TRY_ASSIGN(const FlatMember* member, typed(name, FlatMember::Type::kText));
    if (member->text.size() / 2 > bytes_max) {
      return make_error(ErrorCode::kLimitExceeded,
                        "is longer than " + std::to_string(bytes_max) + " bytes",
                        std::string(name));
    }
    std::vector<std::uint8_t> bytes;
    COLOPHON_TRY(append_hex(member->text, name, bytes));
    return bytes;
  }

  [[nodiscard]] Result<std::vector<std::uint8_t>> digest(std::string_view name,
                                                         HashAlgorithm hash) const {
    COLOPHON_TRY_ASSIGN(const FlatMember* member, typed(name, FlatMember::Type::kText));
    std::vector<std::uint8_t> bytes;
    COLOPHON_TRY(append_digest(name, member->text, hash, bytes));
    return bytes;
  }

  // One after the other.
  [[nodiscard]] Result<std::vector<std::uint8_t>> digests(std::string_view name,
                                                          HashAlgorithm hash) const {
    COLOPHON_TRY_ASSIGN(const FlatMember* member, typed(name, FlatMember::Type::kTexts));
    std::vector<std::uint8_t> bytes;
    for (const std::string& text : member->texts) {
      COLOPHON_TRY(append_digest(name, text, hash, bytes));
    }
    return bytes;
  }

 private:
  explicit ObjectReader(std::vector<FlatMember> members) : members_(std::move(members)) {}

  [[nodiscard]] const FlatMember* find(std::string_view name) const {
    const auto found = std::find_if(members_.begin(), members_.end(),
                                    [&](const FlatMember& member) { return member.name == name; });
    return found == members_.end() ? nullptr : &*found;
  }

  [[nodiscard]] Result<const FlatMember*> typed(std::string_view name,
                                                FlatMember::Type type) const {
    const FlatMember* member = find(name);
    if (member->type == type) return member;
    switch (type) {
      case FlatMember::Type::kText:
        return bad_proof(name, "must be a string");
      case FlatMember::Type::kNumber:
        return bad_proof(name, "must be an unsigned integer");
      case FlatMember::Type::kTexts:
        break;
    }
    return bad_proof(name, "must be an array of strings");
  }

  [[nodiscard]] static Result<void> append_digest(std::string_view name, std::string_view text,
                                                  HashAlgorithm hash,
                                                  std::vector<std::uint8_t>& bytes) {
    const std::size_t before = bytes.size();
    COLOPHON_TRY(append_hex(text, name, bytes));
    const std::size_t size = bytes.size() - before;
    if (size == digest_bytes(hash)) return {};
    return bad_proof(name, "a " + std::string(hash_name(hash)) + " hash has " +
                               std::to_string(digest_bytes(hash)) + " bytes, not " +
                               std::to_string(size));
  }

  std::vector<FlatMember> members_;
};

}  // namespace

std::string write_inclusion_proof(const InclusionProofFile& file) {
  return ObjectWriter()
      .text("hash", hash_name(file.hash))
      .number("index", file.index)
      .number("size", file.size)
      .hex("leaf", file.leaf)
      .hashes("proof", file.proof, digest_bytes(file.hash))
      .hex("root", file.root)
      .finish();
}

std::string write_consistency_proof(const ConsistencyProofFile& file) {
  return ObjectWriter()
      .text("hash", hash_name(file.hash))
      .number("from", file.from)
      .number("to", file.to)
      .hex("from_root", file.from_root)
      .hex("to_root", file.to_root)
      .hashes("proof", file.proof, digest_bytes(file.hash))
      .finish();
}

Result<InclusionProofFile> parse_inclusion_proof(std::string_view text) {
  COLOPHON_TRY_ASSIGN(
      const ObjectReader reader,
      ObjectReader::parse(text, {"hash", "index", "size", "leaf", "proof", "root"}));
  InclusionProofFile file;
  COLOPHON_TRY_ASSIGN(file.hash, reader.hash());
  COLOPHON_TRY_ASSIGN(file.index, reader.number("index"));
  COLOPHON_TRY_ASSIGN(file.size, reader.number("size"));
  COLOPHON_TRY_ASSIGN(file.leaf, reader.bytes("leaf", kLeafBytesMax));
  COLOPHON_TRY_ASSIGN(file.proof, reader.digests("proof", file.hash));
  COLOPHON_TRY_ASSIGN(file.root, reader.digest("root", file.hash));
  return file;
}

Result<ConsistencyProofFile> parse_consistency_proof(std::string_view text) {
  COLOPHON_TRY_ASSIGN(
      const ObjectReader reader,
      ObjectReader::parse(text, {"hash", "from", "to", "from_root", "to_root", "proof"}));
  ConsistencyProofFile file;
  COLOPHON_TRY_ASSIGN(file.hash, reader.hash());
  COLOPHON_TRY_ASSIGN(file.from, reader.number("from"));
  COLOPHON_TRY_ASSIGN(file.to, reader.number("to"));
  COLOPHON_TRY_ASSIGN(file.from_root, reader.digest("from_root", file.hash));
  COLOPHON_TRY_ASSIGN(file.to_root, reader.digest("to_root", file.hash));
  COLOPHON_TRY_ASSIGN(file.proof, reader.digests("proof", file.hash));
  return file;
}

}  // namespace colophon::cli
