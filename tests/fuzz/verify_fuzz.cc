// SPDX-License-Identifier: Apache-2.0
//
// The verdict on a signature, for every scheme, profile, encoding and kind of input, against the
// rules and the order of docs/formats.md written a second time over OpenSSL's big numbers. The
// signatures are right ones by a key made from the input, and then bent: other bytes, s and n - s,
// r + n, points of small order added. Each verdict is the same alone, in a batch and with an
// enrolled key; for ECDSA P-256 on every backend this machine can run, with and without a table of
// the key, and in a batch large enough for the kernels to add all its points at once.
#include <array>
#include <string>
#include <vector>

#include "colophon/verifier.hpp"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/openssl_reference.h"

namespace colophon {
namespace {

using fuzz::Bytes;
using fuzz::FuzzInput;
using fuzz::Number;
using fuzz::require;

constexpr std::array kSchemes = {Scheme::kEcdsaP256Sha256, Scheme::kEcdsaSecp256k1Sha256,
                                 Scheme::kSm2Sm3, Scheme::kEd25519};
constexpr std::string_view kSm2Ids[] = {kSm2DefaultId, "", "another signer"};

struct Case {
  Scheme scheme{};
  SignatureEncoding encoding{};
  Profile profile{};
  InputKind kind{};
  Bytes public_key;
  Bytes input;
  Bytes signature;
  std::string_view sm2_id = kSm2DefaultId;
};

// --- making signatures ---------------------------------------------------------------------------

Bytes point_bytes(Scheme scheme, const EC_POINT* point, bool compressed) {
  Bytes bytes(compressed ? 33 : 65);
  EC_POINT_point2oct(fuzz::curve_for(scheme).group.get(), point,
                     compressed ? POINT_CONVERSION_COMPRESSED : POINT_CONVERSION_UNCOMPRESSED,
                     bytes.data(), bytes.size(), fuzz::bn_context());
  return bytes;
}

Bytes sm2_digest(const EC_POINT* key, std::string_view id, ByteSpan message) {
  const fuzz::WeierstrassCurve& curve = fuzz::curve_for(Scheme::kSm2Sm3);
  Number a;
  Number b;
  EC_GROUP_get_curve(curve.group.get(), nullptr, a.get(), b.get(), fuzz::bn_context());
  const Bytes g = point_bytes(Scheme::kSm2Sm3, EC_GROUP_get0_generator(curve.group.get()), false);
  const Bytes p = point_bytes(Scheme::kSm2Sm3, key, false);
  const std::array<std::uint8_t, 2> bits = {static_cast<std::uint8_t>(8 * id.size() >> 8),
                                            static_cast<std::uint8_t>(8 * id.size())};
  const Bytes z = fuzz::hash("SM3", {bits, fuzz::bytes_of(id), a.to_big_endian(), b.to_big_endian(),
                                     ByteSpan(g).subspan(1), ByteSpan(p).subspan(1)});
  return fuzz::hash("SM3", {z, message});
}

Bytes digest_of(const Case& made, const EC_POINT* key) {
  if (made.kind == InputKind::kDigest) return made.input;
  if (made.scheme == Scheme::kSm2Sm3) return sm2_digest(key, made.sm2_id, made.input);
  return fuzz::hash("SHA256", {made.input});
}

void encode_scalars(Case& made, const Number& r, const Number& s) {
  if (made.encoding == SignatureEncoding::kRaw) {
    for (const Number* scalar : {&r, &s}) {
      if (BN_num_bits(scalar->get()) > 256) return;  // has no raw form: stays empty
      const auto bytes = scalar->to_big_endian();
      made.signature.insert(made.signature.end(), bytes.begin(), bytes.end());
    }
    return;
  }
  const std::unique_ptr<ECDSA_SIG, fuzz::OpensslFree<&ECDSA_SIG_free>> parts(ECDSA_SIG_new());
  ECDSA_SIG_set0(parts.get(), BN_dup(r.get()), BN_dup(s.get()));
  std::uint8_t* written = nullptr;
  const int size = i2d_ECDSA_SIG(parts.get(), &written);
  made.signature.assign(written, written + size);
  OPENSSL_free(written);
}

void sign_weierstrass(Case& made, FuzzInput& input) {
  const fuzz::WeierstrassCurve& curve = fuzz::curve_for(made.scheme);
  const Number one(std::uint64_t{1});
  // The key and k from few bytes: what is looked for is not in them.
  const Number d = fuzz::add(Number::big_endian(input.bytes(4)), one, curve.n);
  const Number k = fuzz::add(Number::big_endian(input.bytes(4)), one, curve.n);
  const fuzz::Point key(EC_POINT_new(curve.group.get()));
  EC_POINT_mul(curve.group.get(), key.get(), d.get(), nullptr, nullptr, fuzz::bn_context());
  made.public_key = point_bytes(made.scheme, key.get(), input.flag());
  const std::uint8_t bend = input.byte();
  if (made.kind == InputKind::kDigest) {
    const ByteSpan given = input.bytes(32);
    made.input.assign(given.begin(), given.end());
    if (bend < 240) made.input.resize(32);
  } else {
    const ByteSpan given = input.bytes(input.byte());
    made.input.assign(given.begin(), given.end());
  }
  const Number e = Number::big_endian(digest_of(made, key.get()));
  Number r = fuzz::add(*fuzz::x_of_sum(curve, k, nullptr, Number()), Number(), curve.n);
  Number s;
  if (made.scheme == Scheme::kSm2Sm3) {
    r = fuzz::add(e, r, curve.n);
    const Number rd = fuzz::multiply(r, d, curve.n);
    s = fuzz::multiply(fuzz::subtract(k, rd, curve.n),
                       fuzz::inverse(fuzz::add(d, one, curve.n), curve.n), curve.n);
  } else {
    s = fuzz::multiply(fuzz::add(e, fuzz::multiply(r, d, curve.n), curve.n),
                       fuzz::inverse(k, curve.n), curve.n);
  }
  // Around 0, n/2, n and 2^256.
  const auto edge = [&](std::uint8_t which) {
    Number value;
    if ((which & 2) != 0) BN_copy(value.get(), curve.n.get());
    if ((which & 4) != 0) BN_rshift1(value.get(), value.get());
    if ((which & 8) != 0) BN_lshift(value.get(), one.get(), 256);
    BN_add_word(value.get(), which & 1);
    if ((which & 16) != 0 && !value.is_zero()) BN_sub_word(value.get(), 1);
    return value;
  };
  switch (bend % 8) {
    case 6:
      r = edge(input.byte());
      break;
    case 7:
      s = edge(input.byte());
      break;
    case 1:
      s = fuzz::subtract(Number(), s, curve.n);  // the other valid s of ECDSA
      break;
    case 2:
      BN_add(r.get(), r.get(), curve.n.get());
      break;
    case 3:
      BN_add(s.get(), s.get(), curve.n.get());
      break;
    case 4:
      r = Number::big_endian(input.bytes(32));
      s = Number::big_endian(input.bytes(32));
      break;
    case 5:
      s = fuzz::subtract(Number(), r, curve.n);  // SM2: t = 0
      break;
    default:
      break;
  }
  encode_scalars(made, r, s);
}

void sign_ed25519(Case& made, FuzzInput& input) {
  const Number a = Number::little_endian(input.bytes(4));  // 0: the neutral element is the key
  const Number nonce = Number::little_endian(input.bytes(4));
  const Number torsion_of_a(std::uint64_t{input.byte()});
  const Number torsion_of_r(std::uint64_t{input.byte()});
  const ByteSpan given = input.bytes(input.byte());
  made.input.assign(given.begin(), given.end());
  const auto point = [](const Number& scalar, const Number& torsion) {
    return fuzz::ed_encode(fuzz::ed_combine(scalar, fuzz::ed_base(),
                                            fuzz::add(torsion, Number(), Number(std::uint64_t{8})),
                                            fuzz::ed_torsion()));
  };
  auto key = point(a, torsion_of_a);
  auto r = point(nonce, torsion_of_r);
  // The sign bit of x = 0, and y + p where it fits, are second spellings that ZIP 215 takes.
  const std::uint8_t spelling = input.byte();
  if ((spelling & 1) != 0) key[31] ^= 0x80;
  if ((spelling & 2) != 0) r[31] ^= 0x80;
  for (auto* encoding : {&key, &r}) {
    if ((spelling & 4) != 0 && (*encoding)[0] < 19 &&
        std::all_of(encoding->begin() + 1, encoding->end() - 1, [](auto x) { return x == 0; })) {
      (*encoding)[0] = static_cast<std::uint8_t>((*encoding)[0] + 0xed);
      std::fill(encoding->begin() + 1, encoding->end() - 1, std::uint8_t{0xff});
      (*encoding)[31] |= 0x7f;
    }
  }
  made.public_key.assign(key.begin(), key.end());
  const Number k = fuzz::add(Number::little_endian(fuzz::hash("SHA512", {r, key, made.input})),
                             Number(), fuzz::ed_order());
  Number s = fuzz::add(nonce, fuzz::multiply(k, a, fuzz::ed_order()), fuzz::ed_order());
  if ((spelling & 8) != 0) BN_add(s.get(), s.get(), fuzz::ed_order().get());  // S + L
  const auto s_bytes = s.to_little_endian();
  made.signature.assign(r.begin(), r.end());
  made.signature.insert(made.signature.end(), s_bytes.begin(), s_bytes.end());
}

Case make_case(FuzzInput& input) {
  Case made;
  made.scheme = kSchemes[input.choice(kSchemes.size())];
  const std::uint8_t options = input.byte();
  if (made.scheme == Scheme::kEd25519) {
    constexpr std::array kProfiles = {Profile::kDefault, Profile::kZip215, Profile::kStrict};
    made.profile = kProfiles[options % 3];
    made.encoding = SignatureEncoding::kRaw;
    made.kind = InputKind::kMessage;
    sign_ed25519(made, input);
  } else {
    made.encoding = (options & 1) != 0 ? SignatureEncoding::kDer : SignatureEncoding::kRaw;
    made.kind = (options & 2) != 0 ? InputKind::kDigest : InputKind::kMessage;
    made.profile = (options & 4) != 0 ? Profile::kStandard : Profile::kDefault;
    if ((options & 8) != 0 && made.scheme != Scheme::kSm2Sm3) made.profile = Profile::kLowS;
    if (made.scheme == Scheme::kSm2Sm3 && made.kind == InputKind::kMessage) {
      made.sm2_id = kSm2Ids[options / 16 % 3];
    }
    sign_weierstrass(made, input);
  }
  fuzz::edit(made.signature, input, 2);
  fuzz::edit(made.public_key, input, 2);
  fuzz::edit(made.input, input, 1);
  return made;
}

// --- the verdict, a second time ------------------------------------------------------------------

Verdict expected_ed25519(const Case& made) {
  const auto a = made.public_key.size() == 32
                     ? fuzz::ed_decode(made.public_key)
                     : std::nullopt;  // edits leave no SubjectPublicKeyInfo
  if (!a) return Verdict::kBadKey;
  if (made.signature.size() != 64) return Verdict::kBadEncoding;
  const ByteSpan r_bytes = ByteSpan(made.signature).first(32);
  const Number s = Number::little_endian(ByteSpan(made.signature).last(32));
  if (!(s < fuzz::ed_order())) return Verdict::kOutOfRange;
  const auto r = fuzz::ed_decode(r_bytes);
  const bool strict = made.profile == Profile::kStrict;
  if (strict) {
    // Canonical is a matter of the bytes: y < p, and no sign on x = 0. R need not decode for it.
    Bytes y_bytes(r_bytes.begin(), r_bytes.end());
    y_bytes[31] &= 0x7f;
    const Number y = Number::little_endian(y_bytes);
    const Number minus_one = fuzz::subtract(Number(), Number(std::uint64_t{1}), fuzz::ed_p());
    const bool x_is_zero = y == Number(std::uint64_t{1}) || y == minus_one;
    const bool r_canonical = y < fuzz::ed_p() && !(x_is_zero && (r_bytes[31] & 0x80) != 0);
    if (!fuzz::ed_is_canonical(made.public_key, *a) || !r_canonical) return Verdict::kNonCanonical;
    if (fuzz::ed_is_small_order(*a) || (r && fuzz::ed_is_small_order(*r))) {
      return Verdict::kSmallOrder;
    }
  }
  if (!r) return Verdict::kMismatch;
  const Number k =
      fuzz::add(Number::little_endian(fuzz::hash("SHA512", {r_bytes, made.public_key, made.input})),
                Number(), fuzz::ed_order());
  const fuzz::EdPoint difference = fuzz::ed_add(
      fuzz::ed_combine(s, fuzz::ed_base(), k, fuzz::ed_negate(*a)), fuzz::ed_negate(*r));
  const bool holds = strict ? fuzz::ed_is_neutral(difference) : fuzz::ed_is_small_order(difference);
  return holds ? Verdict::kValid : Verdict::kMismatch;
}

// r and s; nullopt: the bytes are not of the encoding.
std::optional<std::pair<Number, Number>> read_scalars(const Case& made) {
  const ByteSpan bytes = made.signature;
  if (made.encoding == SignatureEncoding::kRaw) {
    if (bytes.size() != 64) return std::nullopt;
    return std::pair(Number::big_endian(bytes.first(32)), Number::big_endian(bytes.last(32)));
  }
  const std::uint8_t* cursor = bytes.data();
  const std::unique_ptr<ECDSA_SIG, fuzz::OpensslFree<&ECDSA_SIG_free>> parts(
      d2i_ECDSA_SIG(nullptr, &cursor, static_cast<long>(bytes.size())));
  ERR_clear_error();
  if (!parts) return std::nullopt;
  std::uint8_t* written = nullptr;
  const int size = i2d_ECDSA_SIG(parts.get(), &written);
  const bool same = size >= 0 && std::equal(bytes.begin(), bytes.end(), written, written + size);
  OPENSSL_free(written);
  if (!same) return std::nullopt;
  return std::pair(Number(ECDSA_SIG_get0_r(parts.get())), Number(ECDSA_SIG_get0_s(parts.get())));
}

Verdict expected_weierstrass(const Case& made) {
  const fuzz::WeierstrassCurve& curve = fuzz::curve_for(made.scheme);
  const fuzz::Point key = fuzz::read_point(made.scheme, made.public_key);
  if (!key) return Verdict::kBadKey;
  const auto scalars = read_scalars(made);
  if (!scalars) return Verdict::kBadEncoding;
  const auto& [r, s] = *scalars;
  const bool sm2 = made.scheme == Scheme::kSm2Sm3;
  if (r.is_zero() || s.is_zero() || !(r < curve.n) || !(s < curve.n) ||
      (sm2 && fuzz::add(r, s, curve.n).is_zero())) {
    return Verdict::kOutOfRange;
  }
  if (made.profile == Profile::kLowS && fuzz::subtract(Number(), s, curve.n) < s) {
    return Verdict::kHighS;
  }
  if (made.kind == InputKind::kDigest && made.input.size() != 32) return Verdict::kBadDigest;
  const Number e = Number::big_endian(digest_of(made, key.get()));
  const bool holds = sm2 ? fuzz::sm2_holds(curve, key.get(), e, r, s)
                         : fuzz::ecdsa_holds(curve, key.get(), e, r, s);
  return holds ? Verdict::kValid : Verdict::kMismatch;
}

// --- the library's -------------------------------------------------------------------------------

// The two items in turn, `count` in all.
struct Column {
  Bytes bytes;
  std::vector<std::uint64_t> offsets = {0};
  Column(const Bytes& even, const Bytes& odd, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const Bytes& item = i % 2 == 0 ? even : odd;
      bytes.insert(bytes.end(), item.begin(), item.end());
      offsets.push_back(bytes.size());
    }
  }
  [[nodiscard]] Slices slices() const { return {bytes, offsets}; }
};

const std::vector<Backend>& backends() {
  static const auto* const all = [] {
    auto* usable = new std::vector<Backend>;
    for (const BackendInfo& info : list_backends()) {
      if (!info.supported) continue;
      const auto chosen = Backend::choose(info.name);
      require(chosen.ok(), "every supported backend can be used");
      if (chosen->table_memory().bytes_max != 0) {
        constexpr std::size_t kTableMemory = std::size_t{64} << 20;
        require(chosen->set_table_memory_max(kTableMemory).ok(), "the limit can be set");
      }
      usable->push_back(*chosen);
    }
    return usable;
  }();
  return *all;
}

// A case and its neighbour in a batch, of the same key and signature.
struct Pair {
  Case made, neighbour;
  Verdict expected, neighbour_expected;
};

VerifyBatch rules_of(const Case& made) {
  VerifyBatch batch;
  batch.scheme = made.scheme;
  batch.encoding = made.encoding;
  batch.profile = made.profile;
  batch.input = made.kind;
  batch.sm2_id = made.sm2_id;
  return batch;
}

// `id`: of the key in `registry`, or 0 for the key as bytes.
void check_batch(const Backend& backend, const Pair& pair, std::size_t count, KeyId id,
                 const KeyRegistry* registry) {
  const Column inputs(pair.made.input, pair.neighbour.input, count);
  const Column signatures(pair.made.signature, pair.made.signature, count);
  const Column keys(pair.made.public_key, pair.made.public_key, count);
  const std::vector<KeyId> ids(count, id);
  VerifyBatch batch = rules_of(pair.made);
  batch.inputs = inputs.slices();
  batch.signatures = signatures.slices();
  if (id == KeyId{}) {
    batch.public_keys = keys.slices();
  } else {
    batch.key_ids = ids;
    batch.registry = registry;
  }
  std::vector<Verdict> verdicts(count);
  require(verify_batch(backend, batch, verdicts).ok(), "a batch is verified");
  for (std::size_t i = 0; i < count; ++i) {
    const Verdict expected = i % 2 == 0 ? pair.expected : pair.neighbour_expected;
    if (verdicts[i] == expected) continue;
    std::fprintf(stderr, "backend %s, place %zu of %zu, %s; verdict: %s; expected: %s\n",
                 std::string(backend.name()).c_str(), i, count,
                 id == KeyId{} ? "key as bytes" : "enrolled key",
                 std::string(verdict_reason(verdicts[i])).c_str(),
                 std::string(verdict_reason(expected)).c_str());
    require(false, "the verdict is the one of the rules");
  }
}

void check_on(const Backend& backend, const Pair& pair, bool large) {
  // From 24 vectors on, kernels add all points of a batch at once; one of a key that many times
  // earns it a table.
  const std::size_t large_count = 24 * (backend.name() == "avx512" ? 8 : 1) + 1;
  check_batch(backend, pair, 3, KeyId{}, nullptr);
  if (large) check_batch(backend, pair, large_count, KeyId{}, nullptr);
  auto registry = KeyRegistry::create(backend);
  require(registry.ok(), "a registry can be made");
  const auto id = registry->add(pair.made.scheme, pair.made.public_key, pair.made.sm2_id);
  require(id.ok() == (pair.expected != Verdict::kBadKey),
          "a good key can be enrolled, a bad one not");
  if (!id) return;
  check_batch(backend, pair, 1, *id, &*registry);
  if (!large) return;
  check_batch(backend, pair, large_count, *id, &*registry);
  check_batch(backend, pair, 3, *id, &*registry);
}

void check(FuzzInput& input) {
  const auto expected_of = [](const Case& made) {
    return made.scheme == Scheme::kEd25519 ? expected_ed25519(made) : expected_weierstrass(made);
  };
  Pair pair;
  pair.made = make_case(input);
  pair.neighbour = pair.made;
  if (!pair.neighbour.input.empty()) pair.neighbour.input.front() ^= 1;
  pair.expected = expected_of(pair.made);
  pair.neighbour_expected = expected_of(pair.neighbour);
  if (pair.made.scheme != Scheme::kEcdsaP256Sha256) {
    check_on(fuzz::backend(), pair, false);  // the others leave it to openssl
    return;
  }
  const bool large = input.byte() % 4 == 3;
  for (const Backend& backend : backends()) {
    check_on(backend, pair, large && backend.name() != "openssl");
  }
}

}  // namespace
}  // namespace colophon

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  colophon::fuzz::FuzzInput input(data, size);
  colophon::check(input);
  return 0;
}
