// SPDX-License-Identifier: Apache-2.0
#include "node/genesis.h"

#include <algorithm>
#include <utility>

#include "node/event.h"
#include "node/hex.h"
#include "node/strict_json.h"

namespace colophon::node {
namespace {

constexpr std::string_view kName = "genesis.json";
constexpr std::size_t kChainIdBytesMin = 3;
constexpr std::size_t kGenesisBytesMax = 64 * 1024;

Result<std::vector<std::uint8_t>> key_bytes(ObjectReader& reader, const std::string& member,
                                            std::size_t size) {
  COLOPHON_TRY_ASSIGN(const std::string text, reader.text(member));
  auto bytes = hex_decode(text);
  if (bytes && bytes->size() == size) return *std::move(bytes);
  return make_error(ErrorCode::kMalformed,
                    "the member " + member + " of genesis.json must be " +
                        std::to_string(2 * size) + " lower-case hex digits",
                    member);
}

}  // namespace

Result<void> check_chain_id(std::string_view chain_id) {
  const bool allowed = std::ranges::all_of(chain_id, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
  });
  if (allowed && chain_id.size() >= kChainIdBytesMin &&
      chain_id.size() <= Genesis::kChainIdBytesMax) {
    return {};
  }
  return make_error(ErrorCode::kMalformed,
                    "chain_id must be " + std::to_string(kChainIdBytesMin) + " to " +
                        std::to_string(Genesis::kChainIdBytesMax) + " bytes of a-z, 0-9, . and -",
                    "chain_id");
}

Result<Genesis> parse_genesis(std::string_view json) {
  if (json.size() > kGenesisBytesMax) {
    return make_error(ErrorCode::kLimitExceeded,
                      "genesis.json has " + std::to_string(json.size()) + " bytes, the limit is " +
                          std::to_string(kGenesisBytesMax),
                      std::string(kName));
  }
  COLOPHON_TRY_ASSIGN(const nlohmann::json object, parse_object(json, kName));
  ObjectReader reader(object, kName);
  Genesis genesis;
  COLOPHON_TRY(reader.number("version", 1, 1));
  COLOPHON_TRY_ASSIGN(genesis.chain_id, reader.text("chain_id"));
  COLOPHON_TRY(check_chain_id(genesis.chain_id));
  COLOPHON_TRY_ASSIGN(const std::string created_at, reader.text("created_at"));
  auto created_at_ms = parse_time(created_at);
  if (!created_at_ms) {
    return make_error(ErrorCode::kMalformed, created_at_ms.error().message, "created_at");
  }
  genesis.created_at_ms = *created_at_ms;

  COLOPHON_TRY_ASSIGN(const nlohmann::json* administrator, reader.object("administrator"));
  ObjectReader administrator_reader(*administrator, "administrator in genesis.json");
  COLOPHON_TRY_ASSIGN(const std::string scheme, administrator_reader.text("scheme"));
  if (scheme == scheme_name(Scheme::kEcdsaP256Sha256)) {
    genesis.administrator_scheme = Scheme::kEcdsaP256Sha256;
  } else if (scheme == scheme_name(Scheme::kEd25519)) {
    genesis.administrator_scheme = Scheme::kEd25519;
  } else {
    return make_error(ErrorCode::kMalformed,
                      "the administrator's scheme must be ecdsa-p256-sha256 or ed25519", "scheme");
  }
  const bool ed25519 = genesis.administrator_scheme == Scheme::kEd25519;
  COLOPHON_TRY_ASSIGN(genesis.administrator_public_key,
                      key_bytes(administrator_reader, "public_key", ed25519 ? 32 : 33));
  COLOPHON_TRY(administrator_reader.finish());
  COLOPHON_TRY_ASSIGN(genesis.log_public_key, key_bytes(reader, "log_public_key", 32));
  COLOPHON_TRY(reader.finish());
  return genesis;
}

std::string serialize_genesis(const Genesis& genesis) {
  const nlohmann::json json{{"version", 1},
                            {"chain_id", genesis.chain_id},
                            {"created_at", format_time(genesis.created_at_ms)},
                            {"administrator",
                             {{"scheme", scheme_name(genesis.administrator_scheme)},
                              {"public_key", hex_encode(genesis.administrator_public_key)}}},
                            {"log_public_key", hex_encode(genesis.log_public_key)}};
  return json.dump(2) + "\n";
}

}  // namespace colophon::node
