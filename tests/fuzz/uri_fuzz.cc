// SPDX-License-Identifier: Apache-2.0
//
// PKCS#11 URIs: what is read comes out of its canonical form the same, and no message repeats a
// value, which may be a secret in the wrong place.
#include <string>

#include "colophon/hsm/uri.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/right_inputs.h"

namespace colophon::hsm {
namespace {

using fuzz::require;

// Does not occur in any message of ours, and not in an attribute's name.
constexpr std::string_view kSecret = "S3CR3T";

void check(std::string_view text) {
  const auto uri = parse_uri(text);
  if (!uri) {
    require(!uri.error().message.empty() && !uri.error().field.empty(),
            "a refusal says why and names the attribute");
    // An attribute that is not known is named, so the secret must not be its name.
    const bool in_a_value = text.find("=S3CR3T") != std::string_view::npos &&
                            text.find(kSecret) == text.find("=S3CR3T") + 1 &&
                            text.rfind(kSecret) == text.find(kSecret);
    require(!in_a_value || uri.error().message.find(kSecret) == std::string::npos,
            "a message does not repeat a value");
    return;
  }
  const std::string canonical = format_uri(*uri);
  const auto again = parse_uri(canonical);
  require(again.ok(), "the canonical form is a URI");
  require(*again == *uri, "the canonical form says the same");
  require(format_uri(*again) == canonical, "there is one canonical form");
}

}  // namespace
}  // namespace colophon::hsm

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto right = colophon::fuzz::right_uris();
  colophon::fuzz::FuzzInput input(data, size);
  colophon::hsm::check(colophon::fuzz::choose_text(input, right, ';'));
  return 0;
}
