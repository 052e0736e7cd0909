// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend_implementation.h"
#include "colophon/key_registry.hpp"
#include "colophon/verifier.hpp"
#include "key_registry_storage.h"
#include "verifier_on.h"

namespace colophon {
namespace {

using Bytes = std::vector<std::uint8_t>;

// For the literals of this file only, which are all pairs of lower-case hex digits.
Bytes unhex(std::string_view text) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  Bytes bytes(text.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
  }
  return bytes;
}

Bytes bytes_of(std::string_view text) { return Bytes(text.begin(), text.end()); }

struct KnownSignature {
  const char* name;
  Scheme scheme;
  SignatureEncoding encoding;
  Profile profile;
  const char* public_key;  // hex
  Bytes message;
  const char* signature;  // hex
  Verdict verdict;
};

std::vector<KnownSignature> known_signatures() {
  constexpr auto kRaw = SignatureEncoding::kRaw;
  constexpr auto kDer = SignatureEncoding::kDer;
  // RFC 6979 A.2.5, SHA-256, "sample".
  constexpr auto kP256 = Scheme::kEcdsaP256Sha256;
  constexpr auto kP256Key =
      "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
      "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
  // Private key 1, RFC 6979 nonce, "Satoshi Nakamoto": widely used, in its low-S and high-S forms.
  constexpr auto kK256 = Scheme::kEcdsaSecp256k1Sha256;
  constexpr auto kK256Key = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
  constexpr auto kHighS =
      "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8"
      "dbbd3162d46e9f9bef7feb87c16dc13b4f6568a87f4e83f728e2443ba586675c";
  // GB/T 32918.5, appendix A.2.
  constexpr auto kSm2 = Scheme::kSm2Sm3;
  constexpr auto kSm2Key =
      "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
      "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13";
  // RFC 8032 §7.1, TEST 2.
  constexpr auto kEd = Scheme::kEd25519;
  constexpr auto kEdKey = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
  constexpr auto kEdSignature =
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
      "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
  // A and R of mixed order: holds with the cofactor only (arXiv 2020/1244, case 4).
  constexpr auto kMixedKey = "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d";
  const Bytes mixed_message =
      unhex("e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c");
  constexpr auto kMixedSignature =
      "160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed512"
      "5ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09";
  // A = R = the neutral element, written with the sign bit; S = 0.
  constexpr auto kMinusZero = "0100000000000000000000000000000000000000000000000000000000000080";
  constexpr auto kMinusZeroSignature =
      "0100000000000000000000000000000000000000000000000000000000000080"
      "0000000000000000000000000000000000000000000000000000000000000000";
  return {
      {"ECDSA P-256", kP256, kRaw, Profile::kStandard, kP256Key, bytes_of("sample"),
       "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
       "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
       Verdict::kValid},
      {"ECDSA P-256 in DER", kP256, kDer, Profile::kStandard, kP256Key, bytes_of("sample"),
       "3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
       "022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
       Verdict::kValid},
      {"ECDSA secp256k1 low S", kK256, kRaw, Profile::kLowS, kK256Key, bytes_of("Satoshi Nakamoto"),
       "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8"
       "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5",
       Verdict::kValid},
      {"ECDSA secp256k1 high S", kK256, kRaw, Profile::kStandard, kK256Key,
       bytes_of("Satoshi Nakamoto"), kHighS, Verdict::kValid},
      {"ECDSA secp256k1 high S under low_s", kK256, kRaw, Profile::kLowS, kK256Key,
       bytes_of("Satoshi Nakamoto"), kHighS, Verdict::kHighS},
      {"SM2", kSm2, kRaw, Profile::kStandard, kSm2Key, bytes_of("message digest"),
       "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
       "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa",
       Verdict::kValid},
      {"Ed25519 zip215", kEd, kRaw, Profile::kZip215, kEdKey, unhex("72"), kEdSignature,
       Verdict::kValid},
      {"Ed25519 strict", kEd, kRaw, Profile::kStrict, kEdKey, unhex("72"), kEdSignature,
       Verdict::kValid},
      {"Ed25519 mixed order under zip215", kEd, kRaw, Profile::kZip215, kMixedKey, mixed_message,
       kMixedSignature, Verdict::kValid},
      {"Ed25519 mixed order under strict", kEd, kRaw, Profile::kStrict, kMixedKey, mixed_message,
       kMixedSignature, Verdict::kMismatch},
      {"Ed25519 minus zero under zip215",
       kEd,
       kRaw,
       Profile::kZip215,
       kMinusZero,
       {},
       kMinusZeroSignature,
       Verdict::kValid},
      {"Ed25519 minus zero under strict",
       kEd,
       kRaw,
       Profile::kStrict,
       kMinusZero,
       {},
       kMinusZeroSignature,
       Verdict::kNonCanonical},
  };
}

Error came_out_wrong(const std::string& what) {
  return make_error(ErrorCode::kInternal, "known answer '" + what + "' came out wrong");
}

// Three items: as known; with the lowest bit of s (Ed25519: S) turned over; as known again. These
// `times` times over in one batch, and by themselves.
Result<void> check_signature(const BackendImplementation& implementation,
                             const KnownSignature& known, std::size_t times) {
  const Bytes key = unhex(known.public_key);
  const Bytes signature = unhex(known.signature);
  const bool little_endian = known.scheme == Scheme::kEd25519;
  Bytes inputs;
  Bytes signatures;
  Bytes keys;
  std::vector<std::uint64_t> input_offsets = {0};
  std::vector<std::uint64_t> signature_offsets = {0};
  std::vector<std::uint64_t> key_offsets = {0};
  for (std::size_t item = 0; item < 3 * times; ++item) {
    inputs.insert(inputs.end(), known.message.begin(), known.message.end());
    signatures.insert(signatures.end(), signature.begin(), signature.end());
    keys.insert(keys.end(), key.begin(), key.end());
    if (item % 3 == 1) signatures[signatures.size() - (little_endian ? 32 : 1)] ^= 1;
    input_offsets.push_back(inputs.size());
    signature_offsets.push_back(signatures.size());
    key_offsets.push_back(keys.size());
  }
  KeyRegistry registry(std::make_unique<KeyRegistry::Storage>(implementation));
  COLOPHON_TRY_ASSIGN(const KeyId id, registry.add(known.scheme, key));
  const auto check = [&](std::size_t count, bool enrolled) -> Result<void> {
    const auto first = [count](const std::vector<std::uint64_t>& offsets) {
      return std::span(offsets).first(count + 1);
    };
    const std::vector<KeyId> ids(count, id);
    VerifyBatch batch;
    batch.scheme = known.scheme;
    batch.encoding = known.encoding;
    batch.profile = known.profile;
    batch.inputs = Slices{inputs, first(input_offsets)};
    batch.signatures = Slices{signatures, first(signature_offsets)};
    if (enrolled) {
      batch.key_ids = ids;
      batch.registry = &registry;
    } else {
      batch.public_keys = Slices{keys, first(key_offsets)};
    }
    std::vector<Verdict> verdicts(count);
    COLOPHON_TRY(verify_batch_on(implementation, batch, verdicts));
    for (std::size_t item = 0; item < count; ++item) {
      const bool right =
          item % 3 == 1 ? verdicts[item] != Verdict::kValid : verdicts[item] == known.verdict;
      if (!right) return came_out_wrong(known.name);
    }
    return {};
  };
  for (const bool enrolled : {false, true}) {
    // The large one first: by then an enrolled key has its table.
    if (times > 1) COLOPHON_TRY(check(3 * times, enrolled));
    COLOPHON_TRY(check(3, enrolled));
  }
  return {};
}

struct KnownHash {
  HashAlgorithm algorithm;
  const char* digest;  // of "abc", hex
};

// More messages than there are lanes, so that each lane has its turn; of one length, of several,
// in pieces, and as a node's two children.
Result<void> check_hash(const BackendImplementation& implementation, const KnownHash& known) {
  constexpr std::size_t kMessages = 40;
  const auto wrong = [&] { return came_out_wrong(std::string(hash_name(known.algorithm))); };
  const std::size_t each = digest_bytes(known.algorithm);
  const Bytes expected = unhex(known.digest);
  Bytes messages;
  std::vector<std::uint64_t> offsets{0};
  for (std::size_t i = 0; i < kMessages; ++i) {
    for (const char c : {'a', 'b', 'c'}) messages.push_back(static_cast<std::uint8_t>(c));
    offsets.push_back(messages.size());
  }
  const auto check = [&](std::size_t count) -> Result<void> {
    Bytes digests(count * each);
    COLOPHON_TRY(implementation.hash({known.algorithm}, {messages, offsets}, digests.data()));
    for (std::size_t i = 0; i < kMessages; ++i) {
      if (!std::equal(expected.begin(), expected.end(), &digests[i * each])) return wrong();
    }
    return {};
  };
  COLOPHON_TRY(check(kMessages));
  offsets.push_back(messages.size());  // an empty one
  COLOPHON_TRY(check(kMessages + 1));

  COLOPHON_TRY_ASSIGN(const auto stream, implementation.hash_stream({known.algorithm}));
  Bytes digest(each);
  COLOPHON_TRY(stream->update(ByteSpan(messages).first(1)));
  COLOPHON_TRY(stream->update(ByteSpan(messages).subspan(1, 2)));
  COLOPHON_TRY(stream->finish(digest));
  if (digest != expected) return wrong();

  const HashForm node = {known.algorithm, 0x01};
  Bytes children(kMessages * 2 * each);
  for (std::size_t i = 0; i < children.size(); ++i) children[i] = static_cast<std::uint8_t>(i * 7);
  offsets.resize(kMessages + 1);
  for (std::size_t i = 0; i < offsets.size(); ++i) offsets[i] = i * 2 * each;
  Bytes parents(kMessages * each);
  Bytes hashes(kMessages * each);
  COLOPHON_TRY(implementation.hash_pairs(node, children.data(), kMessages, parents.data()));
  COLOPHON_TRY(implementation.hash(node, {children, offsets}, hashes.data()));
  if (parents != hashes) return wrong();
  return {};
}

Result<void> check_hashes(const BackendImplementation& implementation) {
  // FIPS 180-4's example; GB/T 32905, A.1; the BLAKE3 package; Ethereum's.
  const KnownHash all[] = {
      {HashAlgorithm::kSha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {HashAlgorithm::kSha512,
       "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
       "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
      {HashAlgorithm::kSm3, "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"},
      {HashAlgorithm::kBlake3, "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"},
      {HashAlgorithm::kKeccak256,
       "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"}};
  for (const KnownHash& known : all) COLOPHON_TRY(check_hash(implementation, known));
  return {};
}

Result<void> check_tree(const BackendImplementation& implementation) {
  // The tree of seven leaves of the Certificate Transparency test suite, RFC 6962.
  const Bytes leaves = unhex("001020213031404142435051525354555657");
  const std::uint64_t offsets[] = {0, 0, 1, 2, 4, 6, 10, 18};
  const Bytes root = unhex("ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c");
  Digest nodes[7];
  COLOPHON_TRY(implementation.hash({.prefix = 0x00}, Slices{leaves, offsets}, nodes[0].data()));
  Digest computed;
  COLOPHON_TRY(implementation.hash_tree({.prefix = 0x01}, nodes[0].data(), 7, computed.data()));
  if (!std::equal(root.begin(), root.end(), computed.begin())) {
    return came_out_wrong("Merkle tree");
  }
  return {};
}

}  // namespace

Result<void> run_self_test(const BackendImplementation& implementation) {
  // Kernels go a way of their own with large batches, which one known answer tries, and build
  // tables for keys that come again.
  const std::size_t large_times = implementation.large_batch_min() / 3 + 1;
  const std::size_t table_memory_max = implementation.table_memory().bytes_max;
  for (const KnownSignature& known : known_signatures()) {
    const bool is_large =
        known.scheme == Scheme::kEcdsaP256Sha256 && known.encoding == SignatureEncoding::kRaw;
    COLOPHON_TRY(check_signature(implementation, known, is_large ? large_times : 1));
  }
  // The tables of these keys serve nobody.
  COLOPHON_TRY(implementation.set_table_memory_max(0));
  COLOPHON_TRY(implementation.set_table_memory_max(table_memory_max));
  COLOPHON_TRY(check_hashes(implementation));
  return check_tree(implementation);
}

}  // namespace colophon
