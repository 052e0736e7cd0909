// SPDX-License-Identifier: Apache-2.0
#include "node/checkpoint.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>
#include <vector>

#include "colophon/merkle.hpp"
#include "colophon/verifier.hpp"
#include "node/base64.h"
#include "node/bytes.h"

namespace colophon::node {
namespace {

// C2SP signed-note: signature lines begin with U+2014 and a space.
constexpr std::string_view kSignaturePrefix = "\xe2\x80\x94 ";
constexpr std::uint8_t kEd25519SignatureType = 0x01;
constexpr std::size_t kNoteKeyIdBytes = 4;
constexpr std::size_t kNoteSignatureBytes = 64;
constexpr std::size_t kPublicKeyBytes = 32;
constexpr std::size_t kOriginBytesMax = 255;

// Narrower than C2SP's key name (no spaces, no plus) on purpose: printable ASCII has one spelling.
bool is_origin(std::string_view origin) {
  return !origin.empty() && origin.size() <= kOriginBytesMax &&
         std::ranges::all_of(origin, [](char c) { return c > ' ' && c <= '~' && c != '+'; });
}

std::array<std::uint8_t, kNoteKeyIdBytes> key_id(std::string_view name, ByteSpan public_key) {
  std::vector<std::uint8_t> input(name.begin(), name.end());
  input.push_back('\n');
  input.push_back(kEd25519SignatureType);
  input.insert(input.end(), public_key.begin(), public_key.end());
  Digest digest;
  SHA256(input.data(), input.size(), digest.data());
  return {digest[0], digest[1], digest[2], digest[3]};
}

Error bad_checkpoint(std::string message, std::string field) {
  return make_error(ErrorCode::kMalformed, std::move(message), std::move(field));
}

// Takes the text up to the next newline off the front of `rest`.
Result<std::string_view> take_line(std::string_view& rest, std::string field) {
  const std::size_t end = rest.find('\n');
  if (end == std::string_view::npos) {
    return bad_checkpoint("the checkpoint ends before this line does", std::move(field));
  }
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return line;
}

Result<std::uint64_t> parse_size(std::string_view line) {
  std::uint64_t size = 0;
  const auto [end, status] = std::from_chars(line.data(), line.data() + line.size(), size);
  const bool leading_zero = line.size() > 1 && line.front() == '0';
  if (line.empty() || status != std::errc{} || end != line.data() + line.size() || leading_zero) {
    return bad_checkpoint("not a decimal number without leading zeros", "tree size");
  }
  if (size > kTreeSizeMax) {
    return make_error(ErrorCode::kLimitExceeded, "a log has at most 2^48 leaves", "tree size");
  }
  return size;
}

Result<bool> verify_ed25519(const Backend& backend, ByteSpan message, ByteSpan signature,
                            ByteSpan public_key) {
  const std::array<std::uint64_t, 2> message_ends{0, message.size()};
  const std::array<std::uint64_t, 2> signature_ends{0, signature.size()};
  const std::array<std::uint64_t, 2> key_ends{0, public_key.size()};
  VerifyBatch batch;
  batch.scheme = Scheme::kEd25519;
  batch.encoding = SignatureEncoding::kRaw;
  batch.profile = Profile::kStrict;
  batch.inputs = {message, message_ends};
  batch.signatures = {signature, signature_ends};
  batch.public_keys = {public_key, key_ends};
  std::array<Verdict, 1> verdict{Verdict::kMismatch};
  COLOPHON_TRY(verify_batch(backend, batch, verdict));
  return verdict[0] == Verdict::kValid;
}

}  // namespace

std::string checkpoint_body(const Checkpoint& checkpoint) {
  std::string body = checkpoint.origin;
  body += '\n';
  body += std::to_string(checkpoint.size);
  body += '\n';
  body += base64_encode(checkpoint.root);
  body += '\n';
  return body;
}

Result<std::string> sign_checkpoint(const Checkpoint& checkpoint, hsm::Signer& signer) {
  if (signer.key_type() != hsm::KeyType::kEd25519 ||
      signer.public_key().raw.size() != kPublicKeyBytes) {
    return make_error(ErrorCode::kInvalidArgument, "checkpoints are signed with an Ed25519 key",
                      "signer");
  }
  if (!is_origin(checkpoint.origin)) {
    return make_error(ErrorCode::kInvalidArgument,
                      "an origin is 1 to 255 printable ASCII characters without space and plus",
                      "origin");
  }
  if (checkpoint.size > kTreeSizeMax) {
    return make_error(ErrorCode::kInvalidArgument, "a log has at most 2^48 leaves", "tree size");
  }
  std::string note = checkpoint_body(checkpoint);
  COLOPHON_TRY_ASSIGN(const hsm::Signature signature, signer.sign(as_bytes(note)));
  const auto id = key_id(checkpoint.origin, signer.public_key().raw);
  std::array<std::uint8_t, kNoteKeyIdBytes + kNoteSignatureBytes> value;
  std::ranges::copy(signature, std::ranges::copy(id, value.begin()).out);
  note += '\n';
  note += kSignaturePrefix;
  note += checkpoint.origin;
  note += ' ';
  note += base64_encode(value);
  note += '\n';
  return note;
}

Result<Checkpoint> verify_checkpoint(const Backend& backend, std::string_view note,
                                     std::string_view origin, ByteSpan public_key) {
  if (public_key.size() != kPublicKeyBytes) {
    return make_error(ErrorCode::kInvalidArgument, "an Ed25519 public key has 32 bytes",
                      "public_key");
  }
  if (note.size() > kCheckpointBytesMax) {
    return make_error(ErrorCode::kLimitExceeded, "a checkpoint has at most 4096 bytes",
                      "checkpoint");
  }
  std::string_view rest = note;
  Checkpoint checkpoint;
  COLOPHON_TRY_ASSIGN(const std::string_view origin_line, take_line(rest, "origin"));
  if (!is_origin(origin_line)) {
    return bad_checkpoint("not 1 to 255 printable ASCII characters without space and plus",
                          "origin");
  }
  checkpoint.origin = origin_line;
  COLOPHON_TRY_ASSIGN(const std::string_view size_line, take_line(rest, "tree size"));
  COLOPHON_TRY_ASSIGN(checkpoint.size, parse_size(size_line));
  COLOPHON_TRY_ASSIGN(const std::string_view root_line, take_line(rest, "root hash"));
  const auto root = base64_decode(root_line);
  if (!root || root->size() != checkpoint.root.size()) {
    return bad_checkpoint("not the canonical base64 of 32 bytes", "root hash");
  }
  std::ranges::copy(*root, checkpoint.root.begin());
  const std::string_view body = note.substr(0, note.size() - rest.size());

  if (!rest.starts_with('\n')) {
    return bad_checkpoint("an empty line must follow the root hash (no extension lines here)",
                          "separator");
  }
  rest.remove_prefix(1);
  COLOPHON_TRY_ASSIGN(std::string_view line, take_line(rest, "signature"));
  if (!rest.empty()) return bad_checkpoint("exactly one signature line is expected", "signature");
  if (!line.starts_with(kSignaturePrefix)) {
    return bad_checkpoint("a signature line begins with an em dash and a space", "signature");
  }
  line.remove_prefix(kSignaturePrefix.size());
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos) {
    return bad_checkpoint("a signature line is: em dash, key name, base64", "signature");
  }
  if (line.substr(0, space) != origin_line) {
    return bad_checkpoint("the key name is not the origin", "signature");
  }
  const auto value = base64_decode(line.substr(space + 1));
  if (!value || value->size() != kNoteKeyIdBytes + kNoteSignatureBytes) {
    return bad_checkpoint(
        "not the canonical base64 of a key id and an Ed25519 signature (68 bytes)", "signature");
  }

  if (origin_line != origin) {
    return make_error(ErrorCode::kInvalidSignature,
                      "the checkpoint is of another log than the one expected", "origin");
  }
  const ByteSpan signed_by = ByteSpan(*value).first(kNoteKeyIdBytes);
  if (!std::ranges::equal(signed_by, key_id(origin, public_key))) {
    return make_error(ErrorCode::kInvalidSignature, "the checkpoint names another key",
                      "signature");
  }
  COLOPHON_TRY_ASSIGN(const bool valid,
                      verify_ed25519(backend, as_bytes(body),
                                     ByteSpan(*value).subspan(kNoteKeyIdBytes), public_key));
  if (!valid) {
    return make_error(ErrorCode::kInvalidSignature,
                      "the signature does not verify under the log's key", "signature");
  }
  return checkpoint;
}

}  // namespace colophon::node
