// SPDX-License-Identifier: Apache-2.0
#include "node/cli/pem_file.h"

#include <utility>

#include "node/cli/document.h"
#include "node/x509.h"

namespace colophon::cli {
namespace {

constexpr std::size_t kPemBytesMax = 64 * 1024;

Error about(Error error, const std::string& path, const char* field) {
  error.message = path + ": " + error.message;
  error.field = field;
  return error;
}

template <class Parse>
auto read_pem(const std::string& path, const char* field, Parse parse)
    -> decltype(parse(std::string())) {
  auto pem = read_file(path, kPemBytesMax);
  if (!pem) return about(std::move(pem).error(), path, field);
  auto parsed = parse(*pem);
  if (!parsed) return about(std::move(parsed).error(), path, field);
  return parsed;
}

}  // namespace

Result<std::vector<node::Der>> read_certificates(const std::string& path, const char* field) {
  return read_pem(path, field,
                  [](const std::string& pem) { return node::parse_pem_certificates(pem); });
}

Result<node::Der> read_certificate(const std::string& path, const char* field) {
  COLOPHON_TRY_ASSIGN(auto certificates, read_certificates(path, field));
  if (certificates.size() == 1) return std::move(certificates.front());
  return about(make_error(ErrorCode::kMalformed, "must hold one certificate, holds " +
                                                     std::to_string(certificates.size())),
               path, field);
}

Result<node::Der> read_public_key(const std::string& path, const char* field) {
  return read_pem(path, field,
                  [](const std::string& pem) { return node::parse_pem_public_key(pem); });
}

}  // namespace colophon::cli
