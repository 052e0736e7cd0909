// SPDX-License-Identifier: Apache-2.0
//
// PEM files: what is read comes out again when it is written, and OpenSSL finds the same blocks in
// the file, so that what a person looks at with openssl is what is trusted.
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <memory>
#include <string>
#include <vector>

#include "node/x509.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/right_inputs.h"

namespace colophon::node {
namespace {

using fuzz::require;

struct BioDeleter {
  void operator()(BIO* x) const noexcept { BIO_free(x); }
};

// The blocks OpenSSL reads; nullopt where it stops at one that it cannot.
std::optional<std::vector<Der>> openssl_blocks(std::string_view text, std::string_view label) {
  const std::unique_ptr<BIO, BioDeleter> bio(
      BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  std::vector<Der> blocks;
  while (true) {
    char* name = nullptr;
    char* header = nullptr;
    std::uint8_t* data = nullptr;
    long size = 0;
    const bool read = PEM_read_bio(bio.get(), &name, &header, &data, &size) == 1;
    const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    const bool plain = read && name == label && header != nullptr && header[0] == '\0';
    if (read) blocks.emplace_back(data, data + size);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
    ERR_clear_error();
    if (!read && at_end) return blocks;
    if (!plain) return std::nullopt;
  }
}

void check(std::string_view text) {
  const auto certificates = parse_pem_certificates(text);
  if (certificates) {
    require(!certificates->empty(), "a file of certificates holds one at least");
    std::string written;
    for (const Der& certificate : *certificates) written += to_pem(certificate);
    const auto again = parse_pem_certificates(written);
    require(again.ok() && *again == *certificates, "what is written reads back");
    require(openssl_blocks(written, "CERTIFICATE") == *certificates, "OpenSSL reads what we write");
    const auto seen = openssl_blocks(text, "CERTIFICATE");
    require(seen && *seen == *certificates, "OpenSSL finds the same certificates");
  } else {
    require(!certificates.error().message.empty(), "a refusal says why");
  }
  const auto key = parse_pem_public_key(text);
  if (key) {
    require(!certificates.ok(), "a file is of certificates or of a key");
    const auto seen = openssl_blocks(text, "PUBLIC KEY");
    require(seen && *seen == std::vector<Der>{*key}, "OpenSSL finds the same key");
  }
}

}  // namespace
}  // namespace colophon::node

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto right = colophon::fuzz::right_pem();
  colophon::fuzz::FuzzInput input(data, size);
  colophon::node::check(colophon::fuzz::choose_text(input, right, '\n'));
  return 0;
}
