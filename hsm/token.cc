// SPDX-License-Identifier: Apache-2.0
#include "colophon/hsm/token.h"

#include <cstdlib>

#include "hsm/key.h"
#include "hsm/open.h"
#include "hsm/text.h"

namespace colophon::hsm {

Result<std::string> module_path_of(const Uri& uri) {
  if (uri.module_path) return *uri.module_path;
  const char* const path = std::getenv(kModuleEnvironmentVariable);
  if (path != nullptr && *path != '\0') return std::string(path);
  return make_error(
      ErrorCode::kInvalidArgument,
      std::string("no PKCS#11 module is named: add ?module-path=/path/to/module.so to "
                  "the URI, or set ") +
          kModuleEnvironmentVariable +
          (uri.module_name ? " (module-name alone does not say where it is)" : ""),
      "module-path");
}

Result<OpenToken> open_token(const Uri& uri) {
  COLOPHON_TRY_ASSIGN(const std::string path, module_path_of(uri));
  OpenToken place;
  COLOPHON_TRY_ASSIGN(place.module, Module::open(path));
  COLOPHON_TRY_ASSIGN(place.token, place.module->token(uri));
  return place;
}

Result<PinSource> pin_source_of(const Uri& uri, const PinSource& pin) {
  if (!uri.pin_source || !pin.interactive()) return pin;
  std::string_view path = *uri.pin_source;
  constexpr std::string_view kFile = "file:";
  if (path.substr(0, kFile.size()) == kFile) {
    path.remove_prefix(kFile.size());
    if (path.substr(0, 3) == "///") path.remove_prefix(2);  // an empty host
  }
  if (path.empty() || path[0] != '/' || path.substr(0, 2) == "//") {
    return make_error(ErrorCode::kUnsupported,
                      "the URI's pin-source must be file:/absolute/path (programs and remote files "
                      "are not run or fetched)",
                      "pin-source");
  }
  return PinSource::file(std::string(path));
}

Result<std::vector<TokenInfo>> list_tokens(const Uri& uri) {
  COLOPHON_TRY_ASSIGN(const std::string path, module_path_of(uri));
  COLOPHON_TRY_ASSIGN(const std::shared_ptr<Module> module, Module::open(path));
  return module->tokens(uri);
}

Result<std::vector<KeyInfo>> list_keys(const Uri& uri, const std::optional<PinSource>& pin) {
  COLOPHON_TRY_ASSIGN(const OpenToken place, open_token(uri));
  if (pin) {
    COLOPHON_TRY_ASSIGN(const PinSource source, pin_source_of(uri, *pin));
    COLOPHON_TRY(place.token->login(source));
  }
  COLOPHON_TRY_ASSIGN(Token::Lease lease, place.token->lease());
  COLOPHON_TRY_ASSIGN(std::vector<KeyRecord> keys, find_keys(lease, *place.token, uri));
  std::vector<KeyInfo> list;
  list.reserve(keys.size());
  for (KeyRecord& key : keys) list.push_back(std::move(key.info));
  return list;
}

Result<PublicKey> read_public_key(const Uri& uri, const PinSource& pin) {
  // "private" in the URI means the pair: a private half is not visible before the login.
  Uri pair = uri;
  pair.type.reset();
  if (uri.type && *uri.type != "private" && *uri.type != "public") {
    return make_error(ErrorCode::kUnsupported,
                      "only keys have a public half: the URI's type must be private or public",
                      "type");
  }
  if (!uri.object && !uri.id) {
    return make_error(ErrorCode::kInvalidArgument,
                      "the PKCS#11 URI names no key: add object=LABEL or id=%XX…", "key");
  }
  COLOPHON_TRY_ASSIGN(const OpenToken place, open_token(uri));
  for (const bool logged_in : {false, true}) {
    if (logged_in) {
      COLOPHON_TRY_ASSIGN(const PinSource source, pin_source_of(uri, pin));
      COLOPHON_TRY(place.token->login(source));
    }
    COLOPHON_TRY_ASSIGN(Token::Lease lease, place.token->lease());
    COLOPHON_TRY_ASSIGN(std::vector<KeyRecord> keys, find_keys(lease, *place.token, pair));
    if (keys.empty() && !logged_in) continue;
    COLOPHON_TRY_ASSIGN(const KeyRecord key, only_one(std::move(keys), pair, *place.token));
    if (key.info.public_key) return *key.info.public_key;
    if (!logged_in && key.type) continue;
    return make_error(
        key.type ? ErrorCode::kNotFound : ErrorCode::kUnsupported,
        "key '" + printable(key.info.label) + "' " +
            (key.type ? "has no public half that can be read" : "is neither P-256 nor Ed25519"),
        "key");
  }
  return make_error(ErrorCode::kInternal, "a key was neither found nor missing");
}

}  // namespace colophon::hsm
