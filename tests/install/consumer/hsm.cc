// SPDX-License-Identifier: Apache-2.0
//
// Uses the installed colophon::hsm without any PKCS#11 header installed beside it.
#include <colophon/hsm/signer.h>
#include <colophon/hsm/uri.h>

int main() {
  const auto good = colophon::hsm::parse_uri("pkcs11:token=office;object=log");
  const auto bad = colophon::hsm::parse_uri("pkcs12:token=office");
  return good && !bad ? 0 : 1;
}
