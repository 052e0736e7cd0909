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
  ObjectWriter& hashes(std::string_view name, std::span<const Digest> digests) {
    begin(name);
    text_ += '[';
    for (std::size_t i = 0; i < digests.size(); ++i) {
      if (i != 0) text_ += ',';
      quoted_hex(digests[i]);
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
    if (Result<void> checked = check_tree_hash(*algorithm); !checked) {
      Error error = std::move(checked).error();
      error.field = kHash;
      return error;
    }
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

  [[nodiscard]] Result<Digest> digest(std::string_view name) const {
    COLOPHON_TRY_ASSIGN(const FlatMember* member, typed(name, FlatMember::Type::kText));
    return to_digest(name, member->text);
  }

  [[nodiscard]] Result<std::vector<Digest>> digests(std::string_view name) const {
    COLOPHON_TRY_ASSIGN(const FlatMember* member, typed(name, FlatMember::Type::kTexts));
    std::vector<Digest> digests;
    for (const std::string& text : member->texts) {
      COLOPHON_TRY_ASSIGN(const Digest digest, to_digest(name, text));
      digests.push_back(digest);
    }
    return digests;
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

  [[nodiscard]] static Result<Digest> to_digest(std::string_view name, std::string_view text) {
    std::vector<std::uint8_t> bytes;
    COLOPHON_TRY(append_hex(text, name, bytes));
    Digest digest;
    if (bytes.size() != digest.size()) {
      return bad_proof(name, "a hash has 32 bytes, not " + std::to_string(bytes.size()));
    }
    std::copy(bytes.begin(), bytes.end(), digest.begin());
    return digest;
  }

  std::vector<FlatMember> members_;
};

}  // namespace

Result<void> check_tree_hash(HashAlgorithm hash) {
  if (hash == HashAlgorithm::kSha256) return {};
  return make_error(ErrorCode::kUnsupported,
                    "trees with " + std::string(hash_name(hash)) + " are not there yet: sha256 is");
}

std::string write_inclusion_proof(const InclusionProofFile& file) {
  return ObjectWriter()
      .text("hash", hash_name(file.hash))
      .number("index", file.index)
      .number("size", file.size)
      .hex("leaf", file.leaf)
      .hashes("proof", file.proof)
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
      .hashes("proof", file.proof)
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
  COLOPHON_TRY_ASSIGN(file.proof, reader.digests("proof"));
  COLOPHON_TRY_ASSIGN(file.root, reader.digest("root"));
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
  COLOPHON_TRY_ASSIGN(file.from_root, reader.digest("from_root"));
  COLOPHON_TRY_ASSIGN(file.to_root, reader.digest("to_root"));
  COLOPHON_TRY_ASSIGN(file.proof, reader.digests("proof"));
  return file;
}

}  // namespace colophon::cli
