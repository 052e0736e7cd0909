// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints. Of a key whose signatures the fuzzer cannot make, nothing but the one note that was
// signed is accepted. Of bodies that are signed, whatever they are, what is accepted is exactly
// what sign_checkpoint writes.
#include <string>

#include "node/base64.h"
#include "node/checkpoint.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/node/certificate_forge.h"

namespace colophon::node {
namespace {

using fuzz::FuzzInput;
using fuzz::require;
using test::must;

constexpr char kOrigin[] = "log.example";

struct Log {
  std::unique_ptr<test::MemorySigner> key = test::MemorySigner::create(hsm::KeyType::kEd25519, 90);
  Checkpoint checkpoint{kOrigin, 42, test::sha256("root")};
  std::string note = must(sign_checkpoint(checkpoint, *key));

  [[nodiscard]] Result<Checkpoint> verify(std::string_view text, std::string_view origin) const {
    return verify_checkpoint(fuzz::backend(), text, origin, key->public_key().raw);
  }
};

const Log& log() {
  static const Log made;
  return made;
}

// A note over `body` with the key's own signature, its line written as sign_checkpoint does.
std::string signed_note(const std::string& body, std::string_view name) {
  const hsm::Signature signature = must(log().key->sign(as_bytes(body)));
  std::string hashed(name);
  hashed += "\n\x01";
  hashed += as_text(log().key->public_key().raw);
  const Digest digest = test::sha256(hashed);
  std::vector<std::uint8_t> value(digest.begin(), digest.begin() + 4);
  value.insert(value.end(), signature.begin(), signature.end());
  return body + "\n\xe2\x80\x94 " + std::string(name) + " " + base64_encode(value) + "\n";
}

void check_stranger(std::string_view text) {
  const auto read = log().verify(text, kOrigin);
  require(read.ok() == (text == log().note), "only what was signed is accepted");
  if (!read) {
    require(!read.error().message.empty() && !read.error().field.empty(),
            "a refusal says why and names the line");
  }
}

void check_signed(const std::string& body) {
  const std::string name = body.substr(0, body.find('\n'));
  const std::string note = signed_note(body, name);
  const auto read = log().verify(note, name);
  if (!read) return;
  require(checkpoint_body(*read) == body, "one checkpoint has one body");
  require(must(sign_checkpoint(*read, *log().key)) == note, "one checkpoint has one note");
  require(!log().verify(note, name + "x").ok(), "another log's checkpoint is refused");
}

void check(FuzzInput& input) {
  switch (input.choice(3)) {
    case 0:
      check_stranger(fuzz::text_of(input.rest()));
      break;
    case 1: {
      std::string text = log().note;
      if (input.flag()) fuzz::edit_list(text, '\n', input);
      fuzz::edit(text, input);
      check_stranger(text);
      break;
    }
    default:
      check_signed(std::string(fuzz::text_of(input.rest())));
      break;
  }
}

}  // namespace
}  // namespace colophon::node

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  colophon::fuzz::FuzzInput input(data, size);
  colophon::node::check(input);
  return 0;
}
